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
void ck_avx2_transpose16(float * out, const float * x, int64_t ld, int k, float scale);
void ck_avx2_copy16(float * out, int64_t stride, const float * x, int n, float scale);

#endif
#endif
