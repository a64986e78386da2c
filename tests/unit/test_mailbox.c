/* test_mailbox.c - letters of several threads: each is opened once, on the
 * loop's thread, in its sender's order, and none is lost when the box closes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/mailbox.h"
#include "tests/unit/busy_loop.h"

enum { SENDERS = 4, LETTERS = 2000 };

struct world {
    struct busy_loop busy;
    struct mailbox *box;
    uv_thread_t loop_thread;
    int opened;
    int next[SENDERS]; /* the number that a sender's next letter has */
    bool closes;       /* when all have come */
};

struct numbered {
    struct letter letter; /* first, so that it can be cast back */
    struct world *world;
    int sender, number;
};

static void on_open(struct letter *letter) {
    struct numbered *n = (struct numbered *)letter;
    struct world *w = n->world;
    uv_thread_t self = uv_thread_self();

    assert_true(uv_thread_equal(&self, &w->loop_thread));
    assert_int_equal(w->next[n->sender], n->number);
    w->next[n->sender]++;
    w->opened++;
    free(n);
}

static void post(struct world *w, int sender, int number) {
    struct numbered *n = xalloc(sizeof *n);

    *n = (struct numbered){{NULL, on_open}, w, sender, number};
    mailbox_post(w->box, &n->letter);
}

struct sender {
    uv_thread_t thread;
    struct world *world;
    int index;
};

static void send_all(void *user) {
    struct sender *s = user;

    for (int i = 0; i < LETTERS; i++) post(s->world, s->index, i);
}

static void begin(struct world *w) {
    *w = (struct world){.loop_thread = uv_thread_self()};
    busy_loop_open(&w->busy);
    w->box = mailbox_open(&w->busy.loop);
}

static void test_many(void **state) {
    struct sender senders[SENDERS];
    struct world w;

    (void)state;
    begin(&w);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.world = &w, .index = i};
        assert_int_equal(
            uv_thread_create(&senders[i].thread, send_all, &senders[i]), 0);
    }
    while (w.opened < SENDERS * LETTERS / 2)
        (void)uv_run(&w.busy.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < SENDERS; i++) (void)uv_thread_join(&senders[i].thread);
    /* What came since is opened by the close. */
    mailbox_close(w.box);
    assert_int_equal(w.opened, SENDERS * LETTERS);
    busy_loop_close(&w.busy);
}

/* One that is opened may be posted on, and comes after what waits. */
static void on_again(struct letter *letter) {
    struct numbered *n = (struct numbered *)letter;

    assert_int_equal(n->world->opened, 0);
    n->letter.open = on_open;
    mailbox_post(n->world->box, letter);
}

static void test_posted_on(void **state) {
    struct numbered *n = xalloc(sizeof *n);
    struct world w;

    (void)state;
    begin(&w);
    *n = (struct numbered){{NULL, on_again}, &w, 0, 1};
    mailbox_post(w.box, &n->letter);
    post(&w, 0, 0);
    while (w.opened < 2) (void)uv_run(&w.busy.loop, UV_RUN_NOWAIT);
    mailbox_close(w.box);
    mailbox_close(NULL);
    busy_loop_close(&w.busy);
}

/* An open box keeps no loop alive. */
static void test_idle(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    (void)uv_idle_stop(&w.busy.idle);
    assert_int_equal(uv_run(&w.busy.loop, UV_RUN_DEFAULT), 0);
    mailbox_close(w.box);
    busy_loop_close(&w.busy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_posted_on),
                                       cmocka_unit_test(test_idle)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
