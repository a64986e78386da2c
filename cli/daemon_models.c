/* daemon_models.c - which models there are, and those of a later configuration
 * in their place:
 *
 *   IN FORCE -> RETIRED (answers that began with it go on) -> closed */
#include <stdlib.h>

#include "base/log.h"
#include "cli/daemon_state.h"
#include "cli/places.h"
#include "proxy/fleet.h"
#include "proxy/router.h"
#include "proxy/service.h"

enum { SWEEP_MS = 500 };

struct retired {
    struct retired *next;
    struct model_set *models;
    bool idle; /* they were seen without users */
};

/* ---- one set after the other ---- */

struct model_set *daemon_read_models(struct daemon *d, const struct config *c,
                                     struct err *err) {
    return models_open(&d->loop, c, d->llm, d->model_name, err);
}

/* Idle twice in a row: the sockets of their last calls have closed by then. */
static void on_sweep(uv_timer_t *timer) {
    struct retirement *all = timer->data;
    struct retired **at = &all->first;

    while (*at) {
        struct retired *r = *at;
        bool used = router_users(models_router(r->models)) > 0 ||
                    models_lent(r->models);

        if (used || !r->idle) {
            r->idle = !used;
            at = &r->next;
        } else {
            *at = r->next;
            models_close(r->models);
            free(r);
        }
    }
    if (!all->first) (void)uv_timer_stop(timer);
}

void retirement_begin(struct retirement *all, uv_loop_t *loop) {
    (void)uv_timer_init(loop, &all->sweep);
    all->sweep.data = all;
    uv_unref((uv_handle_t *)&all->sweep);
}

void retirement_end(struct retirement *all) {
    struct retired *next;

    for (; all->first; all->first = next) {
        next = all->first->next;
        models_close(all->first->models);
        free(all->first);
    }
    uv_close((uv_handle_t *)&all->sweep, NULL);
}

void retire(struct retirement *all, struct model_set *models) {
    struct retired *r = xalloc(sizeof *r);

    r->models = models;
    r->next = all->first;
    all->first = r;
    (void)uv_timer_start(&all->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

void daemon_take_models(struct daemon *d, struct model_set *s,
                        struct config *fresh) {
    struct config *c = d->config;

    models_own(d->models);
    retire(&d->retired, d->models);
    d->models = s;
    c->upstreams = fresh->upstreams;
    c->upstream_count = fresh->upstream_count;
    c->backend = fresh->backend;
    fresh->upstreams = NULL;
    fresh->upstream_count = 0;
    service_set_router(d->service, models_router(s));
}

/* ---- their life ---- */

/* The default model can do without, but not well: whoever misses the adapter,
 * since the program was moved away from it, is to know why. */
static bool teach_calls(struct daemon *d, struct err *err) {
    struct err missing = {0};
    char *path = places_calls(d->config->model, &missing);
    char quoted[ERR_TEXT_MAX];
    int adapter;
    bool ok = !path || engine_adapter_add(d->engine, path, &adapter, err);

    if (missing.code)
        log_event(LOG_WARN, "no_tool_adapter", "reason=%s",
                  log_quote(missing.text, quoted, sizeof quoted));
    if (path && ok) llm_engine_teach(d->llm, adapter);
    if (!ok) places_blame(err, path);
    free(path);
    return ok;
}

static bool open_own(struct daemon *d, struct err *err) {
    const struct config *c = d->config;

    if (c->backend != BACKEND_ENGINE) return true;
    d->model_name =
        c->model_name ? xstrdup(c->model_name) : models_name(d->model_path);
    d->llm = llm_engine_open(d->engine, d->model_name, err);
    return d->llm && teach_calls(d, err) &&
           (!c->tool_prompt ||
            llm_engine_tool_prompt(d->llm, c->tool_prompt, err));
}

bool daemon_open_models(struct daemon *d, struct err *err) {
    if (!open_own(d, err)) return false;
    d->models = daemon_read_models(d, d->config, err);
    return d->models != NULL;
}

void daemon_close_models(struct daemon *d) {
    retirement_end(&d->retired);
    models_close(d->models);
    d->models = NULL;
    if (d->llm) llm_engine_close(d->llm);
}

/* ---- gauges ---- */

/* Each loop asks the servers for itself; the first one's word is told. */
static double gauge_up(void *user) {
    return models_sum(((struct daemon *)user)->models, fleet_members_up);
}

static double gauge_waiting(void *user) {
    struct daemon *d = user;

    return models_sum(d->models, fleet_waiting) +
           daemon_loop_figures(d).waiting;
}

void daemon_add_model_gauges(struct daemon *d) {
    if (!models_count(d->models)) return;
    metrics_gauge(d->metrics, "corral_upstream_members_up",
                  "Servers of upstreams that may be asked.", false, gauge_up,
                  d);
    metrics_gauge(d->metrics, "corral_upstream_calls_waiting",
                  "Calls that wait for their turn at an upstream.", false,
                  gauge_waiting, d);
}
