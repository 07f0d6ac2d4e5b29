// Whether there is code for Hopper's wgmma: instructions of 9.0a, which no PTX brings to other cards.
// nvcc-only: 90a
#include "hopper.h"

#include <cuda_runtime.h>

namespace cloister_blas {

// Never launched. Only as code of 9.0a it has shared memory, and the driver tells how much.
static __global__ void marker(int * p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    __shared__ int s[32];
    s[threadIdx.x] = *p;
    __syncthreads();
    *p = s[0];
#endif
}

bool hopper_code() {
    cudaFuncAttributes a;
    if (cudaFuncGetAttributes(&a, marker) == cudaSuccess) return a.sharedSizeBytes > 0;
    cudaGetLastError();
    return false;
}

} // namespace cloister_blas
