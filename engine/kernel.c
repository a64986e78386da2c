#include "engine/kernel.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

size_t kernel_kv_bytes(enum kernel_kv type, size_t head) {
    static const size_t bytes[KERNEL_KV_TYPES] = {4, 2, 1};
    size_t scales = type == KERNEL_KV_Q8    ? head / KERNEL_GROUP * 2
                    : type == KERNEL_KV_I16 ? sizeof(float)
                                            : 0;

    return KERNEL_POSITIONS * (head * bytes[type] + scales);
}

static bool have_scalar(void) {
    return true;
}

#if defined(__x86_64__)
/* F16C is older than AVX2 and in every processor that has it; clang's builtin
 * does not know the name. */
static bool have_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* No builtin of older compilers knows this one. */
static bool have_avxvnni(void) {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;

    return have_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1 << 4;
}

static bool have_avx512(void) {
    return have_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bf16");
}
#elif defined(__aarch64__)
static bool have_neon(void) {
    return getauxval(AT_HWCAP) & HWCAP_ASIMD;
}

static bool have_neon_dot(void) {
    return have_neon() && getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

static bool have_neon_mm(void) {
    return have_neon_dot() && getauxval(AT_HWCAP2) & HWCAP2_I8MM &&
           getauxval(AT_HWCAP2) & HWCAP2_BF16;
}
#endif

#if defined(__x86_64__)
#define NAMES "avx512, avxvnni, avx2 or scalar"
#elif defined(__aarch64__)
#define NAMES "neon_mm, neon_dot, neon or scalar"
#else
#define NAMES "scalar"
#endif

/* Best first. */
static const struct {
    const struct kernels *table;
    bool (*have)(void);
} tables[] = {
#if defined(__x86_64__)
    {&kernels_avx512, have_avx512},
    {&kernels_avxvnni, have_avxvnni},
    {&kernels_avx2, have_avx2},
#elif defined(__aarch64__)
    {&kernels_neon_mm, have_neon_mm},
    {&kernels_neon_dot, have_neon_dot},
    {&kernels_neon, have_neon},
#endif
    {&kernels_scalar, have_scalar},
};

const char *kernels_name(size_t index) {
    return index < sizeof tables / sizeof *tables ? tables[index].table->name
                                                  : NULL;
}

const struct kernels *kernels_named(const char *name) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!strcmp(name, tables[i].table->name))
            return tables[i].have() ? tables[i].table : NULL;
    return NULL;
}

const struct kernels *kernels_choose(struct err *err) {
    const char *forced = getenv("CORRAL_CPU");
    const struct kernels *k = NULL;

    if (forced && *forced) {
        k = kernels_named(forced);
        if (!k)
            err_set(err, ERR_UNSUPPORTED,
                    "CORRAL_CPU=%s: not " NAMES
                    ", or not supported by this processor",
                    forced);
        return k;
    }
    for (size_t i = 0; !k; i++) k = kernels_named(kernels_name(i));
    return k;
}
