// F16 products on an H100 or H200.
// nvcc-only: 90a
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "wgmma.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(HOPPER_F16_F32) { return launch_hopper<HopperConfig<cutlass::half_t, float, 256>>(c, l); }
CLOISTER_BLAS_KERNEL(HOPPER_F16_F16) { return launch_hopper<HopperConfig<cutlass::half_t, cutlass::half_t, 256>>(c, l); }

} // namespace cloister_blas
