#include "engine/tokenizer_bpe.h"

#include <stdlib.h>

#include "base/utf8.h"

/* ---- the byte alphabet of GPT-2 ---- */

/* Printable Latin-1 stands for itself, the other bytes, in order, for the
 * points from U+0100 on. -1 for a point that stands for no byte. */
static int alphabet_byte(uint32_t point) {
    if ((point >= 33 && point < 127) ||
        (point >= 161 && point < 256 && point != 173))
        return (int)point;
    if (point >= 256 && point < 256 + 33) return (int)(point - 256);
    if (point >= 289 && point < 289 + 34) return (int)(point - 289 + 127);
    return point == 323 ? 173 : -1;
}

bool bpe_decode(struct span text, char *out, size_t *size) {
    size_t at = 0;

    *size = 0;
    while (at < text.size) {
        uint32_t point;
        int byte;

        at += utf8_decode(span_slice(text, at, text.size), &point, NULL);
        byte = alphabet_byte(point);
        if (byte < 0) return false;
        out[(*size)++] = (char)byte;
    }
    return true;
}

/* ---- pairs ---- */

static struct bpe_merge *pair_slot(const struct bpe *b, int left, int right) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t at;

    key *= 0x9E3779B97F4A7C15ull;
    key ^= key >> 32;
    at = vocab_table_slot(key * 0x9E3779B97F4A7C15ull, b->table_size);
    while (b->table[at].left >= 0 &&
           (b->table[at].left != left || b->table[at].right != right))
        if (++at == b->table_size) at = 0;
    return &b->table[at];
}

static uint32_t pair_rank(const void *rules, const struct symbol *left,
                          const struct symbol *right, int *merged) {
    const struct bpe_merge *pair = pair_slot(rules, left->token, right->token);

    if (pair->left < 0) return MERGE_NEVER;
    *merged = pair->merged;
    return pair->rank;
}

static bool load_merge(struct bpe *b, struct span text, uint32_t rank,
                       struct err *err) {
    char bytes[2 * TOKENIZER_PIECE_BYTES_MAX];
    size_t cut = span_find(text, span_of(" ")), left, right;
    struct bpe_merge merge = {.rank = rank}, *slot;

    /* Both halves fit: a size past one piece cannot be a token's. */
    if (cut >= text.size || cut > TOKENIZER_PIECE_BYTES_MAX ||
        text.size - cut - 1 > TOKENIZER_PIECE_BYTES_MAX ||
        !bpe_decode(span_slice(text, 0, cut), bytes, &left) ||
        !bpe_decode(span_slice(text, cut + 1, text.size), bytes + left,
                    &right) ||
        left == 0 || right == 0)
        return err_set(err, ERR_INPUT, "merge %u: not two tokens", rank);
    merge.left = vocab_find(b->vocab, (struct span){bytes, left});
    merge.right = vocab_find(b->vocab, (struct span){bytes + left, right});
    merge.merged = vocab_find(b->vocab, (struct span){bytes, left + right});
    if (merge.left < 0 || merge.right < 0 || merge.merged < 0)
        return err_set(err, ERR_INPUT,
                       "merge %u: of a token that is not in the vocabulary",
                       rank);
    slot = pair_slot(b, merge.left, merge.right);
    if (slot->left >= 0)
        return err_set(err, ERR_INPUT, "merge %u: the same as merge %u", rank,
                       slot->rank);
    *slot = merge;
    return true;
}

static bool load_merges(struct bpe *b, const struct vocabulary *from,
                        struct err *err) {
    if (from->merge_count > TOKENIZER_MERGES_MAX)
        return err_set(err, ERR_LIMIT, "past %d merges", TOKENIZER_MERGES_MAX);
    b->table_size = vocab_table_size(from->merge_count);
    b->table = xalloc_array(b->table_size, sizeof *b->table);
    for (size_t i = 0; i < b->table_size; i++) b->table[i].left = -1;
    for (size_t i = 0; i < from->merge_count; i++)
        if (!load_merge(b, from->merges[i], (uint32_t)i, err)) return false;
    return true;
}

/* ---- encoding ---- */

static void merge_piece(const struct bpe *b, struct merge_run *run,
                        struct span piece) {
    merge_begin(run, piece.size);
    for (size_t i = 0; i < piece.size; i++) {
        int id = b->byte_ids[(unsigned char)piece.at[i]];

        if (id >= 0) merge_add(run, id, i, i + 1);
    }
    merge_all(run, pair_rank, b);
}

static bool encode_piece(const struct bpe *b, struct merge_run *run,
                         struct span piece, struct tokens *out,
                         struct err *err) {
    int id;

    if (piece.size > TOKENIZER_RUN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%zu bytes without a break, past %d",
                       piece.size, TOKENIZER_RUN_BYTES_MAX);
    id = vocab_find(b->vocab, piece);
    if (id >= 0 && b->whole[id / 64] >> (id % 64) & 1)
        return tokens_push(out, id, err);
    merge_piece(b, run, piece);
    if (run->count == 0) return true;
    for (int i = 0; i >= 0; i = run->symbols[i].next)
        if (!tokens_push(out, run->symbols[i].token, err)) return false;
    return true;
}

bool bpe_encode(const struct bpe *b, struct merge_run *run, struct span text,
                struct tokens *out, struct err *err) {
    size_t at = 0;

    while (at < text.size) {
        size_t seen, end = pretokenizer_end(b->pre, text, at, &seen);

        run->steps += seen - at;
        if (!encode_piece(b, run, span_slice(text, at, end), out, err))
            return false;
        at = end;
    }
    return true;
}

/* ---- making ---- */

/* Llama 3 emits a piece that is a token as it is; the others emit what the
 * merges lead to. Most of their tokens lead to themselves, and knowing which
 * spares most pieces the merging. */
static void load_whole(struct bpe *b) {
    bool always = b->pre == PRETOKENIZER_LLAMA_BPE;
    struct merge_run run = {0};

    b->whole = xalloc_array((size_t)b->vocab->count / 64 + 1, sizeof *b->whole);
    for (int id = 0; id < b->vocab->count; id++) {
        if (!vocab_is_normal(b->vocab, id)) continue;
        if (!always) {
            merge_piece(b, &run, vocab_piece(b->vocab, id));
            if (run.count == 0 || run.symbols[0].token != id) continue;
        }
        b->whole[id / 64] |= 1ull << (id % 64);
    }
    merge_clear(&run);
}

bool bpe_init(struct bpe *b, const struct vocab *vocab,
              const struct vocabulary *from, struct err *err) {
    b->vocab = vocab;
    if (!pretokenizer_named(from->pre, &b->pre))
        return err_set(err, ERR_UNSUPPORTED,
                       "pre-tokenizer `%.*s` is not known",
                       (int)(from->pre.size < 40 ? from->pre.size : 40),
                       from->pre.size ? from->pre.at : "");
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;

        b->byte_ids[byte] = vocab_find(vocab, (struct span){&c, 1});
    }
    if (!load_merges(b, from, err)) return false;
    load_whole(b);
    return true;
}

void bpe_clear(struct bpe *b) {
    free(b->whole);
    free(b->table);
    *b = (struct bpe){0};
}
