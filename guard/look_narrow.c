/* The looks, for any processor of its kind. */
#include "guard/look_blocks.h"

const struct look look_narrow = {look_odd, look_copy, look_code};
