/* What a grammar is made of besides schemas: lists of texts, and grammars in
 * a sequence, as alternatives, repeated. */
#include "engine/grammar.h"

#include <stdlib.h>

#include "engine/grammar_graph.h"

enum { CHOICES_MAX = 1024, CHOICE_BYTES_MAX = 1 << 14, REPEAT_MAX = 1024 };

struct grammar *grammar_from_choices(const struct span *choices, int count,
                                     struct err *err) {
    struct grammar *g;
    struct span *list;
    int start;

    if (count < 1 || count > CHOICES_MAX) {
        err_set(err, ERR_LIMIT, "a grammar has 1 to %d choices", CHOICES_MAX);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        if (choices[i].size <= CHOICE_BYTES_MAX) continue;
        err_set(err, ERR_LIMIT, "a choice is past %d bytes", CHOICE_BYTES_MAX);
        return NULL;
    }
    list = xalloc_array((size_t)count, sizeof *list);
    for (int i = 0; i < count; i++) list[i] = choices[i];
    g = graph_new();
    start = graph_choices(g, list, count, graph_return());
    free(list);
    return graph_close(g, start, err);
}

struct grammar *grammar_wrap(struct span before, const struct grammar *inner,
                             struct span after, struct err *err) {
    struct grammar *g = graph_new();
    int body = graph_include(g, inner);
    int node = graph_text(g, after, graph_return());

    node = graph_call(g, body, false, node);
    return graph_close(g, graph_text(g, before, node), err);
}

struct grammar *grammar_any(const struct grammar *const *list, int count,
                            struct err *err) {
    struct grammar *g;
    int start = -1;

    if (count < 1 || count > CHOICES_MAX) {
        err_set(err, ERR_LIMIT, "a grammar has 1 to %d alternatives",
                CHOICES_MAX);
        return NULL;
    }
    g = graph_new();
    for (int i = count - 1; i >= 0; i--) {
        int body = graph_include(g, list[i]);

        start = start < 0 ? body : graph_fork(g, body, start);
    }
    return graph_close(g, start, err);
}

/* A round that takes no byte could be repeated for ever. */
static bool may_be_empty(const struct grammar *g) {
    struct grammar_state *s = grammar_state_new(g);
    bool empty = grammar_state_done(s);

    grammar_state_free(s);
    return empty;
}

struct grammar *grammar_repeat(const struct grammar *inner, int most,
                               struct span between, struct err *err) {
    struct grammar *g;
    int body, again, node = graph_return();

    if (most < 1 || most > REPEAT_MAX) {
        err_set(err, ERR_LIMIT, "a grammar is repeated 1 to %d times",
                REPEAT_MAX);
        return NULL;
    }
    if (may_be_empty(inner)) {
        err_set(err, ERR_UNSUPPORTED, "a grammar of empty texts repeated");
        return NULL;
    }
    g = graph_new();
    body = graph_include(g, inner);
    again = graph_text(g, between, graph_call(g, body, false, graph_return()));
    if (most > 1) node = graph_repeat(g, again, 0, most - 1, node);
    return graph_close(g, graph_call(g, body, false, node), err);
}
