#include "cli/second_guard.h"

#include <stdlib.h>
#include <string.h>

#include "cli/places.h"
#include "guard/llamaguard.h"
#include "proxy/fleet.h"
#include "proxy/guard_upstream.h"

/* A sequence each for a few requests at once, and their windows. */
enum { KV_CONTEXTS = 4 };

struct second_guard {
    uv_async_t wakeup; /* first: its close callback frees the whole */
    struct engine *engine;
    struct llamaguard *local;
    struct fleet *fleet;
    struct guard_upstream *remote;
    struct peer *peer;
};

/* Called by the scheduler thread. */
static void wake(void *user) {
    (void)uv_async_send(&((struct second_guard *)user)->wakeup);
}

static void on_wakeup(uv_async_t *async) {
    struct second_guard *s = (struct second_guard *)async;

    if (s->engine) (void)engine_poll(s->engine);
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static bool open_local(struct second_guard *s, const struct config *c,
                       struct err *err) {
    struct engine_options o = {.model_path = c->guard.model,
                               .threads = c->threads,
                               .context_tokens = c->guard.context_tokens,
                               .on_wakeup = wake,
                               .user = s};

    o.kv_tokens = KV_CONTEXTS * c->guard.context_tokens;
    s->engine = engine_open(&o, err);
    if (s->engine) s->local = llamaguard_open(s->engine, c->guard.format, err);
    if (!s->local) {
        places_blame(err, c->guard.model);
        return false;
    }
    s->peer = llamaguard_peer(s->local);
    return true;
}

static bool open_remote(struct second_guard *s, uv_loop_t *loop,
                        const struct config *c, struct err *err) {
    s->fleet = fleet_open(loop, &c->guard.upstream, err);
    if (!s->fleet) return false;
    s->remote =
        guard_upstream_open(loop, fleet_llm(s->fleet, 0), c->guard.format);
    s->peer = guard_upstream_peer(s->remote);
    return true;
}

struct second_guard *second_guard_open(uv_loop_t *loop, const struct config *c,
                                       struct err *err) {
    struct second_guard *s = xalloc(sizeof *s);
    bool ok = true;

    (void)uv_async_init(loop, &s->wakeup, on_wakeup);
    uv_unref((uv_handle_t *)&s->wakeup);
    if (c->guard.model) ok = open_local(s, c, err);
    if (c->guard.has_upstream) ok = open_remote(s, loop, c, err);
    if (!ok) {
        second_guard_close(s);
        return NULL;
    }
    second_guard_set(s, c->guard.thresholds);
    return s;
}

void second_guard_set(struct second_guard *s,
                      const float thresholds[LEVEL_OFF]) {
    if (s->peer)
        memcpy(s->peer->thresholds, thresholds, sizeof s->peer->thresholds);
}

void second_guard_close(struct second_guard *s) {
    if (!s) return;
    llamaguard_close(s->local);
    engine_close(s->engine);
    guard_upstream_close(s->remote);
    fleet_close(s->fleet);
    s->engine = NULL;
    uv_close((uv_handle_t *)&s->wakeup, on_closed);
}

const struct peer *second_guard_peer(const struct second_guard *s) {
    return s->peer;
}
