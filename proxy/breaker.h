/* breaker.h - whether a server is worth asking, from how it did before:
 *
 *   CLOSED -- failures in a row --> OPEN -- rest_ms --> one try --> CLOSED
 *                                     ^--------- it failed ---------+
 *
 * Time is told, never looked up. */
#ifndef CORRAL_PROXY_BREAKER_H
#define CORRAL_PROXY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    int failures_max; /* in a row */
    uint64_t rest_ms;
    int failures;     /* in a row, so far */
    uint64_t open_ms; /* no call before this time; 0: closed */
    bool trying;      /* the one try of an open breaker is under way */
};

/* May a call begin at `now_ms`? */
bool breaker_allows(const struct breaker *b, uint64_t now_ms);
/* One begins: of an open breaker, the only one. */
void breaker_begin(struct breaker *b);
void breaker_succeed(struct breaker *b);
void breaker_fail(struct breaker *b, uint64_t now_ms);
/* It was given up, and says nothing. */
void breaker_forget(struct breaker *b);
/* Asked to be left alone for a while, without being broken. */
void breaker_rest(struct breaker *b, uint64_t now_ms, uint64_t ms);

#endif
