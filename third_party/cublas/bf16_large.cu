// BF16 products with float sums: the large tiles, which do most of training's work.
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(BF16_256) { return launch_layout<Config<BF, float, Sm80, Shape<128, 256, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 3, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(BF16_128) { return launch_layout<Config<BF, float, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 8, 4>>(c, l); }

} // namespace cloister_blas
