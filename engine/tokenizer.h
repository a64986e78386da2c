/* tokenizer.h - text to token ids and back. Made from a GGUF's vocabulary;
 * immutable afterwards, so any thread may use it. */
#ifndef CORRAL_ENGINE_TOKENIZER_H
#define CORRAL_ENGINE_TOKENIZER_H

#include "engine/gguf.h"

struct tokenizer;

/* A growing list of token ids. All zero is an empty list without a limit. */
struct tokens {
    int *at;
    size_t count;
    size_t capacity;
    size_t limit; /* 0: none */
};

/* Byte-level BPE with the pre-tokenizers `smollm`, `gpt-2`, `llama-bpe`.
 * Anything else is ERR_UNSUPPORTED, never guessed. Copies what it needs: the
 * GGUF may be closed afterwards. */
MUST_USE struct tokenizer *tokenizer_new(const struct gguf *gguf,
                                         struct err *err);
void tokenizer_free(struct tokenizer *t);

/* Append the ids of `text`. Text that spells a control token is text: control
 * ids never come out of this. Any bytes are accepted, and time is linear
 * (n log n) in the size of `text`. ERR_LIMIT past out->limit. */
MUST_USE bool tokenizer_encode(const struct tokenizer *t, struct span text,
                               struct tokens *out, struct err *err);

/* The id of a control token by its text, such as "<|im_start|>"; -1 if none. */
int tokenizer_control(const struct tokenizer *t, const char *text);

/* The bytes of a token, borrowed until tokenizer_free(); a part of a UTF-8
 * sequence is possible. Control tokens give an empty span. */
struct span tokenizer_piece(const struct tokenizer *t, int token);

int tokenizer_vocab(const struct tokenizer *t);
int tokenizer_bos(const struct tokenizer *t);        /* -1 if none */
int tokenizer_eos(const struct tokenizer *t);        /* -1 if none */
bool tokenizer_is_control(const struct tokenizer *t, int token);
/* Ends a turn or a text: eos, eot, eom and their likes. */
bool tokenizer_is_end(const struct tokenizer *t, int token);

MUST_USE bool tokens_push(struct tokens *list, int token, struct err *err);
MUST_USE bool tokens_append(struct tokens *list, const int *at, size_t count,
                            struct err *err);
void tokens_free(struct tokens *list);

#endif
