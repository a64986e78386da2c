#include "engine/token_index.h"

#include <stdlib.h>

#include "engine/grammar_string.h"

/* How far a piece stays within a string. */
struct reach {
    size_t bytes;
    int characters; /* begun */
    int state;      /* enum string_state after them */
    bool plain;     /* no escape among them */
};

static struct reach reach_of(struct span piece) {
    struct reach r = {.state = STRING_NEXT, .plain = true};

    while (r.bytes < piece.size) {
        unsigned char byte = (unsigned char)piece.at[r.bytes];
        int next = string_step((enum string_state)r.state, byte);

        if (next < 0) break;
        r.characters += r.state == STRING_NEXT;
        r.plain &= byte != '\\';
        r.state = next;
        r.bytes++;
    }
    return r;
}

/* Lists in the making, as long as the vocabulary. */
struct lists {
    struct trie_item *all, *after, *with;
    int all_count, after_count, with_count;
};

static void sort_in(struct token_index *x, struct lists *lists, int token,
                    struct span piece) {
    struct reach r = reach_of(piece);
    struct trie_item item = {piece, token, r.characters, r.plain};

    lists->all[lists->all_count++] = item;
    if (r.bytes == piece.size) {
        uint64_t bit = 1ull << (token % 64);

        x->inside[token / 64] |= bit;
        if (r.plain) x->plain[token / 64] |= bit;
        x->sizes[x->inside_count++] =
            (struct inside_token){token, r.characters};
    } else if (r.state == STRING_NEXT && piece.at[r.bytes] == '"') {
        lists->with[lists->with_count++] = item;
        item.text = span_slice(piece, r.bytes, piece.size);
        lists->after[lists->after_count++] = item;
    }
}

static int compare_sizes(const void *a, const void *b) {
    const struct inside_token *s = a, *t = b;

    if (s->characters != t->characters)
        return s->characters > t->characters ? -1 : 1;
    return (s->token > t->token) - (s->token < t->token);
}

struct token_index *token_index_new(const struct token_list *tokens) {
    struct token_index *x = xalloc(sizeof *x);
    size_t vocab = (size_t)tokens->vocab;
    struct lists lists = {
        .all = xalloc_array(vocab, sizeof *lists.all),
        .after = xalloc_array(vocab, sizeof *lists.after),
        .with = xalloc_array(vocab, sizeof *lists.with),
    };

    x->vocab = tokens->vocab;
    x->words = vocab / 64 + 1;
    x->inside = xalloc_array(x->words, sizeof *x->inside);
    x->plain = xalloc_array(x->words, sizeof *x->plain);
    x->sizes = xalloc_array(vocab, sizeof *x->sizes);
    x->ends = xalloc_array(vocab, sizeof *x->ends);
    for (int token = 0; token < tokens->vocab; token++) {
        struct span piece = tokens->piece(tokens->user, token);

        if (tokens->is_end(tokens->user, token))
            x->ends[x->end_count++] = token;
        if (piece.size && piece.size <= TRIE_DEPTH_MAX)
            sort_in(x, &lists, token, piece);
    }
    qsort(x->sizes, (size_t)x->inside_count, sizeof *x->sizes, compare_sizes);
    trie_init(&x->all, lists.all, lists.all_count);
    trie_init(&x->after_quote, lists.after, lists.after_count);
    trie_init(&x->with_quote, lists.with, lists.with_count);
    return x;
}

void token_index_free(struct token_index *x) {
    if (!x) return;
    trie_clear(&x->all);
    trie_clear(&x->after_quote);
    trie_clear(&x->with_quote);
    free(x->inside);
    free(x->plain);
    free(x->sizes);
    free(x->ends);
    free(x);
}
