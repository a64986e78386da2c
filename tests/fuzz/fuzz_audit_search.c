/* fuzz_audit_search.c - the query of a search in the audit. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/audit_search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span query = {(const char *)data, size};
    struct audit_search s;
    struct err err = {0};

    if (!audit_search_parse(&s, query, &err)) {
        if (err.code != ERR_INPUT) __builtin_trap();
        return 0;
    }
    if (s.rows_max < 1 || s.rows_max > AUDIT_SEARCH_ROWS_MAX || s.before < 0 ||
        s.from_ms < 0)
        __builtin_trap();
    return 0;
}
