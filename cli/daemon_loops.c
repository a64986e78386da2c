/* daemon_loops.c - the event loops beside the first, each in a thread of its
 * own, with all that a request touches on its way: a server that receives
 * connections, a service, a guard, upstreams, metrics. What is there once
 * (keys, audit, approvals, policies, engine) can be used by all of them.
 *
 *   OPEN -> (thread) -> DRAINING -> CLOSING -> (the thread ends) -> joined
 *
 * The first loop, which is daemon.c's, sends letters; a loop sends one back
 * when it has drained and one when its thread ends. Whatever all loops must see
 * at once is changed while they are held: each waits in the opening of a
 * letter, in nobody's callback, until the first lets them go on. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/daemon_state.h"
#include "cli/second_guard.h"
#include "proxy/config_traces.h"
#include "proxy/fleet.h"
#include "proxy/mailbox.h"
#include "proxy/service.h"

enum { FIGURES_MS = 250 };

struct loop {
    struct daemon *d;
    int index; /* from 1 */
    uv_loop_t loop;
    struct mailbox *box;
    struct letter hold, drain, close; /* to it, one at a time each */
    struct letter drained, ended;     /* from it */
    bool told;                        /* that it has drained */
    uv_timer_t timer;                 /* of `figures` */
    struct loop_figures figures;      /* under loops.lock, for the gauges */
    struct metrics *metrics;
    struct tracer *tracer;
    struct second_guard *second;
    uv_async_t wakeup;     /* the engine's scheduler thread has events for us */
    struct engine *engine; /* our face of it; NULL: there is none */
    struct guard *guard;
    struct retirement retired;
    struct model_set *models;
    struct service *service;
    struct server *server;
    bool has_thread;
    uv_thread_t thread;
};

struct loops {
    struct loop *list;
    int count;
    int open;            /* their threads have not ended */
    int undrained;       /* of those that were told to drain */
    struct mailbox *box; /* the first loop's */
    int holds;           /* of the first loop, one in another */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* one of these: */
    int held;             /* loops that wait */
    uint64_t released;    /* times that they were let go */
};

/* ---- held ---- */

static void on_hold(struct letter *letter) {
    struct loop *l =
        (struct loop *)((char *)letter - offsetof(struct loop, hold));
    struct loops *all = l->d->loops;
    uint64_t before;

    pthread_mutex_lock(&all->lock);
    before = all->released;
    all->held++;
    pthread_cond_broadcast(&all->moved);
    while (all->released == before) pthread_cond_wait(&all->moved, &all->lock);
    pthread_mutex_unlock(&all->lock);
}

/* Waits for what each of them is doing now, a scan of one text at most; nobody
 * of them ever waits for us. */
void daemon_hold_loops(struct daemon *d) {
    struct loops *all = d->loops;

    if (!all->open || all->holds++) return;
    for (int i = 0; i < all->count; i++)
        mailbox_post(all->list[i].box, &all->list[i].hold);
    pthread_mutex_lock(&all->lock);
    while (all->held < all->count) pthread_cond_wait(&all->moved, &all->lock);
    pthread_mutex_unlock(&all->lock);
}

void daemon_release_loops(struct daemon *d) {
    struct loops *all = d->loops;

    if (!all->open || --all->holds) return;
    pthread_mutex_lock(&all->lock);
    all->held = 0;
    all->released++;
    pthread_cond_broadcast(&all->moved);
    pthread_mutex_unlock(&all->lock);
}

/* ---- which loop serves a connection ---- */

struct guest_letter {
    struct letter letter; /* first, so that it can be cast back */
    struct server *to;
    struct server_guest guest;
};

/* The server stays while it expects somebody. */
static void on_guest(struct letter *letter) {
    struct guest_letter *g = (struct guest_letter *)letter;

    server_receive(g->to, &g->guest);
    free(g);
}

static struct mailbox *box_of(const struct loops *all,
                              const struct server *server) {
    for (int i = 0; i < all->count; i++)
        if (all->list[i].server == server) return all->list[i].box;
    return all->box;
}

/* From the loop that has it. */
static void carry(void *user, struct server *to, struct server_guest *guest) {
    struct guest_letter *g = xalloc(sizeof *g);

    g->letter.open = on_guest;
    g->to = to;
    g->guest = *guest;
    mailbox_post(box_of(((struct daemon *)user)->loops, to), &g->letter);
}

/* The one with the fewest connections; the first, which has more to do than
 * they, when the others have more. NULL: there are too many in all. */
static struct server *choose(void *user, struct server *s) {
    struct daemon *d = user;
    struct server *best = NULL;
    int total = server_connections(s);

    if (d->state != SERVING) return s;
    for (int i = 0; i < d->loops->count; i++) {
        struct server *one = d->loops->list[i].server;

        total += server_connections(one);
        if (!best || server_connections(one) < server_connections(best))
            best = one;
    }
    if (total >= d->config->limits.connections_max) return NULL;
    if (!best || server_connections(s) < server_connections(best)) return s;
    server_expect(best);
    return best;
}

struct server_spread daemon_spread(struct daemon *d, bool first) {
    struct server_spread spread = {.carry = carry, .user = d};

    if (d->config->loops < 2) return (struct server_spread){0};
    if (first)
        spread.choose = choose;
    else
        spread.first = d->server;
    return spread;
}

/* ---- what the gauges tell of a loop ---- */

static void on_figures(uv_timer_t *timer) {
    struct loop *l = timer->data;
    struct guard_stats stats;
    struct loop_figures now = {.connections = server_connections(l->server),
                               .in_flight = server_inflight(l->server),
                               .held = (double)service_held(l->service),
                               .waiting = models_sum(l->models, fleet_waiting),
                               .spans_sent = tracer_sent(l->tracer),
                               .spans_dropped = tracer_dropped(l->tracer),
                               .spans_waiting = tracer_waiting(l->tracer)};

    guard_stats(l->guard, &stats);
    now.scanned = (double)stats.scanned;
    now.remembered = (double)stats.remembered;
    pthread_mutex_lock(&l->d->loops->lock);
    l->figures = now;
    pthread_mutex_unlock(&l->d->loops->lock);
}

static void add(struct loop_figures *sum, const struct loop_figures *one) {
    sum->connections += one->connections;
    sum->in_flight += one->in_flight;
    sum->held += one->held;
    sum->scanned += one->scanned;
    sum->remembered += one->remembered;
    sum->waiting += one->waiting;
    sum->spans_sent += one->spans_sent;
    sum->spans_dropped += one->spans_dropped;
    sum->spans_waiting += one->spans_waiting;
}

struct loop_figures daemon_loop_figures(struct daemon *d) {
    struct loop_figures sum = {0};

    pthread_mutex_lock(&d->loops->lock);
    for (int i = 0; i < d->loops->count; i++)
        add(&sum, &d->loops->list[i].figures);
    pthread_mutex_unlock(&d->loops->lock);
    return sum;
}

/* ---- the end ---- */

/* On its loop, or when its thread never began. */
static void close_front(struct loop *l) {
    server_close(l->server);
    service_close(l->service);
    uv_close((uv_handle_t *)&l->timer, NULL);
}

/* The engine's thread may ring our bell until our face of it is closed. */
static void close_rest(struct loop *l) {
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    tracer_close(l->tracer);
    retirement_end(&l->retired);
    models_close(l->models);
    guard_close(l->guard);
    second_guard_close(l->second);
    engine_close(l->engine);
    uv_close((uv_handle_t *)&l->wakeup, NULL);
    mailbox_close(l->box);
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->loop);
}

static void run(void *user) {
    struct loop *l = user;
    char name[16];

    (void)snprintf(name, sizeof name, "loop-%d", l->index);
    (void)pthread_setname_np(pthread_self(), name);
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    close_rest(l);
    mailbox_post(l->d->loops->box, &l->ended);
}

static void on_close(struct letter *letter) {
    close_front((struct loop *)((char *)letter - offsetof(struct loop, close)));
}

static void on_ended(struct letter *letter) {
    struct loop *l =
        (struct loop *)((char *)letter - offsetof(struct loop, ended));

    (void)uv_thread_join(&l->thread); /* it has nothing left to do */
    if (--l->d->loops->open == 0) daemon_loops_ended(l->d);
}

void daemon_close_loops(struct daemon *d) {
    struct loops *all = d->loops;

    for (int i = 0; all && i < all->count; i++) {
        struct loop *l = &all->list[i];

        if (l->has_thread) {
            mailbox_post(l->box, &l->close);
        } else {
            close_front(l);
            close_rest(l);
        }
    }
    if (!all || !all->open) daemon_loops_ended(d);
}

void daemon_free_loops(struct daemon *d) {
    struct loops *all = d->loops;

    if (!all) return;
    mailbox_close(all->box);
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->moved);
    for (int i = 0; i < all->count; i++) metrics_free(all->list[i].metrics);
    free(all->list);
    free(all);
    d->loops = NULL;
}

/* ---- the drain ---- */

static void on_drained(struct letter *letter) {
    struct loop *l =
        (struct loop *)((char *)letter - offsetof(struct loop, drained));

    l->d->loops->undrained--;
    daemon_drained(l->d);
}

/* Its server may drain again, for a connection that was on the way. */
static void on_server_drained(void *user) {
    struct loop *l = user;

    if (l->told) return;
    l->told = true;
    mailbox_post(l->d->loops->box, &l->drained);
}

static void on_drain(struct letter *letter) {
    struct loop *l =
        (struct loop *)((char *)letter - offsetof(struct loop, drain));

    service_drain(l->service);
    server_drain(l->server, l->d->config->drain_ms, on_server_drained, l);
}

void daemon_drain_loops(struct daemon *d) {
    struct loops *all = d->loops;

    all->undrained = all->open;
    for (int i = 0; i < all->open; i++)
        mailbox_post(all->list[i].box, &all->list[i].drain);
}

bool daemon_loops_drained(const struct daemon *d) {
    return d->loops->undrained == 0;
}

/* ---- the beginning ---- */

/* Called by the scheduler thread. */
static void wake(void *user) {
    (void)uv_async_send(&((struct loop *)user)->wakeup);
}

static void on_wakeup(uv_async_t *async) {
    struct loop *l = async->data;

    if (l->engine) (void)engine_poll(l->engine);
}

static bool open_guard(struct loop *l, struct err *err) {
    const struct daemon *d = l->d;
    struct guard_options options = {0};

    if (d->engine) {
        l->engine = engine_share(d->engine, wake, l, err);
        if (!l->engine) return false;
        options.engine = l->engine;
        options.first = d->guard;
    }
    l->second = second_guard_open(&l->loop, l->d->config, err);
    if (!l->second) return false;
    options.peer = second_guard_peer(l->second);
    l->guard = guard_open(&options, err);
    return l->guard != NULL;
}

static bool open_tracer(struct loop *l, struct err *err) {
    struct http_header headers[TRACER_HEADERS_MAX];
    const struct config *c = l->d->config;
    const struct tracer_options o = config_tracer(&c->traces, headers);

    if (!c->traces.on) return true;
    l->tracer = tracer_open(&l->loop, &o, err);
    return l->tracer != NULL;
}

static bool open_front(struct loop *l, struct err *err) {
    struct daemon *d = l->d;
    struct service_options service = daemon_service_options(d);
    struct server_options server = daemon_server_options(d);

    service.loop = &l->loop;
    service.guard = l->guard;
    service.router = models_router(l->models);
    service.metrics = l->metrics;
    service.tracer = l->tracer;
    service.sessions = NULL;
    service.first = d->service;
    service.box = l->box;
    l->service = service_new(&service);
    server.handler = service_handler(l->service);
    server.silent = true;
    server.bodies_bytes = server_bodies(d->server);
    server.spread = daemon_spread(d, false);
    l->server = server_open(&l->loop, &server, err);
    return l->server != NULL;
}

static void name_letters(struct loop *l) {
    l->hold.open = on_hold;
    l->drain.open = on_drain;
    l->close.open = on_close;
    l->drained.open = on_drained;
    l->ended.open = on_ended;
}

static bool open_loop(struct loop *l, struct daemon *d, struct err *err) {
    l->d = d;
    name_letters(l);
    if (uv_loop_init(&l->loop))
        return err_set(err, ERR_IO, "no event loop %d", l->index);
    l->metrics = metrics_new();
    metrics_join(d->metrics, l->metrics);
    l->box = mailbox_open(&l->loop);
    retirement_begin(&l->retired, &l->loop);
    (void)uv_async_init(&l->loop, &l->wakeup, on_wakeup);
    l->wakeup.data = l;
    uv_unref((uv_handle_t *)&l->wakeup);
    (void)uv_timer_init(&l->loop, &l->timer);
    l->timer.data = l;
    d->loops->count++;
    l->models =
        models_share(&l->loop, d->models, l->index, d->config->loops, err);
    if (!l->models || !open_guard(l, err) || !open_tracer(l, err) ||
        !open_front(l, err))
        return false;
    (void)uv_timer_start(&l->timer, on_figures, FIGURES_MS, FIGURES_MS);
    uv_unref((uv_handle_t *)&l->timer);
    return true;
}

bool daemon_open_loops(struct daemon *d, struct err *err) {
    struct loops *all = xalloc(sizeof *all);
    int more = d->config->loops - 1;

    d->loops = all;
    all->box = mailbox_open(&d->loop);
    (void)pthread_mutex_init(&all->lock, NULL);
    (void)pthread_cond_init(&all->moved, NULL);
    all->list = xalloc_array((size_t)more + 1, sizeof *all->list);
    if (more) models_divide(d->models, more + 1);
    for (int i = 0; i < more; i++) {
        all->list[i].index = i + 1;
        if (!open_loop(&all->list[i], d, err)) return false;
    }
    for (int i = 0; i < more; i++) {
        struct loop *l = &all->list[i];

        l->has_thread = uv_thread_create(&l->thread, run, l) == 0;
        if (!l->has_thread) return err_set(err, ERR_IO, "no thread for a loop");
        all->open++;
    }
    return true;
}

/* ---- what is one a loop, the first included ---- */

int daemon_loop_count(const struct daemon *d) {
    return 1 + d->loops->count;
}

struct service *daemon_service(const struct daemon *d, int index) {
    return index ? d->loops->list[index - 1].service : d->service;
}

struct server *daemon_server(const struct daemon *d, int index) {
    return index ? d->loops->list[index - 1].server : d->server;
}

struct second_guard *daemon_second_guard(const struct daemon *d, int index) {
    return index ? d->loops->list[index - 1].second : d->second;
}

bool daemon_share_models(struct daemon *d, struct model_set *s,
                         struct model_set **out, struct err *err) {
    int count = daemon_loop_count(d);

    if (count > 1) models_divide(s, count);
    for (int i = 1; i < count; i++) {
        out[i] = models_share(&d->loops->list[i - 1].loop, s, i, count, err);
        if (!out[i]) return false;
    }
    return true;
}

void daemon_take_shared(struct daemon *d, struct model_set **sets) {
    for (int i = 1; i < daemon_loop_count(d); i++) {
        struct loop *l = &d->loops->list[i - 1];

        retire(&l->retired, l->models);
        l->models = sets[i];
        sets[i] = NULL;
        service_set_router(l->service, models_router(l->models));
    }
}
