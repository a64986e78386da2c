#include "proxy/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

struct mailbox {
    uv_async_t bell; /* first, so that it can be cast back */
    pthread_mutex_t lock;
    struct letter *first; /* under the lock, as is `end` */
    struct letter **end;
};

static struct letter *take_all(struct mailbox *m) {
    struct letter *all;

    pthread_mutex_lock(&m->lock);
    all = m->first;
    m->first = NULL;
    m->end = &m->first;
    pthread_mutex_unlock(&m->lock);
    return all;
}

/* Rings may be merged, so each one empties the box. */
static void open_all(struct mailbox *m) {
    struct letter *at, *next;

    while ((at = take_all(m)))
        for (; at; at = next) {
            next = at->next;
            at->open(at);
        }
}

static void on_bell(uv_async_t *bell) {
    open_all((struct mailbox *)bell);
}

static void on_closed(uv_handle_t *handle) {
    struct mailbox *m = (struct mailbox *)handle;

    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct mailbox *mailbox_open(uv_loop_t *loop) {
    struct mailbox *m = xalloc(sizeof *m);

    (void)pthread_mutex_init(&m->lock, NULL);
    m->end = &m->first;
    (void)uv_async_init(loop, &m->bell, on_bell);
    uv_unref((uv_handle_t *)&m->bell);
    return m;
}

void mailbox_post(struct mailbox *m, struct letter *letter) {
    letter->next = NULL;
    pthread_mutex_lock(&m->lock);
    *m->end = letter;
    m->end = &letter->next;
    /* Within the lock: who closes the box after the last letter must not free
     * the bell while it is rung. */
    (void)uv_async_send(&m->bell);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_close(struct mailbox *m) {
    if (!m) return;
    open_all(m);
    uv_close((uv_handle_t *)&m->bell, on_closed);
}
