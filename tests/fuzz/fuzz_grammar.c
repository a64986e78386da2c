/* fuzz_grammar.c - a schema from outside, then a text: whatever the compiler
 * takes must end, and what the grammar lets through must parse. The schema
 * ends at the first zero byte; the rest is the text. */
#include <stdlib.h>

#include "engine/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct grammar *g, struct span text) {
    struct grammar_state *s = grammar_state_new(g);
    bool alive = true;

    for (size_t i = 0; i < text.size && alive; i++)
        alive = grammar_state_feed(s, span_slice(text, i, i + 1));
    if (grammar_state_done(s)) {
        cJSON *json = json_parse(text, NULL);

        if (!json) abort();
        cJSON_Delete(json);
    } else if (grammar_state_final(s)) {
        abort();
    }
    grammar_state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span input = {(const char *)data, size};
    size_t cut = span_find(input, (struct span){"", 1});
    cJSON *schema = json_parse(span_slice(input, 0, cut), NULL);
    struct grammar *g;

    if (!schema) return 0;
    g = grammar_from_schema(schema, NULL);
    cJSON_Delete(schema);
    if (!g) return 0;
    check_text(g, cut == SIZE_MAX ? (struct span){"", 0}
                                  : span_slice(input, cut + 1, size));
    grammar_free(g);
    return 0;
}
