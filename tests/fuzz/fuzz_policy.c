/* fuzz_policy.c - any bytes as a policy file: refused with a place, or usable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct policy *p) {
    static struct verdict v;
    struct span text = span_of("Acme: a@b.com or +39 06 1234 5678");
    size_t hold;

    for (int c = 0; c < CHANNEL_COUNT; c++) {
        verdict_begin(&v, policy_revision(p));
        (void)policy_classifies(p, (enum channel)c);
        if (!policy_scan(p, (enum channel)c, 0, text, &v, NULL)) continue;
        if (policy_scan_hold(p, (enum channel)c, 0, text, 0, &hold, &v, NULL) &&
            hold > text.size)
            abort();
    }
    if (!*policy_message(p, "en")) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int file = memfd_create("policy", 0);
    struct err err = {.code = ERR_NONE};
    struct policy *p;
    char path[32];

    if (file < 0) abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (write(file, data, size) != (ssize_t)size) abort();
    p = policy_open(path, &err);
    if (!p && (!err.text[0] || err.code == ERR_NONE)) abort();
    if (p) use(p);
    policy_free(p);
    (void)close(file);
    return 0;
}
