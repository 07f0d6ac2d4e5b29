// How a kernel of the table gets its launch.
#pragma once

#include <climits>
#include <utility>

#include "gemm.h"

namespace cloister_blas {

// launch puts kernel Id on the handle's stream; each kernel's file defines its own.
template <int Id> cublasStatus_t launch(const cublasContext & c, const Launch & l);

#define CLOISTER_BLAS_KERNEL(id) template <> cublasStatus_t launch<id>(const cublasContext & c, const Launch & l)
CLOISTER_BLAS_KERNEL(SIMT_F32_128);
CLOISTER_BLAS_KERNEL(SIMT_F32_64);
CLOISTER_BLAS_KERNEL(SIMT_BF16);
CLOISTER_BLAS_KERNEL(SIMT_F16_F32);
CLOISTER_BLAS_KERNEL(SIMT_F16_F16);
CLOISTER_BLAS_KERNEL(TURING_F16_F32);
CLOISTER_BLAS_KERNEL(TURING_F16_F16);
CLOISTER_BLAS_KERNEL(BF16_256);
CLOISTER_BLAS_KERNEL(BF16_128);
CLOISTER_BLAS_KERNEL(BF16_64);
CLOISTER_BLAS_KERNEL(BF16_ODD);
CLOISTER_BLAS_KERNEL(BF16_EVEN);
CLOISTER_BLAS_KERNEL(F16_F32_256);
CLOISTER_BLAS_KERNEL(F16_F32_128);
CLOISTER_BLAS_KERNEL(F16_F32_64);
CLOISTER_BLAS_KERNEL(F16_F32_EVEN);
CLOISTER_BLAS_KERNEL(F16_F16_256);
CLOISTER_BLAS_KERNEL(F16_F16_128);
CLOISTER_BLAS_KERNEL(F16_F16_64);
CLOISTER_BLAS_KERNEL(TF32_128);
CLOISTER_BLAS_KERNEL(TF32_64);
CLOISTER_BLAS_KERNEL(HOPPER_BF16_256);
CLOISTER_BLAS_KERNEL(HOPPER_BF16_128);
CLOISTER_BLAS_KERNEL(HOPPER_F16_F32);
CLOISTER_BLAS_KERNEL(HOPPER_F16_F16);

// The state of the launch just made. The error is taken: the caller learns of it through the status.
inline cublasStatus_t launched() { return cudaGetLastError() == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED; }

// Whether this build has code of 9.0a. nvcc lists the architectures that it compiles for.
constexpr bool built_for(int arch) {
#if defined(__CUDA_ARCH_LIST__)
    constexpr int list[] = {__CUDA_ARCH_LIST__};
    for (int a : list) if (a == arch) return true;
#endif
    return false;
}
constexpr bool hopper_built = built_for(900);

} // namespace cloister_blas
