/* fuzz_trace.c - a traceparent from outside: what goes on is to the letter. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "proxy/trace.h"

static bool is_hex(const char *at, size_t size) {
    return strspn(at, "0123456789abcdef") >= size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char out[TRACE_SIZE], again[TRACE_SIZE], parent[TRACE_SPAN_SIZE + 1];
    struct span came = {(const char *)data, size};

    if (!hash_init(NULL)) return 0;
    trace_continue(came, size % 2 != 0, out, parent);
    if (strlen(out) != TRACE_SIZE - 1 || memcmp(out, "00-", 3) != 0 ||
        !is_hex(out + TRACE_ID_AT, TRACE_ID_SIZE) ||
        !is_hex(out + TRACE_SPAN_AT, TRACE_SPAN_SIZE) ||
        (*parent && !is_hex(parent, TRACE_SPAN_SIZE)))
        __builtin_trap();
    /* A trace goes on only as the client's, and what we send goes on. */
    if (*parent &&
        memcmp(out + TRACE_ID_AT, came.at + TRACE_ID_AT, TRACE_ID_SIZE) != 0)
        __builtin_trap();
    trace_continue(span_of(out), false, again, parent);
    if (!*parent) __builtin_trap();
    return 0;
}
