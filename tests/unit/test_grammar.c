/* test_grammar.c - what a grammar lets through is valid for its schema, and
 * what is not valid is refused. Random schemas, random walks over the mask of
 * the default model's vocabulary, judged by a small checker of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/grammar.h"
#include "tests/unit/model_path.h"

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

/* ---- the checker ---- */

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static double number(const cJSON *schema, const char *key, double otherwise) {
    const cJSON *item = get(schema, key);

    return item ? item->valuedouble : otherwise;
}

static bool valid(const cJSON *root, const cJSON *schema, const cJSON *v);

static bool valid_type(const char *type, const cJSON *v) {
    if (!strcmp(type, "string")) return cJSON_IsString(v);
    if (!strcmp(type, "number")) return cJSON_IsNumber(v);
    if (!strcmp(type, "integer"))
        return cJSON_IsNumber(v) && floor(v->valuedouble) == v->valuedouble;
    if (!strcmp(type, "boolean")) return cJSON_IsBool(v);
    if (!strcmp(type, "null")) return cJSON_IsNull(v);
    if (!strcmp(type, "array")) return cJSON_IsArray(v);
    return cJSON_IsObject(v);
}

static int characters(const char *text) {
    int count = 0;

    for (; *text; text++) count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static bool valid_object(const cJSON *root, const cJSON *schema,
                         const cJSON *v) {
    const cJSON *item, *more = get(schema, "additionalProperties");

    cJSON_ArrayForEach(item, get(schema, "required")) {
        if (!get(v, item->valuestring)) return false;
    }
    cJSON_ArrayForEach(item, v) {
        const cJSON *property = get(get(schema, "properties"), item->string);

        if (!property && cJSON_IsFalse(more)) return false;
        if (!property && cJSON_IsObject(more)) property = more;
        if (property && !valid(root, property, item)) return false;
    }
    return true;
}

static int matches(const cJSON *root, const cJSON *list, const cJSON *v) {
    const cJSON *item;
    int count = 0;

    cJSON_ArrayForEach(item, list) count += valid(root, item, v);
    return count;
}

static bool valid_limits(const cJSON *schema, const cJSON *v) {
    if (cJSON_IsString(v)) {
        int size = characters(v->valuestring);

        return size >= number(schema, "minLength", 0) &&
               size <= number(schema, "maxLength", 1e9);
    }
    if (cJSON_IsNumber(v))
        return v->valuedouble >= number(schema, "minimum", -1e300) &&
               v->valuedouble <= number(schema, "maximum", 1e300) &&
               v->valuedouble > number(schema, "exclusiveMinimum", -1e300) &&
               v->valuedouble < number(schema, "exclusiveMaximum", 1e300);
    if (cJSON_IsArray(v))
        return cJSON_GetArraySize(v) >= number(schema, "minItems", 0) &&
               cJSON_GetArraySize(v) <= number(schema, "maxItems", 1e9);
    return true;
}

static bool valid(const cJSON *root, const cJSON *schema, const cJSON *v) {
    const cJSON *ref = get(schema, "$ref"), *type = get(schema, "type"), *item;
    bool found = !type;

    if (cJSON_IsTrue(schema)) return true;
    if (ref) {
        const char *name = strrchr(ref->valuestring, '/');

        return valid(root, name ? get(get(root, "$defs"), name + 1) : root, v);
    }
    if (get(schema, "anyOf") && !matches(root, get(schema, "anyOf"), v))
        return false;
    if (get(schema, "oneOf") && matches(root, get(schema, "oneOf"), v) != 1)
        return false;
    if (get(schema, "const") && !cJSON_Compare(get(schema, "const"), v, true))
        return false;
    if (get(schema, "enum")) {
        bool named = false;

        cJSON_ArrayForEach(item, get(schema, "enum")) {
            named |= cJSON_Compare(item, v, true) != 0;
        }
        if (!named) return false;
    }
    if (cJSON_IsString(type)) found = valid_type(type->valuestring, v);
    cJSON_ArrayForEach(item, type) found |= valid_type(item->valuestring, v);
    if (!found || !valid_limits(schema, v)) return false;
    if (cJSON_IsObject(v) && !valid_object(root, schema, v)) return false;
    if (cJSON_IsArray(v) && get(schema, "items")) cJSON_ArrayForEach(item, v) {
            if (!valid(root, get(schema, "items"), item)) return false;
        }
    return true;
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

        grammar_state_mask(s, tokenizer, mask);
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
            if (!valid(json, json, v))
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

static void random_schema(struct bytes *out, int depth);

static void random_members(struct bytes *out, int depth) {
    static const char *const names[] = {"key", "k\\\"\\u00e9", "key1", "a"};
    int required = pick(16), written = 0;

    bytes_puts(out, "\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 4; i++) {
        assert_true(
            bytes_printf(out, NULL, "%s\"%s\":", i ? "," : "", names[i]));
        random_schema(out, depth - 1);
    }
    bytes_puts(out, "},\"required\":[");
    for (int i = 0; i < 4; i++)
        if (required >> i & 1)
            assert_true(bytes_printf(out, NULL, "%s\"%s\"",
                                     written++ ? "," : "", names[i]));
    bytes_puts(out, "]");
    if (pick(2)) bytes_puts(out, ",\"additionalProperties\":false");
}

static void random_scalar(struct bytes *out) {
    int low = pick(2000) - 1000, size = pick(6);

    switch (pick(8)) {
    case 0:
        assert_true(bytes_printf(out, NULL,
                                 "\"type\":\"integer\",\"minimum\":%d,"
                                 "\"maximum\":%d",
                                 low, low + pick(3000)));
        break;
    case 1:
        assert_true(bytes_printf(out, NULL,
                                 "\"type\":\"integer\",\"exclusiveMinimum\":"
                                 "%d.5,\"exclusiveMaximum\":%d",
                                 low, low + 2 + pick(20)));
        break;
    case 2:
        bytes_puts(out, "\"type\":\"number\"");
        break;
    case 3:
        assert_true(bytes_printf(out, NULL,
                                 "\"type\":\"string\",\"minLength\":%d,"
                                 "\"maxLength\":%d",
                                 size, size + pick(20)));
        break;
    case 4:
        bytes_puts(out, "\"type\":[\"boolean\",\"null\"]");
        break;
    case 5:
        bytes_puts(out, "\"enum\":[\"a\",\"ab\",\"\",1,-2.5,null,[1],{\"x\":"
                        "\"\\n\\u00e9\"}]");
        break;
    case 6:
        bytes_puts(out, "\"const\":{\"a\":[true,\"q\\\"\"]}");
        break;
    default:
        bytes_puts(out, "\"type\":\"string\",\"title\":\"ignored\"");
    }
}

static void random_schema(struct bytes *out, int depth) {
    int size = pick(3);

    bytes_puts(out, "{");
    switch (depth > 0 ? pick(5) : 4) {
    case 0:
    case 1:
        random_members(out, depth);
        break;
    case 2:
        assert_true(bytes_printf(out, NULL,
                                 "\"type\":\"array\",\"minItems\":%d,"
                                 "\"maxItems\":%d,\"items\":",
                                 size, size + pick(4)));
        random_schema(out, depth - 1);
        break;
    case 3:
        bytes_puts(out, "\"anyOf\":[");
        random_schema(out, depth - 1);
        bytes_puts(out, ",");
        random_schema(out, depth - 1);
        bytes_puts(out, "]");
        break;
    default:
        random_scalar(out);
    }
    bytes_puts(out, "}");
}

static void test_random_schemas(void **state) {
    int ended = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct bytes schema = {0};

        random_state = (uint64_t)i;
        random_schema(&schema, 3);
        bytes_put(&schema, (struct span){"", 1});
        ended += check_walks(schema.at, 2);
        bytes_free(&schema);
    }
    assert_in_range(ended, 380, 400); /* or the walks prove little */
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
    check_refused("{\"type\":\"string\",\"pattern\":\"a\"}", ERR_UNSUPPORTED,
                  "pattern");
    check_refused("{\"properties\":{\"x\":{\"not\":{}}}}", ERR_UNSUPPORTED,
                  "x.not");
    check_refused("{\"allOf\":[{}]}", ERR_UNSUPPORTED, "allOf");
    check_refused("false", ERR_UNSUPPORTED, "");
    check_refused("3", ERR_UNSUPPORTED, "");
    check_refused("{\"type\":\"thing\"}", ERR_INPUT, "type");
    check_refused("{\"type\":\"number\",\"minimum\":1}", ERR_UNSUPPORTED,
                  "type");
    check_refused("{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}",
                  ERR_INPUT, "minimum");
    check_refused("{\"type\":\"string\",\"minLength\":2,\"maxLength\":1}",
                  ERR_INPUT, "minLength");
    check_refused("{\"type\":\"string\",\"minLength\":1.5}", ERR_UNSUPPORTED,
                  "minLength");
    check_refused("{\"type\":\"array\",\"minItems\":999999}", ERR_UNSUPPORTED,
                  "minItems");
    check_refused("{\"required\":[\"x\"]}", ERR_UNSUPPORTED, "required");
    check_refused("{\"$ref\":\"#\"}", ERR_UNSUPPORTED, "$ref");
    check_refused("{\"$ref\":\"http://example.org\"}", ERR_UNSUPPORTED, "$ref");
    check_refused("{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{"
                  "\"$ref\":\"#\"}}}",
                  ERR_UNSUPPORTED, "anyOf.$ref");
    check_refused("{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
                  ERR_UNSUPPORTED, "oneOf");
    check_refused("{\"enum\":[1],\"type\":\"string\"}", ERR_INPUT, "enum");
    check_refused("{\"enum\":[\"a\"],\"maxLength\":0}", ERR_UNSUPPORTED,
                  "maxLength");
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
    grammar_state_mask(s, tokenizer, mask);
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

static void test_mask_is_exact(void **state) {
    static const char *const prefixes[] = {"",
                                           "{\"free\": \"a",
                                           "{\"free\":",
                                           "{\"free\":\"\\",
                                           "{\"free\":\"\xE4",
                                           "{\"free\":\"x\",",
                                           "{\"n\":1"};
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"free\":{\"anyOf\":[{\"type\":"
        "\"string\"},{\"type\":\"string\",\"maxLength\":2},{}]},\"n\":{"
        "\"type\":\"number\"}}}";
    cJSON *json;
    struct grammar *g = compile(schema, &json);

    (void)state;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        check_mask(g, span_of(prefixes[i]));
    grammar_free(g);
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_doubling_ways),
        cmocka_unit_test(test_composition),
        cmocka_unit_test(test_mask_is_exact),
        cmocka_unit_test(test_named_schemas),
        cmocka_unit_test(test_random_schemas),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
