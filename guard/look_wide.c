/* The looks, for AVX-512 (cmake/blocks.cmake). */
#include "guard/look_blocks.h"

const struct look look_wide = {look_odd, look_copy, look_code};
