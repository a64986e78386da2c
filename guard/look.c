#include "guard/look.h"

bool look_is_wide(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

const struct look *look_best(void) {
    return look_is_wide() ? &look_wide : &look_narrow;
}
