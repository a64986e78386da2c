/* upstream.h - an OpenAI-compatible server as a language model. It is asked to
 * stream, whatever the client wants: the guard judges while it writes. Its
 * answer is as hostile as any input. Event-loop thread. */
#ifndef CORRAL_PROXY_UPSTREAM_H
#define CORRAL_PROXY_UPSTREAM_H

#include <uv.h>

#include "agent/llm.h"
#include "proxy/config.h"

/* Borrows `loop` and `config`. `key` (may be NULL) is sent as a bearer token;
 * copied. */
MUST_USE struct llm *upstream_open(uv_loop_t *loop,
                                   const struct config_openai *config,
                                   const char *key, struct err *err);
void upstream_close(struct llm *llm);

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
/* The body is complete: the tool calls and `end` (not sent to on_end()). */
MUST_USE bool upstream_reader_finish(struct upstream_reader *r,
                                     struct llm_end *end, struct err *err);

#endif
