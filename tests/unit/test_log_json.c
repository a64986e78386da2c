/* test_log_json.c - logfmt pairs as JSON: the same values, and always JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/log_json.h"
#include "base/utf8.h"

static void gives(const char *pairs, const char *want) {
    char out[512];
    size_t size = log_json(pairs, out, sizeof out);

    assert_int_equal(size, strlen(out));
    assert_string_equal(out, want);
}

static void test_values(void **state) {
    (void)state;
    gives("", "{}");
    gives("a=1 b=-2.5 c=word d=\"two words\"",
          "{\"a\":1,\"b\":-2.5,\"c\":\"word\",\"d\":\"two words\"}");
    gives("ok=true no=false yes=trues", "{\"ok\":true,\"no\":false,\"yes\":"
                                        "\"trues\"}");
    /* What JSON would not take for a number, or not keep as it is. */
    gives("a=01 b=1. c=- d=1e5 e=00000000 f=12345678901234567890 g=.5",
          "{\"a\":\"01\",\"b\":\"1.\",\"c\":\"-\",\"d\":\"1e5\",\"e\":"
          "\"00000000\",\"f\":\"12345678901234567890\",\"g\":\".5\"}");
    gives("a=\"x\\\"y\\\\z\\x0a\\x7f\"",
          "{\"a\":\"x\\\"y\\\\z\\u000a\\u007f\"}");
    gives("a= b=2  c=3 ", "{\"a\":\"\",\"b\":2,\"c\":3}");
    gives("word a=1", "{\"word\":\"\",\"a\":1}");
    gives("a=\"\xC3\xA9\xFF\"", "{\"a\":\"\xC3\xA9\xEF\xBF\xBD\"}");
    gives("a=\"cut off", "{\"a\":\"cut off\"}");
    gives("a=\"\\", "{\"a\":\"\\\\\"}");
}

/* Any text, any room: one whole JSON object without a line break. */
static void test_always_json(void **state) {
    static const char text[] = "a=\"q\\\"\\\\\\x0a\xC3\xA9\xFF\" bb=12 ccc=d=e "
                               "\" =x \\x = \x01";
    char cut[sizeof text], out[160];

    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        memcpy(cut, text, size);
        cut[size] = '\0';
        for (size_t room = 3; room <= sizeof out; room++) {
            size_t got = log_json(cut, out, room);
            cJSON *json;

            assert_true(got < room && out[got] == '\0');
            assert_null(strchr(out, '\n'));
            assert_true(utf8_valid(span_of(out)));
            json = cJSON_Parse(out);
            if (!cJSON_IsObject(json)) fail_msg("%s: %s", cut, out);
            cJSON_Delete(json);
        }
    }
    assert_int_equal(log_json("a=1", out, 2), 0);
}

static void test_quoted(void **state) {
    static const char odd[] =
        "line\nbreak \"quoted\" back\\slash \x01 \xE2\x82\xAC";
    char quoted[128], pairs[160] = "v=", out[256];
    cJSON *json;

    (void)state;
    strcat(pairs, log_quote(odd, quoted, sizeof quoted));
    (void)log_json(pairs, out, sizeof out);
    json = json_parse(span_of(out), NULL);
    assert_non_null(json);
    assert_string_equal(cJSON_GetObjectItem(json, "v")->valuestring, odd);
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_always_json),
        cmocka_unit_test(test_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
