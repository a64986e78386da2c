/* test_trie.c - a walk over the tree meets every text once, and skipping a
 * node skips what begins like it and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/trie.h"

static void make(struct trie *t, const char *const *texts, int count) {
    struct trie_item *items = xalloc_array((size_t)count, sizeof *items);

    for (int i = 0; i < count; i++)
        items[i] = (struct trie_item){.text = span_of(texts[i]), .token = i};
    trie_init(t, items, count);
}

static void test_walk(void **state) {
    static const char *const texts[] = {"b", "abc", "a", "abd", "a", "\xFFz"};
    struct trie t;
    char path[8];
    int met = 0;

    (void)state;
    make(&t, texts, 6);
    assert_int_equal(t.depth_max, 3);
    for (int i = 0; i < t.count; i++) {
        const struct trie_node *n = &t.nodes[i];

        path[n->depth - 1] = (char)n->byte;
        for (int k = n->first; k < n->first + n->count; k++) {
            assert_int_equal(t.items[k].text.size, n->depth);
            assert_memory_equal(t.items[k].text.at, path, n->depth);
            met++;
        }
    }
    assert_int_equal(met, 6);
    trie_clear(&t);
}

static void test_skip(void **state) {
    static const char *const texts[] = {"ab", "abc", "ac", "b"};
    struct trie t;

    (void)state;
    make(&t, texts, 4);
    /* a, ab, abc, ac, b */
    assert_int_equal(t.count, 5);
    assert_int_equal(t.nodes[0].skip, 4);
    assert_int_equal(t.nodes[1].skip, 3);
    assert_int_equal(t.nodes[2].skip, 3);
    assert_int_equal(t.nodes[4].skip, 5);
    assert_int_equal(t.nodes[0].count, 0);
    trie_clear(&t);
    make(&t, texts, 0);
    assert_int_equal(t.count, 0);
    trie_clear(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_skip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
