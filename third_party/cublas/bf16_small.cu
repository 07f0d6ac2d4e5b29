// BF16 products with float sums: small tiles, and the sizes that do not fill an access of 16 bytes.
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(BF16_64) { return launch_layout<Config<BF, float, Sm80, Shape<64, 64, 32>, Shape<32, 32, 32>, Shape<16, 8, 16>, 5, 8, 4>>(c, l); }
CLOISTER_BLAS_KERNEL(BF16_ODD) { return launch_layout<Config<BF, float, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 8, 1>>(c, l); }
CLOISTER_BLAS_KERNEL(BF16_EVEN) { return launch_layout<Config<BF, float, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 2, 1>>(c, l); }

} // namespace cloister_blas
