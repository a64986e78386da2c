#include "engine/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "engine/grammar_string.h"
#include "engine/pretokenizer.h"

/* left and right beside each other become `merged`; low ranks go first. */
struct merge {
    int left; /* -1: an empty slot */
    int right;
    int merged;
    int rank;
};

struct tokenizer {
    enum pretokenizer pre;
    bool ignore_merges; /* a whole piece that is a token needs no merging */
    int vocab;
    int bos;
    int eos;
    char *text;         /* the bytes of all tokens, one after the other */
    size_t *text_begin; /* (vocab + 1) */
    unsigned char *types;
    unsigned char *ends;        /* ends a turn or a text */
    struct span *control_names; /* (control_count), in `control_text` */
    int *control_ids;
    int control_count;
    char *control_text;
    int byte_ids[256]; /* -1: the vocabulary lacks that byte */
    int *piece_table;  /* open addressing by the bytes; -1 empty */
    size_t piece_mask;
    struct merge *merge_table; /* open addressing by (left, right) */
    size_t merge_mask;
    struct token_strings strings;
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

/* A token's text in the alphabet to raw bytes at `out`, which has room for
 * as many bytes as the text. False when it is not in the alphabet. */
static bool alphabet_decode(struct span text, char *out, size_t *size) {
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

/* ---- tables ---- */

static size_t table_size(size_t count) {
    size_t size = 64;

    while (size < count * 2) size *= 2;
    return size;
}

/* The slot of `s`: its token, or the empty one where it would go. */
static size_t piece_slot(const struct tokenizer *t, struct span s) {
    size_t slot = hash_fnv1a(HASH_FNV1A_START, s) & t->piece_mask;

    while (t->piece_table[slot] >= 0 &&
           !span_equal(tokenizer_piece(t, t->piece_table[slot]), s))
        slot = (slot + 1) & t->piece_mask;
    return slot;
}

static int piece_id(const struct tokenizer *t, struct span s) {
    return t->piece_table[piece_slot(t, s)];
}

static size_t merge_slot(const struct tokenizer *t, int left, int right) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot;

    key *= 0x9E3779B97F4A7C15ull; /* Fibonacci hashing */
    slot = (size_t)(key >> 20) & t->merge_mask;
    while (t->merge_table[slot].left >= 0 &&
           (t->merge_table[slot].left != left ||
            t->merge_table[slot].right != right))
        slot = (slot + 1) & t->merge_mask;
    return slot;
}

static bool token_text(struct tokenizer *t, const struct vocabulary *v, int id,
                       size_t *used, struct err *err) {
    struct span text = v->tokens[id];
    int32_t type = v->types ? v->types[id] : TOKEN_NORMAL;
    size_t size = 0;

    if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
        return err_set(err, ERR_INPUT, "token %d: unknown type %d", id, type);
    if (text.size > TOKENIZER_PIECE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "token %d: past %d bytes", id,
                       TOKENIZER_PIECE_BYTES_MAX);
    t->types[id] = (unsigned char)type;
    t->text_begin[id] = *used;
    if (type == TOKEN_NORMAL) {
        if (!alphabet_decode(text, t->text + *used, &size))
            return err_set(err, ERR_INPUT, "token %d: not in the byte alphabet",
                           id);
    } else if (type == TOKEN_USER_DEFINED && text.size) {
        size = text.size;
        memcpy(t->text + *used, text.at, size);
    }
    *used += size;
    t->text_begin[id + 1] = *used;
    return true;
}

static bool load_texts(struct tokenizer *t, const struct vocabulary *v,
                       struct err *err) {
    size_t total = 0, used = 0;

    for (size_t i = 0; i < v->token_count; i++) {
        if (v->tokens[i].size > TOKENIZER_TEXT_BYTES_MAX - total)
            return err_set(err, ERR_LIMIT, "vocabulary past %d bytes",
                           TOKENIZER_TEXT_BYTES_MAX);
        total += v->tokens[i].size;
    }
    t->text = xalloc(total + 1);
    t->text_begin = xalloc_array(v->token_count + 1, sizeof *t->text_begin);
    t->types = xalloc_array(v->token_count, 1);
    t->ends = xalloc_array(v->token_count, 1);
    for (int id = 0; id < t->vocab; id++)
        if (!token_text(t, v, id, &used, err)) return false;
    return true;
}

/* Normal tokens by their bytes; of two with the same bytes the first counts. */
static void load_pieces(struct tokenizer *t) {
    size_t size = table_size((size_t)t->vocab);

    t->piece_table = xalloc_array(size, sizeof *t->piece_table);
    memset(t->piece_table, 0xFF, size * sizeof *t->piece_table);
    t->piece_mask = size - 1;
    for (int id = 0; id < t->vocab; id++) {
        struct span s = tokenizer_piece(t, id);
        size_t slot;

        if (t->types[id] != TOKEN_NORMAL || s.size == 0) continue;
        slot = piece_slot(t, s);
        if (t->piece_table[slot] < 0) t->piece_table[slot] = id;
    }
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;

        t->byte_ids[byte] = piece_id(t, (struct span){&c, 1});
    }
}

static bool load_merge(struct tokenizer *t, struct span text, int rank,
                       struct err *err) {
    char bytes[2 * TOKENIZER_PIECE_BYTES_MAX];
    size_t cut = span_find(text, span_of(" ")), left_size, right_size, slot;
    struct merge merge = {.rank = rank};

    /* Both halves fit: a size past one piece cannot be a token's. */
    if (cut >= text.size || cut > TOKENIZER_PIECE_BYTES_MAX ||
        text.size - cut - 1 > TOKENIZER_PIECE_BYTES_MAX ||
        !alphabet_decode(span_slice(text, 0, cut), bytes, &left_size) ||
        !alphabet_decode(span_slice(text, cut + 1, text.size),
                         bytes + left_size, &right_size))
        return err_set(err, ERR_INPUT, "merge %d: not two tokens", rank);
    merge.left = piece_id(t, (struct span){bytes, left_size});
    merge.right = piece_id(t, (struct span){bytes + left_size, right_size});
    merge.merged = piece_id(t, (struct span){bytes, left_size + right_size});
    if (merge.left < 0 || merge.right < 0 || merge.merged < 0)
        return err_set(err, ERR_INPUT,
                       "merge %d: of a token that is not in "
                       "the vocabulary",
                       rank);
    slot = merge_slot(t, merge.left, merge.right);
    if (t->merge_table[slot].left < 0) t->merge_table[slot] = merge;
    return true;
}

static bool load_merges(struct tokenizer *t, const struct vocabulary *v,
                        struct err *err) {
    size_t size = table_size(v->merge_count);

    t->merge_table = xalloc_array(size, sizeof *t->merge_table);
    t->merge_mask = size - 1;
    for (size_t i = 0; i < size; i++) t->merge_table[i].left = -1;
    for (size_t i = 0; i < v->merge_count; i++)
        if (!load_merge(t, v->merges[i], (int)i, err)) return false;
    return true;
}

/* Control names are kept apart from the texts: a control token has no text,
 * so nothing that decodes or matches text can meet its name. */
static void load_controls(struct tokenizer *t, const struct vocabulary *v) {
    size_t bytes = 0, used = 0;
    int count = 0;

    for (int id = 0; id < t->vocab; id++) {
        if (!tokenizer_is_control(t, id)) continue;
        bytes += v->tokens[id].size;
        count++;
    }
    t->control_text = xalloc(bytes + 1);
    t->control_names = xalloc_array((size_t)count + 1, sizeof(struct span));
    t->control_ids = xalloc_array((size_t)count + 1, sizeof(int));
    for (int id = 0; id < t->vocab; id++) {
        struct span name = v->tokens[id];

        if (!tokenizer_is_control(t, id)) continue;
        if (name.size) memcpy(t->control_text + used, name.at, name.size);
        t->control_names[t->control_count] =
            (struct span){t->control_text + used, name.size};
        t->control_ids[t->control_count++] = id;
        used += name.size;
    }
}

static bool special_id(const struct tokenizer *t, const char *name, int id,
                       struct err *err) {
    if (id < -1 || id >= t->vocab)
        return err_set(err, ERR_INPUT, "%s id %d is not in the vocabulary",
                       name, id);
    return true;
}

static bool load_ends(struct tokenizer *t, const struct vocabulary *v,
                      struct err *err) {
    static const char *const names[] = {
        "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>",
        "<|im_end|>", "<|eot|>",    "<|eom|>",         "</s>"};
    const int ids[] = {v->eos, v->eot, v->eom};

    if (!special_id(t, "bos", v->bos, err) ||
        !special_id(t, "eos", v->eos, err) ||
        !special_id(t, "eot", v->eot, err) ||
        !special_id(t, "eom", v->eom, err))
        return false;
    t->bos = v->bos;
    t->eos = v->eos;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] >= 0) t->ends[ids[i]] = 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int id = tokenizer_control(t, names[i]);

        if (id >= 0) t->ends[id] = 1;
    }
    return true;
}

static int compare_pieces(const void *a, const void *b, void *context) {
    const struct tokenizer *t = context;
    int left = *(const int *)a, right = *(const int *)b;
    struct span s = tokenizer_piece(t, left), u = tokenizer_piece(t, right);
    size_t size = s.size < u.size ? s.size : u.size;
    int order = memcmp(s.at, u.at, size);

    if (order) return order;
    if (s.size != u.size) return s.size < u.size ? -1 : 1;
    return (left > right) - (left < right);
}

static size_t shared_bytes(struct span a, struct span b) {
    size_t same = 0;

    while (same < a.size && same < b.size && a.at[same] == b.at[same]) same++;
    return same;
}

static void list_init(struct token_list *list, int most) {
    list->tokens = xalloc_array((size_t)most, sizeof *list->tokens);
    list->shared = xalloc_array((size_t)most, sizeof *list->shared);
}

static void list_add(const struct tokenizer *t, struct token_list *list,
                     int token) {
    size_t i = list->count++;

    list->tokens[i] = token;
    if (i > 0)
        list->shared[i] = (uint16_t)shared_bytes(
            tokenizer_piece(t, list->tokens[i - 1]), tokenizer_piece(t, token));
}

/* Within a string, a token that ends it, or neither. */
static void sort_in(struct tokenizer *t, int token) {
    struct token_strings *strings = &t->strings;
    struct span piece = tokenizer_piece(t, token);
    int state = STRING_NEXT;
    size_t at = 0;

    if (piece.size > strings->piece_bytes_max)
        strings->piece_bytes_max = piece.size;
    while (at < piece.size) {
        int next =
            string_step((enum string_state)state, (unsigned char)piece.at[at]);

        if (next < 0) break;
        state = next;
        at++;
    }
    if (at == piece.size) {
        strings->inside[token / 64] |= 1ull << (token % 64);
        if (at > strings->inside_bytes_max) strings->inside_bytes_max = at;
    } else if (state == STRING_NEXT && piece.at[at] == '"') {
        list_add(t, &strings->leaving, token);
    }
}

static void load_strings(struct tokenizer *t) {
    struct token_strings *strings = &t->strings;
    int *order = xalloc_array((size_t)t->vocab, sizeof *order);
    size_t count = 0;

    for (int id = 0; id < t->vocab; id++)
        if (tokenizer_piece(t, id).size) order[count++] = id;
    qsort_r(order, count, sizeof *order, compare_pieces, t);
    list_init(&strings->all, t->vocab);
    list_init(&strings->leaving, t->vocab);
    strings->inside =
        xalloc_array((size_t)t->vocab / 64 + 1, sizeof *strings->inside);
    for (size_t i = 0; i < count; i++) {
        list_add(t, &strings->all, order[i]);
        sort_in(t, order[i]);
    }
    free(order);
}

struct tokenizer *tokenizer_from_vocabulary(const struct vocabulary *v,
                                            struct err *err) {
    struct tokenizer *t = xalloc(sizeof *t);

    if (!pretokenizer_named(v->pre, &t->pre)) {
        err_set(err, ERR_UNSUPPORTED, "pre-tokenizer `%.*s` is not known",
                (int)(v->pre.size < 40 ? v->pre.size : 40),
                v->pre.size ? v->pre.at : "");
        goto fail;
    }
    if (v->token_count == 0 || v->token_count > TOKENIZER_VOCAB_MAX ||
        v->merge_count > TOKENIZER_MERGES_MAX) {
        err_set(err, ERR_LIMIT, "vocabulary of %zu tokens and %zu merges",
                v->token_count, v->merge_count);
        goto fail;
    }
    t->vocab = (int)v->token_count;
    t->ignore_merges = t->pre == PRETOKENIZER_LLAMA_BPE;
    if (!load_texts(t, v, err)) goto fail;
    load_pieces(t);
    if (!load_merges(t, v, err)) goto fail;
    load_controls(t, v);
    if (!load_ends(t, v, err)) goto fail;
    load_strings(t);
    return t;

fail:
    tokenizer_free(t);
    return NULL;
}

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

struct tokenizer *tokenizer_new(const struct gguf *gguf, struct err *err) {
    struct vocabulary v = {
        .bos = gguf_special(gguf, "tokenizer.ggml.bos_token_id"),
        .eos = gguf_special(gguf, "tokenizer.ggml.eos_token_id"),
        .eot = gguf_special(gguf, "tokenizer.ggml.eot_token_id"),
        .eom = gguf_special(gguf, "tokenizer.ggml.eom_token_id"),
    };
    struct span *tokens = NULL, *merges = NULL;
    struct tokenizer *t = NULL;
    struct span kind = {0};
    int32_t *types = NULL;

    if (!gguf_string(gguf, "tokenizer.ggml.model", &kind) ||
        !span_is(kind, "gpt2")) {
        err_set(err, ERR_UNSUPPORTED,
                "tokenizer.ggml.model `%.*s` is not "
                "byte-level BPE",
                (int)(kind.size < 40 ? kind.size : 40),
                kind.size ? kind.at : "");
        goto out;
    }
    gguf_string(gguf, "tokenizer.ggml.pre", &v.pre);
    tokens = gguf_strings(gguf, "tokenizer.ggml.tokens", TOKENIZER_VOCAB_MAX,
                          &v.token_count, err);
    if (!tokens) goto out;
    merges = gguf_strings(gguf, "tokenizer.ggml.merges", TOKENIZER_MERGES_MAX,
                          &v.merge_count, err);
    if (!merges) goto out;
    types = xalloc_array(v.token_count + 1, sizeof *types);
    if (gguf_array_count(gguf, "tokenizer.ggml.token_type") != v.token_count ||
        !gguf_array_i32(gguf, "tokenizer.ggml.token_type", types,
                        v.token_count)) {
        err_set(err, ERR_INPUT,
                "tokenizer.ggml.token_type does not match the "
                "tokens");
        goto out;
    }
    v.tokens = tokens;
    v.types = types;
    v.merges = merges;
    t = tokenizer_from_vocabulary(&v, err);

out:
    free(types);
    free(merges);
    free(tokens);
    return t;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    free(t->strings.inside);
    free(t->strings.leaving.shared);
    free(t->strings.leaving.tokens);
    free(t->strings.all.shared);
    free(t->strings.all.tokens);
    free(t->merge_table);
    free(t->piece_table);
    free(t->control_ids);
    free(t->control_names);
    free(t->control_text);
    free(t->ends);
    free(t->types);
    free(t->text_begin);
    free(t->text);
    free(t);
}

/* ---- byte pairs ---- */

/* A piece being merged: a doubly linked list of symbols in one array. */
struct symbol {
    int id; /* -1: merged into the one before it */
    int previous;
    int next;
};

/* Two neighbours that may merge; stale when either has changed since. */
struct pair {
    int rank;
    int at; /* the left symbol */
    int left;
    int right;
    int merged;
};

/* Scratch of one tokenizer_encode(): grows to its longest piece. */
struct scratch {
    struct symbol *symbols;
    size_t symbol_capacity;
    struct pair *heap; /* lowest rank first, then leftmost */
    size_t heap_count;
    size_t heap_capacity;
};

static bool pair_before(const struct pair *a, const struct pair *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct scratch *s, struct pair pair) {
    size_t at = s->heap_count++;

    while (at > 0 && pair_before(&pair, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = pair;
}

static struct pair heap_pop(struct scratch *s) {
    struct pair top = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= s->heap_count) break;
        if (child + 1 < s->heap_count &&
            pair_before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!pair_before(&s->heap[child], &last)) break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

static void pair_offer(const struct tokenizer *t, struct scratch *s, int at) {
    int next = at < 0 ? -1 : s->symbols[at].next;
    const struct merge *m;

    if (next < 0) return;
    m = &t->merge_table[merge_slot(t, s->symbols[at].id, s->symbols[next].id)];
    if (m->left < 0) return;
    heap_push(s, (struct pair){m->rank, at, m->left, m->right, m->merged});
}

/* Each merge removes one symbol and offers two pairs, so the heap never holds
 * more than three times the symbols. */
static void scratch_reserve(struct scratch *s, size_t count) {
    if (count <= s->symbol_capacity) return;
    s->symbol_capacity = count * 2;
    s->heap_capacity = s->symbol_capacity * 3;
    s->symbols =
        xrealloc_array(s->symbols, s->symbol_capacity, sizeof *s->symbols);
    s->heap = xrealloc_array(s->heap, s->heap_capacity, sizeof *s->heap);
}

static void merge_all(const struct tokenizer *t, struct scratch *s) {
    while (s->heap_count > 0) {
        struct pair pair = heap_pop(s);
        struct symbol *left = &s->symbols[pair.at], *right;

        if (left->id != pair.left || left->next < 0) continue;
        right = &s->symbols[left->next];
        if (right->id != pair.right) continue;
        left->id = pair.merged;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0) s->symbols[left->next].previous = pair.at;
        pair_offer(t, s, left->previous);
        pair_offer(t, s, pair.at);
    }
}

static bool encode_piece(const struct tokenizer *t, struct scratch *s,
                         struct span piece, struct tokens *out,
                         struct err *err) {
    int whole = piece.size == 1 || t->ignore_merges ? piece_id(t, piece) : -1;
    int count = 0;

    if (whole >= 0) return tokens_push(out, whole, err);
    scratch_reserve(s, piece.size);
    for (size_t i = 0; i < piece.size; i++) {
        int id = t->byte_ids[(unsigned char)piece.at[i]];

        if (id < 0) continue;
        s->symbols[count] = (struct symbol){id, count - 1, count + 1};
        count++;
    }
    if (count == 0) return true;
    s->symbols[count - 1].next = -1;
    s->heap_count = 0;
    for (int i = 0; i < count - 1; i++) pair_offer(t, s, i);
    merge_all(t, s);
    for (int i = 0; i >= 0; i = s->symbols[i].next)
        if (!tokens_push(out, s->symbols[i].id, err)) return false;
    return true;
}

bool tokenizer_encode(const struct tokenizer *t, struct span text,
                      struct tokens *out, struct err *err) {
    struct scratch scratch = {0};
    size_t before = out->count, at = 0;
    bool ok = false;

    if (text.size > TOKENIZER_TEXT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "text past %d bytes",
                       TOKENIZER_TEXT_BYTES_MAX);
    while (at < text.size) {
        size_t end = pretokenizer_end(t->pre, text, at);

        if (!encode_piece(t, &scratch, span_slice(text, at, end), out, err))
            goto out;
        at = end;
    }
    ok = true;

out:
    if (!ok) out->count = before;
    free(scratch.heap);
    free(scratch.symbols);
    return ok;
}

/* ---- looking up ---- */

int tokenizer_control(const struct tokenizer *t, const char *text) {
    for (int i = 0; i < t->control_count; i++)
        if (span_is(t->control_names[i], text)) return t->control_ids[i];
    return -1;
}

struct span tokenizer_piece(const struct tokenizer *t, int token) {
    if (token < 0 || token >= t->vocab) return (struct span){"", 0};
    return (struct span){t->text + t->text_begin[token],
                         t->text_begin[token + 1] - t->text_begin[token]};
}

int tokenizer_vocab(const struct tokenizer *t) {
    return t->vocab;
}

int tokenizer_bos(const struct tokenizer *t) {
    return t->bos;
}

int tokenizer_eos(const struct tokenizer *t) {
    return t->eos;
}

bool tokenizer_is_control(const struct tokenizer *t, int token) {
    if (token < 0 || token >= t->vocab) return false;
    return t->types[token] != TOKEN_NORMAL &&
           t->types[token] != TOKEN_USER_DEFINED;
}

bool tokenizer_is_end(const struct tokenizer *t, int token) {
    return token >= 0 && token < t->vocab && t->ends[token];
}

const struct token_strings *tokenizer_strings(const struct tokenizer *t) {
    return &t->strings;
}
