// Vector helpers of the AVX2 level.
#ifndef CLOISTER_AVX2_H
#define CLOISTER_AVX2_H

#include "kernels.h"

#ifdef CK_X86
#include <immintrin.h>

extern const ck_tiles  ck_avx2_tiles;
extern const ck_panels ck_avx2_panels;
ck_to_float_fn         ck_avx2_to_float(int type);

// What wider levels use too.
void  ck_avx2_transpose16(float * out, const float * x, int64_t ld, int k, float scale);
void  ck_avx2_copy16(float * out, int64_t stride, const float * x, int n, float scale);
float ck_avx2_softmax_row(float * p, int n, float scale, float m0, float * sum);
void  ck_avx2_score_back_row(float * p, float * dp, int n, float scale, float lse, float delta);
void  ck_avx2_rmsnorm_row(float * out, const float * x, const float * w, float eps, int n);
void  ck_avx2_rmsnorm_back_row(float * dx, const float * dy, const float * x, const float * w, float eps, int n);
void  ck_avx2_glu(float * out, const float * gate, const float * up, int64_t count, int act);
void  ck_avx2_glu_back(float * d_gate, float * d_up, const float * d, const float * gate, const float * up, int64_t count, int act);
void  ck_avx2_cross_entropy_row(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * correct);

#define CK_INLINE static inline __attribute__((always_inline, unused)) CK_AVX2

// ck_exp8 is exp(x) to about 1 ulp: x = n·ln 2 + r, a polynomial for exp(r)
// (Cephes, expf), and n into the exponent. Below -87.3 the result is 0, above
// 88.02 it stays at exp(88.02); NaN stays NaN.
CK_INLINE __m256 ck_exp8(__m256 x) {
    const __m256 lo = _mm256_set1_ps(-87.33654f), hi = _mm256_set1_ps(88.02f);
    __m256       under = _mm256_cmp_ps(x, lo, _CMP_LT_OQ);
    __m256       v     = _mm256_max_ps(lo, _mm256_min_ps(hi, x)); // the second operand is returned for NaN
    __m256       n     = _mm256_round_ps(_mm256_mul_ps(v, _mm256_set1_ps(1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256       r     = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), v);
    r                  = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 y           = _mm256_set1_ps(1.9875691500e-4f);
    y                  = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.3981999507e-3f));
    y                  = _mm256_fmadd_ps(y, r, _mm256_set1_ps(8.3334519073e-3f));
    y                  = _mm256_fmadd_ps(y, r, _mm256_set1_ps(4.1665795894e-2f));
    y                  = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.6666665459e-1f));
    y                  = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.0000001201e-1f));
    y                  = _mm256_fmadd_ps(y, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    __m256i e          = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(under, _mm256_mul_ps(y, _mm256_castsi256_ps(e)));
}

CK_INLINE float ck_exp1(float x) { return _mm256_cvtss_f32(ck_exp8(_mm256_set1_ps(x))); }

CK_INLINE float ck_sum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s        = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

CK_INLINE float ck_max8(__m256 v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s        = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

#endif
#endif
