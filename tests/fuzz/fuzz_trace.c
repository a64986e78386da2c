/* fuzz_trace.c - whatever a client calls its trace, ours is one to the letter,
 * and what follows it follows ours. */
#include <stdlib.h>
#include <string.h>

#include "proxy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char ours[TRACE_SIZE], next[TRACE_SIZE];

    trace_continue((struct span){(const char *)data, size}, ours);
    if (strlen(ours) != TRACE_SIZE - 1 ||
        strspn(ours, "0123456789abcdef-") != TRACE_SIZE - 1 ||
        memcmp(ours, "00-", 3) != 0 || ours[35] != '-' || ours[52] != '-')
        abort();
    trace_continue(span_of(ours), next);
    if (memcmp(ours, next, 36) != 0 || !memcmp(ours + 36, next + 36, 16) ||
        strcmp(ours + 52, next + 52) != 0)
        abort();
    return 0;
}
