// Norms, gated activations, RoPE, cross-entropy and the rows of attention, one
// row or range at a time, for any width of vectors: avx2.c and avx512.c include
// this text with SIMD_WIDTH 256 or 512 and NAME(f), which names a function. The
// plain C versions with the formulas are in naive.c.
#include "levels.h"

#include <math.h>
#include <string.h>

#if SIMD_WIDTH == 512
#define SIMD                     CK_AVX512
#define LANES                    16
#define V __m512
#define V_LOAD(p)                _mm512_loadu_ps(p)
#define V_STORE(p, v)            _mm512_storeu_ps(p, v)
#define V_SET(x)                 _mm512_set1_ps(x)
#define V_ADD(a, b)              _mm512_add_ps(a, b)
#define V_SUB(a, b)              _mm512_sub_ps(a, b)
#define V_MUL(a, b)              _mm512_mul_ps(a, b)
#define V_DIV(a, b)              _mm512_div_ps(a, b)
#define V_SQRT(v)                _mm512_sqrt_ps(v)
#define V_MAX(a, b)              _mm512_max_ps(a, b)
#define V_MIN(a, b)              _mm512_min_ps(a, b)
#define V_FMA(a, b, c)           _mm512_fmadd_ps(a, b, c)
#define V_FNMA(a, b, c)          _mm512_fnmadd_ps(a, b, c)
#define V_ROUND(v)               _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define V_TIMES_POW2(y, n)       _mm512_scalef_ps(y, n)
#define V_UNLESS_BELOW(v, x, lo) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, lo, _CMP_NLT_UQ), v)
// V_WITHIN is v where lo <= r < hi, else other.
#define V_WITHIN(v, other, lo, r, hi) \
    _mm512_mask_mov_ps(other, _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(lo, r, _CMP_LE_OQ), r, hi, _CMP_LT_OQ), v)
#define V_SUM(v)                 _mm512_reduce_add_ps(v)
#define V_TOP(v)                 _mm512_reduce_max_ps(v)
// V_TWICE reads LANES/2 values, each of them twice; V_SWAP exchanges neighbours; V_SIGNS is -s, s, -s, s …
#define V_TWICE(p) \
    _mm512_permutexvar_ps(_mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0), _mm512_castps256_ps512(_mm256_loadu_ps(p)))
#define V_SWAP(v)  _mm512_permute_ps(v, 0xB1)
#define V_SIGNS(s) _mm512_set4_ps(s, -(s), s, -(s))

// part reads n < 16 values and fills the rest; keep writes the first n.
static inline SIMD V part(const float * p, int64_t n, float fill) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16) ((1u << n) - 1), p);
}

static inline SIMD void keep(float * p, int64_t n, V v) { _mm512_mask_storeu_ps(p, (__mmask16) ((1u << n) - 1), v); }
#else
#define SIMD                     CK_AVX2
#define LANES                    8
#define V __m256
#define V_LOAD(p)                _mm256_loadu_ps(p)
#define V_STORE(p, v)            _mm256_storeu_ps(p, v)
#define V_SET(x)                 _mm256_set1_ps(x)
#define V_ADD(a, b)              _mm256_add_ps(a, b)
#define V_SUB(a, b)              _mm256_sub_ps(a, b)
#define V_MUL(a, b)              _mm256_mul_ps(a, b)
#define V_DIV(a, b)              _mm256_div_ps(a, b)
#define V_SQRT(v)                _mm256_sqrt_ps(v)
#define V_MAX(a, b)              _mm256_max_ps(a, b)
#define V_MIN(a, b)              _mm256_min_ps(a, b)
#define V_FMA(a, b, c)           _mm256_fmadd_ps(a, b, c)
#define V_FNMA(a, b, c)          _mm256_fnmadd_ps(a, b, c)
#define V_ROUND(v)               _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define V_TIMES_POW2(y, n)       _mm256_mul_ps(y, pow2(n))
#define V_UNLESS_BELOW(v, x, lo) _mm256_andnot_ps(_mm256_cmp_ps(x, lo, _CMP_LT_OQ), v)
#define V_WITHIN(v, other, lo, r, hi) \
    _mm256_blendv_ps(other, v, _mm256_and_ps(_mm256_cmp_ps(lo, r, _CMP_LE_OQ), _mm256_cmp_ps(r, hi, _CMP_LT_OQ)))
#define V_SUM(v)                 sum8(v)
#define V_TOP(v)                 top8(v)
#define V_TWICE(p) \
    _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0))
#define V_SWAP(v)  _mm256_permute_ps(v, 0xB1)
#define V_SIGNS(s) _mm256_set_ps(s, -(s), s, -(s), s, -(s), s, -(s))

static inline SIMD V part(const float * p, int64_t n, float fill) {
    float all[LANES] = {fill, fill, fill, fill, fill, fill, fill, fill};
    memcpy(all, p, (size_t) n * sizeof *p);
    return V_LOAD(all);
}

static inline SIMD void keep(float * p, int64_t n, V v) {
    float all[LANES];
    V_STORE(all, v);
    memcpy(p, all, (size_t) n * sizeof *p);
}

static inline CK_AVX2 __m256 pow2(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

static inline CK_AVX2 float sum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline CK_AVX2 float top8(__m256 v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
#endif

#define INLINE static inline __attribute__((always_inline)) SIMD

// exp_v is exp(x) to about 1 ulp: x = n·ln 2 + r, a polynomial for exp(r)
// (Cephes, expf), and n into the exponent. Below -87.3 the result is 0, above
// 88.02 it stays at exp(88.02); NaN stays NaN.
INLINE V exp_v(V x) {
    const V lo = V_SET(-87.33654f), hi = V_SET(88.02f);
    V v = V_MAX(lo, V_MIN(hi, x)); // the second operand is returned for NaN
    V n = V_ROUND(V_MUL(v, V_SET(1.44269504088896341f)));
    V r = V_FNMA(n, V_SET(0.693359375f), v);
    r = V_FNMA(n, V_SET(-2.12194440e-4f), r);
    V y = V_SET(1.9875691500e-4f);
    y = V_FMA(y, r, V_SET(1.3981999507e-3f));
    y = V_FMA(y, r, V_SET(8.3334519073e-3f));
    y = V_FMA(y, r, V_SET(4.1665795894e-2f));
    y = V_FMA(y, r, V_SET(1.6666665459e-1f));
    y = V_FMA(y, r, V_SET(5.0000001201e-1f));
    y = V_FMA(y, V_MUL(r, r), V_ADD(r, V_SET(1.0f)));
    return V_UNLESS_BELOW(V_TIMES_POW2(y, n), x, lo);
}

// get and put are the vector at p when n values or more are left, else part of one.
INLINE V get(const float * p, int64_t n, float fill) { return n >= LANES ? V_LOAD(p) : part(p, n, fill); }

INLINE void put(float * p, int64_t n, V v) {
    if (n >= LANES) {
        V_STORE(p, v);
    } else {
        keep(p, n, v);
    }
}

enum { SUM_BLOCK = 512 }; // values that are summed in float before the sum goes into a double

static SIMD double sum_products(const float * a, const float * b, const float * c, int64_t n) {
    double total = 0;
    for (int64_t j = 0; j < n;) {
        int64_t end = n - j < SUM_BLOCK ? n : j + SUM_BLOCK;
        V s = V_SET(0);
        for (; j < end; j += LANES) {
            V x = V_MUL(get(a + j, n - j, 0), get(b + j, n - j, 0));
            s = c == NULL ? V_ADD(s, x) : V_FMA(x, get(c + j, n - j, 0), s);
        }
        total += V_SUM(s);
    }
    return total;
}

SIMD void NAME(rmsnorm_row)(float * out, const float * x, const float * w, float eps, int n) {
    V r = V_SET((float) (1 / sqrt(sum_products(x, x, NULL, n) / n + eps)));
    for (int j = 0; j < n; j += LANES) {
        put(out + j, n - j, V_MUL(V_MUL(get(x + j, n - j, 0), r), get(w + j, n - j, 0)));
    }
}

SIMD void NAME(rmsnorm_back_row)(float * dx, const float * dy, const float * x, const float * w, float eps, int n) {
    double ss = sum_products(x, x, NULL, n) / n + eps;
    V r = V_SET((float) (1 / sqrt(ss)));
    V k = V_SET((float) (sum_products(dy, w, x, n) / (ss * n))); // r²·Σ(dy·w·x)/n
    for (int j = 0; j < n; j += LANES) {
        int m = n - j;
        V g = V_FNMA(get(x + j, m, 0), k, V_MUL(get(dy + j, m, 0), get(w + j, m, 0)));
        put(dx + j, m, V_FMA(g, r, get(dx + j, m, 0)));
    }
}

// logistic is 1/(1+exp(-x)).
INLINE V logistic(V x) { return V_DIV(V_SET(1), V_ADD(V_SET(1), exp_v(V_SUB(V_SET(0), x)))); }

// activation returns act(g) and puts its derivative into *slope. The tanh form
// of GELU is g·logistic(2z) with z = √(2/π)·(g + 0.044715·g³).
INLINE V activation(V g, int act, V * slope) {
    const V one = V_SET(1);
    V s, dz = one;
    if (act == CK_SILU) {
        s = logistic(g);
    } else {
        const V c = V_SET(1.5957691216057308f), k = V_SET(0.044715f), k3 = V_SET(0.134145f);
        V gg = V_MUL(g, g);
        s = logistic(V_MUL(V_MUL(c, g), V_FMA(k, gg, one)));
        dz = V_MUL(c, V_FMA(k3, gg, one));
    }
    V y = V_MUL(g, s);
    *slope = V_FMA(V_MUL(y, V_SUB(one, s)), dz, s);
    return y;
}

SIMD void NAME(glu)(float * out, const float * gate, const float * up, int64_t count, int act) {
    V slope;
    for (int64_t j = 0; j < count; j += LANES) {
        int64_t m = count - j;
        put(out + j, m, V_MUL(activation(get(gate + j, m, 0), act, &slope), get(up + j, m, 0)));
    }
}

SIMD void NAME(glu_back)(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act) {
    V slope;
    for (int64_t j = 0; j < count; j += LANES) {
        int64_t m = count - j;
        V y = activation(get(gate + j, m, 0), act, &slope), u = get(up + j, m, 0), dj = get(d + j, m, 0);
        put(d_up + j, m, V_MUL(dj, y));
        put(d_gate + j, m, V_MUL(V_MUL(dj, u), slope));
    }
}

SIMD void NAME(cross_entropy_row)(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct) {
    V vm = V_SET(x[0]);
    for (int j = 0; j < n; j += LANES) {
        vm = V_MAX(vm, get(x + j, n - j, x[0]));
    }
    float m = V_TOP(vm), hit = x[target];
    *correct = hit == m;
    for (int i = 0; i < target && *correct; i++) {
        *correct = x[i] != m;
    }
    double total = 0;
    vm = V_SET(m);
    for (int j = 0; j < n;) {
        int end = ck_min(n, j + SUM_BLOCK);
        V s = V_SET(0);
        for (; j < end; j += LANES) {
            V e = exp_v(V_SUB(get(x + j, n - j, -INFINITY), vm));
            put(x + j, n - j, e);
            s = V_ADD(s, e);
        }
        total += V_SUM(s);
    }
    *loss = log(total) + m - hit;
    if (!grad) {
        return;
    }
    V f = V_SET((float) (scale / total));
    for (int j = 0; j < n; j += LANES) {
        put(x + j, n - j, V_MUL(get(x + j, n - j, 0), f));
    }
    x[target] -= scale;
}

// Scores of attention, one vector of queries after the other, down the keys that any of them sees.

// rows are the keys that a vector of queries sees: some of them begin..end, all of them inner..outer.
typedef struct {
    V   lo, hi;
    int begin, end, inner, outer;
} rows;

// Neither limit falls from one query to the next.
INLINE rows rows_of(const ck_scores * b, int c) {
    V   hi  = V_LOAD(b->hi + c);
    int end = (int) V_TOP(hi);
    return (rows) {V_LOAD(b->lo + c), hi, ck_min((int) b->lo[c], end), end, (int) b->lo[c + LANES - 1], (int) b->hi[c]};
}

// where_seen is v for queries that see key r, else other.
INLINE V where_seen(const rows * k, int r, V v, float other) {
    return r >= k->inner && r < k->outer ? v : V_WITHIN(v, V_SET(other), k->lo, V_SET((float) r), k->hi);
}

INLINE void clear_rows(const ck_scores * b, float * column, int from, int to) {
    for (int r = from; r < to; r++) {
        V_STORE(column + r * b->ld, V_SET(0));
    }
}

SIMD void NAME(softmax)(const ck_scores * b, float * top, float * sum, float * shrink) {
    V vs = V_SET(b->scale);
    for (int c = 0; c < b->queries; c += LANES) {
        V m0 = V_LOAD(top + c), m = m0, total = V_SET(0);
        rows    k = rows_of(b, c);
        float * s = b->s + c;
        for (int r = k.begin; r < k.end; r++) {
            m = V_MAX(m, where_seen(&k, r, V_MUL(V_LOAD(s + r * b->ld), vs), -INFINITY));
        }
        V minus = V_SUB(V_SET(0), m);
        clear_rows(b, s, 0, k.begin);
        for (int r = k.begin; r < k.end; r++) {
            V e = where_seen(&k, r, exp_v(V_FMA(V_LOAD(s + r * b->ld), vs, minus)), 0);
            V_STORE(s + r * b->ld, e);
            total = V_ADD(total, e);
        }
        clear_rows(b, s, k.end, b->keys);
        V less = exp_v(V_SUB(m0, m));
        V_STORE(top + c, m);
        V_STORE(shrink + c, less);
        V_STORE(sum + c, V_FMA(V_LOAD(sum + c), less, total));
    }
}

SIMD void NAME(score_back)(const ck_scores * b, float * ds, const float * lse, const float * delta) {
    V vs = V_SET(b->scale);
    for (int c = 0; c < b->queries; c += LANES) {
        V minus = V_SUB(V_SET(0), V_LOAD(lse + c)), vd = V_LOAD(delta + c);
        rows    k = rows_of(b, c);
        float * s = b->s + c, *d = ds + c;
        clear_rows(b, s, 0, k.begin);
        clear_rows(b, d, 0, k.begin);
        for (int r = k.begin; r < k.end; r++) {
            V e = exp_v(V_FMA(V_LOAD(s + r * b->ld), vs, minus));
            V g = V_MUL(V_MUL(e, vs), V_SUB(V_LOAD(d + r * b->ld), vd));
            V_STORE(s + r * b->ld, where_seen(&k, r, e, 0));
            V_STORE(d + r * b->ld, where_seen(&k, r, g, 0));
        }
        clear_rows(b, s, k.end, b->keys);
        clear_rows(b, d, k.end, b->keys);
    }
}

SIMD void NAME(scale_row)(float * out, const float * x, float f, int n) {
    for (int j = 0; j < n; j += LANES) {
        put(out + j, n - j, V_MUL(get(x + j, n - j, 0), V_SET(f)));
    }
}

SIMD float NAME(dot)(const float * x, const float * y, int n) { return (float) sum_products(x, y, NULL, n); }

SIMD void NAME(rope_row)(float * x, const float * table, int heads, int dim, int half, bool neox, float sign) {
    const float *co = table, *si = table + half;
    if (half % LANES != 0) {
        ck_naive_rope_row(x, table, heads, dim, half, neox, sign);
        return;
    }
    for (int h = 0; h < heads; h++, x += dim) {
        for (int i = 0; neox && i < half; i += LANES) {
            V c = V_LOAD(co + i), s = V_MUL(V_LOAD(si + i), V_SET(sign)), a = V_LOAD(x + i), b = V_LOAD(x + half + i);
            V_STORE(x + i, V_FNMA(b, s, V_MUL(a, c)));
            V_STORE(x + half + i, V_FMA(a, s, V_MUL(b, c)));
        }
        for (int i = 0; !neox && i < half; i += LANES / 2) {
            V c = V_TWICE(co + i), s = V_MUL(V_TWICE(si + i), V_SIGNS(sign)), a = V_LOAD(x + 2 * i);
            V_STORE(x + 2 * i, V_FMA(V_SWAP(a), s, V_MUL(a, c)));
        }
    }
}

SIMD void NAME(add_row)(float * out, const float * x, int n) {
    for (int j = 0; j < n; j += LANES) {
        put(out + j, n - j, V_ADD(get(out + j, n - j, 0), get(x + j, n - j, 0)));
    }
}

double NAME(sum_squares)(const float * x, int64_t n) { return sum_products(x, x, NULL, n); }

SIMD void NAME(adamw)(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s) {
    const V b1 = V_SET(s->beta1), b2 = V_SET(s->beta2), c1 = V_SET(1 - s->beta1), c2 = V_SET(1 - s->beta2);
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t l = n - j;
        V d = V_MUL(get(g + j, l, 0), V_SET(s->factor));
        V a = V_FMA(b1, get(m + j, l, 0), V_MUL(c1, d)), b = V_FMA(b2, get(v + j, l, 0), V_MUL(c2, V_MUL(d, d)));
        put(m + j, l, a);
        put(v + j, l, b);
        V by = V_DIV(V_MUL(V_SET(s->rate), a), V_FMA(V_SQRT(b), V_SET(s->root), V_SET(s->epsilon)));
        put(p + j, l, V_SUB(V_MUL(get(p + j, l, 0), V_SET(s->keep)), by));
    }
}
