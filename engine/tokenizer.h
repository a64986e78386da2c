/* tokenizer.h - text to token ids and back. Made from a GGUF's vocabulary;
 * immutable afterwards, so any thread may use it. */
#ifndef CORRAL_ENGINE_TOKENIZER_H
#define CORRAL_ENGINE_TOKENIZER_H

#include "engine/gguf.h"
#include "engine/token_index.h"

struct tokenizer;

/* A growing list of token ids. All zero is an empty list without a limit. */
struct tokens {
    int *at;
    size_t count;
    size_t capacity;
    size_t limit; /* 0: none */
};

enum {
    TOKENIZER_VOCAB_MAX = 1 << 20,
    TOKENIZER_MERGES_MAX = 1 << 21,
    TOKENIZER_PIECE_BYTES_MAX = 1 << 12,
    TOKENIZER_TEXT_BYTES_MAX = 64 << 20, /* of one tokenizer_encode() */
    /* Of a text without any place where it may be cut, such as one word: it
     * is merged as a whole, which takes about 50 times its size. */
    TOKENIZER_RUN_BYTES_MAX = 2 << 20
};

/* A GGUF's token_type. Only normal and byte tokens come out of text. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4, /* decodes as text, never comes out of text */
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6 /* "<0x0A>": one byte; only SPM makes it from text */
};

enum tokenizer_kind { TOKENIZER_BPE, TOKENIZER_SPM };

/* What tokenizer_new() reads from a GGUF, for those who have none. */
struct vocabulary {
    enum tokenizer_kind kind;
    const struct span *tokens; /* BPE: in the byte alphabet of GPT-2;
                                * SPM: UTF-8, U+2581 for a blank */
    const int32_t *types;      /* enum token_type; NULL: all normal */
    size_t token_count;
    const struct span *merges; /* BPE: "left right", best first */
    size_t merge_count;
    struct span pre;     /* BPE: "smollm", "gpt-2", "llama-bpe" */
    const float *scores; /* SPM: one a token, the best merge first */
    bool space_prefix;   /* SPM: a text begins with a blank */
    bool add_bos;        /* a text begins with bos */
    int bos;             /* -1: none, also below */
    int eos;
    int eot;
    int eom;
};

/* Byte-level BPE with the pre-tokenizers `smollm`, `gpt-2`, `llama-bpe`, or
 * SentencePiece's BPE with bytes as the last resort (Llama 2, TinyLlama).
 * Anything else is ERR_UNSUPPORTED, never guessed; a vocabulary that
 * contradicts itself is ERR_INPUT, with the token or merge that does. Copies
 * what it needs: the GGUF may be closed afterwards. */
MUST_USE struct tokenizer *tokenizer_new(const struct gguf *gguf,
                                         struct err *err);
MUST_USE struct tokenizer *tokenizer_from_vocabulary(const struct vocabulary *v,
                                                     struct err *err);
void tokenizer_free(struct tokenizer *t);

/* Append the ids of `text`, which goes on from other text or from a control
 * token. Text that spells a control token is text: control ids never come out
 * of this. Any bytes are accepted, and time is linear (n log n) in the size of
 * `text`. BPE gives no token for a byte that the vocabulary lacks, as in the
 * reference (SmolLM2: 21 bytes, all of them control characters or bytes that
 * valid text hardly has); SPM spells U+2581 and a blank alike, also as there.
 * ERR_LIMIT past out->limit or the limits above; `out` then keeps what it
 * had. */
MUST_USE bool tokenizer_encode(const struct tokenizer *t, struct span text,
                               struct tokens *out, struct err *err);
/* The same for a text that begins here: SPM's has a blank before it where the
 * vocabulary says so, which its first piece then shows. Without bos. */
MUST_USE bool tokenizer_encode_first(const struct tokenizer *t,
                                     struct span text, struct tokens *out,
                                     struct err *err);
/* As tokenizer_encode(), and adds to `steps` how many it took: time that a
 * test can count. */
MUST_USE bool tokenizer_encode_counted(const struct tokenizer *t,
                                       struct span text, struct tokens *out,
                                       uint64_t *steps, struct err *err);

/* The id of a control token by its text, such as "<|im_start|>"; -1 if none. */
int tokenizer_control(const struct tokenizer *t, const char *text);

/* The bytes of a token, borrowed until tokenizer_free(); a part of a UTF-8
 * sequence is possible. Control tokens give an empty span. */
struct span tokenizer_piece(const struct tokenizer *t, int token);

int tokenizer_vocab(const struct tokenizer *t);
int tokenizer_bos(const struct tokenizer *t); /* -1 if none */
int tokenizer_eos(const struct tokenizer *t); /* -1 if none */
/* What goes before the first text of a sequence: bos, or -1 for nothing. */
int tokenizer_opening(const struct tokenizer *t);
bool tokenizer_is_control(const struct tokenizer *t, int token);
/* Ends a turn or a text: eos, eot, eom and their likes. */
bool tokenizer_is_end(const struct tokenizer *t, int token);

/* What the grammar asks of the vocabulary; borrowed until tokenizer_free(). */
const struct token_index *tokenizer_index(const struct tokenizer *t);

MUST_USE bool tokens_push(struct tokens *list, int token, struct err *err);
MUST_USE bool tokens_append(struct tokens *list, const int *at, size_t count,
                            struct err *err);
void tokens_free(struct tokens *list);

#endif
