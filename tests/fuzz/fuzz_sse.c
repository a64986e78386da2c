/* fuzz_sse.c - an upstream's stream, cut where the first byte says. */
#include <stddef.h>
#include <stdint.h>

#include "base/sse.h"

static bool on_data(void *user, struct span data, struct err *err) {
    (void)err;
    *(size_t *)user += data.size;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sse sse = {0};
    struct err err;
    size_t total = 0, cut = size ? data[0] % size : 0;
    struct span all = {(const char *)data, size};

    if (sse_feed(&sse, span_slice(all, 0, cut), on_data, &total, &err))
        (void)!sse_feed(&sse, span_slice(all, cut, size), on_data, &total,
                        &err);
    if (total > size) __builtin_trap();
    sse_clear(&sse);
    return 0;
}
