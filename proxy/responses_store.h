/* responses_store.h - answers of /v1/responses that a client may ask for again
 * or go on from. In memory, and on the disk behind it (responses_file.h); the
 * oldest go first. Each belongs to an owner, and nobody else can tell it from
 * one that never was. Event-loop thread. */
#ifndef CORRAL_PROXY_RESPONSES_STORE_H
#define CORRAL_PROXY_RESPONSES_STORE_H

#include <uv.h>

#include "base/json.h"

struct responses_store;

enum {
    RESPONSES_STORED_MAX = 1024,
    RESPONSES_BYTES_MAX = 64 << 20, /* of all */
    RESPONSES_ID_SIZE = 48
};

/* JSON texts, borrowed until the next put or remove. */
struct response_stored {
    struct span response;
    struct span input;   /* a list: the items of this request */
    struct span context; /* a list: what a next request begins with */
};

/* In memory alone, each for at most `days` (0: for good). */
struct responses_store *responses_store_new(int days);
/* With a file in `folder`: what it holds is there again. Waits for the disk. */
MUST_USE struct responses_store *responses_store_open(uv_loop_t *loop,
                                                      const char *folder,
                                                      int days,
                                                      struct err *err);
void responses_store_free(struct responses_store *s); /* NULL is fine */
/* Now and then: lets go what is too old. */
void responses_store_tick(struct responses_store *s);

/* Everything is copied. What is larger than all the room is not kept. */
void responses_store_put(struct responses_store *s, const char *id,
                         const char *owner, const struct response_stored *r);
bool responses_store_find(const struct responses_store *s, struct span id,
                          const char *owner, struct response_stored *out);
bool responses_store_remove(struct responses_store *s, struct span id,
                            const char *owner);

#endif
