// BF16 products on an H100 or H200.
// nvcc-only: 90a
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "wgmma.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(HOPPER_BF16_256) { return launch_hopper<HopperConfig<cutlass::bfloat16_t, float, 256>>(c, l); }
CLOISTER_BLAS_KERNEL(HOPPER_BF16_128) { return launch_hopper<HopperConfig<cutlass::bfloat16_t, float, 128>>(c, l); }

} // namespace cloister_blas
