#include "engine/tokenizer_vocab.h"

#include <stdlib.h>
#include <string.h>

/* ---- finding a token by its bytes ---- */

static uint64_t load(const char *at, size_t size) {
    uint64_t word = 0;

    memcpy(&word, at, size);
    return word;
}

/* Multiply and fold, eight bytes a turn; the loads of the tail overlap. */
static uint64_t hash_piece(struct span s) {
    const uint64_t odd = 0x9E3779B97F4A7C15ull;
    uint64_t hash = s.size * odd, tail;

    while (s.size > 8) {
        hash = (hash ^ load(s.at, 8)) * odd;
        hash ^= hash >> 29;
        s = (struct span){s.at + 8, s.size - 8};
    }
    if (s.size >= 4)
        tail = load(s.at, 4) | load(s.at + s.size - 4, 4) << 32;
    else
        tail = s.size == 0
                   ? 0
                   : (unsigned char)s.at[0] |
                         (uint64_t)(unsigned char)s.at[s.size / 2] << 8 |
                         (uint64_t)(unsigned char)s.at[s.size - 1] << 16;
    hash = (hash ^ tail) * odd;
    hash ^= hash >> 32;
    return hash * odd;
}

/* The slot of `s`: its token's, or the empty one where it would go. */
static struct vocab_slot *find_slot(const struct vocab *v, struct span s,
                                    uint64_t hash) {
    size_t at = vocab_table_slot(hash, v->table_size);

    while (v->table[at].token >= 0) {
        struct vocab_slot *slot = &v->table[at];

        if (slot->tag == (uint32_t)hash &&
            span_equal(vocab_piece(v, slot->token), s))
            break;
        if (++at == v->table_size) at = 0;
    }
    return &v->table[at];
}

int vocab_find(const struct vocab *v, struct span piece) {
    if (piece.size > v->piece_bytes_max) return -1;
    return find_slot(v, piece, hash_piece(piece))->token;
}

static bool load_table(struct vocab *v, struct err *err) {
    size_t count = 0;

    for (int id = 0; id < v->count; id++) count += vocab_is_normal(v, id);
    v->table_size = vocab_table_size(count);
    v->table = xalloc_array(v->table_size, sizeof *v->table);
    for (size_t i = 0; i < v->table_size; i++) v->table[i].token = -1;
    for (int id = 0; id < v->count; id++) {
        struct span piece = vocab_piece(v, id);
        uint64_t hash = hash_piece(piece);
        struct vocab_slot *slot;

        if (!vocab_is_normal(v, id)) continue;
        slot = find_slot(v, piece, hash);
        if (slot->token >= 0)
            return err_set(err, ERR_INPUT,
                           "token %d: the same text as token "
                           "%d",
                           id, slot->token);
        *slot = (struct vocab_slot){(uint32_t)hash, id};
        if (piece.size > v->piece_bytes_max) v->piece_bytes_max = piece.size;
    }
    return true;
}

/* ---- texts ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>", the name of a token for one byte. */
static bool byte_decode(struct span text, char *out) {
    int high, low;

    if (text.size != 6 || !span_starts(text, span_of("<0x")) ||
        text.at[5] != '>')
        return false;
    high = hex_digit(text.at[3]);
    low = hex_digit(text.at[4]);
    if (high < 0 || low < 0) return false;
    *out = (char)(high << 4 | low);
    return true;
}

static bool token_text(struct vocab *v, const struct vocabulary *from, int id,
                       vocab_decode *decode, struct err *err) {
    struct span text = from->tokens[id];
    int32_t type = from->types ? from->types[id] : TOKEN_NORMAL;
    char *out = v->text + v->text_begin[id];
    size_t size = 0;

    if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
        return err_set(err, ERR_INPUT, "token %d: unknown type %d", id, type);
    if (text.size > TOKENIZER_PIECE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "token %d: past %d bytes", id,
                       TOKENIZER_PIECE_BYTES_MAX);
    v->types[id] = (unsigned char)type;
    if (type == TOKEN_NORMAL) {
        if (!decode(text, out, &size))
            return err_set(err, ERR_INPUT,
                           "token %d: not in the vocabulary's alphabet", id);
    } else if (type == TOKEN_BYTE) {
        if (!byte_decode(text, out))
            return err_set(err, ERR_INPUT, "token %d: not a byte", id);
        size = 1;
    } else if (type == TOKEN_USER_DEFINED && text.size) {
        memcpy(out, text.at, size = text.size);
    }
    v->text_begin[id + 1] = v->text_begin[id] + (uint32_t)size;
    return true;
}

static bool load_texts(struct vocab *v, const struct vocabulary *from,
                       vocab_decode *decode, struct err *err) {
    size_t total = 0;

    for (size_t i = 0; i < from->token_count; i++) {
        if (from->tokens[i].size > TOKENIZER_TEXT_BYTES_MAX - total)
            return err_set(err, ERR_LIMIT, "vocabulary past %d bytes",
                           TOKENIZER_TEXT_BYTES_MAX);
        total += from->tokens[i].size;
    }
    v->text = xalloc(total + 1);
    v->text_begin = xalloc_array(from->token_count + 1, sizeof *v->text_begin);
    v->types = xalloc_array(from->token_count, 1);
    v->ends = xalloc_array(from->token_count, 1);
    for (int id = 0; id < v->count; id++)
        if (!token_text(v, from, id, decode, err)) return false;
    return true;
}

/* ---- control tokens ---- */

/* Control names are kept apart from the texts: a control token has no text,
 * so nothing that decodes or matches text can meet its name. */
static void load_controls(struct vocab *v, const struct vocabulary *from) {
    size_t bytes = 0, used = 0, count = 0;

    for (int id = 0; id < v->count; id++) {
        if (!vocab_is_control(v, id)) continue;
        bytes += from->tokens[id].size;
        count++;
    }
    v->control_text = xalloc(bytes + 1);
    v->control_names = xalloc_array(count + 1, sizeof(struct span));
    v->control_ids = xalloc_array(count + 1, sizeof(int));
    for (int id = 0; id < v->count; id++) {
        struct span name = from->tokens[id];

        if (!vocab_is_control(v, id)) continue;
        if (name.size) memcpy(v->control_text + used, name.at, name.size);
        v->control_names[v->control_count] =
            (struct span){v->control_text + used, name.size};
        v->control_ids[v->control_count++] = id;
        used += name.size;
    }
}

static bool load_ends(struct vocab *v, const struct vocabulary *from,
                      struct err *err) {
    static const char *const names[] = {
        "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>",
        "<|im_end|>", "<|eot|>",    "<|eom|>",         "</s>"};
    static const char *const keys[] = {"bos", "eos", "eot", "eom"};
    const int ids[] = {from->bos, from->eos, from->eot, from->eom};

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i] < -1 || ids[i] >= v->count)
            return err_set(err, ERR_INPUT, "%s id %d is not in the vocabulary",
                           keys[i], ids[i]);
        if (i > 0 && ids[i] >= 0) v->ends[ids[i]] = 1;
    }
    for (int i = 0; i < v->control_count; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (span_is(v->control_names[i], names[j]))
                v->ends[v->control_ids[i]] = 1;
    return true;
}

bool vocab_init(struct vocab *v, const struct vocabulary *from,
                vocab_decode *decode, struct err *err) {
    if (from->token_count == 0 || from->token_count > TOKENIZER_VOCAB_MAX)
        return err_set(err, ERR_LIMIT, "a vocabulary of %zu tokens",
                       from->token_count);
    v->count = (int)from->token_count;
    if (!load_texts(v, from, decode, err)) return false;
    if (!load_table(v, err)) return false;
    load_controls(v, from);
    return load_ends(v, from, err);
}

void vocab_clear(struct vocab *v) {
    free(v->control_text);
    free(v->control_ids);
    free(v->control_names);
    free(v->table);
    free(v->ends);
    free(v->types);
    free(v->text_begin);
    free(v->text);
    *v = (struct vocab){0};
}
