/* rates.h - how much of its limits a key has used. Plain memory, told the time
 * by the caller; the owner's thread. */
#ifndef CORRAL_PROXY_RATES_H
#define CORRAL_PROXY_RATES_H

#include "proxy/keys.h"

/* All zero is a key that has used nothing. */
struct rates {
    double requests; /* used of a minute's, running back to 0 */
    double tokens;   /* the same; one answer may take it far past the limit */
    uint64_t at_ms;  /* monotonic, when the two were true */
    int64_t day;     /* days since 1970 */
    int64_t day_tokens;
};

enum rates_answer {
    RATES_FINE,
    RATES_REQUESTS, /* the named limit is used up */
    RATES_TOKENS,
    RATES_DAY
};

struct rates_time {
    uint64_t now_ms; /* monotonic */
    int64_t wall_s;
};

/* Count one request. Otherwise nothing is counted and *retry_s says after how
 * many seconds (at least 1) there is room again. */
enum rates_answer rates_take(struct rates *r, const struct key_limits *l,
                             struct rates_time t, int64_t *retry_s);
/* What an answer cost is known at its end only, so tokens are counted then and
 * asked about before the next request. */
void rates_spend(struct rates *r, const struct key_limits *l,
                 struct rates_time t, int64_t tokens);

/* For x-ratelimit headers. A limit that is not set gives -1. */
struct rates_left {
    int64_t requests;
    int64_t tokens; /* of the minute */
    int64_t requests_reset_s;
    int64_t tokens_reset_s;
};
struct rates_left rates_left(const struct rates *r, const struct key_limits *l);

#endif
