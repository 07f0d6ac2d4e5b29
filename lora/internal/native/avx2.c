// The kernels of simd_rows.h and simd_soft.h with vectors of 256 bits.
#define SIMD_WIDTH 256
#define NAME(f)    ck_avx2_##f

#include "kernels.h"

#ifdef CK_X86
#include "simd_rows.h"
#include "simd_soft.h"
#endif
