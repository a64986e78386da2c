#include "proxy/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

/* "00-" 32 hex "-" 16 hex "-" 2 hex */
enum {
    ID_AT = TRACE_ID_AT,
    ID_SIZE = TRACE_ID_SIZE,
    SPAN_AT = TRACE_SPAN_AT,
    SPAN_SIZE = TRACE_SPAN_SIZE,
    FLAGS_AT = 53,
    FRESH_SIZE = HASH_ID_SIZE - 1
};

static bool is_hex(struct span s) {
    for (size_t i = 0; i < s.size; i++)
        if (!s.at[i] || !strchr("0123456789abcdef", s.at[i])) return false;
    return true;
}

static bool is_zero(struct span s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.at[i] != '0') return false;
    return true;
}

/* A later version may have more behind a hyphen; what we know of it is here. */
static bool is_sound(struct span s) {
    struct span version = span_slice(s, 0, 2);
    struct span id = span_slice(s, ID_AT, ID_AT + ID_SIZE);
    struct span parent = span_slice(s, SPAN_AT, SPAN_AT + SPAN_SIZE);

    if (s.size < TRACE_SIZE - 1 || s.at[2] != '-' || s.at[SPAN_AT - 1] != '-' ||
        s.at[FLAGS_AT - 1] != '-')
        return false;
    if (span_is(version, "00")
            ? s.size != TRACE_SIZE - 1
            : s.size > TRACE_SIZE - 1 && s.at[TRACE_SIZE - 1] != '-')
        return false;
    return is_hex(version) && !span_is(version, "ff") && is_hex(id) &&
           !is_zero(id) && is_hex(parent) && !is_zero(parent) &&
           is_hex(span_slice(s, FLAGS_AT, FLAGS_AT + 2));
}

void trace_continue(struct span came, bool sampled, char out[TRACE_SIZE],
                    char parent[TRACE_SPAN_SIZE + 1]) {
    char fresh[2][HASH_ID_SIZE];

    hash_random_id(fresh[0]);
    hash_random_id(fresh[1]);
    memcpy(out, "00-", ID_AT);
    memcpy(out + ID_AT, fresh[0], FRESH_SIZE);
    memcpy(out + ID_AT + FRESH_SIZE, fresh[1], ID_SIZE - FRESH_SIZE);
    out[SPAN_AT - 1] = '-';
    memcpy(out + SPAN_AT, fresh[1] + (ID_SIZE - FRESH_SIZE), SPAN_SIZE);
    memcpy(out + FLAGS_AT - 1, sampled ? "-01" : "-00", 4);
    *parent = '\0';
    if (!is_sound(came)) return;
    memcpy(out + ID_AT, came.at + ID_AT, ID_SIZE);
    (void)snprintf(parent, SPAN_SIZE + 1, "%.16s", came.at + SPAN_AT);
    /* Only "sampled" has a meaning that we know. */
    out[FLAGS_AT + 1] = strchr("13579bdf", came.at[FLAGS_AT + 1]) ? '1' : '0';
}

void trace_child(const char *trace, char out[TRACE_SIZE]) {
    char fresh[HASH_ID_SIZE];

    hash_random_id(fresh);
    memcpy(out, trace, TRACE_SIZE);
    memcpy(out + SPAN_AT, fresh, SPAN_SIZE);
}

bool trace_sampled(const char *trace) {
    return trace[FLAGS_AT + 1] == '1';
}
