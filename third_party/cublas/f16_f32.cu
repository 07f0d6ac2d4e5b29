// F16 products into float.
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(F16_F32_256) { return launch_layout<Config<HF, float, Sm80, Shape<128, 256, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 3, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(F16_F32_128) { return launch_layout<Config<HF, float, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(F16_F32_64) { return launch_layout<Config<HF, float, Sm80, Shape<64, 64, 32>, Shape<32, 32, 32>, Shape<16, 8, 16>, 5, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(F16_F32_EVEN) { return launch_layout<Config<HF, float, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 2, 1>>(c, l); }

} // namespace cloister_blas
