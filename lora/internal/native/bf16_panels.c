// Panels of BF16, for vdpbf16ps and for AMX. A left panel is 32 rows of
// pad(kl) values; a right one holds two steps of the inner dimension side by
// side, out[(l/2)*32 + 2*j + l%2], as both instructions want them.
#include "levels.h"

#ifdef CK_X86
#include <string.h>

enum { KR = 32 };

static inline int pad(int kl) { return (kl + KR - 1) / KR * KR; }

// round32 rounds 32 floats.
CK_BF16 static inline __m512i round32(__m512 lo, __m512 hi) { return (__m512i) _mm512_cvtne2ps_pbh(hi, lo); }

// floats_to_bf16 writes n values times scale, then zeros to the next multiple of 32.
static CK_BF16 void floats_to_bf16(uint16_t * out, const float * x, int n, float scale) {
    __m512 s = _mm512_set1_ps(scale);
    int    l = 0;
    for (; l + 32 <= n; l += 32) {
        _mm512_storeu_si512(out + l, round32(_mm512_mul_ps(s, _mm512_loadu_ps(x + l)), _mm512_mul_ps(s, _mm512_loadu_ps(x + l + 16))));
    }
    if (l < n) {
        uint32_t  mask = ((uint32_t) 1 << (n - l)) - 1;
        __m512    lo = _mm512_maskz_loadu_ps((__mmask16) mask, x + l), hi = _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), x + l + 16);
        _mm512_storeu_si512(out + l, round32(_mm512_mul_ps(s, lo), _mm512_mul_ps(s, hi)));
    }
}

static CK_BF16 void round_row(float * out, const float * x, int n) {
    for (int l = 0; l < n; l += 16) {
        __mmask16 mask = (__mmask16) (n - l >= 16 ? 0xffff : (1 << (n - l)) - 1);
        __m256i   half = (__m256i) _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + l));
        __m512    v    = (__m512) _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
        if (n - l >= 16) {
            _mm512_storeu_ps(out + l, v); // a masked store would keep the next load of it waiting
        } else {
            _mm512_mask_storeu_ps(out + l, mask, v);
        }
    }
}

// row_to_bf16 writes values [k0,k0+n) of a row of b, then zeros to the next multiple of 32. tmp has room for n + 2·block floats.
static CK_BF16 void row_to_bf16(uint16_t * out, const ck_right * b, const char * row, int64_t cols, int k0, int n, float * tmp) {
    if (b->type == CK_F32) {
        floats_to_bf16(out, (const float *) row + k0, n, b->scale);
        return;
    }
    ck_to_bf16_fn direct = b->scale == 1 ? ck_to_bf16(b->type) : NULL;
    int           block  = ck_block_size(b->type);
    if (direct == NULL || k0 % block != 0 || n % block != 0) {
        floats_to_bf16(out, ck_dequant(ck_avx2_to_float(b->type), b->type, row, cols, k0, n, tmp), n, b->scale);
        return;
    }
    direct(row + (size_t) (k0 / block) * ck_block_bytes(b->type), out, n);
    memset(out + n, 0, (size_t) (pad(n) - n) * sizeof *out);
}

// transpose16 transposes 16 x 16 pairs: 16 rows of 32 values, ld apart, become such rows, ldo apart.
static inline CK_BF16 void transpose16(uint16_t * out, int64_t ldo, const uint16_t * x, int64_t ld) {
    __m512i r[16], t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        r[i] = _mm512_loadu_si512(x + i * ld);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i]     = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i]     = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    // r[4g+c] holds, in lane q, column 4q+c of rows 4g..4g+3.
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        __m512i a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), b = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xDD);
        __m512i d = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88), e = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xDD);
        _mm512_storeu_si512(out + ldo * c, _mm512_shuffle_i32x4(a, d, 0x88));
        _mm512_storeu_si512(out + ldo * (4 + c), _mm512_shuffle_i32x4(b, e, 0x88));
        _mm512_storeu_si512(out + ldo * (8 + c), _mm512_shuffle_i32x4(a, d, 0xDD));
        _mm512_storeu_si512(out + ldo * (12 + c), _mm512_shuffle_i32x4(b, e, 0xDD));
    }
}

// left_columns packs rows 0..rows-1 of x(i,l) = x[i + l*ld] as rows of kp values: two steps at a time are rounded and set side
// by side, and 16 x 16 such pairs are transposed.
static CK_BF16 void left_columns(uint16_t * out, const float * x, int64_t ld, int rows, int kl, int kp) {
    const __m512i beside = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _Alignas(64) uint16_t pairs[16 * 32], part[16 * 32];
    for (int i = 0; i < rows; i += 16) {
        int       n    = ck_min(16, rows - i);
        __mmask16 mask = (__mmask16) ((1u << n) - 1);
        for (int l = 0; l < kp; l += 32) {
            for (int d = 0; d < 32; d += 2) {
                const float * p    = x + i + (l + d) * ld;
                __m512        even = l + d < kl ? _mm512_maskz_loadu_ps(mask, p) : _mm512_setzero_ps();
                __m512        odd  = l + d + 1 < kl ? _mm512_maskz_loadu_ps(mask, p + ld) : _mm512_setzero_ps();
                _mm512_store_si512(pairs + d * 16, _mm512_permutexvar_epi16(beside, round32(even, odd)));
            }
            uint16_t * o = out + i * kp + l;
            if (n == 16) {
                transpose16(o, kp, pairs, 32);
                continue;
            }
            transpose16(part, 32, pairs, 32);
            for (int r = 0; r < n; r++) {
                _mm512_storeu_si512(o + r * kp, _mm512_load_si512(part + r * 32));
            }
        }
    }
}

static CK_BF16 void left(const ck_panels * p, void * out, const float * x, int64_t rs, int64_t cs, int rows, int kl) {
    uint16_t * o  = out;
    int        kp = pad(kl);
    if (cs == 1) {
        for (int i = 0; i < rows; i++) {
            floats_to_bf16(o + i * kp, x + i * rs, kl, 1);
        }
    } else if (rs == 1) {
        left_columns(o, x, cs, rows, kl, kp);
    } else {
        float line[KR];
        for (int i = 0; i < rows; i++) {
            for (int l = 0; l < kl; l += KR) {
                int n = ck_min(KR, kl - l);
                for (int d = 0; d < n; d++) {
                    line[d] = x[i * rs + (l + d) * cs];
                }
                floats_to_bf16(o + i * kp + l, line, n, 1);
            }
        }
    }
    memset(o + rows * kp, 0, (size_t) ((p->mr - rows) * kp) * sizeof *o);
}

static CK_BF16 void right_trans(const ck_panels * p, void * out, const ck_right * b, int64_t k, int j0, int cols, int k0, int kl, void * tmp) {
    (void) p;
    int        kp   = pad(kl);
    uint16_t * rows = tmp; // [16, kp]
    float *    f    = (float *) (rows + CK_NR * kp);
    for (int r = 0; r < cols; r++) {
        row_to_bf16(rows + r * kp, b, (const char *) b->data + (size_t) (j0 + r) * b->row_bytes, k, k0, kl, f);
    }
    memset(rows + cols * kp, 0, (size_t) ((CK_NR - cols) * kp) * sizeof *rows);
    for (int l = 0; l < kp; l += 32) {
        transpose16((uint16_t *) out + l * CK_NR, 32, rows + l, kp);
    }
}

// interleave writes step l of two panels, kp values of 16 columns apart, from 32 columns of two rows.
static inline CK_BF16 void interleave(uint16_t * out, int64_t panel, bool two, __m512i even, __m512i odd) {
    const __m512i lo = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi16(even, lo, odd));
    if (two) {
        _mm512_storeu_si512(out + panel, _mm512_permutex2var_epi16(even, _mm512_add_epi16(lo, _mm512_set1_epi16(16)), odd));
    }
}

// load32 reads and rounds n floats, at most 32 of them.
static inline CK_BF16 __m512i load32(const float * x, int n, __m512 scale) {
    uint32_t mask = n >= 32 ? 0xffffffff : ((uint32_t) 1 << n) - 1;
    return round32(_mm512_mul_ps(scale, _mm512_maskz_loadu_ps((__mmask16) mask, x)),
                   _mm512_mul_ps(scale, _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), x + 16)));
}

// right_floats is right for rows of float.
static CK_BF16 void right_floats(uint16_t * out, const float * x, int64_t ld, int w, int kl, float scale) {
    int     kp    = pad(kl);
    int64_t panel = (int64_t) CK_NR * kp;
    __m512  s     = _mm512_set1_ps(scale);
    for (int l = 0; l < kp; l += 2) {
        for (int j = 0; j < w; j += 32) {
            __m512i even = l < kl ? load32(x + l * ld + j, w - j, s) : _mm512_setzero_si512();
            __m512i odd  = l + 1 < kl ? load32(x + (l + 1) * ld + j, w - j, s) : _mm512_setzero_si512();
            interleave(out + l * CK_NR + j / CK_NR * panel, panel, w - j > CK_NR, even, odd);
        }
    }
}

static CK_BF16 void right(const ck_panels * p, void * out, const ck_right * b, int64_t n, int j0, int w, int k0, int kl, void * tmp) {
    (void) p;
    const char * data = (const char *) b->data + (size_t) k0 * b->row_bytes;
    if (b->type == CK_F32) {
        right_floats(out, (const float *) data + j0, (int64_t) (b->row_bytes / sizeof(float)), w, kl, b->scale);
        return;
    }
    int        kp = pad(kl), wp = pad(w);
    uint16_t * rows[2] = {tmp, (uint16_t *) tmp + wp};
    float *    f       = (float *) (rows[1] + wp);
    int64_t    panel   = (int64_t) CK_NR * kp;
    for (int l = 0; l < kp; l += 2) {
        for (int half = 0; half < 2; half++) {
            if (l + half < kl) {
                row_to_bf16(rows[half], b, data + (size_t) (l + half) * b->row_bytes, n, j0, w, f);
            } else {
                memset(rows[half], 0, (size_t) wp * sizeof *rows[half]);
            }
        }
        for (int j = 0; j < w; j += 32) {
            interleave((uint16_t *) out + l * CK_NR + j / CK_NR * panel, panel, w - j > CK_NR, _mm512_loadu_si512(rows[0] + j), _mm512_loadu_si512(rows[1] + j));
        }
    }
}

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
static void multiply_tiles(tiles_fn tiles, int mr, float * c, int64_t ldc, const void * a, const void * b, int rows, int cols, int kl, bool add) {
    _Alignas(64) float sums[MR_MAX * 2 * CK_NR];
    int kp = pad(kl);
    for (int j = 0; j < cols; j += 2 * CK_NR) {
        const uint16_t * right = (const uint16_t *) b + (size_t) j * (size_t) kp;
        bool             two   = cols - j > CK_NR;
        int              w     = ck_min(two ? 2 * CK_NR : CK_NR, cols - j);
        for (int i = 0; i < rows; i += mr) {
            const uint16_t * left = (const uint16_t *) a + (size_t) i * (size_t) kp;
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
    multiply_tiles(tiles12, p->mr, c, ldc, a, b, rows, cols, kl, add);
}

const ck_panels ck_bf16_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR,
    .kr           = KR,
    .k_max        = 640,
    .bytes        = sizeof(uint16_t),
    .block        = 96,
    .cycles       = 1 / 56.0,
    .left_cycles  = 0.2,
    .right_cycles = 1.5,
    .left         = left,
    .right        = right,
    .right_trans  = right_trans,
    .round        = round_row,
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
    for (int l = 0; l < kp; l += KR) {
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
    for (int l = 0; l < kp; l += KR) {
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
    multiply_tiles(tiles32, p->mr, c, ldc, a, b, rows, cols, kl, add);
}

const ck_panels ck_amx_panels = {
    .tiles        = &ck_avx512_tiles,
    .mr           = MR_MAX,
    .kr           = KR,
    .k_max        = 640,
    .bytes        = sizeof(uint16_t),
    .block        = 64,
    .cycles       = 1 / 350.0,
    .left_cycles  = 0.2,
    .right_cycles = 1.5,
    .left         = left,
    .right        = right,
    .right_trans  = right_trans,
    .round        = round_row,
    .begin        = begin,
    .end          = end,
    .multiply     = amx_multiply,
};

#endif
