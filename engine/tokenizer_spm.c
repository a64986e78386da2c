#include "engine/tokenizer_spm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Two characters to a bit: 32 KiB, sparse even for 128k tokens. */
enum { INNER_BITS = 18 };

/* U+2581, which SentencePiece writes for a blank. In a text it is one, too:
 * the reference cannot tell them apart. */
static const char BLANK[] = "\xE2\x96\x81";
enum { BLANK_SIZE = 3 };

bool spm_decode(struct span text, char *out, size_t *size) {
    size_t at = 0;

    *size = 0;
    while (at < text.size) {
        if (text.size - at >= BLANK_SIZE &&
            memcmp(text.at + at, BLANK, BLANK_SIZE) == 0) {
            out[(*size)++] = ' ';
            at += BLANK_SIZE;
        } else {
            out[(*size)++] = text.at[at++];
        }
    }
    return true;
}

/* ---- characters ---- */

/* The size of the character at `at`. A byte that belongs to no valid UTF-8 is
 * a character of its own, told from all others by its point. */
static size_t character(struct span text, size_t at, uint32_t *point) {
    unsigned char byte = (unsigned char)text.at[at];
    bool valid;
    size_t size;

    if (byte < 0x80) {
        *point = byte;
        return 1;
    }
    size = utf8_decode(span_slice(text, at, text.size), point, &valid);
    if (!valid) *point = 0x110000u + byte;
    return size;
}

static uint32_t inner_bit(uint32_t left, uint32_t right) {
    return (left * 0x9E3779B1u ^ right * 0x85EBCA77u) * 0xC2B2AE3Du >>
           (32 - INNER_BITS);
}

static bool is_inner(const struct spm *s, uint32_t left, uint32_t right) {
    uint32_t bit = inner_bit(left, right);

    return s->inner[bit / 64] >> (bit % 64) & 1;
}

/* Where the run that begins at `at` ends: one past. No token has these two
 * characters beside each other, so no merge crosses the cut. */
static size_t run_end(const struct spm *s, struct span text, size_t at) {
    uint32_t left, right;

    at += character(text, at, &left);
    while (at < text.size) {
        size_t size = character(text, at, &right);

        if (!is_inner(s, left, right)) break;
        left = right;
        at += size;
    }
    return at;
}

/* ---- encoding ---- */

struct rules {
    const struct spm *spm;
    const char *text; /* of the run */
};

static uint32_t pair_rank(const void *context, const struct symbol *left,
                          const struct symbol *right, int *merged) {
    const struct rules *r = context;

    *merged = vocab_find(r->spm->vocab,
                         (struct span){r->text + left->begin,
                                       (size_t)(right->end - left->begin)});
    return *merged < 0 ? MERGE_NEVER : r->spm->ranks[*merged];
}

static void merge_piece(const struct spm *s, struct merge_run *run,
                        struct span piece) {
    struct rules rules = {s, piece.at};
    uint32_t point;

    merge_begin(run, piece.size);
    for (size_t at = 0; at < piece.size;) {
        size_t size = character(piece, at, &point);

        merge_add(run, -1, at, at + size);
        at += size;
    }
    merge_all(run, pair_rank, &rules);
}

/* A character that no merge took: its token, or those of its bytes. */
static bool push_character(const struct spm *s, struct span c,
                           struct tokens *out, struct err *err) {
    int id = vocab_find(s->vocab, c);

    if (id >= 0) return tokens_push(out, id, err);
    for (size_t i = 0; i < c.size; i++)
        if (!tokens_push(out, s->byte_ids[(unsigned char)c.at[i]], err))
            return false;
    return true;
}

static bool encode_run(const struct spm *s, struct merge_run *run,
                       struct span piece, struct tokens *out, struct err *err) {
    int id;

    if (piece.size > TOKENIZER_RUN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%zu bytes without a break, past %d",
                       piece.size, TOKENIZER_RUN_BYTES_MAX);
    id = vocab_find(s->vocab, piece);
    if (id >= 0 && s->whole[id / 64] >> (id % 64) & 1)
        return tokens_push(out, id, err);
    merge_piece(s, run, piece);
    for (int i = 0; i >= 0; i = run->symbols[i].next) {
        const struct symbol *symbol = &run->symbols[i];
        bool ok = symbol->token >= 0
                      ? tokens_push(out, symbol->token, err)
                      : push_character(s,
                                       span_slice(piece, (size_t)symbol->begin,
                                                  (size_t)symbol->end),
                                       out, err);

        if (!ok) return false;
    }
    return true;
}

bool spm_encode(const struct spm *s, struct merge_run *run, struct span text,
                bool first, struct tokens *out, struct err *err) {
    bool prefix = first && s->space_prefix && text.size > 0;
    char *copy = xalloc(text.size + 2);
    struct span all = {copy, 0};
    bool ok = true;

    if (prefix) copy[0] = ' ';
    (void)spm_decode(text, copy + prefix, &all.size);
    all.size += prefix;
    run->steps += all.size;
    for (size_t at = 0; ok && at < all.size;) {
        size_t end = run_end(s, all, at);

        ok = encode_run(s, run, span_slice(all, at, end), out, err);
        at = end;
    }
    free(copy);
    return ok;
}

/* ---- making ---- */

static bool load_bytes(struct spm *s, struct err *err) {
    for (int byte = 0; byte < 256; byte++) s->byte_ids[byte] = -1;
    for (int id = 0; id < s->vocab->count; id++) {
        int *slot;

        if (s->vocab->types[id] != TOKEN_BYTE) continue;
        slot = &s->byte_ids[(unsigned char)vocab_piece(s->vocab, id).at[0]];
        if (*slot >= 0)
            return err_set(err, ERR_INPUT,
                           "token %d: the same byte as token "
                           "%d",
                           id, *slot);
        *slot = id;
    }
    for (int byte = 0; byte < 256; byte++)
        if (s->byte_ids[byte] < 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "the vocabulary has no token for byte 0x%02X", byte);
    return true;
}

static int compare_scores(const void *a, const void *b, void *scores) {
    const float *list = scores;
    float left = list[*(const int *)a], right = list[*(const int *)b];

    return (left < right) - (left > right);
}

static bool load_ranks(struct spm *s, const struct vocabulary *from,
                       struct err *err) {
    size_t count = from->token_count;
    float *scores;
    int *order;

    if (!from->scores)
        return err_set(err, ERR_INPUT, "the vocabulary has no scores");
    for (size_t i = 0; i < count; i++)
        if (!isfinite(from->scores[i]))
            return err_set(err, ERR_INPUT, "token %zu: its score is no number",
                           i);
    scores = xalloc_array(count, sizeof *scores);
    memcpy(scores, from->scores, count * sizeof *scores);
    order = xalloc_array(count, sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = (int)i;
    qsort_r(order, count, sizeof *order, compare_scores, scores);
    s->ranks = xalloc_array(count, sizeof *s->ranks);
    for (size_t i = 1; i < count; i++)
        s->ranks[order[i]] =
            s->ranks[order[i - 1]] + (scores[order[i]] != scores[order[i - 1]]);
    free(order);
    free(scores);
    return true;
}

static void load_inner(struct spm *s) {
    s->inner = xalloc_array((1 << INNER_BITS) / 64, sizeof *s->inner);
    for (int id = 0; id < s->vocab->count; id++) {
        struct span piece = vocab_piece(s->vocab, id);
        uint32_t left, right, bit;
        size_t at;

        if (!vocab_is_normal(s->vocab, id)) continue;
        at = character(piece, 0, &left);
        while (at < piece.size) {
            at += character(piece, at, &right);
            bit = inner_bit(left, right);
            s->inner[bit / 64] |= 1ull << (bit % 64);
            left = right;
        }
    }
}

static void load_whole(struct spm *s) {
    struct merge_run run = {0};

    s->whole = xalloc_array((size_t)s->vocab->count / 64 + 1, sizeof *s->whole);
    for (int id = 0; id < s->vocab->count; id++) {
        if (!vocab_is_normal(s->vocab, id)) continue;
        merge_piece(s, &run, vocab_piece(s->vocab, id));
        if (run.count == 1 || run.symbols[0].token == id)
            s->whole[id / 64] |= 1ull << (id % 64);
    }
    merge_clear(&run);
}

bool spm_init(struct spm *s, const struct vocab *vocab,
              const struct vocabulary *from, struct err *err) {
    s->vocab = vocab;
    s->space_prefix = from->space_prefix;
    /* SentencePiece writes no blanks, so which of two was meant? */
    for (int id = 0; id < vocab->count; id++)
        if (vocab_is_normal(vocab, id) &&
            span_find(from->tokens[id], span_of(" ")) != SIZE_MAX)
            return err_set(err, ERR_INPUT,
                           "token %d: a blank that is not U+2581", id);
    if (!load_bytes(s, err) || !load_ranks(s, from, err)) return false;
    load_inner(s);
    load_whole(s);
    return true;
}

void spm_clear(struct spm *s) {
    free(s->inner);
    free(s->whole);
    free(s->ranks);
    *s = (struct spm){0};
}
