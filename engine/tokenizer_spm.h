/* tokenizer_spm.h - SentencePiece's BPE, as in Llama 2 and TinyLlama: every
 * token has a score, characters merge while a better token can be made, and
 * what has no token is spelled in bytes. A part of a tokenizer. */
#ifndef CORRAL_ENGINE_TOKENIZER_SPM_H
#define CORRAL_ENGINE_TOKENIZER_SPM_H

#include "engine/tokenizer_merge.h"
#include "engine/tokenizer_vocab.h"

struct spm {
    const struct vocab *vocab;
    bool space_prefix;
    uint32_t *ranks; /* (vocab) best score first; equal scores, equal ranks */
    uint64_t *whole; /* bits: a run with this token's bytes is this token */
    uint64_t *inner; /* bits by a hash of two characters: beside each other
                      * within some token, perhaps */
    int byte_ids[256];
};

/* A token's text to its bytes: U+2581 stands for a blank. */
vocab_decode spm_decode;

/* Fill a zeroed `s`, which borrows `vocab`. Clear it on failure too. */
MUST_USE bool spm_init(struct spm *s, const struct vocab *vocab,
                       const struct vocabulary *from, struct err *err);
void spm_clear(struct spm *s);

/* Append the ids of `text`; with `first` those of a text's beginning, which
 * has a blank before it where the vocabulary says so. On failure `out` may
 * have some of them. */
MUST_USE bool spm_encode(const struct spm *s, struct merge_run *run,
                         struct span text, bool first, struct tokens *out,
                         struct err *err);

#endif
