/* test_verdict.c - the outcome: the zero value blocks, the most severe wins,
 * and no span that must be cut is ever forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "guard/verdict.h"

static struct finding finding(enum verdict_action action, size_t from,
                              size_t end, const char *category) {
    return (struct finding){.check = "c",
                            .category = category,
                            .score = 1,
                            .from = from,
                            .end = end,
                            .action = action};
}

static void test_zero_blocks(void **state) {
    static struct verdict zero;
    struct err why = {.code = ERR_TIMEOUT, .text = "too slow"};

    (void)state;
    assert_int_equal(zero.action, VERDICT_BLOCK);
    assert_int_equal(zero.cause, VERDICT_CAUSE_UNAVAILABLE);
    zero.err = why;
    verdict_fail(&zero, "0123456789abcdef", &zero.err);
    assert_int_equal(zero.action, VERDICT_BLOCK);
    assert_string_equal(zero.err.text, "too slow");
    assert_string_equal(zero.revision, "0123456789abcdef");
    assert_int_equal(strlen(zero.id), HASH_ID_SIZE - 1);
}

static void test_severest_wins(void **state) {
    static struct verdict v;
    struct finding flag = finding(VERDICT_FLAG, 0, 1, "");
    struct finding redact = finding(VERDICT_REDACT, 0, 1, "");
    struct finding shadow = finding(VERDICT_BLOCK, 0, 1, "");

    (void)state;
    shadow.shadow = true;
    verdict_begin(&v, "r");
    assert_int_equal(v.action, VERDICT_ALLOW);
    verdict_add(&v, &redact);
    verdict_add(&v, &flag);
    verdict_add(&v, &shadow);
    assert_int_equal(v.action, VERDICT_REDACT);
    assert_int_equal(v.finding_count, 3);
}

static void test_full_list(void **state) {
    static struct verdict v;
    struct finding flag = finding(VERDICT_FLAG, 0, 1, "");
    struct finding redact = finding(VERDICT_REDACT, 3, 5, "");

    (void)state;
    verdict_begin(&v, "r");
    for (int i = 0; i < VERDICT_FINDINGS_MAX + 5; i++) verdict_add(&v, &flag);
    verdict_add(&v, &redact);
    assert_int_equal(v.action, VERDICT_REDACT);
    assert_int_equal(v.findings[VERDICT_FINDINGS_MAX - 1].from, 3);
    for (int i = 0; i < VERDICT_FINDINGS_MAX - 1; i++) verdict_add(&v, &redact);
    assert_int_equal(v.action, VERDICT_REDACT);
    /* One span more than can be remembered: nothing may pass. */
    verdict_add(&v, &redact);
    assert_int_equal(v.action, VERDICT_BLOCK);
}

static void check_redact(const struct finding *findings, int count, int item,
                         const char *text, const char *want) {
    static struct verdict v;
    struct bytes out = {.at = NULL};
    struct err err;

    verdict_begin(&v, "r");
    for (int i = 0; i < count; i++) verdict_add(&v, &findings[i]);
    assert_true(verdict_redact(&v, item, span_of(text), &out, &err));
    if (!span_is(span_bytes(&out), want))
        fail_msg("'%.*s' instead of '%s'", (int)out.size, out.at, want);
    bytes_free(&out);
}

static void test_redact(void **state) {
    struct finding f[4] = {{.check = NULL}};

    (void)state;
    check_redact(f, 0, 0, "abc", "abc");
    f[0] = finding(VERDICT_REDACT, 4, 9, "email");
    f[1] = finding(VERDICT_REDACT, 0, 2, "");
    check_redact(f, 2, 0, "ab, a@b.c.", "[REDACTED], [EMAIL].");
    check_redact(f, 2, 1, "ab, a@b.c.", "ab, a@b.c.");
    /* Overlapping: one mark, named by the longer. */
    f[0] = finding(VERDICT_REDACT, 1, 4, "phone");
    f[1] = finding(VERDICT_REDACT, 2, 8, "api_key");
    check_redact(f, 2, 0, "0123456789", "0[API_KEY]89");
    /* Touching: two. */
    f[1].from = 4;
    check_redact(f, 2, 0, "0123456789", "0[PHONE][API_KEY]89");
    /* A whole text, and a span past the end. */
    f[0] = finding(VERDICT_REDACT, 0, 0, "");
    check_redact(f, 1, 0, "0123", "[REDACTED]");
    f[0] = finding(VERDICT_REDACT, 2, 90, "ip");
    check_redact(f, 1, 0, "0123", "01[IP]");
    f[0].shadow = true;
    check_redact(f, 1, 0, "0123", "0123");
    f[0] = finding(VERDICT_FLAG, 1, 2, "ip");
    check_redact(f, 1, 0, "0123", "0123");
}

static void test_json(void **state) {
    static struct verdict v;
    struct finding f = finding(VERDICT_BLOCK, 0, 0, "S1");
    struct bytes out = {.at = NULL};
    struct err err;
    cJSON *json;

    (void)state;
    verdict_begin(&v, "r");
    memcpy(v.id, "id", 3);
    f.check = "hazards";
    f.score = 0.91234f;
    verdict_add(&v, &f);
    f.category = "email";
    f.check = "quiet";
    f.shadow = true;
    verdict_add(&v, &f);
    json = verdict_to_json(&v, CHANNEL_INPUT);
    assert_true(json_print(json, &out, &err));
    assert_true(span_is(span_bytes(&out),
                        "{\"id\":\"id\",\"action\":\"block\",\"score\":0.9123,"
                        "\"categories\":{\"S1\":0.9123},\"checks\":[\"hazards\""
                        "],\"channel\":\"input\"}"));
    cJSON_Delete(json);
    out.size = 0;
    verdict_checks(&v, &out);
    assert_true(span_is(span_bytes(&out), "hazards"));
    bytes_free(&out);
}

static void test_names(void **state) {
    enum verdict_action action;
    enum channel channel;

    (void)state;
    for (int i = 0; i <= VERDICT_ALLOW; i++) {
        assert_true(verdict_action_from_name(
            verdict_action_name((enum verdict_action)i), &action));
        assert_int_equal(action, i);
    }
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        assert_true(channel_from_name(channel_name((enum channel)i), &channel));
        assert_int_equal(channel, i);
    }
    assert_false(verdict_action_from_name("Block", &action));
    assert_false(channel_from_name("", &channel));
    assert_string_equal(label_name(LABEL_S14), "S14");
    assert_string_equal(label_name(LABEL_COUNT), "");
    assert_string_equal(stage_name(STAGE_CLASSIFY), "classify");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_zero_blocks),
                                       cmocka_unit_test(test_severest_wins),
                                       cmocka_unit_test(test_full_list),
                                       cmocka_unit_test(test_redact),
                                       cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
