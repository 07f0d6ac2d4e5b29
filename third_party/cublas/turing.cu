// F16 products on cards of compute capability 7.5, which have no BF16 and no asynchronous copies.
// nvcc-only: 75
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

// Later code has better kernels; plan takes these in code of 7.5 only.
template <class C> static cublasStatus_t launch_turing(const cublasContext & c, const Launch & l) {
    if constexpr (built_for(750)) return launch_layout<C>(c, l);
    return CUBLAS_STATUS_ARCH_MISMATCH;
}

CLOISTER_BLAS_KERNEL(TURING_F16_F32) { return launch_turing<Config<HF, float, Sm75, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 8>, 2, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(TURING_F16_F16) { return launch_turing<Config<HF, HF, Sm75, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 8>, 2, 8, 8>>(c, l); }

} // namespace cloister_blas
