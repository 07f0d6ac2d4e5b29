// Products. Operands become BF16 (or stay float if the card is precise) in
// scratch, some rows at a time, and cuBLAS multiplies them: row-major C = A·B is
// column-major Cᵀ = Bᵀ·Aᵀ, so both directions of a product with a weight read
// the same dequantised rows.
#include "dequant.cuh"
#include "elements.cuh"

static const size_t SCRATCH_ALIGN = 256;

static int64_t padded(int64_t cols) { return (cols + 7) / 8 * 8; }

// take hands out scratch in order.
struct taker {
    cd_card * c;
    size_t    used;
    void *    take(int64_t bytes) {
        size_t at = used;
        used += ((size_t) bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
        if (used > c->scratch_bytes) {
            c->fail("products", "scratch", "less than was planned");
            return nullptr;
        }
        return c->scratch + at;
    }
};

struct round_value {
    bf16 *        out;
    const float * x;
    int64_t       ldo, ldx;
    POINTERS(out, x)
    __device__ void operator()(int64_t i, int64_t j) const { out[i * ldo + j] = __float2bfloat16(x[i * ldx + j]); }
};

// round_four is the same for four values at a time, where all begin at multiples of 16 bytes.
struct round_four {
    bf16 *        out;
    const float * x;
    int64_t       ldo, ldx;
    POINTERS(out, x)
    __device__ void operator()(int64_t i, int64_t j) const {
        float4 v = *(const float4 *) (x + i * ldx + 4 * j);
        *(uint2 *) (out + i * ldo + 4 * j) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
    }
};

// copy_rounded writes x [rows, cols] ld in the card's form, rows padded(cols) values apart.
static int copy_rounded(cd_card * c, void * out, const float * x, int64_t ld, int64_t rows, int64_t cols) {
    int64_t ldo = padded(cols);
    if (c->precise) {
        return c->ok(cudaMemcpy2DAsync(out, (size_t) ldo * 4, x, (size_t) ld * 4, (size_t) cols * 4, (size_t) rows, cudaMemcpyDeviceToDevice,
                                       c->stream), "pack");
    }
    bool four = (cols | ld) % 4 == 0 && (uintptr_t) x % 16 == 0 && (uintptr_t) out % 8 == 0;
    flat(rows, cols, ldo == cols && ld == cols);
    if (four) {
        return run_each(c, "round", round_four{(bf16 *) out, x, ldo, ld}, rows, cols / 4);
    }
    return run_each(c, "round", round_value{(bf16 *) out, x, ldo, ld}, rows, cols);
}

int cd_pack(cd_card * c, cd_mat dst, cd_mat x) {
    ENTER(c);
    return copy_rounded(c, dst.data, floats(x), x.ld, x.rows, x.cols);
}

// operand is rows of values as cuBLAS reads them, with ld values from one to the next.
struct operand {
    const char * data;
    int64_t      ld;
    bool         bf16;
    const void * at(int64_t row, int64_t col) const { return data + (row * ld + col) * (bf16 ? 2 : 4); }
};

static void multiply(cd_card * c, const char * what, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const void * a, int64_t lda,
                     const void * b, int64_t ldb, float beta, float * out, int64_t ldc) {
    const char * e = c->failed != CK_OK ? nullptr
                                        : product(c->blas, c->stream, ta, tb, (int) m, (int) n, (int) k, alpha, a, (int) lda, b, (int) ldb,
                                                  !c->precise, beta, out, (int) ldc);
    if (e != nullptr) {
        c->fail(what, e, "cuBLAS");
    }
}

// left_rows gives rows [from, to) of a left operand.
static operand left_rows(cd_card * c, const cd_term & t, int64_t from, int64_t to, void * room) {
    if (t.a.ld == 0) {
        int64_t ld = padded(t.a.cols);
        return operand{(char *) t.a.data + from * ld * (c->precise ? 4 : 2), ld, !c->precise};
    }
    const float * x = floats(t.a) + from * t.a.ld;
    if (c->precise) {
        return operand{(const char *) x, t.a.ld, false};
    }
    copy_rounded(c, room, x, t.a.ld, to - from, t.a.cols);
    return operand{(const char *) room, padded(t.a.cols), true};
}

// right_rows gives rows [from, to) of a weight.
static operand right_rows(cd_card * c, const cd_weight & w, int64_t from, int64_t to, void * room, void * tail) {
    const char * src = (const char *) w.data + from * w.row_bytes;
    if (w.type == 0 && c->precise) {
        return operand{src, w.row_bytes / 4, false};
    }
    if (w.type == 0) {
        copy_rounded(c, room, (const float *) src, w.row_bytes / 4, to - from, w.cols);
        return operand{(const char *) room, padded(w.cols), true};
    }
    dequantise(c, room, !c->precise, src, w.type, w.row_bytes, to - from, w.cols, padded(w.cols), tail);
    return operand{(const char *) room, padded(w.cols), !c->precise};
}

// One term's share of rows [from, to) of dst; whether it is added depends on what was there before.
static void add_term(cd_card * c, const cd_mat & dst, const cd_term & t, int64_t from, int64_t to, bool add, void * left, void * right, void * tail) {
    operand a   = left_rows(c, t, from, to, left);
    float * out = floats(dst) + from * dst.ld;
    for (int64_t r = 0; r < t.b.rows && c->failed == CK_OK; r += t.b.slab) {
        int64_t end = r + t.b.slab < t.b.rows ? r + t.b.slab : t.b.rows;
        operand w   = right_rows(c, t.b, r, end, right, tail);
        if (t.trans) { // columns [r, end) of dst
            multiply(c, "gemm", true, false, end - r, to - from, t.a.cols, t.scale, w.data, w.ld, a.data, a.ld, add ? 1 : 0, out + r, dst.ld);
        } else {
            multiply(c, "gemm", false, false, t.b.cols, to - from, end - r, t.scale, w.data, w.ld, a.at(0, r), a.ld, add || r > 0 ? 1 : 0, out, dst.ld);
        }
    }
}

int cd_gemm(cd_card * c, cd_mat dst, const cd_term * terms, int n_terms, bool add) {
    ENTER(c);
    for (int i = 0; i < n_terms; i++) {
        if (!can_dequantise(terms[i].b.type)) {
            return CK_TYPE;
        }
    }
    int64_t left = 0, right = 0, value = c->precise ? 4 : 2;
    for (int i = 0; i < n_terms; i++) {
        const cd_term & t = terms[i];
        int64_t         l = t.a.ld == 0 || c->precise ? 0 : t.chunk * padded(t.a.cols) * value;
        int64_t         r = t.b.type == 0 && c->precise ? 0 : t.b.slab * padded(t.b.cols) * value;
        left              = l > left ? l : left;
        right             = r > right ? r : right;
    }
    taker  s      = {c, 0};
    void * a_room = s.take(left);
    void * b_room = s.take(right);
    void * tail   = s.take(TAIL_BYTES);
    for (int i = 0; i < n_terms && c->failed == CK_OK; i++) {
        for (int64_t from = 0; from < dst.rows; from += terms[i].chunk) {
            int64_t to = from + terms[i].chunk < dst.rows ? from + terms[i].chunk : dst.rows;
            add_term(c, dst, terms[i], from, to, add || i > 0, a_room, b_room, tail);
        }
    }
    return c->failed;
}

// tn_rows gives rows [from, to) of an operand of cd_gemm_tn, which may be packed.
static operand tn_rows(cd_card * c, const cd_mat & x, int64_t from, int64_t to, void * room) {
    return left_rows(c, cd_term{x, cd_weight{}, 0, false, 1}, from, to, room);
}

int cd_gemm_tn(cd_card * c, cd_mat g, bool trans, cd_mat u, cd_mat x, int64_t chunk) {
    ENTER(c);
    taker  s      = {c, 0};
    void * u_room = c->precise || u.ld == 0 ? nullptr : s.take(2 * chunk * padded(u.cols));
    void * x_room = c->precise || x.ld == 0 ? nullptr : s.take(2 * chunk * padded(x.cols));
    for (int64_t from = 0; from < u.rows && c->failed == CK_OK; from += chunk) {
        int64_t to = from + chunk < u.rows ? from + chunk : u.rows;
        operand a = tn_rows(c, u, from, to, u_room), b = tn_rows(c, x, from, to, x_room);
        if (trans) {
            multiply(c, "gemm_tn", false, true, u.cols, x.cols, to - from, 1, a.data, a.ld, b.data, b.ld, 1, floats(g), g.ld);
        } else {
            multiply(c, "gemm_tn", false, true, x.cols, u.cols, to - from, 1, b.data, b.ld, a.data, a.ld, 1, floats(g), g.ld);
        }
    }
    return c->failed;
}

// gather_bytes copies quantised rows.
struct gather_bytes {
    uint8_t *       out;
    const uint8_t * table;
    const int32_t * ids;
    int64_t         bytes;
    POINTERS(out, table, ids)
    __device__ void operator()(int64_t i, int64_t j) const { out[i * bytes + j] = table[ids[i] * bytes + j]; }
};

int cd_embed(cd_card * c, cd_mat dst, cd_weight table, const int32_t * ids) {
    ENTER(c);
    if (!can_dequantise(table.type)) {
        return CK_TYPE;
    }
    if (table.type == 0) {
        return cd_gather(c, dst, cd_mat{table.data, table.rows, table.cols, table.row_bytes / 4}, ids);
    }
    ROOM(c, 4 * dst.rows);
    const int32_t * at   = (const int32_t *) c->upload(ids, 4 * (size_t) dst.rows);
    taker           s    = {c, 0};
    void *          rows = s.take(table.slab * table.row_bytes);
    float *         room = (float *) s.take(4 * table.slab * table.cols);
    void *          tail = s.take(TAIL_BYTES);
    for (int64_t from = 0; from < dst.rows && c->failed == CK_OK; from += table.slab) {
        int64_t n   = from + table.slab < dst.rows ? table.slab : dst.rows - from;
        float * out = floats(dst) + from * dst.ld;
        run_each(c, "embed", gather_bytes{(uint8_t *) rows, (const uint8_t *) table.data, at + from, table.row_bytes}, n, table.row_bytes);
        dequantise(c, room, false, (const char *) rows, table.type, table.row_bytes, n, table.cols, table.cols, tail);
        c->ok(cudaMemcpy2DAsync(out, (size_t) dst.ld * 4, room, (size_t) table.cols * 4, (size_t) table.cols * 4, (size_t) n,
                                cudaMemcpyDeviceToDevice, c->stream), "embed");
    }
    return c->failed;
}
