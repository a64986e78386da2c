#include "proxy/breaker.h"

bool breaker_allows(const struct breaker *b, uint64_t now_ms) {
    return b->open_ms == 0 || (now_ms >= b->open_ms && !b->trying);
}

void breaker_begin(struct breaker *b) {
    if (b->open_ms) b->trying = true;
}

void breaker_succeed(struct breaker *b) {
    b->failures = 0;
    b->open_ms = 0;
    b->trying = false;
}

void breaker_fail(struct breaker *b, uint64_t now_ms) {
    bool tried = b->trying;

    b->trying = false;
    if (b->failures < b->failures_max) b->failures++;
    /* Calls that began before it opened do not lengthen the rest. */
    if (b->failures == b->failures_max && (tried || !b->open_ms))
        b->open_ms = now_ms + b->rest_ms;
}

void breaker_forget(struct breaker *b) {
    b->trying = false;
}

void breaker_rest(struct breaker *b, uint64_t now_ms, uint64_t ms) {
    b->trying = false;
    if (b->open_ms < now_ms + ms) b->open_ms = now_ms + ms;
}
