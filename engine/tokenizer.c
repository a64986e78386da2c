#include "engine/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_spm.h"
#include "engine/tokenizer_vocab.h"

struct tokenizer {
    enum tokenizer_kind kind;
    struct vocab vocab;
    struct bpe bpe; /* of the two, the one that `kind` names */
    struct spm spm;
    int bos;
    int eos;
    bool add_bos;
    struct token_index *index;
};

/* ---- lists of tokens ---- */

bool tokens_append(struct tokens *list, const int *at, size_t count,
                   struct err *err) {
    size_t limit = list->limit ? list->limit : SIZE_MAX / sizeof(int) / 2;

    if (count == 0) return true;
    if (list->count > limit || count > limit - list->count)
        return err_set(err, ERR_LIMIT, "past %zu tokens", limit);
    if (list->count + count > list->capacity) {
        size_t capacity = list->capacity ? list->capacity : 64;

        while (capacity < list->count + count) capacity *= 2;
        list->at = xrealloc_array(list->at, capacity, sizeof *list->at);
        list->capacity = capacity;
    }
    memcpy(list->at + list->count, at, count * sizeof *at);
    list->count += count;
    return true;
}

bool tokens_push(struct tokens *list, int token, struct err *err) {
    return tokens_append(list, &token, 1, err);
}

void tokens_free(struct tokens *list) {
    free(list->at);
    *list = (struct tokens){.limit = list->limit};
}

/* ---- making ---- */

static bool load_kind(struct tokenizer *t, const struct vocabulary *v,
                      struct err *err) {
    switch (v->kind) {
    case TOKENIZER_BPE:
        return vocab_init(&t->vocab, v, bpe_decode, err) &&
               bpe_init(&t->bpe, &t->vocab, v, err);
    case TOKENIZER_SPM:
        return vocab_init(&t->vocab, v, spm_decode, err) &&
               spm_init(&t->spm, &t->vocab, v, err);
    }
    return err_set(err, ERR_INTERNAL, "no such tokenizer");
}

static struct span index_piece(const void *user, int token) {
    return tokenizer_piece(user, token);
}

static bool index_is_end(const void *user, int token) {
    return tokenizer_is_end(user, token);
}

static struct token_index *make_index(const struct tokenizer *t) {
    return token_index_new(
        &(struct token_list){index_piece, index_is_end, t, t->vocab.count});
}

struct tokenizer *tokenizer_from_vocabulary(const struct vocabulary *v,
                                            struct err *err) {
    struct tokenizer *t = xalloc(sizeof *t);

    t->kind = v->kind;
    if (!load_kind(t, v, err)) {
        tokenizer_free(t);
        return NULL;
    }
    t->bos = v->bos;
    t->eos = v->eos;
    t->add_bos = v->add_bos;
    t->index = make_index(t);
    return t;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    token_index_free(t->index);
    spm_clear(&t->spm);
    bpe_clear(&t->bpe);
    vocab_clear(&t->vocab);
    free(t);
}

/* ---- encoding ---- */

static bool encode(const struct tokenizer *t, struct span text, bool first,
                   struct tokens *out, uint64_t *steps, struct err *err) {
    struct merge_run run = {0};
    size_t before = out->count;
    bool ok;

    if (text.size > TOKENIZER_TEXT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "text past %d bytes",
                       TOKENIZER_TEXT_BYTES_MAX);
    ok = t->kind == TOKENIZER_SPM
             ? spm_encode(&t->spm, &run, text, first, out, err)
             : bpe_encode(&t->bpe, &run, text, out, err);
    if (!ok) out->count = before;
    *steps += run.steps;
    merge_clear(&run);
    return ok;
}

bool tokenizer_encode(const struct tokenizer *t, struct span text,
                      struct tokens *out, struct err *err) {
    uint64_t steps = 0;

    return encode(t, text, false, out, &steps, err);
}

bool tokenizer_encode_first(const struct tokenizer *t, struct span text,
                            struct tokens *out, struct err *err) {
    uint64_t steps = 0;

    return encode(t, text, true, out, &steps, err);
}

bool tokenizer_encode_counted(const struct tokenizer *t, struct span text,
                              struct tokens *out, uint64_t *steps,
                              struct err *err) {
    return encode(t, text, false, out, steps, err);
}

/* ---- looking up ---- */

int tokenizer_control(const struct tokenizer *t, const char *text) {
    const struct vocab *v = &t->vocab;

    for (int i = 0; i < v->control_count; i++)
        if (span_is(v->control_names[i], text)) return v->control_ids[i];
    return -1;
}

struct span tokenizer_piece(const struct tokenizer *t, int token) {
    return vocab_piece(&t->vocab, token);
}

int tokenizer_vocab(const struct tokenizer *t) {
    return t->vocab.count;
}

int tokenizer_bos(const struct tokenizer *t) {
    return t->bos;
}

int tokenizer_eos(const struct tokenizer *t) {
    return t->eos;
}

int tokenizer_opening(const struct tokenizer *t) {
    return t->add_bos ? t->bos : -1;
}

bool tokenizer_is_control(const struct tokenizer *t, int token) {
    return token >= 0 && token < t->vocab.count &&
           vocab_is_control(&t->vocab, token);
}

bool tokenizer_is_end(const struct tokenizer *t, int token) {
    return token >= 0 && token < t->vocab.count && t->vocab.ends[token];
}

const struct token_index *tokenizer_index(const struct tokenizer *t) {
    return t->index;
}
