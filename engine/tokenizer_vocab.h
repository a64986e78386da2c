/* tokenizer_vocab.h - the tokens of one vocabulary: their bytes, their types,
 * the names of the control tokens, and a table that finds a token by its
 * bytes. A part of a tokenizer; read-only once it is made. */
#ifndef CORRAL_ENGINE_TOKENIZER_VOCAB_H
#define CORRAL_ENGINE_TOKENIZER_VOCAB_H

#include "engine/tokenizer.h"

struct vocab_slot {
    uint32_t tag; /* of the hash, so that few texts are compared */
    int token;    /* -1: empty */
};

struct vocab {
    int count;
    char *text;               /* the bytes of all tokens, one after the other */
    uint32_t *text_begin;     /* (count + 1) */
    unsigned char *types;     /* enum token_type */
    unsigned char *ends;      /* ends a turn or a text */
    struct vocab_slot *table; /* normal tokens, open addressing */
    size_t table_size;
    size_t piece_bytes_max;     /* of a normal token */
    struct span *control_names; /* (control_count), in `control_text` */
    int *control_ids;
    int control_count;
    char *control_text;
};

/* A token's text as a file has it to the bytes it stands for, at most as
 * many, at `out`. False when it stands for none. */
typedef bool vocab_decode(struct span text, char *out, size_t *size);

/* Fill a zeroed `v`. Two normal tokens with the same bytes are ERR_INPUT: no
 * text could tell which one is meant. Clear it on failure too. */
MUST_USE bool vocab_init(struct vocab *v, const struct vocabulary *from,
                         vocab_decode *decode, struct err *err);
void vocab_clear(struct vocab *v);

/* The normal token with these bytes; -1 if none. */
int vocab_find(const struct vocab *v, struct span piece);

static inline struct span vocab_piece(const struct vocab *v, int token) {
    if (token < 0 || token >= v->count) return (struct span){"", 0};
    return (struct span){v->text + v->text_begin[token],
                         v->text_begin[token + 1] - v->text_begin[token]};
}

static inline bool vocab_is_normal(const struct vocab *v, int token) {
    return v->types[token] == TOKEN_NORMAL && vocab_piece(v, token).size > 0;
}

/* Nothing that stands for text. */
static inline bool vocab_is_control(const struct vocab *v, int token) {
    return v->types[token] == TOKEN_UNKNOWN ||
           v->types[token] == TOKEN_CONTROL || v->types[token] == TOKEN_UNUSED;
}

/* How many slots a table of `count` things has, and where one whose hash is
 * `hash` is looked for first. */
static inline size_t vocab_table_size(size_t count) {
    return count + count / 2 + 8;
}

static inline size_t vocab_table_slot(uint64_t hash, size_t size) {
    return (size_t)((hash >> 32) * size >> 32);
}

#endif
