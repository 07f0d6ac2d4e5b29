// The 16-bit floats, on the host and on the card.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define BLAS_HD __host__ __device__ __forceinline__
#define BLAS_UNROLL _Pragma("unroll")
#else
#define BLAS_HD inline
#define BLAS_UNROLL
#endif

namespace cloister_blas {

struct Half { uint16_t bits; };
struct BFloat { uint16_t bits; };

BLAS_HD float bits_to_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

BLAS_HD float to_float(float x) { return x; }
BLAS_HD float to_float(BFloat x) { return bits_to_float(uint32_t(x.bits) << 16); }
BLAS_HD float to_float(Half x) {
#if defined(__CUDA_ARCH__)
    return __half2float(__ushort_as_half(x.bits));
#else
    uint32_t sign = uint32_t(x.bits & 0x8000) << 16, e = x.bits >> 10 & 31, m = x.bits & 1023;
    if (e == 31) return bits_to_float(sign | 0x7f800000 | m << 13);
    if (e > 0) return bits_to_float(sign | (e + 112) << 23 | m << 13);
    float f = float(m) / 16777216.0f; // 2^-24
    return sign ? -f : f;
#endif
}

BLAS_HD void from_float(float x, float & to) { to = x; }
BLAS_HD void from_float(float x, Half & to) { // to the nearest, ties to even
#if defined(__CUDA_ARCH__)
    to.bits = __half_as_ushort(__float2half_rn(x));
#else
    uint32_t u;
    memcpy(&u, &x, 4);
    uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) { to.bits = uint16_t(sign | 0x7e00); return; }
    if (a >= 0x477ff000) { to.bits = uint16_t(sign | 0x7c00); return; }
    if (a < 0x38800000) { // below 2^-14: adding 1/2 leaves the multiples of 2^-24 in the low bits
        float f = bits_to_float(a) + 0.5f;
        memcpy(&u, &f, 4);
        to.bits = uint16_t(sign | (u - 0x3f000000));
        return;
    }
    a += 0xfff + (a >> 13 & 1);
    to.bits = uint16_t(sign | (a - 0x38000000) >> 13);
#endif
}

} // namespace cloister_blas
