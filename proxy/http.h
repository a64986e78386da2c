/* http.h - bytes to HTTP/1 messages, requests from clients and responses from
 * upstreams, by llhttp in its strict mode. A reader never blocks and knows no
 * socket; where the bytes were cut makes no difference. Event-loop thread. */
#ifndef CORRAL_PROXY_HTTP_H
#define CORRAL_PROXY_HTTP_H

#include "base/bytes.h"

struct http_header {
    struct span name; /* lower case */
    struct span value;
};

/* A whole request. Everything is borrowed from the connection's reader until
 * the response has ended. */
struct http_request {
    struct span method; /* "POST" */
    struct span target; /* as it came */
    struct span path;   /* of the target, not decoded, without the query */
    struct span query;  /* without the `?`; may be empty */
    const struct http_header *headers;
    int header_count;
    struct span body;  /* unpacked, if it came as gzip */
    int version_minor; /* HTTP/1.0 or 1.1 */
    bool keep_alive;
};

/* The first header of that (lower-case) name; an empty span when absent, which
 * `at == NULL` tells from a header without a value. */
struct span http_header_find(const struct http_header *headers, int count,
                             const char *name);
struct span http_request_header(const struct http_request *r, const char *name);
/* Is `path` the route's, or with `below` one that begins with it? */
bool http_path_fits(struct span path, const char *route, bool below);
/* "application/json; charset=utf-8" is the type "application/json". */
bool http_type_is(struct span content_type, const char *type);

struct http_reader; /* opaque: one message after the other */

struct http_reader_limits {
    size_t target_bytes_max;
    size_t header_bytes_max;
    int header_count_max;
    size_t body_bytes_max;
};

enum reader_state {
    READER_IDLE, /* no byte of a message yet (blank lines are none) */
    READER_HEAD,
    READER_BODY, /* the head is whole */
    READER_DONE,
    READER_FAILED
};

struct http_reader *http_reader_new_request(const struct http_reader_limits *l);
struct http_reader *
http_reader_new_response(const struct http_reader_limits *l);
void http_reader_free(struct http_reader *r);

/* Take bytes until they end, the message is whole or it is found wrong. `used`
 * bytes were taken; the rest belongs to the next message. */
enum reader_state http_reader_feed(struct http_reader *r, struct span in,
                                   size_t *used);
/* The peer has closed: ends a response without a length, fails all others. */
enum reader_state http_reader_finish(struct http_reader *r);
enum reader_state http_reader_state(const struct http_reader *r);
/* Forget the message and its memory; a new one may follow. */
void http_reader_next(struct http_reader *r);

/* READER_DONE of a request: borrowed until http_reader_next(). */
const struct http_request *http_reader_request(const struct http_reader *r);
/* Bytes of a body held at the moment. */
size_t http_reader_held(const struct http_reader *r);
/* The head is whole, `Expect: 100-continue` was asked and no byte of the body
 * has come. */
bool http_reader_wants_continue(const struct http_reader *r);

/* The head was whole, whatever came after. */
bool http_reader_has_head(const struct http_reader *r);

/* A response that has its head. */
int http_reader_status(const struct http_reader *r);
const struct http_header *http_reader_headers(const struct http_reader *r,
                                              int *count);
bool http_reader_keep_alive(const struct http_reader *r);
/* The part of a response's body that came since the last call; borrowed until
 * the next feed. Take it after every feed. */
struct span http_reader_take_body(struct http_reader *r);
/* The part taken last is no longer needed: what waits for more holds nothing.
 */
void http_reader_drop_body(struct http_reader *r);

/* READER_FAILED of a request: the status to answer with (400, 413, ...). */
int http_reader_fail_status(const struct http_reader *r);
/* Why, for a person; borrowed. */
const char *http_reader_fail_text(const struct http_reader *r);

/* "Not Found"; "" when unknown. */
const char *http_status_text(int status);
/* Append "name: value\r\n"; a byte that could break the line becomes `?`. */
void http_put_header(struct bytes *out, struct span name, struct span value);

#endif
