// The products of the BF16 levels: vdpbf16ps, and AMX with operands in one part
// and in two.
#include "bf16.h"

#ifdef CK_X86
#include <string.h>

enum { MR_MAX = 32 };

// tiles_fn computes c [mr,32] ldc = mr rows a times two panels at b, or c [mr,16] with one.
typedef void (*tiles_fn)(const uint16_t * a, const uint16_t * b, bool two, int kp, float * c, int64_t ldc);

// put_sums: c [rows,cols] = or += the sums, 32 to a row.
static CK_BF16 void put_sums(float * c, int64_t ldc, const float * sums, int rows, int cols, bool add) {
    uint32_t mask = (uint32_t) (((uint64_t) 1 << cols) - 1);
    for (int i = 0; i < rows; i++, c += ldc, sums += 2 * CK_NR) {
        for (int j = 0; j < 2; j++) {
            __mmask16 m = (__mmask16) (mask >> (CK_NR * j));
            _mm512_mask_storeu_ps(c + CK_NR * j, m, _mm512_add_ps(_mm512_load_ps(sums + CK_NR * j), _mm512_maskz_loadu_ps(add ? m : 0, c + CK_NR * j)));
        }
    }
}

// multiply_tiles is the product of both levels: tiles of mr rows go where they belong, or by way of sums if they are added
// or hang over the border of c.
static void multiply_tiles(tiles_fn tiles, const ck_panels * p, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    _Alignas(64) float sums[MR_MAX * 2 * CK_NR];
    int kp = ck_bf16_pad(kl), mr = p->mr;
    for (int j = 0; j < cols; j += 2 * CK_NR) {
        const uint16_t * right = (const uint16_t *) ((const char *) b + ck_panel_bytes(p, j, kl));
        bool             two   = cols - j > CK_NR;
        int              w     = ck_min(two ? 2 * CK_NR : CK_NR, cols - j);
        for (int i = 0; i < rows; i += mr) {
            const uint16_t * left = (const uint16_t *) ((const char *) a + ck_panel_bytes(p, i, kl));
            float *          out  = c + i * ldc + j;
            if (rows - i >= mr && w % CK_NR == 0 && !add) {
                tiles(left, right, two, kp, out, ldc);
            } else {
                tiles(left, right, two, kp, sums, 2 * CK_NR);
                put_sums(out, ldc, sums, ck_min(mr, rows - i), w, add);
            }
        }
    }
}

// pairs reads two neighbouring values of a left row.
CK_BF16 static inline __m512bh pairs(const uint16_t * a) {
    uint32_t v;
    memcpy(&v, a, sizeof v);
    return (__m512bh) _mm512_set1_epi32((int) v);
}

enum { MR = 12 };

// tile: c [MR,16·panels] = the product of MR rows a and the panels at b.
static inline __attribute__((always_inline)) CK_BF16 void tile(const int panels, const uint16_t * a, const uint16_t * b, int kp, float * c, int64_t ldc) {
    __m512 s[MR][2];
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < panels; j++) {
            s[i][j] = _mm512_setzero_ps();
        }
    }
    for (int l = 0; l < kp; l += 2) {
        __m512bh v[2];
#pragma GCC unroll 2
        for (int j = 0; j < panels; j++) {
            v[j] = (__m512bh) _mm512_loadu_si512(b + j * CK_NR * kp + l * CK_NR);
        }
#pragma GCC unroll 12
        for (int i = 0; i < MR; i++) {
            __m512bh x = pairs(a + i * kp + l);
#pragma GCC unroll 2
            for (int j = 0; j < panels; j++) {
                s[i][j] = _mm512_dpbf16_ps(s[i][j], x, v[j]);
            }
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < panels; j++) {
            _mm512_storeu_ps(c + i * ldc + j * CK_NR, s[i][j]);
        }
    }
}

static CK_BF16 void tiles12(const uint16_t * a, const uint16_t * b, bool two, int kp, float * c, int64_t ldc) {
    if (two) {
        tile(2, a, b, kp, c, ldc);
    } else {
        tile(1, a, b, kp, c, ldc);
    }
}

static void multiply(const ck_panels * p, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    multiply_tiles(tiles12, p, c, ldc, a, b, rows, cols, kl, add);
}

const ck_panels ck_bf16_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR,
    .kr           = CK_BF16_KR,
    .k_max        = 640,
    .bytes        = sizeof(uint16_t),
    .block        = 96,
    .cycles       = 1 / 56.0,
    .left_cycles  = 0.2,
    .right_cycles = 1.5,
    .left         = ck_bf16_left,
    .right        = ck_bf16_right,
    .right_trans  = ck_bf16_right_trans,
    .round        = ck_bf16_round_row,
    .multiply     = multiply,
};

// AMX: four tiles of 16 x 16 sums over two tiles of each operand.

typedef struct {
    uint8_t  palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t  rows[16];
} tile_config;

#define CK_AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))

static CK_AMX void begin(void) {
    static const _Alignas(64) tile_config c = {.palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&c);
}

static CK_AMX void end(void) { _tile_release(); }

// tiles4: c [32,32] = 32 rows a times two panels at b.
static inline __attribute__((always_inline)) CK_AMX void tiles4(const uint16_t * a, const uint16_t * b, int kp, float * c, int64_t ldc) {
    const uint16_t *a1 = a + 16 * (size_t) kp, *b1 = b + CK_NR * (size_t) kp;
    size_t          la = (size_t) kp * sizeof *a, lc = (size_t) ldc * sizeof *c;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int l = 0; l < kp; l += CK_BF16_KR) {
        _tile_loadd(4, a + l, la);
        _tile_loadd(6, b + l * CK_NR, 64);
        _tile_loadd(7, b1 + l * CK_NR, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + l, la);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, lc);
    _tile_stored(1, c + 16, lc);
    _tile_stored(2, c + 16 * ldc, lc);
    _tile_stored(3, c + 16 * ldc + 16, lc);
}

// tiles2: c [32,16] = 32 rows a times one panel at b.
static inline __attribute__((always_inline)) CK_AMX void tiles2(const uint16_t * a, const uint16_t * b, int kp, float * c, int64_t ldc) {
    const uint16_t * a1 = a + 16 * (size_t) kp;
    size_t           la = (size_t) kp * sizeof *a, lc = (size_t) ldc * sizeof *c;
    _tile_zero(0);
    _tile_zero(2);
    for (int l = 0; l < kp; l += CK_BF16_KR) {
        _tile_loadd(6, b + l * CK_NR, 64);
        _tile_loadd(4, a + l, la);
        _tile_loadd(5, a1 + l, la);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
    }
    _tile_stored(0, c, lc);
    _tile_stored(2, c + 16 * ldc, lc);
}

static CK_AMX void tiles32(const uint16_t * a, const uint16_t * b, bool two, int kp, float * c, int64_t ldc) {
    if (two) {
        tiles4(a, b, kp, c, ldc);
    } else {
        tiles2(a, b, kp, c, ldc);
    }
}

static void amx_multiply(const ck_panels * p, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    multiply_tiles(tiles32, p, c, ldc, a, b, rows, cols, kl, add);
}

const ck_panels ck_amx_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR_MAX,
    .kr           = CK_BF16_KR,
    .k_max        = 640,
    .bytes        = sizeof(uint16_t),
    .block        = 64,
    .cycles       = 1 / 350.0,
    .left_cycles  = 0.2,
    .right_cycles = 1.5,
    .left         = ck_bf16_left,
    .right        = ck_bf16_right,
    .right_trans  = ck_bf16_right_trans,
    .round        = ck_bf16_round_row,
    .begin        = begin,
    .end          = end,
    .multiply     = amx_multiply,
};

// Two parts: low·high + high·high + high·low, all into the same sums; low·low is below what two parts keep. Greg Henry et al.,
// "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations" (arXiv:1904.06376).

// tiles4x3: c [32,32] = 32 rows a times two panels at b.
static inline __attribute__((always_inline)) CK_AMX void tiles4x3(const uint16_t * a, const uint16_t * b, int kp, float * c, int64_t ldc) {
    const uint16_t *a1 = a + 16 * (size_t) kp, *b1 = b + 2 * CK_NR * (size_t) kp;
    size_t          la = (size_t) kp * sizeof *a, lc = (size_t) ldc * sizeof *c, low_a = MR_MAX * (size_t) kp, low_b = CK_NR * (size_t) kp;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int l = 0; l < kp; l += CK_BF16_KR) {
        _tile_loadd(6, b + l * CK_NR, 64);
        _tile_loadd(7, b1 + l * CK_NR, 64);
        _tile_loadd(4, a + low_a + l, la);
        _tile_loadd(5, a1 + low_a + l, la);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(4, a + l, la);
        _tile_loadd(5, a1 + l, la);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(6, b + low_b + l * CK_NR, 64);
        _tile_loadd(7, b1 + low_b + l * CK_NR, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, lc);
    _tile_stored(1, c + 16, lc);
    _tile_stored(2, c + 16 * ldc, lc);
    _tile_stored(3, c + 16 * ldc + 16, lc);
}

// tiles2x3: c [32,16] = 32 rows a times one panel at b.
static inline __attribute__((always_inline)) CK_AMX void tiles2x3(const uint16_t * a, const uint16_t * b, int kp, float * c, int64_t ldc) {
    const uint16_t * a1 = a + 16 * (size_t) kp;
    size_t           la = (size_t) kp * sizeof *a, lc = (size_t) ldc * sizeof *c, low_a = MR_MAX * (size_t) kp, low_b = CK_NR * (size_t) kp;
    _tile_zero(0);
    _tile_zero(2);
    for (int l = 0; l < kp; l += CK_BF16_KR) {
        _tile_loadd(6, b + l * CK_NR, 64);
        _tile_loadd(4, a + low_a + l, la);
        _tile_loadd(5, a1 + low_a + l, la);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(4, a + l, la);
        _tile_loadd(5, a1 + l, la);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(6, b + low_b + l * CK_NR, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
    }
    _tile_stored(0, c, lc);
    _tile_stored(2, c + 16 * ldc, lc);
}

static CK_AMX void tiles32x3(const uint16_t * a, const uint16_t * b, bool two, int kp, float * c, int64_t ldc) {
    if (two) {
        tiles4x3(a, b, kp, c, ldc);
    } else {
        tiles2x3(a, b, kp, c, ldc);
    }
}

static void amx_multiply_x3(const ck_panels * p, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    multiply_tiles(tiles32x3, p, c, ldc, a, b, rows, cols, kl, add);
}

const ck_panels ck_amx_x3_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR_MAX,
    .kr           = CK_BF16_KR,
    .k_max        = 320,
    .bytes        = 2 * sizeof(uint16_t),
    .block        = 64,
    .cycles       = 1 / 150.0,
    .left_cycles  = 0.4,
    .right_cycles = 2,
    .left         = ck_bf16_left,
    .right        = ck_bf16_right,
    .right_trans  = ck_bf16_right_trans,
    .begin        = begin,
    .end          = end,
    .multiply     = amx_multiply_x3,
};

#endif
