/* busy_loop.h - an event loop that has always something to do, as a server's
 * has: letters from other threads are opened on it. */
#ifndef CORRAL_TESTS_BUSY_LOOP_H
#define CORRAL_TESTS_BUSY_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

struct busy_loop {
    uv_loop_t loop;
    uv_idle_t idle;
};

static void on_idle(uv_idle_t *idle) {
    (void)idle;
}

static void busy_loop_open(struct busy_loop *b) {
    assert_int_equal(uv_loop_init(&b->loop), 0);
    (void)uv_idle_init(&b->loop, &b->idle);
    (void)uv_idle_start(&b->idle, on_idle);
}

/* Whatever else is on the loop has been told to close. */
static void busy_loop_close(struct busy_loop *b) {
    uv_close((uv_handle_t *)&b->idle, NULL);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

#endif
