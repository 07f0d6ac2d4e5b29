#pragma once

namespace cloister_blas {

// Whether the driver found code of 9.0a for the present card.
bool hopper_code();

} // namespace cloister_blas
