// The tables of the levels with vector instructions.
#ifndef CLOISTER_LEVELS_H
#define CLOISTER_LEVELS_H

#include "avx2.h"

#ifdef CK_X86
#define CK_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")))
#define CK_BF16   __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512bf16")))

// The kernels of simd_rows.h, for each width of vectors.
#define CK_SIMD_ROWS(level)                                                                                                   \
    void  ck_##level##_rmsnorm_row(float * out, const float * x, const float * w, float eps, int n);                           \
    void  ck_##level##_rmsnorm_back_row(float * dx, const float * dy, const float * x, const float * w, float eps, int n);     \
    void  ck_##level##_rope_row(float * x, const float * table, int heads, int dim, int half, bool neox, float sign);          \
    void  ck_##level##_glu(float * out, const float * gate, const float * up, int64_t count, int act);                         \
    void  ck_##level##_glu_back(float * dg, float * du, const float * d, const float * gate, const float * up, int64_t count,  \
                                int act);                                                                                     \
    void  ck_##level##_cross_entropy_row(float * x, int n, int target, bool grad, float scale, double * loss, int32_t * hit);  \
    void  ck_##level##_top_k_row(float * x, int n, const ck_soft * s, int64_t row);                                            \
    void  ck_##level##_distill_row(float * x, int n, int target, const ck_soft * s, int64_t row, bool grad, float scale,       \
                                   double * loss, double * kl, int32_t * correct);                                            \
    void  ck_##level##_add_row(float * out, const float * x, int n);                                                           \
    void  ck_##level##_adamw(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s);            \
    double ck_##level##_sum_squares(const float * x, int64_t n);                                                              \
    void  ck_##level##_softmax(const ck_scores * b, float * top, float * sum, float * shrink);                                 \
    void  ck_##level##_score_back(const ck_scores * b, float * ds, const float * lse, const float * delta);                    \
    void  ck_##level##_scale_row(float * out, const float * x, float f, int n);                                                \
    float ck_##level##_dot(const float * x, const float * y, int n);
CK_SIMD_ROWS(avx2)
CK_SIMD_ROWS(avx512)

extern const ck_tiles  ck_avx512_tiles;
extern const ck_panels ck_avx512_panels;
// Operands rounded to BF16: vdpbf16ps, and tiles (AMX) over the same panels.
extern const ck_panels ck_bf16_panels;
extern const ck_panels ck_amx_panels;
// Operands in two parts of BF16: AMX.
extern const ck_panels ck_amx_x3_panels;
#endif

#endif
