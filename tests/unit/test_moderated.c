/* test_moderated.c - the inline moderation parameter: what is read of it, what
 * it turns into a block, and the object that answers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/moderated.h"

static bool parse(const char *body, struct moderated *out, struct err *err) {
    cJSON *json = json_parse(span_of(body), err);
    bool ok;

    assert_non_null(json);
    *out = (struct moderated){0};
    *err = (struct err){0};
    ok = moderated_parse(json, out, err);
    cJSON_Delete(json);
    return ok;
}

static void check_parse(const char *body, bool wanted, bool input,
                        bool output) {
    struct moderated m;
    struct err err;

    assert_true(parse(body, &m, &err));
    assert_int_equal(m.wanted, wanted);
    assert_int_equal(m.blocks_input, input);
    assert_int_equal(m.blocks_output, output);
}

static void check_refused(const char *body, const char *field) {
    struct moderated m;
    struct err err;

    assert_false(parse(body, &m, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.field, field);
}

static void test_parse(void **state) {
    (void)state;
    check_parse("{}", false, false, false);
    check_parse("{\"moderation\":null}", false, false, false);
    check_parse("{\"moderation\":{\"model\":\"m\"}}", true, false, false);
    check_parse("{\"moderation\":{\"model\":\"m\",\"policy\":null}}", true,
                false, false);
    check_parse("{\"moderation\":{\"model\":\"m\",\"policy\":{\"input\":"
                "{\"mode\":\"block\"},\"output\":{\"mode\":\"score\"}}}}",
                true, true, false);
    check_parse("{\"moderation\":{\"model\":\"m\",\"policy\":{\"input\":null,"
                "\"output\":{\"mode\":\"block\"}}}}",
                true, false, true);
    check_refused("{\"moderation\":true}", "moderation");
    check_refused("{\"moderation\":{}}", "moderation.model");
    check_refused("{\"moderation\":{\"model\":\"\"}}", "moderation.model");
    check_refused("{\"moderation\":{\"model\":\"m\",\"policy\":[]}}",
                  "moderation.policy");
    check_refused("{\"moderation\":{\"model\":\"m\",\"policy\":{\"input\":1}}}",
                  "moderation.policy.input");
    check_refused(
        "{\"moderation\":{\"model\":\"m\",\"policy\":{\"output\":{}}}}",
        "moderation.policy.output.mode");
    check_refused("{\"moderation\":{\"model\":\"m\",\"policy\":{\"output\":"
                  "{\"mode\":\"allow\"}}}}",
                  "moderation.policy.output.mode");
}

static struct verdict verdict_of(enum verdict_action action, bool shadow,
                                 const char *category) {
    struct verdict v;
    struct finding f = {.check = "c",
                        .category = category,
                        .score = 0.75f,
                        .item = -1,
                        .action = action,
                        .shadow = shadow};

    verdict_begin(&v, "r");
    verdict_add(&v, &f);
    return v;
}

static void test_harden(void **state) {
    struct moderated m = {.wanted = true, .blocks_input = true};
    struct verdict v = verdict_of(VERDICT_BLOCK, true, "S1");

    (void)state;
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_false(moderated_harden(&m, CHANNEL_OUTPUT, &v));
    assert_false(moderated_harden(&m, CHANNEL_TOOL_CALL, &v));
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_true(moderated_harden(&m, CHANNEL_INPUT, &v));
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_false(v.findings[0].shadow);

    v = verdict_of(VERDICT_FLAG, false, "");
    assert_true(moderated_harden(&m, CHANNEL_INPUT, &v));
    assert_int_equal(v.action, VERDICT_BLOCK);
    v = verdict_of(VERDICT_REDACT, false, "EMAIL");
    assert_false(moderated_harden(&m, CHANNEL_INPUT, &v));
    assert_int_equal(v.action, VERDICT_REDACT);
    /* What blocks already, and what nobody could judge, stay as they are. */
    v = verdict_of(VERDICT_BLOCK, false, "S1");
    assert_false(moderated_harden(&m, CHANNEL_INPUT, &v));
    verdict_fail(&v, "r", &(struct err){.code = ERR_TIMEOUT});
    assert_false(moderated_harden(&m, CHANNEL_INPUT, &v));
    assert_int_equal(v.cause, VERDICT_CAUSE_UNAVAILABLE);
}

static cJSON *put(const struct moderated *m, int choices, bool bare) {
    struct bytes out = {0};
    struct err err = {0};
    cJSON *json;

    bytes_puts(&out, "{\"x\":0");
    assert_true(moderated_put(m, choices, bare, &out, &err));
    bytes_puts(&out, "}");
    json = json_parse(span_bytes(&out), &err);
    assert_non_null(json);
    bytes_free(&out);
    return json;
}

static const cJSON *at(const cJSON *json, const char *a, const char *b) {
    json = cJSON_GetObjectItemCaseSensitive(json, "moderation");
    json = cJSON_GetObjectItemCaseSensitive(json, a);
    return b ? cJSON_GetObjectItemCaseSensitive(json, b) : json;
}

static void test_answer(void **state) {
    struct moderated m = {0};
    struct verdict v = verdict_of(VERDICT_BLOCK, true, "S1");
    cJSON *json = put(&m, 1, false);
    const cJSON *first;

    (void)state;
    moderated_note(&m, CHANNEL_INPUT, 0, &v);
    assert_false(m.input.judged); /* it was not asked for */
    assert_null(at(json, "input", NULL));
    cJSON_Delete(json);

    m.wanted = true;
    v.classified = true;
    v.score[LABEL_S1] = 0.75f;
    moderated_note(&m, CHANNEL_INPUT, 0, &v);
    json = put(&m, 2, false);
    assert_string_equal(at(json, "input", "type")->valuestring,
                        "moderation_results");
    assert_string_equal(at(json, "output", "type")->valuestring, "error");
    assert_string_equal(at(json, "output", "code")->valuestring, "not_judged");
    first = at(json, "input", "results")->child;
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(first, "flagged")));
    first = cJSON_GetObjectItem(first, "categories");
    assert_true(
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(first, "violence")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(first, "S1")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(first, "S2")));
    cJSON_Delete(json);

    /* A later, harmless text takes nothing back; a result for each choice. */
    verdict_begin(&v, "r");
    moderated_note(&m, CHANNEL_INPUT, 0, &v);
    moderated_note(&m, CHANNEL_OUTPUT, 0, &v);
    moderated_note(&m, CHANNEL_OUTPUT, 1, &v);
    json = put(&m, 2, false);
    assert_int_equal(cJSON_GetArraySize(at(json, "output", "results")), 2);
    first = at(json, "input", "results")->child;
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(first, "flagged")));
    cJSON_Delete(json);
    json = put(&m, 1, true);
    assert_string_equal(at(json, "output", "type")->valuestring,
                        "moderation_result");
    assert_true(cJSON_IsFalse(at(json, "output", "flagged")));
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_harden),
        cmocka_unit_test(test_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
