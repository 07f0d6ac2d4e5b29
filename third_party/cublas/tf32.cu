// Float products where the caller allows TF32.
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(TF32_128) { return launch_layout<Config<float, float, Sm80, Shape<128, 128, 16>, Shape<64, 64, 16>, Shape<16, 8, 8>, 4, 4, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(TF32_64) { return launch_layout<Config<float, float, Sm80, Shape<64, 64, 16>, Shape<32, 32, 16>, Shape<16, 8, 8>, 5, 4, 4>>(c, l); }

} // namespace cloister_blas
