/* test_approvals.c - calls that wait for a person: shown, answered once, and
 * gone when their time or their asker is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/json.h"
#include "proxy/approvals.h"
#include "proxy/mailbox.h"
#include "tests/unit/busy_loop.h"

struct asker {
    int answers;
    enum approval_answer last;
    struct approval *other; /* cancelled when this one is answered */
};

static void on_answer(void *user, enum approval_answer answer) {
    struct asker *a = user;

    a->answers++;
    a->last = answer;
    approval_cancel(a->other);
    a->other = NULL;
}

static struct approval *ask(struct approvals *table, struct asker *asker,
                            int seconds) {
    struct approval_question q = {.tool = span_of("send_email"),
                                  .arguments = span_of("{\"to\":\"a\\nb\"}"),
                                  .checks = span_of("mail,tools.rules"),
                                  .seconds = seconds};
    struct err err = {0};
    struct approval *p = approvals_ask(table, &q, on_answer, asker, &err);

    if (!p) fail_msg("%s", err.text);
    return p;
}

/* The list, parsed; the caller deletes it. */
static cJSON *list(const struct approvals *table) {
    struct bytes out = {0};
    struct err err = {0};
    cJSON *json;

    assert_true(approvals_list(table, &out, &err));
    json = json_parse(span_bytes(&out), &err);
    assert_non_null(json);
    bytes_free(&out);
    return json;
}

static int waiting(const struct approvals *table) {
    cJSON *json = list(table);
    int count = cJSON_GetArraySize(cJSON_GetObjectItem(json, "data"));

    cJSON_Delete(json);
    return count;
}

static void first_id(const struct approvals *table, char out[HASH_ID_SIZE]) {
    cJSON *json = list(table);
    cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "data"), 0);

    memcpy(out, cJSON_GetObjectItem(first, "id")->valuestring, HASH_ID_SIZE);
    cJSON_Delete(json);
}

static enum err_code decide(struct approvals *table, const char *id,
                            const char *body) {
    struct bytes out = {0};
    struct err err = {0};
    bool ok =
        approvals_decide(table, span_of(id), span_of(body), "", &out, &err);

    assert_int_equal(ok, err.code == ERR_NONE);
    bytes_free(&out);
    return err.code;
}

static void test_list(void **state) {
    struct approvals *table = approvals_new(NULL);
    struct asker asker = {0};
    struct approval *p = ask(table, &asker, 300);
    cJSON *json = list(table), *item;

    (void)state;
    item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "data"), 0);
    assert_string_equal(cJSON_GetObjectItem(item, "tool")->valuestring,
                        "send_email");
    assert_string_equal(cJSON_GetObjectItem(item, "arguments")->valuestring,
                        "{\"to\":\"a\\nb\"}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(item, "checks")),
                     2);
    assert_int_equal(cJSON_GetObjectItem(item, "expires")->valuedouble -
                         cJSON_GetObjectItem(item, "created")->valuedouble,
                     300);
    cJSON_Delete(json);
    approval_cancel(p);
    assert_int_equal(waiting(table), 0);
    assert_int_equal(asker.answers, 0);
    approvals_free(table);
}

static void test_decide(void **state) {
    struct approvals *table = approvals_new(NULL);
    struct asker yes = {0}, no = {0};
    char id[HASH_ID_SIZE];

    (void)state;
    (void)ask(table, &yes, 300);
    (void)ask(table, &no, 300);
    first_id(table, id);
    assert_int_equal(decide(table, "nobody", "{\"decision\":\"approve\"}"),
                     ERR_NOT_FOUND);
    assert_int_equal(decide(table, "", "{\"decision\":\"approve\"}"),
                     ERR_NOT_FOUND);
    for (const char *const *body =
             (const char *const[]){"", "[]", "[\"approve\"]", "7", "{}",
                                   "{\"decision\":true}",
                                   "{\"decision\":\"yes\"}",
                                   "{\"decision\":\"approve\",\"x\":1}", NULL};
         *body; body++)
        assert_int_equal(decide(table, id, *body), ERR_INPUT);
    assert_int_equal(yes.answers, 0);
    assert_int_equal(decide(table, id, "{\"decision\":\"approve\"}"), ERR_NONE);
    assert_int_equal(yes.answers, 1);
    assert_int_equal(yes.last, APPROVAL_APPROVED);
    assert_int_equal(decide(table, id, "{\"decision\":\"approve\"}"),
                     ERR_NOT_FOUND);
    first_id(table, id);
    assert_int_equal(decide(table, id, "{\"decision\":\"deny\"}"), ERR_NONE);
    assert_int_equal(no.last, APPROVAL_DENIED);
    approvals_free(table);
}

static void test_expiry(void **state) {
    struct approvals *table = approvals_new(NULL);
    struct asker soon = {0}, late = {0}, gone = {0};
    struct approval *p;

    (void)state;
    p = ask(table, &late, 300);
    (void)ask(table, &soon, 0);
    soon.other = ask(table, &gone, 0);
    approvals_tick(table);
    assert_int_equal(soon.answers, 1);
    assert_int_equal(soon.last, APPROVAL_EXPIRED);
    assert_int_equal(gone.answers, 0);
    assert_int_equal(late.answers, 0);
    assert_int_equal(waiting(table), 1);
    approval_cancel(p);
    approvals_free(table);
}

static void test_limits(void **state) {
    struct approvals *table = approvals_new(NULL);
    struct approval *list[APPROVALS_MAX];
    struct approval_question q = {.tool = span_of("t"), .seconds = 1};
    struct asker asker = {0};
    struct err err = {0};
    char *big = xalloc(APPROVAL_ARGUMENT_BYTES_MAX);

    (void)state;
    memset(big, ' ', APPROVAL_ARGUMENT_BYTES_MAX);
    q.arguments = (struct span){big, APPROVAL_ARGUMENT_BYTES_MAX};
    assert_null(approvals_ask(table, &q, on_answer, &asker, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    for (int i = 0; i < APPROVALS_MAX; i++) list[i] = ask(table, &asker, 9);
    q.arguments = span_of("{}");
    assert_null(approvals_ask(table, &q, on_answer, &asker, &err));
    assert_int_equal(err.code, ERR_BUSY);
    for (int i = 0; i < APPROVALS_MAX; i++) approval_cancel(list[i]);
    free(big);
    approvals_free(table);
}

/* Two faces of one table: both show what waits, either answers, and who asked
 * by the second is told by its mailbox, or not at all once he has cancelled. */
static void test_faces(void **state) {
    struct approvals *table = approvals_new(NULL), *other;
    struct asker near = {0}, far = {0}, gone = {0}, late = {0};
    struct approval *p;
    struct mailbox *box;
    char id[HASH_ID_SIZE];
    struct busy_loop busy;

    (void)state;
    busy_loop_open(&busy);
    box = mailbox_open(&busy.loop);
    other = approvals_share(table, box);
    (void)ask(other, &far, 300);
    p = ask(other, &gone, 300);
    (void)ask(table, &near, 300);
    assert_int_equal(waiting(table), 3);
    assert_int_equal(waiting(other), 3);

    first_id(table, id);
    assert_int_equal(decide(table, id, "{\"decision\":\"approve\"}"), ERR_NONE);
    assert_int_equal(far.answers, 0);
    assert_int_equal(waiting(other), 2);
    (void)uv_run(&busy.loop, UV_RUN_NOWAIT);
    assert_int_equal(far.answers, 1);
    assert_int_equal(far.last, APPROVAL_APPROVED);

    /* Answered, and cancelled before the letter is opened. */
    first_id(table, id);
    assert_int_equal(decide(table, id, "{\"decision\":\"deny\"}"), ERR_NONE);
    approval_cancel(p);
    (void)uv_run(&busy.loop, UV_RUN_NOWAIT);
    assert_int_equal(gone.answers, 0);

    /* Each face's time is told by its own tick. */
    (void)ask(other, &late, 0);
    approvals_tick(table);
    assert_int_equal(late.answers, 0);
    approvals_tick(other);
    assert_int_equal(late.last, APPROVAL_EXPIRED);
    assert_int_equal(late.answers, 1);

    first_id(table, id);
    assert_int_equal(decide(table, id, "{\"decision\":\"deny\"}"), ERR_NONE);
    assert_int_equal(near.answers, 1);
    approvals_free(table);
    assert_int_equal(waiting(other), 0);
    approvals_free(other);
    mailbox_close(box);
    busy_loop_close(&busy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list), cmocka_unit_test(test_decide),
        cmocka_unit_test(test_expiry), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_faces)};
    struct err err = {0};

    if (!hash_init(&err)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
