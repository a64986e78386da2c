/* test_grammar.c - what a grammar lets through is valid for its schema, and
 * what is not valid is refused: named schemas, texts in and out, random walks
 * over the mask. test_grammar_schema.c has random schemas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/grammar.h"
#include "tests/unit/model_path.h"
#include "tests/unit/schema_check.h"

static struct tokenizer *tokenizer;
static uint64_t random_state = 1;

static int open_model(void **state) {
    struct err err = {0};
    struct gguf *gguf = gguf_open(model_path(), &err);

    (void)state;
    if (!gguf) fail_msg("%s", err.text);
    tokenizer = tokenizer_new(gguf, &err);
    gguf_close(gguf);
    if (!tokenizer) fail_msg("%s", err.text);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

static int pick(int count) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407u;
    return (int)((random_state >> 33) % (uint64_t)count);
}

/* ---- walks ---- */

static struct grammar *compile(const char *schema, cJSON **json) {
    struct err err = {0};
    struct grammar *g;

    *json = json_parse(span_of(schema), &err);
    if (!*json) fail_msg("%s: %s", schema, err.text);
    g = grammar_from_schema(*json, &err);
    if (!g) fail_msg("%s: %s", schema, err.text);
    return g;
}

static bool allowed(const uint64_t *mask, int token) {
    return mask[token / 64] >> (token % 64) & 1;
}

/* One of the tokens that the mask allows. Now and then one that closes what
 * is open, so that walks end. */
static int random_token(const uint64_t *mask, bool close) {
    int vocab = tokenizer_vocab(tokenizer), start = pick(vocab), any = -1;

    for (int i = 0; i < vocab; i++) {
        int token = (start + i) % vocab;
        struct span piece = tokenizer_piece(tokenizer, token);

        if (!allowed(mask, token)) continue;
        if (!close || !piece.size || memchr("\"]}0", piece.at[0], 4))
            return token;
        if (any < 0) any = token;
    }
    return any;
}

/* A random text of the grammar; false when it did not end in time. */
static bool random_walk(const struct grammar *g, struct bytes *out) {
    struct grammar_state *s = grammar_state_new(g);
    size_t words = (size_t)tokenizer_vocab(tokenizer) / 64 + 1;
    uint64_t *mask = xalloc_array(words, sizeof *mask);
    bool ended = false;

    for (int i = 0; i < 300 && !ended; i++) {
        int token;

        grammar_state_mask(s, tokenizer, 1 << 20, mask);
        token = random_token(mask, i > 15 || pick(3) == 0);
        if (token < 0)
            fail_msg("nothing may follow %.*s", (int)out->size, out->at);
        if (tokenizer_is_end(tokenizer, token)) {
            assert_true(grammar_state_done(s));
            ended = true;
        } else {
            struct span piece = tokenizer_piece(tokenizer, token);

            bytes_put(out, piece);
            if (!grammar_state_feed(s, piece))
                fail_msg("the mask let through %.*s", (int)out->size, out->at);
            ended = grammar_state_final(s);
        }
    }
    free(mask);
    grammar_state_free(s);
    return ended;
}

/* Texts of random walks parse and are valid; how many walks came to an end. */
static int check_walks(const char *schema, int walks) {
    cJSON *json;
    struct grammar *g = compile(schema, &json);
    int ended = 0;

    for (int i = 0; i < walks; i++) {
        struct bytes out = {0};
        struct err err = {0};
        cJSON *v;

        if (random_walk(g, &out)) {
            v = json_parse(span_bytes(&out), &err);
            if (!v)
                fail_msg("%s: %.*s: %s", schema, (int)out.size, out.at,
                         err.text);
            if (!schema_valid(json, json, v))
                fail_msg("%s: not valid: %.*s", schema, (int)out.size, out.at);
            cJSON_Delete(v);
            ended++;
        }
        bytes_free(&out);
    }
    grammar_free(g);
    cJSON_Delete(json);
    return ended;
}

#define TREE                                                                   \
    "{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"type\":\"object\","           \
    "\"properties\":{\"v\":{\"type\":\"integer\"},\"kids\":{\"type\":"         \
    "\"array\",\"items\":{\"$ref\":\"#/$defs/t\"}}},\"required\":[\"v\"]}}}"

static void test_named_schemas(void **state) {
    static const char *const schemas[] = {
        "{}",
        "true",
        "{\"type\":\"object\"}",
        "{\"type\":\"array\"}",
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":"
        "\"integer\"}}",
        "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":"
        "false}",
        TREE,
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"maxItems\":3}",
        "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":"
        "\"a\"},\"n\":{\"type\":\"integer\"}},\"required\":[\"k\",\"n\"]},"
        "{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"}},"
        "\"required\":[\"k\"]},{\"type\":\"null\"}]}",
        "{\"type\":\"integer\",\"minimum\":-3,\"maximum\":-3}",
        "{\"type\":\"integer\",\"minimum\":99,\"maximum\":1001}",
        "{\"type\":\"integer\",\"maximum\":-17}",
        "{\"minLength\":2,\"maxLength\":2}",
        "{\"type\":\"string\",\"maxLength\":0}",
        "{\"type\":[\"string\",\"null\"],\"enum\":[\"x\",null,3]}",
    };

    (void)state;
    random_state = 77;
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
        assert_in_range(check_walks(schemas[i], 8), 6, 8);
}

/* ---- texts in and out ---- */

static bool accepts_span(const struct grammar *g, struct span text) {
    struct grammar_state *s = grammar_state_new(g);
    bool ok = grammar_state_feed(s, text) && grammar_state_done(s);

    grammar_state_free(s);
    return ok;
}

static void check_text(const char *schema, const char *text, bool expected) {
    cJSON *json;
    struct grammar *g = compile(schema, &json);

    if (accepts_span(g, span_of(text)) != expected)
        fail_msg("%s: %s is %staken", schema, text, expected ? "not " : "");
    grammar_free(g);
    cJSON_Delete(json);
}

static void test_texts(void **state) {
    static const char two[] = "{\"type\":\"object\",\"properties\":{\"a\":{"
                              "\"type\":\"integer\"},\"b\":{\"type\":"
                              "\"string\"}},\"required\":[\"b\"]}";
    static const char range[] =
        "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":105}";
    static const char zero[] =
        "{\"type\":\"integer\",\"minimum\":-2,\"maximum\":-0}";
    static const char text[] = "{\"type\":\"string\",\"maxLength\":3}";

    (void)state;
    check_text(two, "{\"a\":1,\"b\":\"x\"}", true);
    check_text(two, "{\"a\": 1, \"b\": \"x\"}", true);
    check_text(two, "{\"b\":\"\"}", true);
    check_text(two, "{\"b\":\"x\",\"a\":1}", false); /* order */
    check_text(two, "{\"a\":1}", false);
    check_text(two, "{\"a\":1,\"b\":\"x\"", false);
    check_text(two, "{\"a\":1,\"b\":\"x\"} ", false);
    check_text(two, "{\"a\":1.5,\"b\":\"x\"}", false);
    check_text(two, "{\"a\":1,\"b\":\"x\",\"c\":1}", false);
    check_text(two, "{ \"b\":\"x\"}", false);
    check_text(two, "", false);
    check_text(range, "-12", true);
    check_text(range, "105", true);
    check_text(range, "0", true);
    check_text(range, "-13", false);
    check_text(range, "106", false);
    check_text(range, "1000", false);
    check_text(range, "01", false);
    check_text(range, "-0", false);
    check_text(zero, "0", true);
    check_text(zero, "-2", true);
    check_text(zero, "-", false);
    check_text(zero, "-0", false);
    check_text(text, "\"\xC3\xA9\\u00e9\\n\"", true);
    check_text(text, "\"abcd\"", false);
    check_text(text, "\"a\nb\"", false);
    check_text(text, "\"\xC3\"", false);
    check_text(text, "\"\xED\xA0\x80\"", false); /* a surrogate */
    check_text(text, "\"\xC0\x80\"", false);
    check_text(text, "\"\\ud800\"", false);
    check_text(text, "\"\\u0000\"", false);
    check_text(text, "\"\\u000a\"", true);
    check_text(text, "\"\\x\"", false);
    check_text("{\"type\":\"number\"}", "-0.5e+10", true);
    check_text("{\"type\":\"number\"}", "1e999", false);
    check_text("{\"type\":\"number\"}", ".5", false);
    check_text("{\"type\":\"object\"}", "{\"a\":1,\"b\":2}", true);
    check_text("{\"type\":\"object\"}", "{\"a\":1,\"a\":2}", false);
    check_text("{\"type\":\"object\"}", "{\"a\":{\"a\":1},\"aa\":2}", true);
    check_text("{\"type\":\"object\"}", "{\"a\":1,\"\\u0061\":2}", false);
    check_text("{\"type\":\"object\"}", "{\"a\":\"a\",\"b\":1,\"a\":2}", false);
    check_text("{\"minItems\":2,\"maxItems\":2}", "[1,[]]", true);
    check_text("{\"minItems\":2,\"maxItems\":2}", "[1]", false);
    check_text("{\"minItems\":2,\"maxItems\":2}", "[1,2,3]", false);
    check_text(TREE, "{\"v\":1,\"kids\":[{\"v\":2},{\"v\":3,\"kids\":[]}]}",
               true);
}

/* allOf, keywords beside others, tuples, patterns: test_grammar_schema.c says
 * that what comes out is valid; here, that it is not less than meant. */
static void test_merged(void **state) {
    static const char all[] =
        "{\"allOf\":[{\"$ref\":\"#/$defs/base\"},{\"properties\":{\"a\":{"
        "\"maximum\":9},\"b\":{\"type\":\"null\"}}}],\"required\":[\"b\"],"
        "\"$defs\":{\"base\":{\"type\":\"object\",\"properties\":{\"a\":{"
        "\"type\":\"integer\",\"minimum\":5}},\"required\":[\"a\"]}}}";
    static const char shut[] =
        "{\"allOf\":[{\"properties\":{\"a\":{}},\"additionalProperties\":"
        "false},{\"properties\":{\"a\":{\"const\":1},\"b\":{}}}]}";
    static const char either[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{"
        "\"const\":2}},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":["
        "\"b\"]}]}";
    static const char list[] =
        "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"allOf\":[{\"type\":"
        "\"object\",\"properties\":{\"next\":{\"$ref\":\"#/$defs/n\"}}},{"
        "\"properties\":{\"next\":{\"minProperties\":0}}}]}}}";

    (void)state;
    check_text(all, "{\"a\":7,\"b\":null}", true);
    check_text(all, "{\"a\":4,\"b\":null}", false);
    check_text(all, "{\"a\":10,\"b\":null}", false);
    check_text(all, "{\"a\":7}", false);
    check_text(shut, "{\"a\":1}", true);
    check_text(shut, "{}", true);
    check_text(shut, "{\"a\":2}", false);
    check_text(shut, "{\"a\":1,\"b\":1}", false);
    check_text(either, "{\"b\":2}", true);
    check_text(either, "{\"a\":1,\"b\":2}", true);
    check_text(either, "{}", false);
    check_text(list, "{\"next\":{\"next\":{}}}", true);
    check_text("{\"allOf\":[{\"type\":[\"string\",\"number\"]},{\"type\":["
               "\"integer\",\"null\"]}]}",
               "12", true);
    check_text("{\"allOf\":[{\"type\":[\"string\",\"number\"]},{\"type\":["
               "\"integer\",\"null\"]}]}",
               "1.5", false);
    check_text("{\"allOf\":[{\"enum\":[1,2,3]},{\"enum\":[3,2,5]},{\"minimum\":"
               "3}]}",
               "3", true);
    check_text("{\"allOf\":[{\"enum\":[1,2,3]},{\"enum\":[3,2,5]},{\"minimum\":"
               "3}]}",
               "2", false);
    check_text("{\"allOf\":[{\"multipleOf\":4},{\"multipleOf\":6}]}", "36",
               true);
    check_text("{\"allOf\":[{\"multipleOf\":4},{\"multipleOf\":6}]}", "18",
               false);
}

static void test_tuples(void **state) {
    static const char two[] = "{\"prefixItems\":[{\"type\":\"integer\"},{"
                              "\"type\":\"null\"}],\"items\":{\"const\":\"x\"},"
                              "\"minItems\":1,\"maxItems\":4}";
    static const char old[] = "{\"items\":[{\"type\":\"integer\"},{\"type\":"
                              "\"null\"}],\"additionalItems\":false}";

    (void)state;
    check_text(two, "[]", false);
    check_text(two, "[1]", true);
    check_text(two, "[1,null]", true);
    check_text(two, "[1,null,\"x\",\"x\"]", true);
    check_text(two, "[1,null,\"x\",\"x\",\"x\"]", false);
    check_text(two, "[1,\"x\"]", false);
    check_text(old, "[]", true);
    check_text(old, "[1, null]", true);
    check_text(old, "[1,null,1]", false);
    check_text("{\"prefixItems\":[{},false,{}]}", "[1]", true);
    check_text("{\"prefixItems\":[{},false,{}]}", "[1,1]", false);
    check_text("{\"maxItems\":1,\"uniqueItems\":true}", "[1]", true);
}

static void test_scalars(void **state) {
    static const char code[] =
        "{\"pattern\":\"^[A-Z]+$\",\"minLength\":2,\"maxLength\":3}";

    (void)state;
    check_text(code, "\"AB\"", true);
    check_text(code, "\"A\"", false);
    check_text(code, "\"ABCD\"", false);
    check_text(code, "\"ab\"", false);
    check_text("{\"pattern\":\"b\"}", "\"a\\\"b\\n\"", true);
    check_text("{\"format\":\"date\"}", "\"2024-02-30\"", false);
    check_text("{\"format\":\"date\",\"pattern\":\"^2024\"}", "\"2024-02-29\"",
               true);
    check_text("{\"format\":\"date\",\"pattern\":\"^2024\"}", "\"2023-02-28\"",
               false);
    check_text("{\"type\":\"string\",\"format\":\"color\"}", "\"red\"", true);
    check_text("{\"type\":\"number\",\"minimum\":0.5}", "0.25", false);
    check_text("{\"type\":\"number\",\"minimum\":0.5}", "0.75", true);
    check_text("{\"type\":\"integer\",\"multipleOf\":15}", "-45", true);
    check_text("{\"type\":\"integer\",\"multipleOf\":15}", "40", false);
    check_text("{\"enum\":[\"a\",\"abc\"],\"pattern\":\"c\"}", "\"abc\"", true);
    check_text("{\"enum\":[\"a\",\"abc\"],\"pattern\":\"c\"}", "\"a\"", false);
    check_text("{\"const\":3,\"enum\":[1,3]}", "3", true);
    check_text("{\"x-unknown\":1,\"type\":\"null\"}", "null", true);
}

static void test_properties(void **state) {
    static const char few[] =
        "{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"minProperties\":1,"
        "\"maxProperties\":2,\"required\":[\"b\"]}";
    static const char more[] = "{\"required\":[\"x\"],"
                               "\"additionalProperties\":{\"type\":\"null\"}}";
    static const char free_ones[] = "{\"type\":\"object\",\"minProperties\":2,"
                                    "\"maxProperties\":3}";

    (void)state;
    check_text(few, "{\"a\":1,\"b\":1}", true);
    check_text(few, "{\"b\":1}", true);
    check_text(few, "{\"a\":1}", false);
    check_text(few, "{\"a\":1,\"b\":1,\"c\":1}", false);
    check_text(more, "{\"x\":null}", true);
    check_text(more, "{\"x\":1}", false);
    check_text(free_ones, "{\"p\":1}", false);
    check_text(free_ones, "{\"p\":1,\"q\":1,\"r\":1}", true);
    check_text(free_ones, "{\"p\":1,\"q\":1,\"r\":1,\"s\":1}", false);
    check_text("{\"properties\":{\"a\":false,\"b\":{}}}", "{\"b\":1}", true);
    check_text("{\"properties\":{\"a\":false,\"b\":{}}}", "{\"a\":1}", false);
}

/* Depth is bounded, and what is opened can be closed. */
static void test_depth(void **state) {
    cJSON *json;
    struct grammar *g = compile("{}", &json);
    char text[200];

    (void)state;
    for (size_t depth = 1; depth < 100; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(accepts_span(g, (struct span){text, 2 * depth}),
                         depth <= GRAMMAR_DEPTH_MAX);
    }
    grammar_free(g);
    cJSON_Delete(json);
}

static void check_refused(const char *schema, enum err_code code,
                          const char *field) {
    struct err err = {0};
    cJSON *json = json_parse(span_of(schema), NULL);

    assert_non_null(json);
    if (grammar_from_schema(json, &err)) fail_msg("%s was taken", schema);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, field);
    cJSON_Delete(json);
}

static void test_refused(void **state) {
    (void)state;
    check_refused("{\"properties\":{\"x\":{\"not\":{}}}}", ERR_UNSUPPORTED,
                  "x.not");
    check_refused("false", ERR_UNSUPPORTED, "");
    check_refused("3", ERR_UNSUPPORTED, "");
    check_refused("{\"type\":\"thing\"}", ERR_INPUT, "type");
    check_refused("{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}",
                  ERR_INPUT, "minimum");
    check_refused("{\"type\":\"string\",\"minLength\":2,\"maxLength\":1}",
                  ERR_INPUT, "minLength");
    check_refused("{\"type\":\"string\",\"minLength\":1.5}", ERR_UNSUPPORTED,
                  "minLength");
    check_refused("{\"type\":\"array\",\"minItems\":999999}", ERR_UNSUPPORTED,
                  "minItems");
    check_refused("{\"$ref\":\"#\"}", ERR_UNSUPPORTED, "$ref");
    check_refused("{\"$ref\":\"http://example.org\"}", ERR_UNSUPPORTED, "$ref");
    check_refused("{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{"
                  "\"$ref\":\"#\"}}}",
                  ERR_UNSUPPORTED, "anyOf[0].$ref");
    check_refused("{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
                  ERR_UNSUPPORTED, "oneOf");
    check_refused("{\"enum\":[1],\"type\":\"string\"}", ERR_INPUT, "enum");
    check_refused("{\"enum\":[\"a\"],\"maxLength\":0}", ERR_INPUT, "enum");
    check_refused("{\"items\":{\"pattern\":\"(?!a)\"}}", ERR_UNSUPPORTED,
                  "items.pattern");
    check_refused("{\"properties\":{\"x\":{\"if\":{}}}}", ERR_UNSUPPORTED,
                  "x.if");
    check_refused("{\"prefixItems\":[{},{\"contains\":{}}]}", ERR_UNSUPPORTED,
                  "prefixItems[1].contains");
    check_refused("{\"type\":\"array\",\"uniqueItems\":true}", ERR_UNSUPPORTED,
                  "uniqueItems");
    check_refused("{\"allOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}",
                  ERR_INPUT, "type");
    check_refused("{\"allOf\":[{\"$ref\":\"#\"}]}", ERR_LIMIT, "allOf");
    check_refused("{\"allOf\":[{\"items\":{},\"prefixItems\":[{}]},{"
                  "\"prefixItems\":[{\"type\":\"null\"}]}]}",
                  ERR_UNSUPPORTED, "prefixItems");
    check_refused("{\"allOf\":[]}", ERR_INPUT, "allOf");
    check_refused("{\"multipleOf\":0}", ERR_INPUT, "multipleOf");
    check_refused("{\"pattern\":[\"a\"]}", ERR_INPUT, "pattern");
    check_refused("{\"pattern\":\"^a$\",\"minLength\":2}", ERR_INPUT,
                  "minLength");
    check_refused("{\"required\":[\"x\"],\"additionalProperties\":false}",
                  ERR_INPUT, "required");
    check_refused("{\"properties\":{\"a\":{}},\"minProperties\":2}",
                  ERR_UNSUPPORTED, "minProperties");
    check_refused("{\"enum\":[[1]],\"maxItems\":1}", ERR_UNSUPPORTED, "enum");
    check_refused("{\"oneOf\":[{\"type\":\"object\"},{\"type\":\"object\","
                  "\"required\":[\"a\"]}]}",
                  ERR_UNSUPPORTED, "oneOf");
    /* A value that would have to be infinite. */
    check_refused("{\"properties\":{\"x\":{\"$ref\":\"#\"}},\"required\":["
                  "\"x\"]}",
                  ERR_UNSUPPORTED, "");
}

static void check_one(const struct grammar *g, const char *text,
                      bool expected) {
    if (accepts_span(g, span_of(text)) != expected)
        fail_msg("%s is %staken", text, expected ? "not " : "");
}

/* Forty levels of "either of two that are the same": 2^40 ways, of which few
 * are followed. What matters is that this ends, and lets nothing else in. */
static void test_doubling_ways(void **state) {
    struct bytes schema = {0};
    struct grammar *g;
    cJSON *json;

    (void)state;
    bytes_puts(&schema, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{");
    for (int i = 0; i < 40; i++)
        assert_true(
            bytes_printf(&schema, NULL,
                         "\"a%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/a%d\"},"
                         "{\"$ref\":\"#/$defs/a%d\"}]},",
                         i, i + 1, i + 1));
    bytes_puts(&schema, "\"a40\":{\"type\":\"string\",\"maxLength\":9}}}");
    bytes_put(&schema, (struct span){"", 1});
    g = compile(schema.at, &json);
    check_one(g, "\"ab\"", true);
    check_one(g, "\"ab", false);
    check_one(g, "\"0123456789\"", false);
    check_one(g, "1", false);
    grammar_free(g);
    cJSON_Delete(json);
    bytes_free(&schema);
}

/* What would take too long, or too much, is given up with one error. */
static void check_too_much(const struct bytes *schema) {
    struct err err = {0};
    cJSON *json = json_parse(span_bytes(schema), &err);

    if (!json) fail_msg("%s", err.text);
    if (grammar_from_schema(json, &err))
        fail_msg("%.*s was taken", 200, schema->at);
    if (err.code != ERR_LIMIT) fail_msg("%s", err.text);
    cJSON_Delete(json);
}

static void test_hostile(void **state) {
    struct bytes schema = {0};

    (void)state;
    bytes_puts(&schema, "{\"enum\":[0");
    for (int i = 1; i < 2000; i++)
        assert_true(bytes_printf(&schema, NULL, ",%d", i));
    bytes_puts(&schema, "]}");
    check_too_much(&schema);
    bytes_free(&schema);

    /* Each with an automaton of thousands of states. */
    bytes_puts(&schema, "{\"properties\":{\"p\":{}");
    for (int i = 0; i < 200; i++)
        assert_true(bytes_printf(&schema, NULL,
                                 ",\"p%d\":{\"pattern\":\"^(a|b)*a(a|b){11}"
                                 "c{%d}$\"}",
                                 i, i));
    bytes_puts(&schema, "}}");
    check_too_much(&schema);
    bytes_free(&schema);

    /* Merged schemas that double at each level. */
    bytes_puts(&schema, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{");
    for (int i = 0; i < 60; i++)
        assert_true(bytes_printf(
            &schema, NULL,
            "\"a%d\":{\"type\":\"object\",\"allOf\":[{\"properties\":{\"x\":"
            "{\"$ref\":\"#/$defs/a%d\"},\"y\":{\"$ref\":\"#/$defs/a%d\"}}},{"
            "\"properties\":{\"x\":{\"$ref\":\"#/$defs/b%d\"}}}]},\"b%d\":{"
            "\"allOf\":[{\"$ref\":\"#/$defs/a%d\"},{\"properties\":{\"x\":{"
            "\"title\":\"b%d\",\"minProperties\":%d}}}]},",
            i, i + 1, i + 1, i + 1, i, i, i, i % 3));
    bytes_puts(&schema, "\"a60\":{},\"b60\":{}}}");
    check_too_much(&schema);
    bytes_free(&schema);
}

/* ---- what is built of grammars ---- */

static void test_composition(void **state) {
    struct span words[] = {span_of("safe"), span_of("unsafe"), span_of("un"),
                           span_of("safe")};
    struct span blank[] = {span_of(""), span_of("a")};
    struct grammar *g, *wrapped, *any, *repeated, *list[2];
    struct err err;

    (void)state;
    g = grammar_from_choices(words, 4, NULL);
    assert_non_null(g);
    check_one(g, "safe", true);
    check_one(g, "unsafe", true);
    check_one(g, "un", true);
    check_one(g, "uns", false);
    check_one(g, "safer", false);
    wrapped = grammar_wrap(span_of("<<"), g, span_of(">>"), NULL);
    assert_non_null(wrapped);
    check_one(wrapped, "<<un>>", true);
    check_one(wrapped, "<<un>", false);
    check_one(wrapped, "un", false);
    list[0] = g;
    list[1] = wrapped;
    any = grammar_any((const struct grammar *const *)list, 2, NULL);
    assert_non_null(any);
    check_one(any, "safe", true);
    check_one(any, "<<safe>>", true);
    repeated = grammar_repeat(wrapped, 3, span_of("\n"), NULL);
    assert_non_null(repeated);
    check_one(repeated, "", false);
    check_one(repeated, "<<un>>", true);
    check_one(repeated, "<<un>>\n<<safe>>\n<<un>>", true);
    check_one(repeated, "<<un>>\n<<safe>>\n<<un>>\n<<un>>", false);
    check_one(repeated, "<<un>><<safe>>", false);
    grammar_free(grammar_ref(g));
    grammar_free(repeated);
    grammar_free(any);
    grammar_free(wrapped);
    grammar_free(g);
    assert_null(grammar_from_choices(words, 0, &err));
    g = grammar_from_choices(blank, 2, NULL);
    check_one(g, "", true);
    assert_null(grammar_repeat(g, 2, span_of(""), &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    grammar_free(g);
}

/* The mask says of every token exactly what feeding it says. */
static void check_mask(const struct grammar *g, struct span prefix) {
    struct grammar_state *s = grammar_state_new(g);
    size_t words = (size_t)tokenizer_vocab(tokenizer) / 64 + 1;
    uint64_t *mask = xalloc_array(words, sizeof *mask);

    assert_true(prefix.size == 0 || grammar_state_feed(s, prefix));
    grammar_state_mask(s, tokenizer, 1 << 20, mask);
    for (int token = pick(7); token < tokenizer_vocab(tokenizer); token += 7) {
        struct span piece = tokenizer_piece(tokenizer, token);
        bool expected =
            tokenizer_is_end(tokenizer, token) && grammar_state_done(s);

        if (piece.size) {
            struct grammar_state *fed = grammar_state_new(g);

            expected = (prefix.size == 0 || grammar_state_feed(fed, prefix)) &&
                       grammar_state_feed(fed, piece);
            grammar_state_free(fed);
        }
        if (allowed(mask, token) != expected)
            fail_msg("after %.*s: token %d", (int)prefix.size, prefix.at,
                     token);
    }
    free(mask);
    grammar_state_free(s);
}

static void check_masks(const char *schema, const char *const *prefixes,
                        size_t count) {
    cJSON *json;
    struct grammar *g = compile(schema, &json);

    for (size_t i = 0; i < count; i++) check_mask(g, span_of(prefixes[i]));
    grammar_free(g);
    cJSON_Delete(json);
}

#define CHECK_MASKS(schema, list)                                              \
    check_masks(schema, list, sizeof(list) / sizeof(list)[0])

static void test_mask_is_exact(void **state) {
    static const char *const any[] = {"",
                                      "{\"free\": \"a",
                                      "{\"free\":",
                                      "{\"free\":\"\\",
                                      "{\"free\":\"\xE4",
                                      "{\"free\":\"x\",",
                                      "{\"n\":1"};
    static const char *const keys[] = {"{", "{\"", "{\"a\":1,\"",
                                       "{\"a\":1,\"a", "{\"a\":1,\"ab"};
    static const char *const sized[] = {
        "\"", "\"a", "\"ab\\", "\"abcde", "\"\xC3", "\"abcdefg", "\"abcdefgh"};
    static const char *const words[] = {"",      "\"",      "\"Ab",
                                        "\"A b", "\"A bcd", "\"A bcdefghi"};
    static const char *const numbers[] = {"[", "[1", "[-", "[12.", "[12.5,"};
    static const char *const dates[] = {"[\"", "[\"202", "[\"2024-02-",
                                        "[\"2024-02-29", "[\"2024-02-29\""};

    (void)state;
    CHECK_MASKS("{\"type\":\"object\",\"properties\":{\"free\":{\"anyOf\":[{"
                "\"type\":\"string\"},{\"type\":\"string\",\"maxLength\":2},"
                "{}]},\"n\":{\"type\":\"number\"}}}",
                any);
    CHECK_MASKS("{\"type\":\"object\"}", keys);
    CHECK_MASKS("{\"type\":\"string\",\"minLength\":4,\"maxLength\":8}", sized);
    CHECK_MASKS("{\"pattern\":\"^[A-Z][a-z]*( [a-z]+)*$\",\"maxLength\":12}",
                words);
    CHECK_MASKS("{\"items\":{\"type\":\"number\",\"maximum\":20}}", numbers);
    CHECK_MASKS("{\"items\":{\"format\":\"date\"}}", dates);
}

/* With as many tokens as the shortest text has bytes, any text is whole, and
 * the mask still lets through all that leaves it so. */
static void test_budget(void **state) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
        "\"list\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}},\"n\":{"
        "\"type\":\"integer\",\"minimum\":100}},\"required\":[\"name\",\"n\"]}";
    static const char shortest[] = "{\"name\":\"\",\"n\":100}";
    size_t words = (size_t)tokenizer_vocab(tokenizer) / 64 + 1;
    uint64_t *mask = xalloc_array(words, sizeof *mask);
    cJSON *json;
    struct grammar *g = compile(schema, &json);

    (void)state;
    for (int extra = 0; extra < 40; extra++) {
        struct grammar_state *s = grammar_state_new(g);
        int budget = (int)sizeof shortest - 1 + extra;

        random_state = (uint64_t)extra;
        for (; budget > 0 && !grammar_state_final(s); budget--) {
            int token;

            grammar_state_mask(s, tokenizer, budget, mask);
            token = random_token(mask, false);
            assert_true(token >= 0);
            assert_true(
                grammar_state_feed(s, tokenizer_piece(tokenizer, token)));
        }
        assert_true(grammar_state_done(s));
        grammar_state_free(s);
    }
    free(mask);
    grammar_free(g);
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_tuples),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_doubling_ways),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_composition),
        cmocka_unit_test(test_mask_is_exact),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_named_schemas),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
