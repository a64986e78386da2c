/* test_guard_examples.c - a policy's own category: its files are checked when
 * the policy is read, and its head has a say in the verdict, or blocks when it
 * cannot. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "guard/guard.h"
#include "guard/head.h"
#include "tests/unit/fake_classifier.h"

static char folder[] = "/tmp/corral-examples-XXXXXX";
static struct guard *guard;

static const char topic[] =
    "  - {id: topic, use: examples, on: [input, tool_result],\n"
    "     examples: topic.jsonl, action: block}\n";
static const char hazards[] = "  - {id: hazards, use: classifier, on: [input], "
                              "categories: {all: balanced}, action: block}\n";

static const char *in_folder(const char *name) {
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, struct span data) {
    FILE *f = fopen(in_folder(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data.at, 1, data.size, f), data.size);
    assert_int_equal(fclose(f), 0);
}

/* Twenty examples; `odd` makes another file of them. */
static void put_examples(bool odd, char digest[HASH_HEX_SIZE]) {
    struct bytes out = {0};

    for (int i = 0; i < 20; i++)
        assert_true(bytes_printf(&out, NULL,
                                 "{\"text\": \"text %d\", \"label\": %s}\n", i,
                                 i % 2 ? "\"block\"" : "0"));
    if (odd) bytes_puts(&out, "\n");
    hash_sha256_hex(span_bytes(&out), digest);
    put_file("topic.jsonl", span_bytes(&out));
    bytes_free(&out);
}

/* A head that goes by the first feature. */
static void put_head(const char *digest, const char *model, int width) {
    float low[3] = {-1, 0, 0}, high[3] = {1, 0, 0};
    struct head_row rows[2] = {{.hidden = low},
                               {.hidden = high, .positive = true}};
    struct head *head = head_fit(rows, 2, width, digest, model);
    struct bytes out = {0};

    head_print(head, &out);
    put_file("main-topic.head", span_bytes(&out));
    head_free(head);
    bytes_free(&out);
}

static void put_all(void) {
    char digest[HASH_HEX_SIZE];

    put_examples(false, digest);
    put_head(digest, feature_model(NULL), 2);
}

static struct policy *open_policy(const char *top, const char *checks,
                                  struct err *err) {
    struct bytes text = {0};
    struct policy *p;

    bytes_puts(&text, "policy: test\n");
    bytes_puts(&text, top);
    bytes_puts(&text, "checks:\n");
    bytes_puts(&text, checks);
    put_file("main.yaml", span_bytes(&text));
    p = policy_open(in_folder("main.yaml"), err);
    bytes_free(&text);
    return p;
}

static struct policy *policy_of(const char *top, const char *checks) {
    struct err err = {0};
    struct policy *p = open_policy(top, checks, &err);

    if (!p) fail_msg("%s", err.text);
    return p;
}

static void check_refused(const char *word) {
    struct err err = {0};
    struct policy *p = open_policy("", topic, &err);

    if (p) fail_msg("accepted, without '%s'", word);
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, "main.yaml:4:16: ") || !strstr(err.text, word))
        fail_msg("'%s' has no '%s'", err.text, word);
}

static void test_files(void **state) {
    char digest[HASH_HEX_SIZE], revision[VERDICT_REVISION_SIZE];
    const char *model = feature_model(NULL);
    struct policy *p;

    (void)state;
    (void)unlink(in_folder("topic.jsonl"));
    check_refused("topic.jsonl: No such file");
    put_file("topic.jsonl", span_of("{\"text\": \"x\"}\n"));
    check_refused("topic.jsonl:1: label");
    put_examples(false, digest);
    (void)unlink(in_folder("main-topic.head"));
    check_refused("not trained: corral policy train ");
    put_file("main-topic.head", span_of("corhead1"));
    check_refused("not a head: corral policy train ");
    put_head(digest, model, 2);
    p = policy_of("", topic);
    assert_non_null(policy_check(p, 0)->head);
    assert_true(policy_classifies(p, CHANNEL_INPUT));
    assert_false(policy_classifies(p, CHANNEL_OUTPUT));
    (void)snprintf(revision, sizeof revision, "%s", policy_revision(p));
    policy_free(p);
    put_examples(true, digest);
    check_refused("changed since the training: corral policy train ");
    put_head(digest, model, 2);
    p = policy_of("", topic);
    assert_string_not_equal(policy_revision(p), revision);
    policy_free(p);
}

static void test_untrained(void **state) {
    struct err err = {0};
    struct policy *p;

    (void)state;
    put_all();
    policy_free(policy_of("", topic));
    (void)unlink(in_folder("main-topic.head"));
    p = policy_open_untrained(in_folder("main.yaml"), &err);
    if (!p) fail_msg("%s", err.text);
    assert_null(policy_check(p, 0)->head);
    assert_string_equal(policy_check(p, 0)->head_path,
                        in_folder("main-topic.head"));
    /* Whoever puts it in force all the same lets nothing through. */
    assert_false(guard_fits(guard, p, &err));
    policy_free(p);
}

static void test_fits(void **state) {
    struct guard_options none = {.engine = NULL};
    struct guard *bare = guard_open(&none, NULL);
    char digest[HASH_HEX_SIZE];
    struct err err = {0};
    struct policy *p;

    (void)state;
    put_all();
    p = policy_of("", topic);
    assert_true(guard_fits(guard, p, &err));
    assert_false(guard_fits(bare, p, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    policy_free(p);
    put_examples(false, digest);
    put_head(digest, feature_model(NULL), 3);
    p = policy_of("", topic);
    assert_false(guard_fits(guard, p, &err));
    policy_free(p);
    put_head(digest, digest, 2); /* another model's */
    p = policy_of("", topic);
    assert_false(guard_fits(guard, p, &err));
    assert_non_null(strstr(err.text, "main.yaml:4:16: "));
    assert_non_null(strstr(err.text, "corral policy train "));
    policy_free(p);
    guard_close(bare);
}

/* ---- verdicts ---- */

static void on_verdict(void *user, const struct verdict *v) {
    *(struct verdict *)user = *v;
}

static struct verdict judge_as(const struct policy *p, enum channel channel,
                               const char *text, bool operator_text) {
    struct guard_turn turn = {GUARD_USER, span_of(text)};
    struct guard_item item = {channel, span_of(text)};
    const struct guard_request request = {.policy = p,
                                          .items = &item,
                                          .item_count = 1,
                                          .turns = &turn,
                                          .turn_count = 1,
                                          .channel = channel,
                                          .operator_text = operator_text};
    struct verdict v = {.id = "untold"};

    (void)guard_check_start(guard, &request, on_verdict, &v);
    while (fake_poll()) continue;
    assert_string_not_equal(v.id, "untold");
    assert_int_equal(fake.alive, 0);
    return v;
}

static struct verdict judge(const struct policy *p, const char *text) {
    return judge_as(p, CHANNEL_INPUT, text, false);
}

static void test_verdicts(void **state) {
    struct policy *p;
    struct verdict v;
    int featured;

    (void)state;
    put_all();
    p = policy_of("", topic);
    v = judge(p, "the TOPIC");
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.cause, VERDICT_CAUSE_POLICY);
    assert_string_equal(v.findings[0].check, "topic");
    assert_true(v.findings[0].score > 0.5f && v.findings[0].score < 1);
    assert_int_equal(judge(p, "something else").action, VERDICT_ALLOW);
    v = judge_as(p, CHANNEL_TOOL_RESULT, "a TOPIC", false);
    assert_int_equal(v.action, VERDICT_BLOCK);
    featured = fake.featured;
    /* Not a channel of the check; the operator's own words; no words. */
    (void)judge_as(p, CHANNEL_DOCUMENT, "a TOPIC", false);
    v = judge_as(p, CHANNEL_INPUT, "a TOPIC", true);
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_int_equal(judge(p, "").action, VERDICT_ALLOW);
    assert_int_equal(fake.featured, featured);
    policy_free(p);
}

static void test_beside_classifier(void **state) {
    char both[512];
    struct policy *p;
    int featured;

    (void)state;
    put_all();
    (void)snprintf(both, sizeof both, "%s%s", topic, hazards);
    p = policy_open(in_folder("main.yaml"), NULL);
    policy_free(p);
    p = policy_of("", both);
    assert_int_equal(judge(p, "a TOPIC").action, VERDICT_BLOCK);
    assert_int_equal(judge(p, "a thing").action, VERDICT_ALLOW);
    featured = fake.featured;
    assert_int_equal(judge(p, "a BAD TOPIC").action, VERDICT_BLOCK);
    assert_int_equal(fake.featured, featured); /* it was blocked already */
    policy_free(p);
}

static void test_shadow(void **state) {
    struct policy *p;
    struct verdict v;

    (void)state;
    put_all();
    p = policy_of("mode: shadow\n", topic);
    v = judge(p, "the TOPIC");
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_true(v.finding_count == 1 && v.findings[0].shadow);
    fake.no_features = true;
    assert_int_equal(judge(p, "the TOPIC").action, VERDICT_ALLOW);
    fake.no_features = false;
    policy_free(p);
}

static void check_unavailable(const struct policy *p) {
    struct verdict v = judge(p, "harmless");

    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.cause, VERDICT_CAUSE_UNAVAILABLE);
}

static void test_failures(void **state) {
    char digest[HASH_HEX_SIZE];
    struct policy *p;

    (void)state;
    put_all();
    p = policy_of("limits: {input_tokens: 10}\n", topic);
    fake.no_features = true;
    check_unavailable(p);
    fake.no_features = false;
    fake.busy = true;
    check_unavailable(p);
    fake.busy = false;
    assert_int_equal(
        judge(p, "a text that is far too long for this policy").cause,
        VERDICT_CAUSE_UNAVAILABLE);
    policy_free(p);
    put_examples(false, digest);
    put_head(digest, digest, 3); /* of another width, put in force unasked */
    p = policy_of("", topic);
    check_unavailable(p);
    policy_free(p);
}

static void test_cancel(void **state) {
    struct guard_turn turn = {GUARD_USER, span_of("text")};
    struct guard_request request = {
        .turns = &turn, .turn_count = 1, .channel = CHANNEL_INPUT};
    struct verdict v = {.id = "untold"};
    struct guard_check *check;
    struct policy *p;

    (void)state;
    put_all();
    p = policy_of("", topic);
    request.policy = p;
    check = guard_check_start(guard, &request, on_verdict, &v);
    assert_non_null(check);
    guard_check_cancel(check);
    assert_int_equal(fake.alive, 0);
    assert_false(fake_poll());
    assert_string_equal(v.id, "untold");
    policy_free(p);
}

static int setup(void **state) {
    (void)state;
    if (!hash_init(NULL) || !mkdtemp(folder)) return -1;
    guard = fake_guard(true);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    (void)unlink(in_folder("main.yaml"));
    (void)unlink(in_folder("main-topic.head"));
    (void)unlink(in_folder("topic.jsonl"));
    guard_close(guard);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_untrained),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_beside_classifier),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_cancel),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
