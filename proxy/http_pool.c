#include "proxy/http_pool.h"

#include <stdlib.h>

struct waiting {
    struct http_pool *pool;
    struct http_link *link;
    struct waiting *next;
};

struct http_pool {
    int count_max;
    int idle_ms;
    int count;
    struct waiting *first; /* the last that came */
};

/* Off the list; the link itself is the caller's. */
static struct http_link *drop(struct waiting **at) {
    struct waiting *w = *at;
    struct http_link *link = w->link;

    *at = w->next;
    w->pool->count--;
    free(w);
    return link;
}

static void close_one(struct waiting *w) {
    struct waiting **at = &w->pool->first;

    while (*at != w) at = &(*at)->next;
    http_link_close(drop(at));
}

static void on_ready(void *user) {
    (void)user; /* it is, or it would not wait here */
}

static void on_bytes(void *user, struct span in) {
    (void)in;
    close_one(user);
}

static void on_end(void *user, const struct err *err) {
    (void)err;
    close_one(user);
}

static void on_late(void *user) {
    close_one(user);
}

struct http_pool *http_pool_new(int count_max, int idle_ms) {
    struct http_pool *pool = xalloc(sizeof *pool);

    pool->count_max = count_max;
    pool->idle_ms = idle_ms;
    return pool;
}

void http_pool_free(struct http_pool *pool) {
    if (!pool) return;
    while (pool->first) http_link_close(drop(&pool->first));
    free(pool);
}

struct http_link *http_pool_take(struct http_pool *pool,
                                 const struct http_place *place) {
    for (struct waiting **at = &pool->first; *at; at = &(*at)->next)
        if (http_link_usable((*at)->link) &&
            http_link_is_at((*at)->link, place))
            return drop(at);
    return NULL;
}

void http_pool_give(struct http_pool *pool, struct http_link *link) {
    struct http_link_events events = {on_ready, on_bytes, on_end, on_late,
                                      NULL};
    struct waiting *w;

    if (pool->count >= pool->count_max || !http_link_usable(link)) {
        http_link_close(link);
        return;
    }
    w = xalloc(sizeof *w);
    w->pool = pool;
    w->link = link;
    w->next = pool->first;
    pool->first = w;
    pool->count++;
    events.user = w;
    http_link_hand(link, &events, true);
    http_link_arm(link, pool->idle_ms);
}

int http_pool_count(const struct http_pool *pool) {
    return pool->count;
}
