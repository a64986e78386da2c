/* tokenizer_gguf.c - the vocabulary in a model file. */
#include <stdlib.h>

#include "engine/tokenizer.h"

/* What a file's arrays become while a tokenizer is made of them. */
struct arrays {
    struct span *tokens;
    struct span *merges;
    int32_t *types;
    float *scores;
};

/* A special token's id; -1 when the file has none. */
static int gguf_special(const struct gguf *gguf, const char *key) {
    uint32_t id;

    if (!gguf_u32(gguf, key, &id)) return -1;
    return id < TOKENIZER_VOCAB_MAX ? (int)id : TOKENIZER_VOCAB_MAX;
}

static struct span *gguf_strings(const struct gguf *gguf, const char *key,
                                 size_t most, size_t *count, struct err *err) {
    struct span *list;

    *count = gguf_array_count(gguf, key);
    if (*count > most) {
        err_set(err, ERR_LIMIT, "%s: past %zu elements", key, most);
        return NULL;
    }
    list = xalloc_array(*count + 1, sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        if (gguf_array_string(gguf, key, i, &list[i])) continue;
        err_set(err, ERR_INPUT, "%s: not an array of strings", key);
        free(list);
        return NULL;
    }
    return list;
}

static bool read_tokens(const struct gguf *gguf, struct arrays *a,
                        struct vocabulary *v, struct err *err) {
    a->tokens = gguf_strings(gguf, "tokenizer.ggml.tokens", TOKENIZER_VOCAB_MAX,
                             &v->token_count, err);
    if (!a->tokens) return false;
    a->types = xalloc_array(v->token_count + 1, sizeof *a->types);
    if (gguf_array_count(gguf, "tokenizer.ggml.token_type") != v->token_count ||
        !gguf_array_i32(gguf, "tokenizer.ggml.token_type", a->types,
                        v->token_count))
        return err_set(err, ERR_INPUT,
                       "tokenizer.ggml.token_type does not match the tokens");
    v->tokens = a->tokens;
    v->types = a->types;
    return true;
}

static bool read_bpe(const struct gguf *gguf, struct arrays *a,
                     struct vocabulary *v, struct err *err) {
    gguf_string(gguf, "tokenizer.ggml.pre", &v->pre);
    a->merges = gguf_strings(gguf, "tokenizer.ggml.merges",
                             TOKENIZER_MERGES_MAX, &v->merge_count, err);
    v->merges = a->merges;
    v->add_bos = span_is(v->pre, "llama-bpe");
    return a->merges != NULL;
}

/* The file cannot say how SentencePiece is to rewrite a text before it looks
 * at it, except in these two ways, which Llama's vocabularies do not use. */
static bool read_spm(const struct gguf *gguf, struct arrays *a,
                     struct vocabulary *v, struct err *err) {
    bool squeeze = false;

    v->space_prefix = true;
    v->add_bos = true;
    gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &v->space_prefix);
    gguf_bool(gguf, "tokenizer.ggml.remove_extra_whitespaces", &squeeze);
    if (squeeze ||
        gguf_array_count(gguf, "tokenizer.ggml.precompiled_charsmap") > 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "a tokenizer that rewrites its text");
    a->scores = xalloc_array(v->token_count + 1, sizeof *a->scores);
    if (gguf_array_count(gguf, "tokenizer.ggml.scores") != v->token_count ||
        !gguf_array_f32(gguf, "tokenizer.ggml.scores", a->scores,
                        v->token_count))
        return err_set(err, ERR_INPUT,
                       "tokenizer.ggml.scores does not match the tokens");
    v->scores = a->scores;
    return true;
}

static bool read_kind(const struct gguf *gguf, enum tokenizer_kind *out,
                      struct err *err) {
    struct span kind = {0};

    gguf_string(gguf, "tokenizer.ggml.model", &kind);
    *out = span_is(kind, "llama") ? TOKENIZER_SPM : TOKENIZER_BPE;
    if (*out == TOKENIZER_SPM || span_is(kind, "gpt2")) return true;
    return err_set(
        err, ERR_UNSUPPORTED, "tokenizer.ggml.model `%.*s` is not known",
        (int)(kind.size < 40 ? kind.size : 40), kind.size ? kind.at : "");
}

struct tokenizer *tokenizer_new(const struct gguf *gguf, struct err *err) {
    struct vocabulary v = {
        .bos = gguf_special(gguf, "tokenizer.ggml.bos_token_id"),
        .eos = gguf_special(gguf, "tokenizer.ggml.eos_token_id"),
        .eot = gguf_special(gguf, "tokenizer.ggml.eot_token_id"),
        .eom = gguf_special(gguf, "tokenizer.ggml.eom_token_id"),
    };
    struct arrays a = {0};
    struct tokenizer *t = NULL;

    if (!read_kind(gguf, &v.kind, err) || !read_tokens(gguf, &a, &v, err))
        goto out;
    if (v.kind == TOKENIZER_SPM ? !read_spm(gguf, &a, &v, err)
                                : !read_bpe(gguf, &a, &v, err))
        goto out;
    gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &v.add_bos);
    t = tokenizer_from_vocabulary(&v, err);

out:
    free(a.scores);
    free(a.types);
    free(a.merges);
    free(a.tokens);
    return t;
}
