/* responses.h - POST /v1/responses in its parts: items to messages
 * (responses_items.c), what is kept for later (responses_keep.c), an answer to
 * bytes (dialect_responses.c). Event-loop thread. */
#ifndef CORRAL_PROXY_RESPONSES_H
#define CORRAL_PROXY_RESPONSES_H

#include "proxy/conn.h"
#include "proxy/dialect.h"
#include "proxy/responses_store.h"

/* The key of a body under which responses_prepare() leaves what came before. A
 * client's own is taken out. */
#define RESPONSES_CONTEXT_KEY "corral_context"

/* As dialect.parse; `body` went through responses_prepare(). */
MUST_USE bool responses_parse(const cJSON *body, struct chat_request *out,
                              struct err *err);

/* Look up `previous_response_id`, whose conversation this request goes on.
 * ERR_NOT_FOUND. */
MUST_USE bool responses_prepare(const struct responses_store *s,
                                const char *owner, cJSON *body,
                                struct err *err);
/* After the answer is whole; unless the client said `"store": false`. A turn
 * that was refused is no part of the conversation that others go on from. */
void responses_keep(struct responses_store *s, const char *owner,
                    const cJSON *body, const struct reply *reply,
                    const struct reply_choice *choice);

/* Items as messages behind those there are; there must be room. `name` is the
 * list's, for errors. */
struct openai_reader;
MUST_USE bool responses_items(struct openai_reader *p, const cJSON *list,
                              const char *name);

/* The list of output items. */
MUST_USE bool responses_put_output(const struct reply *r,
                                   const struct reply_choice *c,
                                   struct bytes *out, struct err *err);
/* The whole answer. */
MUST_USE bool responses_put(const struct reply *r, const struct reply_choice *c,
                            struct bytes *out, struct err *err);

/* GET and DELETE of `rest`, which is what stands after "/v1/responses/" in the
 * path: "ID", or "ID/input_items". The answer's body; false with `err`. */
MUST_USE bool responses_get(const struct responses_store *s, const char *owner,
                            struct span rest, struct span query,
                            struct bytes *out, struct err *err);
MUST_USE bool responses_delete(struct responses_store *s, const char *owner,
                               struct span rest, struct bytes *out,
                               struct err *err);

#endif
