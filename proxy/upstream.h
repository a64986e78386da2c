/* upstream.h - one OpenAI-compatible server that writes answers (fleet.h makes
 * a language model of some). It is asked to stream, whatever the client wants:
 * the guard judges while it writes. Its answer is as hostile as any input.
 * Event-loop thread. */
#ifndef CORRAL_PROXY_UPSTREAM_H
#define CORRAL_PROXY_UPSTREAM_H

#include <uv.h>

#include "agent/llm.h"
#include "base/json.h"
#include "proxy/http_client.h"

struct upstream;      /* opaque: one server */
struct upstream_call; /* one generation under way */

struct upstream_options {
    const struct http_url *url; /* borrowed, as the strings below */
    const char *key;            /* sent as a bearer token; NULL: none */
    const char *ca_file;        /* NULL: the system's */
    int connect_ms, first_byte_ms, idle_ms;
    /* Connections kept for the next request, and for how long each. */
    int keep_connections, keep_ms;
};

/* Borrows `loop`; copies the key. ERR_INPUT for an unreadable `ca_file`. */
MUST_USE struct upstream *upstream_open(uv_loop_t *loop,
                                        const struct upstream_options *o,
                                        struct err *err);
void upstream_close(struct upstream *u); /* NULL is fine */

/* What a call says about the server. */
enum upstream_health { UPSTREAM_WELL, UPSTREAM_BUSY, UPSTREAM_ILL };

struct upstream_end {
    struct llm_end llm;
    enum upstream_health health;
    /* No byte of an answer came, and another server may do better. */
    bool retry;
    int retry_after_s; /* the server's own word; 0: none */
};

/* `events` without its on_end(), in whose place `on_end` comes. */
MUST_USE struct upstream_call *
upstream_start(struct upstream *u, const struct chat_request *r,
               const char *model, const struct llm_events *events,
               void (*on_end)(void *end_user, const struct upstream_end *end),
               void *end_user, struct err *err);
/* POST `body` to base_url + `path`, with `trace` as traceparent unless it is
 * empty, and read one JSON answer: `answer` gets it before `on_end`, and may
 * refuse it. Neither comes after upstream_cancel(). */
MUST_USE struct upstream_call *
upstream_ask(struct upstream *u, const char *path, struct span body,
             struct span trace,
             bool (*answer)(void *user, const cJSON *json, struct err *err),
             void (*on_end)(void *user, const struct upstream_end *end),
             void *user, struct err *err);
void upstream_cancel(struct upstream_call *call);
/* Stop reading, and go on; see http_call_pause(). */
void upstream_throttle(struct upstream_call *call, bool on);

/* Ask GET base_url + `path`; NULL with `err` when it cannot begin. The answer
 * says whether it was there, and what comes before 500. */
MUST_USE struct http_call *upstream_probe(struct upstream *u, const char *path,
                                          int timeout_ms,
                                          const struct http_call_events *events,
                                          struct err *err);

/* A chat_request as the body that an upstream gets: exactly the fields that
 * were judged, nothing else of what the client sent. */
MUST_USE bool upstream_body(const struct chat_request *r, const char *model,
                            struct bytes *out, struct err *err);

/* What an upstream's stream amounts to, apart from any socket: fed with the
 * bytes of its body, in any pieces. */
struct upstream_reader;
struct upstream_reader *upstream_reader_new(const struct llm_events *events);
void upstream_reader_free(struct upstream_reader *r);
/* No event from here on: for a call that is cancelled inside one. */
void upstream_reader_mute(struct upstream_reader *r);
/* False with `err` when it is not what an upstream may say. */
MUST_USE bool upstream_reader_feed(struct upstream_reader *r, struct span in,
                                   struct err *err);
/* One chunk, or the whole answer of a server that does not stream. */
MUST_USE bool upstream_reader_take(struct upstream_reader *r, const cJSON *json,
                                   struct err *err);
/* The stop string that the server says it met; empty: none. Borrowed. */
struct span upstream_reader_stop(const struct upstream_reader *r);
/* The body is complete: the tool calls and `end` (not sent to on_end()). */
MUST_USE bool upstream_reader_finish(struct upstream_reader *r,
                                     struct llm_end *end, struct err *err);

#endif
