/* hold.h - a job's text between the model and the client. Tokens are bytes;
 * what leaves is whole UTF-8 (bytes that are none become U+FFFD), and nothing
 * that could still begin a stop string. What leaves does not depend on how
 * the text was cut into tokens. Owned by whoever owns the job. */
#ifndef CORRAL_ENGINE_HOLD_H
#define CORRAL_ENGINE_HOLD_H

#include "base/bytes.h"

struct hold {
    struct bytes text; /* whole characters that have not left */
    char tail[4];      /* bytes of a character that is still arriving */
    size_t tail_size;
    int *tokens;       /* whose last byte has not left */
    size_t *token_end; /* up to where `text` must leave for the token to go */
    size_t token_count;
    size_t token_capacity;
    struct span *stops; /* ours, at most ENGINE_STOPS_MAX */
    int stop_count;
    int met; /* 1 + the index of the stop string that was complete; 0: none */
};

/* Copies the stops. */
void hold_init(struct hold *h, const struct span *stops, int stop_count);
void hold_clear(struct hold *h);

/* One more token. True when a stop string is complete: `text` then ends
 * before it. */
MUST_USE bool hold_push(struct hold *h, int token, struct span piece);
/* The text may end here: what still waits will not be completed. */
void hold_finish(struct hold *h);
/* How much of `text` can leave, and how many tokens go with it. */
size_t hold_ready(const struct hold *h, size_t *token_count);
/* Those have left. */
void hold_drop(struct hold *h, size_t size, size_t token_count);

#endif
