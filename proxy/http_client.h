/* http_client.h - one HTTP/1.1 request to an upstream and its response as it
 * comes. Upstream bytes are hostile: strict, and limited. Event-loop thread. */
#ifndef CORRAL_PROXY_HTTP_CLIENT_H
#define CORRAL_PROXY_HTTP_CLIENT_H

#include <uv.h>

#include "proxy/http.h"
#include "proxy/http_pool.h"
#include "proxy/tls.h"

struct http_call;

/* "http://host:port/base" in parts. */
struct http_url {
    bool tls;
    char host[256]; /* without the brackets of an IPv6 address */
    int port;
    char path[1024]; /* "/v1", never ends with a slash: "" for the root */
};

/* ERR_INPUT for anything but plain http(s) URLs: no user, query, fragment. */
MUST_USE bool http_url_parse(struct span text, struct http_url *out,
                             struct err *err);

struct http_call_options {
    const char *host;
    int port;
    bool tls;
    const char *method;
    const char *path;                  /* "/v1/chat/completions" */
    const struct http_header *headers; /* beside Host, Content-Length, ... */
    int header_count;
    struct span body;        /* copied, as everything here is */
    int connect_ms;          /* resolving, connecting and TLS; 0: 5 s */
    int first_byte_ms;       /* from there to the response's head; 0: 60 s */
    int idle_ms;             /* between two reads of the body; 0: 60 s */
    size_t header_bytes_max; /* 0: 64 KiB */
    size_t body_bytes_max;   /* 0: 64 MiB */
    const struct tls_context *tls_context; /* borrowed; needed with `tls` */
    /* Of connections to the same server, borrowed until the call ends. NULL:
     * the call has a connection of its own, which closes after it. */
    struct http_pool *pool;
};

/* Borrowed arguments live during the callback, and no callback runs inside
 * another http_call_*() call. http_call_cancel() is allowed in any. */
struct http_call_events {
    void (*on_head)(void *user, int status, const struct http_header *headers,
                    int header_count);
    void (*on_body)(void *user, struct span part);
    /* Last, once: all is well when `err` is NULL. Before on_head nothing was
     * received (the call may be tried again elsewhere). The call is freed
     * afterwards: forget it here. ERR_UNAVAILABLE: not reached; ERR_TIMEOUT;
     * ERR_LIMIT: too large; ERR_IO: broken or not HTTP. */
    void (*on_end)(void *user, const struct err *err);
    void *user;
};

/* Begin. NULL with `err` when it cannot (ERR_INPUT, ERR_UNSUPPORTED). */
MUST_USE struct http_call *
http_call_start(uv_loop_t *loop, const struct http_call_options *o,
                const struct http_call_events *events, struct err *err);
/* No callback after this; the socket closes in the loop. NULL is fine. */
void http_call_cancel(struct http_call *call);
/* Stop reading (at most one more on_body may come), and go on. The idle
 * time-out rests meanwhile. */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);

#endif
