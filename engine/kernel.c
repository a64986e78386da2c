#include "engine/kernel.h"

#include <stdlib.h>
#include <string.h>

size_t kernel_group_bytes(int format) {
    size_t codes = format & KERNEL_WIDE ? 32 : 16;
    size_t halves = format & KERNEL_HALVES ? 2 : 1;
    size_t kinds = format & KERNEL_MIN ? 2 : 1;

    return KERNEL_PANEL * (codes + halves * kinds * sizeof(uint16_t));
}

#if defined(__x86_64__)
/* F16C is older than AVX2 and in every processor that has it; clang's builtin
 * does not know the name. */
static bool have_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool have_avx512(void) {
    return have_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bf16");
}
#endif

const struct kernels *kernels_named(const char *name) {
    if (!strcmp(name, "scalar")) return &kernels_scalar;
#if defined(__x86_64__)
    if (!strcmp(name, "avx2") && have_avx2()) return &kernels_avx2;
    if (!strcmp(name, "avx512") && have_avx512()) return &kernels_avx512;
#endif
    return NULL;
}

const struct kernels *kernels_choose(struct err *err) {
    static const char *const best_first[] = {"avx512", "avx2", "scalar"};
    const char *forced = getenv("CORRAL_CPU");
    const struct kernels *k = NULL;

    if (forced && *forced) {
        k = kernels_named(forced);
        if (!k)
            err_set(err, ERR_UNSUPPORTED,
                    "CORRAL_CPU=%s: not scalar, avx2 or avx512, or not "
                    "supported by this processor",
                    forced);
        return k;
    }
    for (size_t i = 0; !k; i++) k = kernels_named(best_first[i]);
    return k;
}
