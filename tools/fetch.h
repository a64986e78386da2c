/* fetch.h - HTTP requests of tools, by libcurl on the event loop. A fetcher is
 * one set of rules about what may be reached, and the connections made under
 * them. The address is checked when the socket is made, so no name can resolve
 * to one address for a check and to another for the connection. No proxy, no
 * cookies, no netrc; http and https only. What is under way does not keep the
 * loop. Event-loop thread.
 *
 *   a fetch:  SENDING -> (redirected -> SENDING) -> HEAD -> BODY -> ENDED
 */
#ifndef CORRAL_TOOLS_FETCH_H
#define CORRAL_TOOLS_FETCH_H

#include <uv.h>

#include "base/bytes.h"

enum {
    FETCH_URL_MAX = 8192,
    FETCH_HEADER_BYTES_MAX = 64 << 10,
    FETCH_AT_ONCE_MAX = 256, /* of one fetcher */
    FETCH_HOSTS_MAX = 32
};

struct fetcher;
struct fetch;

struct fetcher_options {
    /* The operator named every URL: addresses are not checked. */
    bool any_address;
    /* "host" or "host:port": these may have inner addresses. Copied. */
    const char *const *inner_hosts;
    int inner_host_count;
    const char *ca_file; /* NULL: the system's certificates */
    /* NULL, or curl's "host:port:address" answers in place of the resolver's,
     * for tests. */
    const char *resolve;
};

MUST_USE struct fetcher *
fetcher_open(uv_loop_t *loop, const struct fetcher_options *o, struct err *err);
/* Cancels what is under way. The loop must run once more afterwards. NULL is
 * fine. */
void fetcher_close(struct fetcher *fetcher);

struct fetch_header {
    const char *name;
    const char *value;
};

/* Everything is copied. */
struct fetch_options {
    const char *url;
    const char *method; /* NULL: GET, or POST when there is a body */
    const struct fetch_header *headers;
    int header_count;
    struct span body;
    int timeout_ms;  /* for all of it; 0: none, the caller has its own */
    int connect_ms;  /* 0: 10 s */
    int redirects;   /* of a GET, at most so many; 0: it ends at the first */
    bool other_host; /* ... also to another host. The headers then stay here */
};

/* Borrowed arguments live during the callback. fetch_cancel() is allowed in
 * any, of any fetch, and so are fetch_start() and fetcher_close(); none comes
 * before fetch_start() returned. */
struct fetch_events {
    /* The last response's status and headers are there; false with `err` ends
     * the fetch. May be NULL. */
    bool (*on_head)(void *user, const struct fetch *fetch, struct err *err);
    /* A piece, decompressed; false with `err` ends the fetch. */
    bool (*on_body)(void *user, struct span part, struct err *err);
    /* Last, once: the fetch is freed when this returns. `err` is NULL when the
     * whole response was received, whatever its status. ERR_DENIED: an address
     * that is closed to tools; ERR_UNAVAILABLE: not reached; ERR_TIMEOUT;
     * ERR_LIMIT; ERR_IO: broken. Its text may be shown to a model. */
    void (*on_end)(void *user, const struct fetch *fetch,
                   const struct err *err);
    void *user;
};

/* Begin. NULL with ERR_INPUT for what is no
 * http(s) URL or has a user name in it, ERR_BUSY for too many at once. */
MUST_USE struct fetch *fetch_start(struct fetcher *fetcher,
                                   const struct fetch_options *o,
                                   const struct fetch_events *events,
                                   struct err *err);
/* No callback after this. NULL is fine. */
void fetch_cancel(struct fetch *fetch);

/* From on_head on. Borrowed until the next callback. */
int fetch_status(const struct fetch *fetch);
const char *fetch_url(const struct fetch *fetch); /* after redirects */
/* NULL when there is none; of several the last. */
const char *fetch_response_header(const struct fetch *fetch, const char *name);
/* Where a redirect that was not followed leads; NULL when it is none. */
const char *fetch_redirect(const struct fetch *fetch);

/* Percent-encode all but letters, digits and -._~ */
MUST_USE bool fetch_escape(struct bytes *out, struct span s, struct err *err);

#endif
