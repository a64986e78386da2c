/* test_policy_parts.c - in a long text of plain words the few places that are
 * encoded are found where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "checks_world.h"

static const char checks[] =
    "policy: parts\n"
    "checks:\n"
    "  - {id: seen, use: rules, on: [output], any: [\"acme corp\"], "
    "action: redact, shadow: true}\n"
    "  - {id: words, use: rules, on: [output], any: [\"acme corp\"], "
    "action: redact}\n"
    "  - {id: mail, use: entities, on: [output], kinds: [email], "
    "action: redact}\n";

static int open_all(void **state) {
    (void)state;
    return checks_open(checks);
}

static void put_plain(struct bytes *out, size_t size) {
    while (out->size < size)
        bytes_puts(out, "the people of the village have a story to tell. ");
}

/* `piece` among plain words is found by each of the checks that `ids` names. */
static void check(const char *piece, const char *const *ids, int count) {
    struct bytes text = {0};
    struct verdict v;
    size_t from, end;

    put_plain(&text, 60000);
    from = text.size;
    bytes_puts(&text, piece);
    end = text.size;
    bytes_puts(&text, " ");
    put_plain(&text, 120000);
    verdict_begin(&v, "r");
    assert_true(
        policy_scan(policy, CHANNEL_OUTPUT, 0, span_bytes(&text), &v, NULL));
    assert_int_equal(v.finding_count, count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(v.findings[i].check, ids[i]);
        assert_int_equal(v.findings[i].from, from);
        assert_int_equal(v.findings[i].end, end);
    }
    bytes_free(&text);
}

static void test_places(void **state) {
    static const char *const words[] = {"seen", "words"};
    static const char *const mail[] = {"mail"};
    struct bytes far = {0};

    (void)state;
    check("acme corp", words, 2);
    check("acme c%6Frp", words, 2);
    check("a%63me corp", words, 2);
    check("YWNtZSBjb3Jw", words, 2);
    check("4cme &#99;orp", words, 2);
    check("anna%40example.org", mail, 1);
    check("YW5uQGV4YW1wbGUub3Jn", mail, 1);
    check("ac%6De or acm%65", words, 0);
    bytes_puts(&far, "acme");
    for (int i = 0; i < 6000; i++) bytes_puts(&far, " \xE2\x80\x8B\n");
    bytes_puts(&far, "c%6Frp");
    bytes_put(&far, (struct span){"", 1});
    check(far.at, words, 2);
    bytes_free(&far);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places)};

    return cmocka_run_group_tests(tests, open_all, checks_close);
}
