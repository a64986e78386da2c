/* test_grammar_schema.c - whatever a model says, its text is valid: random
 * schemas, a model of random logits sampled at temperature 1 under the mask,
 * over the default model's vocabulary and a very small one, with budgets of
 * tokens that are often too short for what it would like to say.
 *
 * `test_grammar_schema --print N` writes N schemas and their texts as JSON
 * lines instead, for tests/reference/grammar_check.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar.h"
#include "engine/sampler.h"
#include "tests/unit/model_path.h"
#include "tests/unit/schema_check.h"
#include "tests/unit/schema_make.h"

enum { TEXTS_EACH = 2, BUDGET_MIN = 150, BUDGET_SPREAD = 250 };

/* ---- vocabularies ---- */

static struct tokenizer *open_default(void) {
    struct err err = {0};
    struct gguf *gguf = gguf_open(model_path(), &err);
    struct tokenizer *t;

    if (!gguf) fail_msg("%s", err.text);
    t = tokenizer_new(gguf, &err);
    gguf_close(gguf);
    if (!t) fail_msg("%s", err.text);
    return t;
}

/* Each printable byte, some longer ones, a few parts of longer characters (in
 * GPT-2's alphabet of bytes), and an end. */
static struct tokenizer *open_small(void) {
    static const char *const more[] = {
        "\":",      "\",",      "\"}",      "{\"",      "[]",
        "},",       "true",     "alse",     "ab",       "abc",
        "12",       "00",       "],",       "\\u",      "\\\"",
        ":\"",      "}}",       "\xC3\x83", "\xC2\xBC", "\xC3\xB0",
        "\xC5\x81", "\xC4\xBA", "\xC4\xA2", "\xC2\xA9", "<end>"};
    enum { PRINTED = 127 - 33, MORE = sizeof more / sizeof more[0] };
    char bytes[PRINTED];
    struct span tokens[PRINTED + 1 + MORE];
    int32_t types[PRINTED + 1 + MORE];
    struct vocabulary v = {.tokens = tokens,
                           .types = types,
                           .token_count = PRINTED + 1 + MORE,
                           .pre = span_of("gpt-2"),
                           .bos = -1,
                           .eos = PRINTED + MORE,
                           .eot = -1,
                           .eom = -1};
    struct err err = {0};
    struct tokenizer *t;

    for (int i = 0; i < PRINTED; i++) {
        bytes[i] = (char)(33 + i);
        tokens[i] = (struct span){&bytes[i], 1};
    }
    tokens[PRINTED] = span_of("\xC4\xA0"); /* a blank */
    for (int i = 0; i < MORE; i++) tokens[PRINTED + 1 + i] = span_of(more[i]);
    for (size_t i = 0; i < v.token_count; i++) types[i] = TOKEN_NORMAL;
    types[v.eos] = TOKEN_CONTROL;
    t = tokenizer_from_vocabulary(&v, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

/* ---- the model ---- */

struct model {
    const struct tokenizer *tokenizer;
    struct sampler *sampler;
    float *logits; /* (vocab) */
    uint64_t *mask;
    struct random random;
    bool terse; /* likes to end what it has begun */
};

static void model_init(struct model *m, const struct tokenizer *t) {
    size_t vocab = (size_t)tokenizer_vocab(t);

    m->tokenizer = t;
    m->sampler = sampler_new((int)vocab);
    m->logits = xalloc_array(vocab, sizeof *m->logits);
    m->mask = xalloc_array(vocab / 64 + 1, sizeof *m->mask);
}

static void model_clear(struct model *m) {
    sampler_free(m->sampler);
    free(m->logits);
    free(m->mask);
}

static void think(struct model *m) {
    int vocab = tokenizer_vocab(m->tokenizer);

    for (int i = 0; i < vocab; i++) {
        struct span piece = tokenizer_piece(m->tokenizer, i);

        m->logits[i] = (float)random_pick(&m->random, 4000) / 500;
        if (m->terse && (!piece.size || memchr("\"]}", piece.at[0], 3)))
            m->logits[i] += 6;
    }
}

static bool bit(const uint64_t *mask, int token) {
    return mask[token / 64] >> (token % 64) & 1;
}

/* A text within `budget` tokens: false when it is not whole. */
static bool decode(struct model *m, const struct grammar *g, int budget,
                   struct bytes *out) {
    struct grammar_state *s = grammar_state_new(g);
    const struct sampling hot = {
        .temperature = 1, .top_p = 1, .seed = m->random.state};
    bool whole = false;

    for (int i = 0; i < budget && !whole; i++) {
        struct span piece;
        int token;

        think(m);
        grammar_state_mask(s, m->tokenizer, budget - i, m->mask);
        token = sampler_pick(m->sampler, &hot, m->logits, m->mask,
                             &(struct sampler_past){.count = i}, NULL);
        if (token < 0 || !bit(m->mask, token)) break;
        if (tokenizer_is_end(m->tokenizer, token)) break;
        piece = tokenizer_piece(m->tokenizer, token);
        bytes_put(out, piece);
        if (!grammar_state_feed(s, piece)) break;
        whole = grammar_state_final(s);
    }
    whole = grammar_state_done(s);
    grammar_state_free(s);
    return whole;
}

/* ---- the tests ---- */

static void check_text(const char *schema, const cJSON *json,
                       const struct bytes *text) {
    struct err err = {0};
    cJSON *v = json_parse(span_bytes(text), &err);

    if (!v)
        fail_msg("%s: %.*s: %s", schema, (int)text->size, text->at, err.text);
    if (!schema_valid(json, json, v))
        fail_msg("%s: not valid: %.*s", schema, (int)text->size, text->at);
    cJSON_Delete(v);
}

/* The number of texts: none when the schema cannot be enforced. */
static int check_schema(struct model *m, uint64_t seed, bool print) {
    struct bytes schema = {0};
    struct err err = {0};
    struct grammar *g;
    cJSON *json;
    int count = 0;

    schema_make(seed, &schema);
    json = json_parse(span_of(schema.at), &err);
    if (!json) fail_msg("%s: %s", schema.at, err.text);
    g = grammar_from_schema(json, &err);
    if (!g && !print && err.code != ERR_INPUT && err.code != ERR_UNSUPPORTED)
        fail_msg("%s: %s", schema.at, err.text);
    m->random = random_from(seed + 1000000);
    if (print) printf("{\"seed\":%d,\"schema\":%s", (int)seed, schema.at);
    if (print) printf(g ? ",\"texts\":[" : ",\"refused\":true}\n");
    for (; g && count < TEXTS_EACH; count++) {
        int budget = BUDGET_MIN + random_pick(&m->random, BUDGET_SPREAD);
        struct bytes text = {0};

        m->terse = random_pick(&m->random, 3) > 0;
        if (!decode(m, g, budget, &text))
            fail_msg("%s: not whole in %d tokens: %.*s", schema.at, budget,
                     (int)text.size, text.at);
        if (!print) check_text(schema.at, json, &text);
        if (print) printf("%s%.*s", count ? "," : "", (int)text.size, text.at);
        bytes_free(&text);
    }
    if (print && g) printf("]}\n");
    grammar_free(g);
    cJSON_Delete(json);
    bytes_free(&schema);
    return count;
}

static void check_schemas(struct tokenizer *t, int from, int end, int least) {
    struct model m = {0};
    int count = 0;

    model_init(&m, t);
    for (int i = from; i < end; i++)
        count += check_schema(&m, (uint64_t)i, false);
    model_clear(&m);
    tokenizer_free(t);
    assert_in_range(count, least, TEXTS_EACH * (end - from));
}

static void test_small_vocabulary(void **state) {
    (void)state;
    check_schemas(open_small(), 0, 400, 780);
}

static void test_default_vocabulary(void **state) {
    (void)state;
    check_schemas(open_default(), 400, 440, 76);
}

static int print_rows(int count) {
    struct tokenizer *t = open_default();
    struct model m = {0};

    model_init(&m, t);
    for (int i = 0; i < count; i++) (void)check_schema(&m, (uint64_t)i, true);
    model_clear(&m);
    tokenizer_free(t);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_vocabulary),
        cmocka_unit_test(test_default_vocabulary),
    };

    if (argc == 3 && !strcmp(argv[1], "--print"))
        return print_rows((int)strtol(argv[2], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
