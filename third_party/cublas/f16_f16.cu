// F16 products into F16. Sums are float: cuBLAS sums in F16 here, twice as fast on GeForce cards and less exact.
// nvcc: --expt-relaxed-constexpr -DNDEBUG
#include "tensor.cuh"

namespace cloister_blas {

CLOISTER_BLAS_KERNEL(F16_F16_256) { return launch_layout<Config<HF, HF, Sm80, Shape<128, 256, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 3, 8, 8>>(c, l); }
CLOISTER_BLAS_KERNEL(F16_F16_128) { return launch_layout<Config<HF, HF, Sm80, Shape<128, 128, 32>, Shape<64, 64, 32>, Shape<16, 8, 16>, 4, 8, 8>>(c, l); }
CLOISTER_BLAS_KERNEL(F16_F16_64) { return launch_layout<Config<HF, HF, Sm80, Shape<64, 64, 32>, Shape<32, 32, 32>, Shape<16, 8, 16>, 5, 8, 8>>(c, l); }

} // namespace cloister_blas
