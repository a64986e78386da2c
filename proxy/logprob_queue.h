/* logprob_queue.h - log probabilities of tokens whose text has not been
 * released. An entry leaves only when the very bytes that its token spells
 * have been: where a redaction wrote others, the rest of the entries is
 * dropped for good. Event-loop thread. */
#ifndef CORRAL_PROXY_LOGPROB_QUEUE_H
#define CORRAL_PROXY_LOGPROB_QUEUE_H

#include "agent/llm.h"

enum {
    LOGPROB_QUEUE_BYTES_MAX = 16 << 20, /* past it entries are dropped */
    LOGPROB_BEFORE_MAX = 64 /* bytes of text before a token, as context */
};

struct logprob_entry;

/* All zero is empty, but for the callback. */
struct logprob_queue {
    /* An entry leaves; `before` is the released text that it follows. */
    void (*on_entry)(void *user, const struct llm_logprob *entry,
                     struct span before);
    void *user;
    struct logprob_entry *first, **last;
    size_t held_bytes;
    struct bytes loose; /* released, and no token has come for it */
    struct bytes before;
    bool broken; /* nothing leaves any more */
};

/* Copied. Those whose text was released before leave at once. */
void logprob_queue_push(struct logprob_queue *q, const struct llm_logprob *list,
                        int count);
void logprob_queue_release(struct logprob_queue *q, struct span text);
/* The text goes on with another generation: what is held has no text. */
void logprob_queue_restart(struct logprob_queue *q);
void logprob_queue_clear(struct logprob_queue *q);

#endif
