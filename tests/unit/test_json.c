/* test_json.c - JSON from outside, and our own text inside JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void check_parse(const char *text, bool good) {
    struct err err = {0};
    cJSON *json = json_parse(span_of(text), &err);

    if (good != (json != NULL))
        print_error("%s: %s\n", text, json ? "accepted" : err.text);
    assert_int_equal(json != NULL, good);
    if (!good) assert_true(err.code == ERR_INPUT || err.code == ERR_LIMIT);
    cJSON_Delete(json);
}

static void test_parse(void **state) {
    (void)state;
    check_parse("{\"a\":[1,2.5,true,null,\"x\"]}", true);
    check_parse(" [ ] \r\n\t", true);
    check_parse("\"\\u00e9\\ud83d\\ude00\"", true);
    check_parse("\"\\\\u0000\"", true); /* a backslash, then text */
    check_parse("", false);
    check_parse("{", false);
    check_parse("[1,]", false);
    check_parse("{} {}", false);
    check_parse("{\"a\":1,\"a\":2}", false);
    check_parse("[{\"a\":1,\"b\":2,\"a\":3}]", false);
    check_parse("{\"a\":1,\"\\u0061\":2}", false); /* the same key, escaped */
    check_parse("{\"a\":1,\"A\":2}", true);
    check_parse("\"\\u0000\"", false);
    check_parse("\"\xFF\"", false);
    check_parse("\"\\ud83d\"", false); /* half a surrogate pair */
    check_parse("nul", false);
    check_parse("\xEF\xBB\xBF[1]", true); /* a byte order mark */
    check_parse("\xEF\xBB\xBF", false);
    check_parse("[1\v]", false);
}

/* RFC 8259's numbers and no others, each one as the C library has it. */
static void test_numbers(void **state) {
    static const char *const good[] = {"0",
                                       "-0",
                                       "7",
                                       "-13",
                                       "2147483648",
                                       "-2147483649",
                                       "0.5",
                                       "-1.25e3",
                                       "1E+2",
                                       "1e-2",
                                       "999999999999999",
                                       "9999999999999999",
                                       "9007199254740993",
                                       "18446744073709551616",
                                       "1.7976931348623157e308",
                                       "5e-324",
                                       "1e-999",
                                       "0.30000000000000004"};
    static const char *const none[] = {
        "01",  "-",    "+1",    ".5",     "1.",       "1.e5", "1e", "1e+",
        "-01", "0x10", "1e999", "-1e999", "Infinity", "NaN",  "--1"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const cJSON *json = json_read(span_of(good[i]), NULL);
        double want = strtod(good[i], NULL);

        assert_true(cJSON_IsNumber(json));
        assert_memory_equal(&json->valuedouble, &want, sizeof want);
        json_free(json);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        check_parse(none[i], false);
}

/* What a text holds, as cJSON itself reads it. */
static void check_as_cjson(const char *text) {
    const cJSON *json = json_read(span_of(text), NULL);
    cJSON *theirs = cJSON_Parse(text);
    struct bytes ours = {0};
    char *want = cJSON_PrintUnformatted(theirs);

    assert_non_null(json);
    assert_true(json_print(json, &ours, NULL));
    assert_true(span_is(span_bytes(&ours), want));
    assert_true(cJSON_Compare(json, theirs, true));
    free(want);
    bytes_free(&ours);
    cJSON_Delete(theirs);
    json_free(json);
}

static const char mixed[] =
    "{\"a\":[1,-2.5e3,true,false,null,\"x\"],\"\":{},\"b\":[[],{}],"
    "\"esc\\u0061pe\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\ude00\","
    "\"long enough for eight at once, \xC3\xA9 and more\": \"12345678\\n\" }";

static void test_as_cjson(void **state) {
    struct bytes many = {0};

    (void)state;
    check_as_cjson(mixed);
    check_as_cjson("\"\"");
    check_as_cjson("7");
    /* More values than a text of its size has in most cases. */
    bytes_puts(&many, "[0");
    for (int i = 0; i < 5000; i++) bytes_puts(&many, ",{}");
    bytes_puts(&many, ",\"end\"]");
    bytes_put(&many, (struct span){"", 1});
    check_as_cjson(many.at);
    bytes_free(&many);
}

/* Each head of it, where a reading past its end would be seen. */
static void test_cut(void **state) {
    (void)state;
    for (size_t size = 0; size < sizeof mixed - 1; size++) {
        char *text = malloc(size ? size : 1);
        struct err err = {0};

        memcpy(text, mixed, size);
        assert_null(json_read((struct span){text, size}, &err));
        assert_true(err.code == ERR_INPUT);
        free(text);
    }
}

/* Of `count` different keys, then one of them again. */
static void check_again(int count) {
    struct bytes text = {0};
    struct err err = {0};

    for (int again = -1; again < count; again++) {
        cJSON *json;

        text.size = 0;
        bytes_puts(&text, "{");
        for (int i = 0; i < count; i++)
            assert_true(bytes_printf(&text, &err, "\"k%d\":0,", i));
        assert_true(bytes_printf(&text, &err, "\"%s%d\":0}",
                                 again < 0 ? "x" : "k", again));
        json = json_parse(span_bytes(&text), &err);
        assert_int_equal(json != NULL, again < 0);
        cJSON_Delete(json);
    }
    bytes_free(&text);
}

/* Few keys are compared in another way than many. */
static void test_same_keys(void **state) {
    (void)state;
    for (int count = 1; count < 40; count++) check_again(count);
}

static void test_nul_byte(void **state) {
    struct err err = {0};

    (void)state;
    assert_null(json_parse((struct span){"{}\0", 3}, &err));
    assert_null(json_parse((struct span){"[1\0]", 4}, &err));
}

static void test_not_terminated(void **state) {
    struct err err = {0};
    char *text = malloc(4);
    cJSON *json;

    (void)state;
    memcpy(text, "1234", 4); /* reading on would be seen by the sanitizer */
    json = json_parse((struct span){text, 4}, &err);
    assert_non_null(json);
    assert_int_equal(json->valueint, 1234);
    cJSON_Delete(json);
    free(text);
}

static void test_depth(void **state) {
    char text[2 * JSON_DEPTH_MAX + 3];

    (void)state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    check_parse(text, true);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    text[2 * JSON_DEPTH_MAX + 2] = '\0';
    check_parse(text, false);
    /* Brackets inside a string are no depth. */
    memset(text, '[', sizeof text - 1);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    check_parse(text, true);
}

/* A list of `count` empty lists, and of as many members: `count` + 1 values. */
static void check_values(int count, size_t values_max, bool good) {
    for (int kind = 0; kind < 2; kind++) {
        struct bytes text = {0};
        struct err err = {0};
        const cJSON *json;

        bytes_puts(&text, kind ? "{" : "[");
        for (int i = 0; i < count; i++) {
            if (i) bytes_puts(&text, ",");
            if (kind) {
                assert_true(bytes_printf(&text, NULL, "\"%d\":0", i));
            } else {
                bytes_puts(&text, "[]");
            }
        }
        bytes_puts(&text, kind ? "}" : "]");
        json = values_max ? json_read_up_to(span_bytes(&text), values_max, &err)
                          : json_read(span_bytes(&text), &err);
        assert_int_equal(json != NULL, good);
        if (json) assert_int_equal(cJSON_GetArraySize(json), count);
        if (!good) {
            char want[64];

            (void)snprintf(want, sizeof want, "JSON of more than %zu values",
                           values_max ? values_max : JSON_VALUES_MAX);
            assert_int_equal(err.code, ERR_LIMIT);
            assert_string_equal(err.text, want);
        }
        json_free(json);
        bytes_free(&text);
    }
}

/* Below, at and past a limit that is in the first piece of memory, in a later
 * one, and the one that all texts have. */
static void test_values(void **state) {
    static const int limits[] = {2, 3, 8, 9, 100, 1024, 1025, 5000};

    (void)state;
    check_values(0, 1, true);
    check_values(1, 1, false);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        check_values(limits[i] - 2, (size_t)limits[i], true);
        check_values(limits[i] - 1, (size_t)limits[i], true);
        check_values(limits[i], (size_t)limits[i], false);
        check_values(10 * limits[i], (size_t)limits[i], false);
    }
    check_values(JSON_VALUES_MAX - 1, 0, true);
    check_values(JSON_VALUES_MAX, 0, false);
}

static void check_string(const char *in, size_t size, const char *want) {
    struct bytes out = {0};
    struct err err = {0};

    assert_true(json_put_string(&out, (struct span){in, size}, &err));
    bytes_put(&out, (struct span){"", 1});
    assert_string_equal(out.at, want);
    bytes_free(&out);
}

/* Bytes are looked at eight at a time: each means the same wherever it is. */
static void test_each_byte(void **state) {
    (void)state;
    for (size_t at = 0; at < 20; at++) {
        for (int c = 1; c < 128; c++) {
            char text[] = "\"abcdefg\xc3\xa9 !#[]~_^hijklm\"", want[32];
            const struct span s = {text, sizeof text - 1};
            struct err err = {0};
            const cJSON *json;

            if ((unsigned char)text[1 + at] >= 128) continue;
            text[1 + at] = (char)c;
            memcpy(want, text + 1, s.size - 2);
            want[s.size - 2] = '\0';
            json = json_read(s, &err);
            if (c == '\\') { /* of what follows, which may be an escape's */
                assert_true(!json || strlen(json->valuestring) < strlen(want));
                json_free(json);
                continue;
            }
            if (c < ' ' || c == '"') {
                assert_null(json);
                continue;
            }
            assert_non_null(json);
            assert_string_equal(json->valuestring, want);
            json_free(json);
        }
    }
}

static void test_put_string(void **state) {
    (void)state;
    check_string("plain", 5, "\"plain\"");
    check_string("", 0, "\"\"");
    check_string("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
    check_string("\n\r\t\b\x01\x7F", 6, "\"\\n\\r\\t\\u0008\\u0001\\u007f\"");
    check_string("a\0b", 3, "\"a\\u0000b\"");
    check_string("</script>&", 10, "\"</script>&\"");
    check_string("\xC3\xA9\xFFx", 4, "\"\xC3\xA9\xEF\xBF\xBDx\"");
}

/* Each value at each place, read and written. */
static void test_places(void **state) {
    (void)state;
    for (int value = 0; value < 256; value++)
        for (size_t at = 0; at < 20; at++) {
            char text[23] = "\"abcdefghijklmnopqrst\"";
            struct bytes out = {0};
            struct err err = {0};
            bool special = value == '"' || value < ' ';
            cJSON *json;

            text[1 + at] = (char)value;
            json = json_parse((struct span){text, 22}, &err);
            /* A backslash depends on what follows it. */
            if (value != '\\')
                assert_int_equal(json != NULL, !special && value < 0x80);
            cJSON_Delete(json);
            assert_true(
                json_put_string(&out, (struct span){text + 1, 20}, &err));
            json = json_parse(span_bytes(&out), &err);
            if (value == 0) { /* is written so, but not read back */
                assert_null(json);
            } else {
                assert_true(cJSON_IsString(json));
                assert_memory_equal(json->valuestring, text + 1, at);
                if (value < 0x80)
                    assert_int_equal(json->valuestring[at], value);
                assert_memory_equal(json->valuestring + at +
                                        (value < 0x80 ? 1 : 3),
                                    text + 2 + at, 19 - at);
            }
            cJSON_Delete(json);
            bytes_free(&out);
        }
}

static void test_put_string_limit(void **state) {
    struct bytes out = {.limit = 4};
    struct err err = {0};

    (void)state;
    assert_false(json_put_string(&out, span_of("abcdef"), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&out);
}

static void test_fields(void **state) {
    const char *text = "{\"b\":true,\"i\":7,\"f\":0.5,\"s\":\"x\",\"n\":null,"
                       "\"big\":1e300}";
    struct err err = {0};
    cJSON *json = json_parse(span_of(text), &err);
    const char *s = "old";
    bool b = false;
    int64_t i = 1;
    double f = 1;

    (void)state;
    assert_true(json_get_bool(json, "", "b", &b, &err) && b);
    assert_true(json_get_int(json, "", "i", 0, 10, &i, &err) && i == 7);
    assert_true(json_get_number(json, "", "f", 0, 1, &f, &err) && f == 0.5);
    assert_true(json_get_string(json, "", "s", &s, &err));
    assert_string_equal(s, "x");
    /* Absent and null leave what was there. */
    assert_true(json_get_int(json, "", "n", 0, 10, &i, &err) && i == 7);
    assert_true(json_get_int(json, "", "none", 0, 10, &i, &err) && i == 7);
    /* Wrong kinds and ranges name their field. */
    assert_false(json_get_int(json, "", "i", 0, 6, &i, &err));
    assert_string_equal(err.field, "i");
    assert_false(json_get_int(json, "m[1]", "f", 0, 6, &i, &err));
    assert_string_equal(err.field, "m[1].f");
    assert_false(json_get_int(json, "", "big", INT64_MIN, INT64_MAX, &i, &err));
    assert_false(json_get_int(json, "", "s", 0, 6, &i, &err));
    assert_false(json_get_bool(json, "", "i", &b, &err));
    assert_false(json_get_string(json, "", "b", &s, &err));
    assert_false(json_get_number(json, "", "big", 0, 1, &f, &err));
    assert_true(i == 7 && b && f == 0.5);
    cJSON_Delete(json);
}

static void test_only_keys(void **state) {
    const char *const keys[] = {"a", "b", NULL};
    struct err err = {0};
    cJSON *json = json_parse(span_of("{\"a\":1,\"c\":2}"), &err);

    (void)state;
    assert_false(json_only_keys(json, "x", keys, &err));
    assert_string_equal(err.field, "x.c");
    cJSON_DeleteItemFromObject(json, "c");
    assert_true(json_only_keys(json, "x", keys, &err));
    assert_true(json_only_keys(NULL, "x", keys, &err));
    cJSON_Delete(json);
    json = json_parse(span_of("[2]"), &err);
    assert_false(json_only_keys(json, "x", keys, &err));
    assert_string_equal(err.text, "x: expected an object");
    assert_false(json_only_keys(json, "", keys, &err));
    assert_string_equal(err.text, "expected an object");
    cJSON_Delete(json);
}

static void test_print(void **state) {
    struct bytes out = {0};
    struct err err = {0};
    cJSON *json = json_parse(span_of("{ \"a\" : [ 1, \"\\u00e9\" ] }"), &err);

    (void)state;
    assert_true(json_print(json, &out, &err));
    assert_true(span_is(span_bytes(&out), "{\"a\":[1,\"\xC3\xA9\"]}"));
    bytes_free(&out);
    out.limit = 3;
    assert_false(json_print(json, &out, &err));
    bytes_free(&out);
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_as_cjson),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_same_keys),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_not_terminated),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_each_byte),
        cmocka_unit_test(test_put_string),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_put_string_limit),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_only_keys),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
