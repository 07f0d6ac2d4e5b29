// AVX-512: the float micro-kernel. A tile of 12 x 16 has twelve independent
// sums, more than the eight that two units of four cycles keep busy; the left
// operand is broadcast from memory within the multiplication.
#include "levels.h"

#ifdef CK_X86

#include <string.h>

enum { MR = 12 };

static inline __attribute__((always_inline)) CK_AVX512 void tile_rows(const int rows, int k, const float * a, int64_t rs, int64_t cs,
                                                                      const float * b, int64_t ldb, float * c, int64_t ldc, bool add) {
    __m512 s[MR];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        s[i] = _mm512_setzero_ps();
    }
    for (int l = 0; l < k; l++) {
        __m512 v = _mm512_loadu_ps(b);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            s[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * rs]), v, s[i]);
        }
        a += cs;
        b += ldb;
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(c + i * ldc, add ? _mm512_add_ps(s[i], _mm512_loadu_ps(c + i * ldc)) : s[i]);
    }
}

#define TILE(r)                                                                                                               \
    static CK_AVX512 void tile##r(int k, const float * a, int64_t rs, int64_t cs, const float * b, int64_t ldb, float * c,     \
                                  int64_t ldc, bool add) {                                                                    \
        if (rs == 1) {                                                                                                        \
            tile_rows(r, k, a, 1, cs, b, ldb, c, ldc, add);                                                                   \
        } else {                                                                                                              \
            tile_rows(r, k, a, rs, cs, b, ldb, c, ldc, add);                                                                  \
        }                                                                                                                     \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)

// pack_left transposes 4 x 4 values at a time: out[l*12 + i] = x[i*ld + l].
static CK_AVX512 void pack_left(float * out, const float * x, int64_t ld, int k) {
    int l = 0;
    for (; l + 4 <= k; l += 4) {
#pragma GCC unroll 3
        for (int i = 0; i < MR; i += 4) {
            const float * p = x + i * ld + l;
            float *       o = out + l * MR + i;
            __m128        a = _mm_loadu_ps(p), b = _mm_loadu_ps(p + ld), c = _mm_loadu_ps(p + 2 * ld), d = _mm_loadu_ps(p + 3 * ld);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(o, a);
            _mm_storeu_ps(o + MR, b);
            _mm_storeu_ps(o + 2 * MR, c);
            _mm_storeu_ps(o + 3 * MR, d);
        }
    }
    for (; l < k; l++) {
        for (int i = 0; i < MR; i++) {
            out[l * MR + i] = x[i * ld + l];
        }
    }
}

static CK_AVX512 void copy_left(float * out, const float * x, int64_t ld, int k) {
    for (int l = 0; l < k; l++) {
        memcpy(out + l * MR, x + l * ld, MR * sizeof *x);
    }
}

const ck_tiles ck_avx512_tiles = {
    .mr             = MR,
    .tile           = {NULL, tile1, tile2, tile3, tile4, tile5, tile6, tile7, tile8, tile9, tile10, tile11, tile12},
    .transpose16    = ck_avx2_transpose16,
    .copy16         = ck_avx2_copy16,
    .to_float       = ck_avx2_to_float,
    .pack_left      = pack_left,
    .copy_left      = copy_left,
    .softmax        = ck_avx512_softmax,
    .score_back     = ck_avx512_score_back,
    .scale_row      = ck_avx512_scale_row,
    .dot            = ck_avx512_dot,
};

const ck_panels ck_avx512_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR,
    .kr           = 1,
    .k_max        = 320,
    .bytes        = sizeof(float),
    .block        = 96,
    .cycles       = 1 / 28.0,
    .left_cycles  = 0.5,
    .right_cycles = 4,
    .left         = ck_float_left,
    .right        = ck_float_right,
    .right_trans  = ck_float_right_trans,
    .multiply     = ck_float_multiply,
};

#endif
