// Frozen weights straight to BF16 for the types that people use most: a block
// of 4-bit values is a look-up in a table of sixteen. The values are those of
// the way by float, rounded to nearest even. Block layouts are those of
// ggml-common.h.
#include "bf16.h"

#ifdef CK_X86
#include <string.h>

// The numbers of ggml_type.
enum { F16 = 1, Q4_0 = 2, Q4_1 = 3, Q8_0 = 8, Q4_K = 12, BF16 = 30 };

CK_BF16 static inline float half_at(const uint8_t * p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

// tables are d·q + m for q = 0 to 15, twice, in their parts.
typedef struct {
    __m512i high, low;
} tables;

CK_BF16 static inline tables table(int64_t low, float d, float m, float first) {
    const __m512 q = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512       v = _mm512_fmadd_ps(_mm512_add_ps(q, _mm512_set1_ps(first)), _mm512_set1_ps(d), _mm512_set1_ps(m));
    __m512i      high = ck_bf16_round(v, v);
    return (tables) {high, low != 0 ? ck_bf16_rest(v, v, high) : high};
}

// look writes the values for 32 bytes q < 16.
CK_BF16 static inline void look(uint16_t * y, int64_t low, __m256i q, tables t) {
    __m512i at = _mm512_cvtepu8_epi16(q);
    _mm512_storeu_si512(y, _mm512_permutexvar_epi16(at, t.high));
    if (low != 0) {
        _mm512_storeu_si512(y + low, _mm512_permutexvar_epi16(at, t.low));
    }
}

// nibbles spreads 16 bytes: the low halves, then the high ones.
CK_BF16 static inline __m256i nibbles(const uint8_t * p) {
    __m128i q = _mm_loadu_si128((const __m128i *) p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(q, 4), q), _mm256_set1_epi8(15));
}

static CK_BF16 void q4_0(const void * x, uint16_t * y, int64_t low, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32, p += 18) {
        look(y + i, low, nibbles(p + 2), table(low, half_at(p), 0, -8));
    }
}

static CK_BF16 void q4_1(const void * x, uint16_t * y, int64_t low, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32, p += 20) {
        look(y + i, low, nibbles(p + 4), table(low, half_at(p), half_at(p + 2), 0));
    }
}

static CK_BF16 void q8_0(const void * x, uint16_t * y, int64_t low, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32, p += 34) {
        __m512  d = _mm512_set1_ps(half_at(p));
        __m128i a = _mm_loadu_si128((const __m128i *) (p + 2)), b = _mm_loadu_si128((const __m128i *) (p + 18));
        __m512  lo = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(a)));
        __m512  hi = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(b)));
        ck_bf16_put(y + i, low, lo, hi);
    }
}

static CK_BF16 void f16(const void * x, uint16_t * y, int64_t low, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32) { // y has room for a multiple of 32
        __mmask32 mask = n - i >= 32 ? 0xffffffff : ((uint32_t) 1 << (n - i)) - 1;
        __m512i   v    = _mm512_maskz_loadu_epi16(mask, p + 2 * i);
        ck_bf16_put(y + i, low, _mm512_cvtph_ps(_mm512_castsi512_si256(v)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1)));
    }
}

static void bf16(const void * x, uint16_t * y, int64_t low, int64_t n) {
    memcpy(y, x, (size_t) n * sizeof *y);
    if (low != 0) {
        memset(y + low, 0, (size_t) n * sizeof *y);
    }
}

// A block of 256: d, the scale of the minima, 12 bytes with eight scales and minima of 6 bits, 128 bytes of 4-bit values;
// each 32 bytes hold 32 values in their low halves and the next 32 in their high ones.
static CK_BF16 void q4_k(const void * x, uint16_t * y, int64_t low, int64_t n) {
    const uint8_t * p   = x;
    for (int64_t i = 0; i < n; i += 256, p += 144) {
        float           d = half_at(p), dm = half_at(p + 2);
        const uint8_t * s = p + 4;
        for (int b = 0; b < 8; b++) {
            int     sc = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | (s[b - 4] >> 6 << 4);
            int     mi = b < 4 ? s[b + 4] & 63 : (s[b + 4] >> 4) | (s[b] >> 6 << 4);
            __m256i q  = _mm256_loadu_si256((const __m256i *) (p + 16 + 32 * (b / 2)));
            q          = _mm256_and_si256(b % 2 == 0 ? q : _mm256_srli_epi16(q, 4), _mm256_set1_epi8(15));
            look(y + i + 32 * b, low, q, table(low, d * (float) sc, -dm * (float) mi, 0));
        }
    }
}

ck_to_bf16_fn ck_to_bf16(int type) {
    switch (type) {
    case F16:
        return f16;
    case BF16:
        return bf16;
    case Q4_0:
        return q4_0;
    case Q4_1:
        return q4_1;
    case Q8_0:
        return q8_0;
    case Q4_K:
        return q4_k;
    }
    return NULL;
}

#endif
