/* limits.h - the named limits of the front door: what one client may send, how
 * long it may take, how many may come. Read-only while
 * loops run. */
#ifndef CORRAL_PROXY_LIMITS_H
#define CORRAL_PROXY_LIMITS_H

#include "base/bytes.h"

struct limits {
    size_t target_bytes_max; /* of the request line: past it 414 */
    size_t header_bytes_max; /* request line and headers: past it 431 */
    int header_count_max;    /* past it 431 */
    size_t body_bytes_max;   /* past it 413 */
    size_t bodies_bytes_max; /* of all requests in hand together: past it 503 */
    int connections_max;     /* past it 503 and close */
    /* Of one address, where no keys are asked for: past them 429. 0: none. */
    int address_requests_per_minute;
    int address_requests_max; /* in hand */
    int header_ms; /* from a request's first byte to its last header */
    int body_ms;   /* from there to its last byte */
    int idle_ms;   /* between requests on one connection */
    int write_ms;  /* without the client taking a single byte */
    size_t write_high_bytes; /* queued: conn_write() asks for a pause */
    size_t write_low_bytes;  /* queued: on_drain() */
    size_t write_bytes_max;  /* queued: the client is cut off */
};

/* The defaults. */
void limits_init(struct limits *l);

/* One limit as the configuration file names it. */
struct limit_name {
    const char *key;
    size_t offset; /* into struct limits */
    bool is_int;   /* else size_t */
    int64_t least;
    int64_t most;
};

/* The `count` limits that a configuration may set. */
const struct limit_name *limits_names(int *count);
/* Set one by its row; the value was checked against least and most. */
int64_t limits_get(const struct limits *l, const struct limit_name *name);
void limits_set(struct limits *l, const struct limit_name *name, int64_t value);

#endif
