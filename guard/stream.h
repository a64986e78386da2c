/* stream.h - a verdict over text that is still arriving. Holds every byte back
 * until nothing that may follow can make it part of a match, and until the
 * classifier has cleared the checkpoint behind it (stream: hold). What comes
 * out does not depend on how the text was cut. Event-loop thread.
 *
 *   OPEN -> FINISHING -> DONE        (any) -> BLOCKED
 *
 * Checkpoints lie at positions that depend on the text alone: at the first
 * word boundary after about 8 tokens' worth of bytes, then 16, 32, 64, 64...
 * more, or STREAM_WORD_MAX bytes later in text without blanks. Each is judged,
 * in order; rules are settled at the same places.
 *
 * Where the classifier is not asked, or only behind the text (stream: trail,
 * or shadow checks alone), rules are asked at such places of their own: word by
 * word at first, further apart later and where much is held back. */
#ifndef CORRAL_GUARD_STREAM_H
#define CORRAL_GUARD_STREAM_H

#include "guard/guard.h"

enum {
    STREAM_CONTEXT = 64,      /* bytes before the undecided ones, for rules */
    STREAM_WORD_MAX = 64,     /* a checkpoint waits no longer for a blank */
    STREAM_HELD_MAX = 4 << 20 /* more bytes held than this block */
};

struct guard_stream;

struct guard_stream_options {
    const struct policy *policy;
    enum channel channel;
    /* What came before the streamed text: the conversation, the last turn
     * being the one that is answered. Copied. */
    const struct guard_turn *turns;
    int turn_count;
    /* The main model's prompt tokens when the guard may ride on its KV cache
     * (GUARD_MODEL_ACTIVATED); else NULL. Copied. */
    const int *prompt_tokens;
    int prompt_token_count;
    uint64_t client;
    bool whole; /* nobody waits for its beginning: rules are asked seldom */
    /* Cleared bytes: redacted, whole UTF-8, in order. Never after a block.
     * May be called from inside guard_stream_push() and engine_poll(). Freeing
     * the stream or pushing more inside is allowed. */
    void (*on_release)(void *user, struct span text);
    /* Once: when it blocks (VERDICT_ASK ends the stream, too), or when the
     * finished text is cleared. Freeing the stream inside is allowed. */
    guard_done *on_verdict;
    void *user;
};

struct guard_stream *guard_stream_new(struct guard *g,
                                      const struct guard_stream_options *o);
/* More text; with its tokens when prompt_tokens was given, else NULL and 0.
 * Bytes after a verdict are dropped. */
void guard_stream_push(struct guard_stream *s, struct span text,
                       const int *tokens, int token_count);
/* The text is complete: what remains is judged and released. */
void guard_stream_finish(struct guard_stream *s);
/* Bytes pushed but not released: for back-pressure and metrics. */
size_t guard_stream_held(const struct guard_stream *s);
void guard_stream_free(struct guard_stream *s); /* cancels; NULL is fine */

#endif
