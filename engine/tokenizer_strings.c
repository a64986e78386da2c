#include "engine/tokenizer_strings.h"

#include <stdlib.h>
#include <string.h>

#include "engine/grammar_string.h"

/* A token and how its bytes begin, so that few texts are compared. */
struct sorted {
    uint64_t head; /* the first eight bytes, the first the highest */
    struct span piece;
    int token;
};

static uint64_t head_of(struct span piece) {
    uint64_t head = 0;

    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < piece.size ? (unsigned char)piece.at[i] : 0);
    return head;
}

static int compare(const void *a, const void *b) {
    const struct sorted *left = a, *right = b;
    struct span s = left->piece, u = right->piece;
    int order;

    if (left->head != right->head) return left->head < right->head ? -1 : 1;
    order = memcmp(s.at, u.at, s.size < u.size ? s.size : u.size);
    if (order) return order;
    if (s.size != u.size) return s.size < u.size ? -1 : 1;
    return (left->token > right->token) - (left->token < right->token);
}

static size_t shared_bytes(struct span a, struct span b) {
    size_t same = 0;

    while (same < a.size && same < b.size && a.at[same] == b.at[same]) same++;
    return same;
}

static void list_resize(struct token_list *list, size_t count) {
    count += count == 0;
    list->tokens = xrealloc_array(list->tokens, count, sizeof *list->tokens);
    list->shared = xrealloc_array(list->shared, count, sizeof *list->shared);
}

static void list_add(const struct vocab *v, struct token_list *list,
                     int token) {
    size_t i = list->count++;

    list->tokens[i] = token;
    list->shared[i] =
        i > 0 ? (uint16_t)shared_bytes(vocab_piece(v, list->tokens[i - 1]),
                                       vocab_piece(v, token))
              : 0;
}

/* Within a string, a token that ends it, or neither. */
static void sort_in(struct token_strings *strings, const struct vocab *v,
                    int token) {
    struct span piece = vocab_piece(v, token);
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
        list_add(v, &strings->leaving, token);
    }
}

static struct sorted *sort_tokens(const struct vocab *v, size_t *count) {
    struct sorted *order = xalloc_array((size_t)v->count, sizeof *order);

    *count = 0;
    for (int id = 0; id < v->count; id++) {
        struct span piece = vocab_piece(v, id);

        if (piece.size)
            order[(*count)++] = (struct sorted){head_of(piece), piece, id};
    }
    qsort(order, *count, sizeof *order, compare);
    return order;
}

void token_strings_init(struct token_strings *strings, const struct vocab *v) {
    size_t count;
    struct sorted *order = sort_tokens(v, &count);

    list_resize(&strings->all, count);
    list_resize(&strings->leaving, count);
    strings->inside =
        xalloc_array((size_t)v->count / 64 + 1, sizeof *strings->inside);
    for (size_t i = 0; i < count; i++) {
        list_add(v, &strings->all, order[i].token);
        sort_in(strings, v, order[i].token);
    }
    list_resize(&strings->leaving, strings->leaving.count);
    free(order);
}

void token_strings_clear(struct token_strings *strings) {
    free(strings->inside);
    free(strings->leaving.shared);
    free(strings->leaving.tokens);
    free(strings->all.shared);
    free(strings->all.tokens);
    *strings = (struct token_strings){0};
}
