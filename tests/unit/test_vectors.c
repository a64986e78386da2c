/* test_vectors.c - what a server is asked for vectors, and what it may answer.
 * Whatever it says, nothing but numbers comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/vectors.h"

static void test_body(void **state) {
    const struct span texts[] = {{"a\"b", 3}, {"c", 1}};
    struct llm_vectors_request r = {
        .model = {"m", 1}, .texts = texts, .count = 2};
    struct bytes out = {0};

    (void)state;
    assert_true(vectors_body(&r, NULL, &out, NULL));
    assert_true(span_is(span_bytes(&out),
                        "{\"model\":\"m\",\"encoding_format\":\"float\","
                        "\"input\":[\"a\\\"b\",\"c\"]}"));
    out.size = 0;
    r.count = 1;
    r.dimensions = 8;
    assert_true(vectors_body(&r, "theirs", &out, NULL));
    assert_true(span_is(span_bytes(&out),
                        "{\"model\":\"theirs\",\"encoding_format\":\"float\","
                        "\"dimensions\":8,\"input\":[\"a\\\"b\"]}"));
    bytes_free(&out);
}

static bool read_two(const char *text, float **out, int *size, int *tokens,
                     struct err *err) {
    cJSON *json = json_parse(span_of(text), err);
    bool ok;

    assert_non_null(json);
    ok = vectors_read(json, 2, out, size, tokens, err);
    cJSON_Delete(json);
    return ok;
}

static void test_read(void **state) {
    struct err err = {0};
    float *out;
    int size, tokens = 0;

    (void)state;
    assert_true(read_two("{\"data\":[{\"index\":1,\"embedding\":[3,4]},"
                         "{\"index\":0,\"embedding\":[1,-2e0]}],"
                         "\"usage\":{\"prompt_tokens\":5}}",
                         &out, &size, &tokens, &err));
    assert_int_equal(size, 2);
    assert_int_equal(tokens, 5);
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 3 && out[3] == 4);
    free(out);
    assert_true(read_two("{\"data\":[{\"index\":1,\"embedding\":[3]},"
                         "{\"index\":0,\"embedding\":[1]}],"
                         "\"usage\":{\"prompt_tokens\":-1}}",
                         &out, &size, &tokens, &err));
    free(out);
}

static void check_refused(const char *text) {
    struct err err = {0};
    float *out = NULL;
    int size, tokens;

    if (read_two(text, &out, &size, &tokens, &err)) fail_msg("%s", text);
    assert_int_equal(err.code, ERR_IO);
    assert_null(out);
}

static void test_refused(void **state) {
    (void)state;
    check_refused("[]");
    check_refused("{\"data\":{}}");
    check_refused("{\"data\":[{\"index\":0,\"embedding\":[1]}]}");
    check_refused("{\"data\":[1,2]}");
#define TWO(first, second) "{\"data\":[{" first "},{" second "}]}"
    check_refused(
        TWO("\"index\":0,\"embedding\":[]", "\"index\":1,\"embedding\":[]"));
    check_refused(
        TWO("\"index\":0,\"embedding\":[1]", "\"index\":0,\"embedding\":[1]"));
    check_refused(TWO("\"index\":0,\"embedding\":[1]", "\"embedding\":[1]"));
    check_refused(
        TWO("\"index\":0,\"embedding\":[1]", "\"index\":2,\"embedding\":[1]"));
    check_refused(TWO("\"index\":0,\"embedding\":[1]",
                      "\"index\":\"1\",\"embedding\":[1]"));
    check_refused(TWO("\"index\":0,\"embedding\":[1]",
                      "\"index\":1,\"embedding\":[1,2]"));
    check_refused(TWO("\"index\":0,\"embedding\":[1]",
                      "\"index\":1,\"embedding\":[\"text\"]"));
    check_refused(TWO("\"index\":0,\"embedding\":[1]",
                      "\"index\":1,\"embedding\":[1e39]"));
    check_refused(TWO("\"index\":0,\"embedding\":\"text\"",
                      "\"index\":1,\"embedding\":\"text\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
