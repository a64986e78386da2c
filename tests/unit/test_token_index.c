/* test_token_index.c - which tokens lie within a string, and which end one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "engine/token_index.h"

static const char *const pieces[] = {
    "ab", "\\",    "\\n\xC3", "\"",   "a\"b",   "\n",   "",
    "a",  "\\\"x", "\\x",     "\xA9", "\xC3\"", "\\n\""};

enum { COUNT = sizeof pieces / sizeof pieces[0] };

static struct span piece(const void *user, int token) {
    (void)user;
    return span_of(pieces[token]);
}

static bool is_end(const void *user, int token) {
    (void)user;
    return token == 6;
}

static bool has(const uint64_t *mask, int token) {
    return mask[0] >> token & 1;
}

static void test_index(void **state) {
    struct token_index *x =
        token_index_new(&(struct token_list){piece, is_end, NULL, COUNT});

    (void)state;
    assert_int_equal(x->all.item_count, COUNT - 1);
    assert_int_equal(x->end_count, 1);
    assert_int_equal(x->ends[0], 6);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(has(x->inside, i),
                         i == 0 || i == 1 || i == 2 || i == 7 || i == 8);
        assert_int_equal(has(x->plain, i), i == 0 || i == 7);
    }
    assert_int_equal(x->inside_count, 5);
    assert_int_equal(x->sizes[0].characters, 2);
    assert_int_equal(x->sizes[4].characters, 1);
    /* The quote itself, a"b, and \n" */
    assert_int_equal(x->with_quote.item_count, 3);
    assert_int_equal(x->after_quote.item_count, 3);
    for (int i = 0; i < 3; i++) {
        const struct trie_item *item = &x->after_quote.items[i];

        assert_int_equal(item->text.at[0], '"');
        assert_int_equal(item->before, item->token == 3 ? 0 : 1);
        assert_int_equal(item->plain, item->token != 12);
    }
    token_index_free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_index)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
