// AVX2 + FMA: micro-kernels and packing. A tile of 6 x 16 takes 12 of the 16
// vector registers; 24 fused multiply-adds of 128 bits for 2 loads and 6
// broadcasts reach 98 % of the peak of Zen 1 with operands in the caches.
#include "levels.h"

#include <string.h>

#ifdef CK_X86

enum { MR = 6 };

// tile_rows is the micro-kernel; rows is a constant where it is inlined.
static inline __attribute__((always_inline)) CK_AVX2 void tile_rows(const int rows, int k, const float * a, int64_t rs, int64_t cs,
                                                                    const float * b, int64_t ldb, float * c, int64_t ldc, bool add) {
    __m256 s0[MR], s1[MR];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        s0[i] = s1[i] = _mm256_setzero_ps();
        _mm_prefetch((const char *) (c + i * ldc), _MM_HINT_T0);
    }
    const float * a3 = a + 3 * rs;
#pragma GCC unroll 4
    for (int l = 0; l < k; l++) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(i < 3 ? a + i * rs : a3 + (i - 3) * rs);
            s0[i]    = _mm256_fmadd_ps(x, b0, s0[i]);
            s1[i]    = _mm256_fmadd_ps(x, b1, s1[i]);
        }
        a += cs;
        a3 += cs;
        b += ldb;
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float * out = c + i * ldc;
        if (add) {
            s0[i] = _mm256_add_ps(s0[i], _mm256_loadu_ps(out));
            s1[i] = _mm256_add_ps(s1[i], _mm256_loadu_ps(out + 8));
        }
        _mm256_storeu_ps(out, s0[i]);
        _mm256_storeu_ps(out + 8, s1[i]);
    }
}

#define TILE(r)                                                                                                               \
    static CK_AVX2 void tile##r(int k, const float * a, int64_t rs, int64_t cs, const float * b, int64_t ldb, float * c,       \
                                int64_t ldc, bool add) {                                                                      \
        tile_rows(r, k, a, rs, cs, b, ldb, c, ldc, add);                                                                      \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

// transpose8 writes 8 rows of 8 values as 8 columns, 16 values apart.
static inline __attribute__((always_inline)) CK_AVX2 void transpose8(float * out, const float * x, int64_t ld, __m256 scale) {
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        r[i] = _mm256_mul_ps(_mm256_loadu_ps(x + i * ld), scale);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i]     = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i]     = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * CK_NR, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * CK_NR, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

CK_AVX2 void ck_avx2_transpose16(float * out, const float * x, int64_t ld, int k, float scale) {
    __m256 s = _mm256_set1_ps(scale);
    int    l = 0;
    for (; l + 8 <= k; l += 8) {
        transpose8(out + l * CK_NR, x + l, ld, s);
        transpose8(out + l * CK_NR + 8, x + 8 * ld + l, ld, s);
    }
    for (; l < k; l++) {
        for (int r = 0; r < CK_NR; r++) {
            out[l * CK_NR + r] = scale * x[r * ld + l];
        }
    }
}

CK_AVX2 void ck_avx2_copy16(float * out, int64_t stride, const float * x, int n, float scale) {
    __m256 s = _mm256_set1_ps(scale);
    int    j = 0;
    for (; j + CK_NR <= n; j += CK_NR, out += stride) {
        _mm256_storeu_ps(out, _mm256_mul_ps(s, _mm256_loadu_ps(x + j)));
        _mm256_storeu_ps(out + 8, _mm256_mul_ps(s, _mm256_loadu_ps(x + j + 8)));
    }
    for (int r = 0; j < n && r < CK_NR; r++) {
        out[r] = j + r < n ? scale * x[j + r] : 0;
    }
}

static CK_AVX2 void pack_left(float * out, const float * x, int64_t ld, int k) {
    int l = 0;
    for (; l + 4 <= k; l += 4) {
        __m128 a = _mm_loadu_ps(x + l), b = _mm_loadu_ps(x + ld + l), c = _mm_loadu_ps(x + 2 * ld + l),
               d = _mm_loadu_ps(x + 3 * ld + l), e = _mm_loadu_ps(x + 4 * ld + l), f = _mm_loadu_ps(x + 5 * ld + l);
        __m128 ef = _mm_unpacklo_ps(e, f), ef2 = _mm_unpackhi_ps(e, f);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        float * o = out + l * MR;
        _mm_storeu_ps(o, a);
        _mm_storel_pi((__m64 *) (o + 4), ef);
        _mm_storeu_ps(o + 6, b);
        _mm_storeh_pi((__m64 *) (o + 10), ef);
        _mm_storeu_ps(o + 12, c);
        _mm_storel_pi((__m64 *) (o + 16), ef2);
        _mm_storeu_ps(o + 18, d);
        _mm_storeh_pi((__m64 *) (o + 22), ef2);
    }
    for (; l < k; l++) {
        for (int i = 0; i < MR; i++) {
            out[l * MR + i] = x[i * ld + l];
        }
    }
}

static CK_AVX2 void copy_left(float * out, const float * x, int64_t ld, int k) {
    for (int l = 0; l < k; l++) {
        memcpy(out + l * MR, x + l * ld, MR * sizeof *x);
    }
}

const ck_tiles ck_avx2_tiles = {
    .mr             = MR,
    .tile           = {NULL, tile1, tile2, tile3, tile4, tile5, tile6},
    .transpose16    = ck_avx2_transpose16,
    .copy16         = ck_avx2_copy16,
    .to_float       = ck_avx2_to_float,
    .pack_left      = pack_left,
    .copy_left      = copy_left,
    .softmax        = ck_avx2_softmax,
    .score_back     = ck_avx2_score_back,
    .scale_row      = ck_avx2_scale_row,
    .dot            = ck_avx2_dot,
};

const ck_panels ck_avx2_panels = {
    .tiles        = &ck_avx2_tiles,
    .mr           = MR,
    .kr           = 1,
    .k_max        = 320, // 320·16·4 bytes are 20 KiB of level 1
    .bytes        = sizeof(float),
    .block        = 96,
    .cycles       = 1 / 8.0,
    .left_cycles  = 0.5,
    .right_cycles = 4,
    .left         = ck_float_left,
    .right        = ck_float_right,
    .right_trans  = ck_float_right_trans,
    .multiply     = ck_float_multiply,
};

#endif
