// AVX2 versions of ggml's to_float for the types that it converts slowest and
// people use most. Block layouts are those of ggml-common.h; ggml's own
// functions are the oracle.
#include "avx2.h"

#ifdef CK_X86
#include <string.h>

// The numbers of ggml_type.
enum { F16 = 1, Q4_0 = 2, Q4_1 = 3, Q6_K = 14 };

static inline __attribute__((always_inline)) CK_AVX2 float half_at(const uint8_t * p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

static CK_AVX2 void f16(const void * x, float * y, int64_t n) {
    const uint8_t * p = x;
    int64_t         i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (p + 2 * i))));
    }
    for (; i < n; i++) {
        y[i] = half_at(p + 2 * i);
    }
}

// store16 writes d·q + m for 16 unsigned or signed bytes q.
static inline __attribute__((always_inline)) CK_AVX2 void store16(float * y, __m128i q, __m256 d, __m256 m) {
    __m256 lo = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), hi = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)));
    _mm256_storeu_ps(y, _mm256_fmadd_ps(lo, d, m));
    _mm256_storeu_ps(y + 8, _mm256_fmadd_ps(hi, d, m));
}

// nibbles writes the 32 values of a block from its 16 bytes: low halves first.
static inline __attribute__((always_inline)) CK_AVX2 void nibbles(float * y, const uint8_t * qs, int offset, float d, float m) {
    const __m128i low = _mm_set1_epi8(15), off = _mm_set1_epi8((char) offset);
    __m128i       q   = _mm_loadu_si128((const __m128i *) qs);
    __m256        vd = _mm256_set1_ps(d), vm = _mm256_set1_ps(m);
    store16(y, _mm_sub_epi8(_mm_and_si128(q, low), off), vd, vm);
    store16(y + 16, _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(q, 4), low), off), vd, vm);
}

static CK_AVX2 void q4_0(const void * x, float * y, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32, p += 18) {
        nibbles(y + i, p + 2, 8, half_at(p), 0);
    }
}

static CK_AVX2 void q4_1(const void * x, float * y, int64_t n) {
    const uint8_t * p = x;
    for (int64_t i = 0; i < n; i += 32, p += 20) {
        nibbles(y + i, p + 4, 0, half_at(p), half_at(p + 2));
    }
}

// A block of 256: 128 bytes of low 4 bits, 64 of high 2 bits, 16 scales, d.
static CK_AVX2 void q6_k(const void * x, float * y, int64_t n) {
    const __m128i   low = _mm_set1_epi8(15), two = _mm_set1_epi8(0x30), off = _mm_set1_epi8(32);
    const __m256    zero = _mm256_setzero_ps();
    const uint8_t * p    = x;
    for (int64_t b = 0; b < n; b += 256, p += 210) {
        float d = half_at(p + 208);
        for (int part = 0; part < 2; part++) {
            const uint8_t * ql = p + 64 * part;
            const uint8_t * qh = p + 128 + 32 * part;
            const int8_t *  sc = (const int8_t *) p + 192 + 8 * part;
            for (int l = 0; l < 32; l += 16) {
                float * out = y + b + 128 * part + l;
                __m128i q0 = _mm_loadu_si128((const __m128i *) (ql + l)), q1 = _mm_loadu_si128((const __m128i *) (ql + 32 + l));
                __m128i h = _mm_loadu_si128((const __m128i *) (qh + l));
                __m128i v[4] = {
                    _mm_or_si128(_mm_and_si128(q0, low), _mm_and_si128(_mm_slli_epi16(h, 4), two)),
                    _mm_or_si128(_mm_and_si128(q1, low), _mm_and_si128(_mm_slli_epi16(h, 2), two)),
                    _mm_or_si128(_mm_and_si128(_mm_srli_epi16(q0, 4), low), _mm_and_si128(h, two)),
                    _mm_or_si128(_mm_and_si128(_mm_srli_epi16(q1, 4), low), _mm_and_si128(_mm_srli_epi16(h, 2), two)),
                };
                for (int i = 0; i < 4; i++) {
                    store16(out + 32 * i, _mm_sub_epi8(v[i], off), _mm256_set1_ps(d * sc[2 * i + l / 16]), zero);
                }
            }
        }
    }
}

ck_to_float_fn ck_avx2_to_float(int type) {
    switch (type) {
    case F16:
        return f16;
    case Q4_0:
        return q4_0;
    case Q4_1:
        return q4_1;
    case Q6_K:
        return q6_k;
    }
    return NULL;
}

#endif
