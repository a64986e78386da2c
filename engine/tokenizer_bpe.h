/* tokenizer_bpe.h - byte-level BPE: text is cut into pieces, and the bytes of
 * a piece merge by a list of pairs. A part of a tokenizer. */
#ifndef CORRAL_ENGINE_TOKENIZER_BPE_H
#define CORRAL_ENGINE_TOKENIZER_BPE_H

#include "engine/pretokenizer.h"
#include "engine/tokenizer_merge.h"
#include "engine/tokenizer_vocab.h"

/* left and right beside each other become `merged`; low ranks go first. */
struct bpe_merge {
    int left; /* -1: an empty slot */
    int right;
    int merged;
    uint32_t rank;
};

struct bpe {
    const struct vocab *vocab;
    enum pretokenizer pre;
    int byte_ids[256];       /* -1: the vocabulary lacks that byte */
    struct bpe_merge *table; /* open addressing by (left, right) */
    size_t table_size;
    uint64_t *whole; /* bits: a piece with this token's bytes is this token */
};

/* A token's text in the byte alphabet of GPT-2 to its bytes. */
vocab_decode bpe_decode;

/* Fill a zeroed `b`, which borrows `vocab`. Clear it on failure too. */
MUST_USE bool bpe_init(struct bpe *b, const struct vocab *vocab,
                       const struct vocabulary *from, struct err *err);
void bpe_clear(struct bpe *b);

/* Append the ids of `text`. On failure `out` may have some of them. */
MUST_USE bool bpe_encode(const struct bpe *b, struct merge_run *run,
                         struct span text, struct tokens *out, struct err *err);

#endif
