// Operands packed as BF16, in one part or in two. A left panel is mr rows of
// pad(kl) values; a right one holds two steps of the inner dimension side by
// side, out[(l/2)*32 + 2*j + l%2], as vdpbf16ps and AMX want them. The low
// parts of a panel stand behind its high ones.
#include "bf16.h"

#ifdef CK_X86
#include <string.h>

enum { KR = CK_BF16_KR };

static inline int pad(int kl) { return ck_bf16_pad(kl); }

// floats_to_bf16 writes n values times scale, then zeros to the next multiple of 32.
static CK_BF16 void floats_to_bf16(uint16_t * out, int64_t low, const float * x, int n, float scale) {
    __m512 s = _mm512_set1_ps(scale);
    int    l = 0;
    for (; l + 32 <= n; l += 32) {
        ck_bf16_put(out + l, low, _mm512_mul_ps(s, _mm512_loadu_ps(x + l)), _mm512_mul_ps(s, _mm512_loadu_ps(x + l + 16)));
    }
    if (l < n) {
        uint32_t mask = ((uint32_t) 1 << (n - l)) - 1;
        __m512   a = _mm512_maskz_loadu_ps((__mmask16) mask, x + l), b = _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), x + l + 16);
        ck_bf16_put(out + l, low, _mm512_mul_ps(s, a), _mm512_mul_ps(s, b));
    }
}

CK_BF16 void ck_bf16_round_row(float * out, const float * x, int n) {
    for (int l = 0; l < n; l += 16) {
        __mmask16 mask = (__mmask16) (n - l >= 16 ? 0xffff : (1 << (n - l)) - 1);
        __m512    v    = ck_bf16_float((__m256i) _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + l)));
        if (n - l >= 16) {
            _mm512_storeu_ps(out + l, v); // a masked store would keep the next load of it waiting
        } else {
            _mm512_mask_storeu_ps(out + l, mask, v);
        }
    }
}

// row_to_bf16 writes values [k0,k0+n) of a row of b, then zeros to the next multiple of 32. tmp has room for n + 2·block floats.
static CK_BF16 void row_to_bf16(uint16_t * out, int64_t low, const ck_right * b, const char * row, int64_t cols, int k0, int n, float * tmp) {
    if (b->type == CK_F32) {
        floats_to_bf16(out, low, (const float *) row + k0, n, b->scale);
        return;
    }
    ck_to_bf16_fn direct = b->scale == 1 ? ck_to_bf16(b->type) : NULL;
    int           block  = ck_block_size(b->type);
    if (direct == NULL || k0 % block != 0 || n % block != 0) {
        floats_to_bf16(out, low, ck_dequant(ck_avx2_to_float(b->type), b->type, row, cols, k0, n, tmp), n, b->scale);
        return;
    }
    direct(row + (size_t) (k0 / block) * ck_block_bytes(b->type), out, low, n);
    memset(out + n, 0, (size_t) (pad(n) - n) * sizeof *out);
    memset(out + low + n, 0, (size_t) (pad(n) - n) * sizeof *out);
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

enum { PAIRS = 16 * 32 };

// put_columns writes 16 x 16 pairs transposed, as n <= 16 rows of 32 values, kp apart.
static inline CK_BF16 void put_columns(uint16_t * out, const uint16_t * pairs, int n, int kp) {
    _Alignas(64) uint16_t part[PAIRS];
    if (n == 16) {
        transpose16(out, kp, pairs, 32);
        return;
    }
    transpose16(part, 32, pairs, 32);
    for (int r = 0; r < n; r++) {
        _mm512_storeu_si512(out + r * kp, _mm512_load_si512(part + r * 32));
    }
}

// left_columns packs rows 0..rows-1 of x(i,l) = x[i + l*ld] as rows of kp values: two steps at a time are rounded and set side
// by side, and 16 x 16 such pairs are transposed.
static CK_BF16 void left_columns(uint16_t * out, int64_t low, const float * x, int64_t ld, int rows, int kl, int kp) {
    const __m512i beside = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _Alignas(64) uint16_t pairs[2 * PAIRS];
    for (int i = 0; i < rows; i += 16) {
        int       n    = ck_min(16, rows - i);
        __mmask16 mask = (__mmask16) ((1u << n) - 1);
        for (int l = 0; l < kp; l += 32) {
            for (int d = 0; d < 32; d += 2) {
                const float * p    = x + i + (l + d) * ld;
                __m512        even = l + d < kl ? _mm512_maskz_loadu_ps(mask, p) : _mm512_setzero_ps();
                __m512        odd  = l + d + 1 < kl ? _mm512_maskz_loadu_ps(mask, p + ld) : _mm512_setzero_ps();
                __m512i       high = ck_bf16_round(even, odd);
                _mm512_store_si512(pairs + d * 16, _mm512_permutexvar_epi16(beside, high));
                if (low != 0) {
                    _mm512_store_si512(pairs + PAIRS + d * 16, _mm512_permutexvar_epi16(beside, ck_bf16_rest(even, odd, high)));
                }
            }
            put_columns(out + i * kp + l, pairs, n, kp);
            if (low != 0) {
                put_columns(out + i * kp + l + low, pairs + PAIRS, n, kp);
            }
        }
    }
}

CK_BF16 void ck_bf16_left(const ck_panels * p, void * out, const float * x, int64_t rs, int64_t cs, int rows, int kl) {
    uint16_t * o  = out;
    int        kp = pad(kl), parts = ck_bf16_parts(p);
    int64_t    low = parts > 1 ? (int64_t) p->mr * kp : 0;
    if (cs == 1) {
        for (int i = 0; i < rows; i++) {
            floats_to_bf16(o + i * kp, low, x + i * rs, kl, 1);
        }
    } else if (rs == 1) {
        left_columns(o, low, x, cs, rows, kl, kp);
    } else {
        float line[KR];
        for (int i = 0; i < rows; i++) {
            for (int l = 0; l < kl; l += KR) {
                int n = ck_min(KR, kl - l);
                for (int d = 0; d < n; d++) {
                    line[d] = x[i * rs + (l + d) * cs];
                }
                floats_to_bf16(o + i * kp + l, low, line, n, 1);
            }
        }
    }
    for (int part = 0; part < parts; part++) {
        memset(o + part * low + rows * kp, 0, (size_t) ((p->mr - rows) * kp) * sizeof *o);
    }
}

CK_BF16 void ck_bf16_right_trans(const ck_panels * p, void * out, const ck_right * b, int64_t k, int j0, int cols, int k0, int kl, void * tmp) {
    int        kp = pad(kl), parts = ck_bf16_parts(p);
    int64_t    part = CK_NR * kp;
    uint16_t * rows = tmp; // [parts, 16, kp]
    float *    f    = (float *) (rows + parts * part);
    for (int r = 0; r < cols; r++) {
        row_to_bf16(rows + r * kp, parts > 1 ? part : 0, b, (const char *) b->data + (size_t) (j0 + r) * b->row_bytes, k, k0, kl, f);
    }
    for (int i = 0; i < parts; i++, rows += part, out = (uint16_t *) out + part) {
        memset(rows + cols * kp, 0, (size_t) ((CK_NR - cols) * kp) * sizeof *rows);
        for (int l = 0; l < kp; l += 32) {
            transpose16((uint16_t *) out + l * CK_NR, 32, rows + l, kp);
        }
    }
}

// interleave writes step l of two panels, so many values apart, from 32 columns of two rows.
static inline CK_BF16 void interleave(uint16_t * out, int64_t panel, bool two, __m512i even, __m512i odd) {
    const __m512i lo = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi16(even, lo, odd));
    if (two) {
        _mm512_storeu_si512(out + panel, _mm512_permutex2var_epi16(even, _mm512_add_epi16(lo, _mm512_set1_epi16(16)), odd));
    }
}

// load32 reads n floats, at most 32 of them; the rest are zeros.
static inline CK_BF16 void load32(__m512 v[2], const float * x, int n, __m512 scale) {
    uint32_t mask = n >= 32 ? 0xffffffff : n <= 0 ? 0 : ((uint32_t) 1 << n) - 1;
    v[0]          = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps((__mmask16) mask, x));
    v[1]          = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), x + 16));
}

// right_floats is right for rows of float.
static CK_BF16 void right_floats(uint16_t * out, int parts, const float * x, int64_t ld, int w, int kl, float scale) {
    int     kp   = pad(kl);
    int64_t part = (int64_t) CK_NR * kp, panel = parts * part;
    __m512  s    = _mm512_set1_ps(scale), even[2], odd[2];
    for (int l = 0; l < kp; l += 2) {
        for (int j = 0; j < w; j += 32) {
            load32(even, x + l * ld + j, l < kl ? w - j : 0, s);
            load32(odd, x + (l + 1) * ld + j, l + 1 < kl ? w - j : 0, s);
            __m512i    high_even = ck_bf16_round(even[0], even[1]), high_odd = ck_bf16_round(odd[0], odd[1]);
            uint16_t * o = out + l * CK_NR + j / CK_NR * panel;
            interleave(o, panel, w - j > CK_NR, high_even, high_odd);
            if (parts > 1) {
                interleave(o + part, panel, w - j > CK_NR, ck_bf16_rest(even[0], even[1], high_even), ck_bf16_rest(odd[0], odd[1], high_odd));
            }
        }
    }
}

CK_BF16 void ck_bf16_right(const ck_panels * p, void * out, const ck_right * b, int64_t n, int j0, int w, int k0, int kl, void * tmp) {
    const char * data  = (const char *) b->data + (size_t) k0 * b->row_bytes;
    int          parts = ck_bf16_parts(p);
    if (b->type == CK_F32) {
        right_floats(out, parts, (const float *) data + j0, (int64_t) (b->row_bytes / sizeof(float)), w, kl, b->scale);
        return;
    }
    int        kp = pad(kl), wp = pad(w);
    uint16_t * even = tmp, *odd = even + parts * wp; // [parts, wp]
    float *    f    = (float *) (odd + parts * wp);
    int64_t    part = (int64_t) CK_NR * kp, panel = parts * part;
    for (int l = 0; l < kp; l += 2) {
        for (int half = 0; half < 2; half++) {
            uint16_t * row = half == 0 ? even : odd;
            if (l + half < kl) {
                row_to_bf16(row, parts > 1 ? wp : 0, b, data + (size_t) (l + half) * b->row_bytes, n, j0, w, f);
            } else {
                memset(row, 0, (size_t) (parts * wp) * sizeof *row);
            }
        }
        for (int i = 0; i < parts; i++) {
            for (int j = 0; j < w; j += 32) {
                uint16_t * o = (uint16_t *) out + l * CK_NR + j / CK_NR * panel + i * part;
                interleave(o, panel, w - j > CK_NR, _mm512_loadu_si512(even + i * wp + j), _mm512_loadu_si512(odd + i * wp + j));
            }
        }
    }
}

#endif
