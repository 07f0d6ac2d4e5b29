// BF16 as the products read it: rounded to nearest even, or in two parts,
//
//	x ≈ high + low,  high = bf16(x),  low = bf16(x - high)
//
// which keep 16 bits of the 24 of a float. Where a function takes low, the
// second part stands low values behind the first one; 0: there is none.
#ifndef CLOISTER_BF16_H
#define CLOISTER_BF16_H

#include "levels.h"

#ifdef CK_X86

enum { CK_BF16_KR = 32 }; // steps of the inner dimension of a tile

static inline int ck_bf16_pad(int kl) { return (kl + CK_BF16_KR - 1) / CK_BF16_KR * CK_BF16_KR; }

// ck_bf16_parts is how many parts a packed value has.
static inline int ck_bf16_parts(const ck_panels * p) { return p->bytes / (int) sizeof(uint16_t); }

// ck_bf16_round rounds 32 floats.
CK_BF16 static inline __m512i ck_bf16_round(__m512 a, __m512 b) { return (__m512i) _mm512_cvtne2ps_pbh(b, a); }

CK_BF16 static inline __m512 ck_bf16_float(__m256i x) { return (__m512) _mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16); }

// ck_bf16_rest is what rounding 32 floats to high took from them, rounded.
CK_BF16 static inline __m512i ck_bf16_rest(__m512 a, __m512 b, __m512i high) {
    return ck_bf16_round(_mm512_sub_ps(a, ck_bf16_float(_mm512_castsi512_si256(high))), _mm512_sub_ps(b, ck_bf16_float(_mm512_extracti64x4_epi64(high, 1))));
}

// ck_bf16_put writes 32 floats.
CK_BF16 static inline void ck_bf16_put(uint16_t * out, int64_t low, __m512 a, __m512 b) {
    __m512i high = ck_bf16_round(a, b);
    _mm512_storeu_si512(out, high);
    if (low != 0) {
        _mm512_storeu_si512(out + low, ck_bf16_rest(a, b, high));
    }
}

// ck_to_bf16_fn turns n values, whole blocks, into BF16. y has room for a multiple of 32.
typedef void (*ck_to_bf16_fn)(const void * x, uint16_t * y, int64_t low, int64_t n);
// ck_to_bf16 is a conversion that is faster than the one by way of float, or NULL.
ck_to_bf16_fn ck_to_bf16(int type);

// The packing of every level of BF16 (bf16_pack.c).
void ck_bf16_left(const ck_panels *, void *, const float *, int64_t, int64_t, int, int);
void ck_bf16_right(const ck_panels *, void *, const ck_right *, int64_t, int, int, int, int, void *);
void ck_bf16_right_trans(const ck_panels *, void *, const ck_right *, int64_t, int, int, int, int, void *);
void ck_bf16_round_row(float *, const float *, int);

#endif
#endif
