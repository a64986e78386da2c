#include "engine/kernel.h"

#include <stdlib.h>
#include <string.h>

size_t kernel_group_bytes(int format) {
    size_t codes = format & KERNEL_WIDE ? 32 : 16;
    size_t halves = format & KERNEL_HALVES ? 2 : 1;
    size_t kinds = format & KERNEL_MIN ? 2 : 1;

    return KERNEL_PANEL * (codes + halves * kinds * sizeof(uint16_t));
}


const struct kernels *kernels_named(const char *name) {
    if (!strcmp(name, "scalar")) return &kernels_scalar;
    return NULL;
}

const struct kernels *kernels_choose(struct err *err) {
    static const char *const best_first[] = {"scalar"};
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
