/* addresses.c - a table of fixed size. An address that has nothing in hand
 * gives its place to one that comes, the one first that was heard of longest
 * ago: what it used of its minute is then forgotten, which takes as many
 * addresses as there are places. */
#include "proxy/addresses.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/http_error.h"
#include "proxy/peer.h"
#include "proxy/rates.h"

enum { SETS_BITS = 13, WAYS = 8 };

struct address {
    uint64_t number; /* 0: nobody's place */
    struct rates rates;
    int in_hand;
};

struct addresses {
    pthread_mutex_t lock;
    const struct limits *limits;
    uint64_t seed; /* odd */
    struct address sets[1 << SETS_BITS][WAYS];
};

struct addresses *addresses_new(const struct limits *limits, uint64_t seed) {
    /* Pages that nobody has touched cost nothing. */
    struct addresses *a = xalloc(sizeof *a);

    (void)pthread_mutex_init(&a->lock, NULL);
    a->limits = limits;
    a->seed = seed | 1;
    return a;
}

void addresses_free(struct addresses *a) {
    if (!a) return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static struct address *set_of(struct addresses *a, uint64_t number) {
    return a->sets[number * a->seed >> (64 - SETS_BITS)];
}

static struct address *find(struct addresses *a, uint64_t number) {
    struct address *set = set_of(a, number);

    for (int i = 0; i < WAYS; i++)
        if (set[i].number == number) return &set[i];
    return NULL;
}

/* NULL: all places are of those that have something in hand. */
static struct address *place(struct addresses *a, uint64_t number) {
    struct address *set = set_of(a, number), *found = NULL;

    for (int i = 0; i < WAYS; i++)
        if (!set[i].in_hand &&
            (!found || set[i].rates.at_ms < found->rates.at_ms))
            found = &set[i];
    if (found) *found = (struct address){.number = number};
    return found;
}

static enum addresses_answer enter(struct addresses *a, uint64_t number,
                                   uint64_t now_ms, int64_t *retry_s) {
    const struct key_limits rate = {.requests_per_minute =
                                        a->limits->address_requests_per_minute};
    const struct rates_time now = {.now_ms = now_ms};
    int most = a->limits->address_requests_max;
    struct address *at = find(a, number);

    *retry_s = 1;
    if (!at) at = place(a, number);
    if (!at || (most && at->in_hand >= most)) return ADDRESSES_AT_ONCE;
    if (rates_take(&at->rates, &rate, now, retry_s) != RATES_FINE)
        return ADDRESSES_RATE;
    at->in_hand++;
    return ADDRESSES_FINE;
}

enum addresses_answer addresses_enter(struct addresses *a, uint64_t address,
                                      uint64_t now_ms, int64_t *retry_s) {
    enum addresses_answer answer;

    pthread_mutex_lock(&a->lock);
    answer = enter(a, address, now_ms, retry_s);
    pthread_mutex_unlock(&a->lock);
    return answer;
}

void addresses_leave(struct addresses *a, uint64_t address) {
    struct address *at;

    pthread_mutex_lock(&a->lock);
    at = find(a, address);
    if (at && at->in_hand) at->in_hand--;
    pthread_mutex_unlock(&a->lock);
}

/* ---- a request ---- */

static bool refuse(struct conn *c, const struct http_request *r,
                   const char *message, int64_t retry_s) {
    struct http_header retry = {span_of("retry-after"), {0}};
    char digits[BYTES_DIGITS_SIZE];
    struct bytes body = {0};

    retry.value = bytes_digits(retry_s, digits);
    conn_pass(c)->refused = true;
    if (http_error_shaped(http_error_shape_of(r->path), 429, message,
                          "rate_limit_error", NULL, "rate_limit_exceeded",
                          &body, NULL))
        conn_respond(c, 429, "application/json", &retry, 1, span_bytes(&body));
    bytes_free(&body);
    return false;
}

static bool is_limited(const struct addresses *a) {
    return a && (a->limits->address_requests_per_minute ||
                 a->limits->address_requests_max);
}

bool addresses_admit(struct addresses *a, struct conn *c,
                     const struct http_request *r, int *status) {
    uint64_t number;
    int64_t retry_s;

    if (!is_limited(a) || !peer_number(conn_peer(c), &number)) return true;
    *status = 429;
    switch (addresses_enter(a, number, clock_ms(), &retry_s)) {
    case ADDRESSES_FINE:
        conn_pass(c)->address = number;
        return true;
    case ADDRESSES_RATE:
        return refuse(c, r,
                      "The requests of this minute from your address are used "
                      "up.",
                      retry_s);
    case ADDRESSES_AT_ONCE:
        break;
    }
    return refuse(c, r, "Too many requests from your address are in hand.",
                  retry_s);
}

void addresses_done(struct addresses *a, struct conn *c) {
    struct pass *pass = conn_pass(c);

    if (pass->address) addresses_leave(a, pass->address);
    pass->address = 0;
}
