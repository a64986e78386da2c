/* test_logprob_queue.c - an entry leaves with its text, never before it, and
 * never with another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/logprob_queue.h"

struct world {
    struct logprob_queue queue;
    struct bytes out; /* "[text|before]" for each entry */
    int tops;
};

static void on_entry(void *user, const struct llm_logprob *entry,
                     struct span before) {
    struct world *w = user;

    bytes_puts(&w->out, "[");
    bytes_put(&w->out, entry->text);
    bytes_put(&w->out, entry->name);
    bytes_puts(&w->out, "|");
    bytes_put(&w->out, before);
    bytes_puts(&w->out, "]");
    for (int i = 0; i < entry->top_count; i++)
        w->tops += span_is(entry->top[i].text, "rival");
}

static struct world open(void) {
    return (struct world){.queue = {.on_entry = on_entry}};
}

static void push(struct world *w, const char *text) {
    struct llm_logprob top = {.text = span_of("rival"), .logprob = -2};
    struct llm_logprob entry = {
        .text = span_of(text), .logprob = -1, .top = &top, .top_count = 1};

    w->queue.user = w;
    logprob_queue_push(&w->queue, &entry, 1);
}

static void release(struct world *w, const char *text) {
    w->queue.user = w;
    logprob_queue_release(&w->queue, span_of(text));
}

static void check(struct world *w, const char *expected) {
    if (!span_is(span_bytes(&w->out), expected))
        fail_msg("\"%.*s\", not \"%s\"", (int)w->out.size, w->out.at, expected);
}

static void close(struct world *w) {
    logprob_queue_clear(&w->queue);
    assert_int_equal(w->queue.held_bytes, 0);
    bytes_free(&w->out);
}

static void test_order(void **state) {
    struct world w = open();

    (void)state;
    push(&w, "ab");
    push(&w, "c");
    check(&w, "");
    release(&w, "a");
    check(&w, "");
    release(&w, "bc");
    check(&w, "[ab|][c|ab]");
    /* Text before its token, as where the rest could begin a stop. */
    release(&w, "d");
    push(&w, "de");
    check(&w, "[ab|][c|ab]");
    release(&w, "e");
    check(&w, "[ab|][c|ab][de|abc]");
    assert_int_equal(w.tops, 3);
    close(&w);
}

/* However the text is cut, the same entries. */
static void test_cuts(void **state) {
    static const char text[] = "na\xC3\xAFve \xF0\x9F\x98\x80!";
    size_t size = sizeof text - 1;

    (void)state;
    for (size_t token = 1; token <= 5; token++) {
        for (size_t piece = 1; piece <= size; piece++) {
            struct world w = open();
            size_t said = 0, given = 0, entries = 0;

            w.queue.user = &w;
            while (said < size || given < size) {
                struct span next =
                    span_slice(span_of(text), said, said + token);
                struct llm_logprob entry = {.text = next};

                if (next.size) logprob_queue_push(&w.queue, &entry, 1);
                said += next.size;
                next = span_slice(span_of(text), given, given + piece);
                if (given < said) {
                    logprob_queue_release(&w.queue, next);
                    given += next.size;
                }
            }
            for (size_t i = 0; i < w.out.size; i++)
                entries += w.out.at[i] == '[';
            assert_int_equal(entries, (size + token - 1) / token);
            close(&w);
        }
    }
}

/* Where other bytes were released, nothing leaves from there on. */
static void test_redacted(void **state) {
    struct world w = open();

    (void)state;
    push(&w, "to ");
    push(&w, "jane");
    push(&w, "@x.org");
    release(&w, "to [EMAIL] and");
    check(&w, "[to |]");
    push(&w, " and");
    release(&w, " and");
    logprob_queue_restart(&w.queue);
    push(&w, "more");
    release(&w, "more");
    check(&w, "[to |]");
    close(&w);
    /* A token whose beginning alone agrees does not leave either. */
    w = open();
    push(&w, "jane");
    release(&w, "ja");
    release(&w, "de");
    check(&w, "");
    close(&w);
}

static void test_restart(void **state) {
    struct world w = open();
    struct llm_logprob control = {.name = span_of("<|im_start|>")};

    (void)state;
    push(&w, "held");
    release(&w, "he");
    logprob_queue_restart(&w.queue);
    push(&w, "new");
    release(&w, "new");
    check(&w, "[new|]");
    /* A token without a text needs none to be released. */
    logprob_queue_push(&w.queue, &control, 1);
    check(&w, "[new|][<|im_start|>|new]");
    close(&w);
}

static void test_limits(void **state) {
    static char big[1 << 20];
    struct world w = open();

    (void)state;
    memset(big, 'x', sizeof big - 1);
    /* What comes before a token is its context, and bounded. */
    for (int i = 0; i < 100; i++) {
        push(&w, "a");
        release(&w, "a");
    }
    assert_int_equal(w.queue.before.size, LOGPROB_BEFORE_MAX);
    /* Too much that waits is dropped, too much text without tokens as well. */
    for (int i = 0; i < 20; i++) push(&w, big);
    assert_true(w.queue.broken);
    assert_null(w.queue.first);
    close(&w);
    w = open();
    for (int i = 0; i < 20; i++) release(&w, big);
    assert_true(w.queue.broken);
    assert_int_equal(w.queue.loose.size, 0);
    close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_redacted), cmocka_unit_test(test_restart),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
