#include "proxy/rates.h"

#include <math.h>

enum { MINUTE_MS = 60 * 1000, DAY_S = 86400 };

/* What was used runs back evenly, a whole limit in a minute. */
static double run_back(double used, int64_t limit, double ms) {
    used -= (double)limit * ms / MINUTE_MS;
    return used > 0 ? used : 0;
}

static void catch_up(struct rates *r, const struct key_limits *l,
                     struct rates_time t) {
    double ms = t.now_ms > r->at_ms ? (double)(t.now_ms - r->at_ms) : 0;

    r->requests = run_back(r->requests, l->requests_per_minute, ms);
    /* The limit may have been lowered since. */
    if (r->requests > (double)l->requests_per_minute)
        r->requests = (double)l->requests_per_minute;
    r->tokens = run_back(r->tokens, l->tokens_per_minute, ms);
    r->at_ms = t.now_ms;
    if (t.wall_s / DAY_S > r->day) {
        r->day = t.wall_s / DAY_S;
        r->day_tokens = 0;
    }
}

/* Seconds until `used` has run back by `excess`. */
static int64_t wait_s(double excess, int64_t limit) {
    double seconds = ceil(excess * 60 / (double)limit);

    return seconds < 1 ? 1 : (int64_t)seconds;
}

enum rates_answer rates_take(struct rates *r, const struct key_limits *l,
                             struct rates_time t, int64_t *retry_s) {
    catch_up(r, l, t);
    if (l->tokens_per_day && r->day_tokens >= l->tokens_per_day) {
        *retry_s = DAY_S - t.wall_s % DAY_S;
        return RATES_DAY;
    }
    if (l->tokens_per_minute && r->tokens >= (double)l->tokens_per_minute) {
        *retry_s = wait_s(r->tokens - (double)l->tokens_per_minute + 1,
                          l->tokens_per_minute);
        return RATES_TOKENS;
    }
    if (l->requests_per_minute &&
        r->requests + 1 > (double)l->requests_per_minute) {
        *retry_s = wait_s(r->requests + 1 - (double)l->requests_per_minute,
                          l->requests_per_minute);
        return RATES_REQUESTS;
    }
    if (l->requests_per_minute) r->requests += 1;
    return RATES_FINE;
}

void rates_spend(struct rates *r, const struct key_limits *l,
                 struct rates_time t, int64_t tokens) {
    catch_up(r, l, t);
    if (tokens <= 0) return;
    if (l->tokens_per_minute) r->tokens += (double)tokens;
    r->day_tokens += tokens;
}

static int64_t left(double used, int64_t limit) {
    double rest = (double)limit - used;

    if (!limit) return -1;
    return rest > 0 ? (int64_t)rest : 0;
}

struct rates_left rates_left(const struct rates *r,
                             const struct key_limits *l) {
    struct rates_left out = {
        .requests = left(r->requests, l->requests_per_minute),
        .tokens = left(r->tokens, l->tokens_per_minute),
    };

    if (r->requests > 0)
        out.requests_reset_s = wait_s(r->requests, l->requests_per_minute);
    if (r->tokens > 0)
        out.tokens_reset_s = wait_s(r->tokens, l->tokens_per_minute);
    return out;
}
