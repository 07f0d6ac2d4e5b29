// Sums, products and functions of single values, and the copies of rows.
#include "elements.cuh"

struct add_value {
    float *       out;
    const float * x;
    int64_t       ldo, ldx;
    POINTERS(out, x)
    __device__ void operator()(int64_t i, int64_t j) const { out[i * ldo + j] += x[i * ldx + j]; }
};

int cd_add(cd_card * c, cd_mat dst, cd_mat x) {
    ENTER(c);
    flat(x.rows, x.cols, dense(dst) && dense(x));
    return run_each(c, "add", add_value{floats(dst), floats(x), dst.ld, x.ld}, x.rows, x.cols);
}

int cd_copy(cd_card * c, cd_mat dst, cd_mat x) {
    ENTER(c);
    if (dense(dst) && dense(x)) {
        return c->ok(cudaMemcpyAsync(dst.data, x.data, (size_t) (x.rows * x.cols) * 4, cudaMemcpyDeviceToDevice, c->stream), "copy");
    }
    return c->ok(cudaMemcpy2DAsync(dst.data, (size_t) dst.ld * 4, x.data, (size_t) x.ld * 4, (size_t) x.cols * 4, (size_t) x.rows,
                                   cudaMemcpyDeviceToDevice, c->stream), "copy");
}

int cd_zero(cd_card * c, cd_mat x) {
    ENTER(c);
    if (x.rows == 0) {
        return CK_OK;
    }
    if (dense(x)) {
        return c->ok(cudaMemsetAsync(x.data, 0, (size_t) (x.rows * x.cols) * 4, c->stream), "zero");
    }
    return c->ok(cudaMemset2DAsync(x.data, (size_t) x.ld * 4, 0, (size_t) x.cols * 4, (size_t) x.rows, c->stream), "zero");
}

struct scale_value {
    float * x;
    int64_t ld;
    float   by;
    POINTERS(x)
    __device__ void operator()(int64_t i, int64_t j) const { x[i * ld + j] *= by; }
};

int cd_scale(cd_card * c, cd_mat x, float by) {
    ENTER(c);
    flat(x.rows, x.cols, dense(x));
    return run_each(c, "scale", scale_value{floats(x), x.ld, by}, x.rows, x.cols);
}

struct scale_row {
    float *       x;
    const float * w;
    int64_t       ld;
    POINTERS(x, w)
    __device__ void operator()(int64_t i, int64_t j) const { x[i * ld + j] *= w[i]; }
};

int cd_scale_rows(cd_card * c, cd_mat x, cd_mat w) {
    ENTER(c);
    return run_each(c, "scale_rows", scale_row{floats(x), floats(w), x.ld}, x.rows, x.cols);
}

struct plus_row {
    float *       x;
    const float * row;
    int64_t       ld;
    POINTERS(x, row)
    __device__ void operator()(int64_t i, int64_t j) const { x[i * ld + j] += row[j]; }
};

int cd_add_row(cd_card * c, cd_mat x, cd_mat row) {
    ENTER(c);
    return run_each(c, "add_row", plus_row{floats(x), floats(row), x.ld}, x.rows, x.cols);
}

struct gather_row {
    float *         out;
    const float *   x;
    const int32_t * ids;
    int64_t         ldo, ldx;
    POINTERS(out, x, ids)
    __device__ void operator()(int64_t i, int64_t j) const { out[i * ldo + j] = x[ids[i] * ldx + j]; }
};

int cd_gather(cd_card * c, cd_mat dst, cd_mat x, const int32_t * ids) {
    ENTER(c);
    ROOM(c, 4 * dst.rows);
    const int32_t * at = (const int32_t *) c->upload(ids, 4 * (size_t) dst.rows);
    return run_each(c, "gather", gather_row{floats(dst), floats(x), at, dst.ld, x.ld}, dst.rows, dst.cols);
}

struct scatter_row {
    float *         out;
    const float *   x;
    const int32_t * ids;
    int64_t         ldo, ldx;
    POINTERS(out, x, ids)
    __device__ void operator()(int64_t i, int64_t j) const { out[ids[i] * ldo + j] += x[i * ldx + j]; }
};

int cd_scatter_add(cd_card * c, cd_mat dst, cd_mat x, const int32_t * ids) {
    ENTER(c);
    ROOM(c, 4 * x.rows);
    const int32_t * at = (const int32_t *) c->upload(ids, 4 * (size_t) x.rows);
    return run_each(c, "scatter_add", scatter_row{floats(dst), floats(x), at, dst.ld, x.ld}, x.rows, x.cols);
}

struct cap_value {
    float * x;
    int64_t ld;
    float   cap;
    POINTERS(x)
    __device__ void operator()(int64_t i, int64_t j) const { x[i * ld + j] = cap * tanhf(x[i * ld + j] / cap); }
};

int cd_softcap(cd_card * c, cd_mat x, float cap) {
    ENTER(c);
    flat(x.rows, x.cols, dense(x));
    return run_each(c, "softcap", cap_value{floats(x), x.ld, cap}, x.rows, x.cols);
}

struct cap_back_value {
    float *       d;
    const float * y;
    int64_t       ldd, ldy;
    float         cap;
    POINTERS(d, y)
    __device__ void operator()(int64_t i, int64_t j) const {
        float s = y[i * ldy + j] / cap;
        d[i * ldd + j] *= 1 - s * s;
    }
};

int cd_softcap_back(cd_card * c, cd_mat d, cd_mat y, float cap) {
    ENTER(c);
    flat(y.rows, y.cols, dense(d) && dense(y));
    return run_each(c, "softcap_back", cap_back_value{floats(d), floats(y), d.ld, y.ld, cap}, y.rows, y.cols);
}

// activation: SiLU is g/(1+e^-g); GELU is g/2·(1 + tanh(√(2/π)(g + 0.044715 g³))).
template <int ACT> __device__ static inline float activation(float g, float * slope) {
    if (ACT == CK_SILU) {
        float s = 1 / (1 + expf(-g));
        *slope  = s * (1 + g * (1 - s));
        return g * s;
    }
    const float c = 0.7978845608028654f;
    float       t = tanhf(c * (g + 0.044715f * g * g * g));
    *slope        = 0.5f * (1 + t) + 0.5f * g * (1 - t * t) * c * (1 + 3 * 0.044715f * g * g);
    return 0.5f * g * (1 + t);
}

template <int ACT> struct glu_value {
    float *       out;
    const float * gate;
    const float * up;
    POINTERS(out, gate, up)
    __device__ void operator()(int64_t, int64_t j) const {
        float slope;
        out[j] = activation<ACT>(gate[j], &slope) * up[j];
    }
};

int cd_glu(cd_card * c, cd_mat dst, cd_mat gate, cd_mat up, int act) {
    ENTER(c);
    int64_t n = gate.rows * gate.cols;
    if (act == CK_SILU) {
        return run_each(c, "glu", glu_value<CK_SILU>{floats(dst), floats(gate), floats(up)}, 1, n);
    }
    return run_each(c, "glu", glu_value<CK_GELU>{floats(dst), floats(gate), floats(up)}, 1, n);
}

template <int ACT> struct glu_back_value {
    float *       d_gate;
    float *       d_up;
    const float * d;
    const float * gate;
    const float * up;
    POINTERS(d_gate, d_up, d, gate, up)
    __device__ void operator()(int64_t, int64_t j) const {
        float slope, y = activation<ACT>(gate[j], &slope), u = up[j], g = d[j];
        d_up[j]   = g * y;
        d_gate[j] = g * u * slope;
    }
};

int cd_glu_back(cd_card * c, cd_mat d_gate, cd_mat d_up, cd_mat d, cd_mat gate, cd_mat up, int act) {
    ENTER(c);
    int64_t n = gate.rows * gate.cols;
    if (act == CK_SILU) {
        return run_each(c, "glu_back", glu_back_value<CK_SILU>{floats(d_gate), floats(d_up), floats(d), floats(gate), floats(up)}, 1, n);
    }
    return run_each(c, "glu_back", glu_back_value<CK_GELU>{floats(d_gate), floats(d_up), floats(d), floats(gate), floats(up)}, 1, n);
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), as lora/model/noise.go has it.
__device__ static inline uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

struct drop_value {
    float *          out;
    const float *    x;
    const uint64_t * keys;
    int64_t          ldo, ldx;
    uint64_t         limit;
    float            grow;
    bool             add;
    POINTERS(out, x, keys)
    __device__ void operator()(int64_t i, int64_t j) const {
        uint64_t bits = mix(keys[i] + (uint64_t) (j & ~(int64_t) 3)) >> (16 * (j & 3));
        float    v    = (bits & 0xffff) < limit ? 0 : __fmul_rn(grow, x[i * ldx + j]);
        float *  o    = out + i * ldo + j;
        *o            = add ? __fadd_rn(*o, v) : v;
    }
};

int cd_drop(cd_card * c, cd_mat dst, cd_mat src, const uint64_t * keys, uint64_t limit, bool add) {
    ENTER(c);
    ROOM(c, 8 * src.rows);
    const uint64_t * at = (const uint64_t *) c->upload(keys, 8 * (size_t) src.rows);
    return run_each(c, "drop", drop_value{floats(dst), floats(src), at, dst.ld, src.ld, limit, (float) (65536 / (65536 - (double) limit)), add},
                    src.rows, src.cols);
}

struct noise_value {
    float *          x;
    const uint64_t * keys;
    const double *   bounds;
    int64_t          ld;
    POINTERS(x, keys, bounds)
    __device__ void operator()(int64_t i, int64_t j) const {
        double unit = (double) (mix(keys[i] + (uint64_t) j) >> 11) / 9007199254740992.0;
        x[i * ld + j] += (float) (bounds[i] * (2 * unit - 1));
    }
};

int cd_noise(cd_card * c, cd_mat x, const uint64_t * keys, const double * bounds) {
    ENTER(c);
    ROOM(c, 16 * x.rows);
    const uint64_t * k = (const uint64_t *) c->upload(keys, 8 * (size_t) x.rows);
    const double *   b = (const double *) c->upload(bounds, 8 * (size_t) x.rows);
    return run_each(c, "noise", noise_value{floats(x), k, b, x.ld}, x.rows, x.cols);
}

// As ck_adamw.
struct adamw_value {
    float *       p;
    const float * g;
    float *       m;
    float *       v;
    ck_adamw_step s;
    POINTERS(p, g, m, v)
    __device__ void operator()(int64_t, int64_t i) const {
        float d = g[i] * s.factor;
        float a = s.beta1 * m[i] + (1 - s.beta1) * d, b = s.beta2 * v[i] + (1 - s.beta2) * d * d;
        m[i] = a;
        v[i] = b;
        p[i] = p[i] * s.keep - s.rate * a / (sqrtf(b) * s.root + s.epsilon);
    }
};

int cd_adamw(cd_card * c, cd_mat p, cd_mat g, cd_mat m, cd_mat v, const ck_adamw_step * s) {
    ENTER(c);
    return run_each(c, "adamw", adamw_value{floats(p), floats(g), floats(m), floats(v), *s}, 1, p.rows * p.cols);
}
