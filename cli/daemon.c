/* daemon.c - opened from the bottom up, closed from the top down:
 *
 *   STARTING -> SERVING -> DRAINING -> CLOSING
 *
 * SIGTERM and SIGINT drain; a second one closes at once. SIGHUP reads
 * everything again that can be, a change in the policy's folder the policy
 * alone: a bad file changes nothing.
 */
#include "cli/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "cli/daemon_state.h"
#include "cli/file_watch.h"
#include "cli/mcp_servers.h"
#include "cli/notify.h"
#include "cli/places.h"
#include "cli/policy_watch.h"
#include "cli/second_guard.h"
#include "proxy/addresses.h"
#include "proxy/audit.h"
#include "proxy/audit_chain.h"
#include "proxy/auth.h"
#include "proxy/responses_store.h"
#include "proxy/service.h"
#include "proxy/sessions.h"
#include "tools/options.h"
#include "tools/registry.h"

/* --- what the loop calls -------------------------------------------------- */

/* Called by the scheduler thread. */
static void wake(void *user) {
    (void)uv_async_send(&((struct daemon *)user)->wakeup);
}

static void on_wakeup(uv_async_t *async) {
    struct daemon *d = async->data;

    if (d->engine) (void)engine_poll(d->engine);
}

/* The other loops first: they send us what they cannot answer. */
static void close_server(struct daemon *d) {
    if (d->state == CLOSING) return;
    d->state = CLOSING;
    server_close(d->admin_server);
    admin_close(d->admin);
    daemon_reload_end(d);
    d->admin_server = NULL;
    d->admin = NULL;
    daemon_close_loops(d);
}

void daemon_loops_ended(struct daemon *d) {
    server_close(d->server);
    service_close(d->service);
    d->server = NULL;
    sessions_close(d->sessions);
    d->service = NULL;
    d->sessions = NULL;
}

void daemon_drained(struct daemon *d) {
    if (d->state == DRAINING && daemon_loops_drained(d) &&
        !server_connections(d->server))
        close_server(d);
}

static void on_drained(void *user) {
    daemon_drained(user);
}

static void on_keys_changed(void *user) {
    struct daemon *d = user;

    if (d->state == SERVING) daemon_reload(d, DAEMON_KEYS, NULL, NULL);
}

void daemon_watch_keys(struct daemon *d) {
    const char *path = auth_path(d->auth);

    file_watch_close(d->keys_watch);
    d->keys_watch =
        path ? file_watch_open(&d->loop, path, on_keys_changed, d) : NULL;
}

static void on_policy_changed(void *user) {
    struct daemon *d = user;

    if (d->state == SERVING) daemon_reload(d, DAEMON_POLICY, NULL, NULL);
}

void daemon_watch_policy(struct daemon *d) {
    char quoted[ERR_TEXT_MAX];
    struct err err = {0};

    d->watch =
        policy_watch_open(&d->loop, d->policy_path, on_policy_changed, d, &err);
    if (!d->watch)
        log_event(LOG_WARN, "policy_unwatched", "reason=%s",
                  log_quote(err.text, quoted, sizeof quoted));
}

static void on_reloaded(void *user, bool ok, const cJSON *parts,
                        const struct err *err) {
    const struct daemon *d = user;

    (void)ok;
    (void)parts;
    (void)err;
    if (d->state == SERVING) notify_state("READY=1");
}

static double gauge_in_flight(void *user) {
    struct daemon *d = user;

    return (d->server ? server_inflight(d->server) : 0) +
           daemon_loop_figures(d).in_flight;
}

static void on_signal(uv_signal_t *handle, int number) {
    struct daemon *d = handle->data;

    if (number == SIGHUP) {
        if (d->state != SERVING) return;
        notify_state("RELOADING=1");
        daemon_reload(d, DAEMON_ALL, on_reloaded, d);
        return;
    }
    if (d->state == SERVING) {
        log_event(LOG_INFO, "drain", "signal=%d in_flight=%d", number,
                  (int)gauge_in_flight(d));
        d->state = DRAINING;
        notify_state("STOPPING=1");
        daemon_drain_loops(d);
        service_drain(d->service);
        server_drain(d->server, d->config->drain_ms, on_drained, d);
    } else if (d->state == DRAINING) {
        log_event(LOG_WARN, "close", "signal=%d", number);
        close_server(d);
    }
}

/* A signal that was ignored when we were started stays ignored: whoever
 * started us (nohup, a script that passes signals on itself) meant it. */
static bool is_ignored(int number) {
    struct sigaction now;

    return !sigaction(number, NULL, &now) && now.sa_handler == SIG_IGN;
}

static const int signal_numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

/* Until we serve, a SIGTERM or SIGINT ends us as it ends any program: there is
 * nothing to drain, and a start can take a while. */
static void watch_signals(struct daemon *d) {
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_unref((uv_handle_t *)&d->signals[i]);
        if (signal_numbers[i] == SIGHUP)
            (void)uv_signal_start(&d->signals[i], on_signal, SIGHUP);
    }
}

static void heed_signals(struct daemon *d) {
    for (int i = 0; i < SIGNALS; i++) {
        int number = signal_numbers[i];

        if (number == SIGHUP || (number == SIGINT && is_ignored(SIGINT)))
            continue;
        (void)uv_signal_start(&d->signals[i], on_signal, number);
    }
}

/* --- gauges --------------------------------------------------------------- */

static double gauge_connections(void *user) {
    struct daemon *d = user;

    return (d->server ? server_connections(d->server) : 0) +
           daemon_loop_figures(d).connections;
}

static struct engine_stats stats_of(const struct daemon *d) {
    struct engine_stats stats = {0};

    if (d->engine) engine_stats(d->engine, &stats);
    return stats;
}

static double gauge_jobs_running(void *user) {
    return stats_of(user).jobs_running;
}

static double gauge_jobs_waiting(void *user) {
    return stats_of(user).jobs_waiting;
}

static double gauge_kv_used(void *user) {
    return stats_of(user).kv_used;
}

static double gauge_kv_total(void *user) {
    return stats_of(user).kv_total;
}

static double count_steps(void *user) {
    return (double)stats_of(user).steps;
}

static double count_jobs(void *user) {
    return (double)stats_of(user).jobs_done;
}

static double gauge_audit_written(void *user) {
    return audit_rows_written(((struct daemon *)user)->audit);
}

static double gauge_audit_waiting(void *user) {
    return audit_rows_waiting(((struct daemon *)user)->audit);
}

static double gauge_audit_lost(void *user) {
    return audit_rows_lost(((struct daemon *)user)->audit);
}

static double gauge_audit_failing(void *user) {
    return audit_failing(((struct daemon *)user)->audit);
}

static void add_audit_gauges(struct daemon *d) {
    struct metrics *m = d->metrics;

    metrics_gauge(m, "corral_audit_rows_total", "Audit rows written.", true,
                  gauge_audit_written, d);
    metrics_gauge(m, "corral_audit_rows_waiting",
                  "Audit rows that wait to be written.", false,
                  gauge_audit_waiting, d);
    metrics_gauge(m, "corral_audit_rows_lost_total", "Audit rows lost.", true,
                  gauge_audit_lost, d);
    metrics_gauge(m, "corral_audit_failing",
                  "1 while the audit cannot be written.", false,
                  gauge_audit_failing, d);
}

static double count_spans(void *user) {
    struct daemon *d = user;

    return tracer_sent(d->tracer) + daemon_loop_figures(d).spans_sent;
}

static double count_spans_dropped(void *user) {
    struct daemon *d = user;

    return tracer_dropped(d->tracer) + daemon_loop_figures(d).spans_dropped;
}

static double gauge_spans_waiting(void *user) {
    struct daemon *d = user;

    return tracer_waiting(d->tracer) + daemon_loop_figures(d).spans_waiting;
}

static void add_trace_gauges(struct daemon *d) {
    struct metrics *m = d->metrics;

    metrics_gauge(m, "corral_trace_spans_total",
                  "Spans that the collector took.", true, count_spans, d);
    metrics_gauge(m, "corral_trace_spans_dropped_total",
                  "Spans that the collector did not take.", true,
                  count_spans_dropped, d);
    metrics_gauge(m, "corral_trace_spans_waiting",
                  "Spans that wait to be sent.", false, gauge_spans_waiting, d);
}

static double gauge_held(void *user) {
    struct daemon *d = user;

    return (d->service ? (double)service_held(d->service) : 0) +
           daemon_loop_figures(d).held;
}

static double count_scanned(void *user) {
    struct daemon *d = user;
    struct guard_stats stats;

    guard_stats(d->guard, &stats);
    return (double)stats.scanned + daemon_loop_figures(d).scanned;
}

static double count_remembered(void *user) {
    struct daemon *d = user;
    struct guard_stats stats;

    guard_stats(d->guard, &stats);
    return (double)stats.remembered + daemon_loop_figures(d).remembered;
}

static double count_log_lost(void *user) {
    (void)user;
    return (double)log_lost();
}

static void add_gauges(struct daemon *d) {
    struct metrics *m = d->metrics;

    metrics_gauge(m, "corral_guard_held_bytes",
                  "Bytes of answers that wait for a verdict.", false,
                  gauge_held, d);
    metrics_gauge(m, "corral_guard_texts_scanned_total",
                  "Texts of requests that rules and entities read.", true,
                  count_scanned, d);
    metrics_gauge(m, "corral_guard_texts_remembered_total",
                  "Texts of requests that were clean before.", true,
                  count_remembered, d);
    metrics_gauge(m, "corral_log_lines_lost_total",
                  "Lines of the log that nobody took.", true, count_log_lost,
                  d);
    metrics_gauge(m, "corral_connections", "Open client connections.", false,
                  gauge_connections, d);
    metrics_gauge(m, "corral_in_flight", "Responses outstanding.", false,
                  gauge_in_flight, d);
    daemon_add_model_gauges(d);
    if (d->audit) add_audit_gauges(d);
    if (d->tracer) add_trace_gauges(d);
    if (!d->engine) return;
    metrics_gauge(m, "corral_engine_jobs_running",
                  "Engine jobs in the batch, of any kind.", false,
                  gauge_jobs_running, d);
    metrics_gauge(m, "corral_engine_jobs_waiting", "Engine jobs queued.", false,
                  gauge_jobs_waiting, d);
    metrics_gauge(m, "corral_engine_kv_used",
                  "KV positions held by live sequences.", false, gauge_kv_used,
                  d);
    metrics_gauge(m, "corral_engine_kv_total", "KV positions there are.", false,
                  gauge_kv_total, d);
    metrics_gauge(m, "corral_engine_steps_total", "Batches computed.", true,
                  count_steps, d);
    metrics_gauge(m, "corral_engine_jobs_total", "Engine jobs ended.", true,
                  count_jobs, d);
}

/* --- opening and closing ---------------------------------------------------
 */

static bool open_guard(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    struct engine_options engine = {.threads = c->threads,
                                    .context_tokens = c->context_tokens,
                                    .kv_tokens = c->kv_tokens,
                                    .kv_q8 = c->kv_q8,
                                    .on_wakeup = wake,
                                    .user = d};
    struct guard_options guard = {0};
    bool judged;

    d->policy_path = places_policy(c->policy, err);
    if (!d->policy_path) return false;
    d->policy = policy_open(d->policy_path, err);
    if (!d->policy) return false;
    d->addresses = addresses_new(&d->config->limits, hash_random_u64());
    d->auth = auth_open(c->keys, err);
    if (!d->auth) return false;
    judged = policy_needs_model(d->policy) || auth_needs_model(d->auth);
    if (judged || c->backend == BACKEND_ENGINE) {
        d->model_path = places_model(c->model);
        engine.model_path = d->model_path;
        d->engine = engine_open(&engine, err);
        if (!d->engine) {
            places_blame(err, d->model_path);
            return false;
        }
    }
    /* A policy of rules alone needs no guard model; one that is read later and
     * asks for it then blocks, since there is none. */
    if (judged) {
        d->guard_folder = places_guard(c->guard.models, err);
        if (!d->guard_folder) return false;
        guard.engine = d->engine;
        guard.model_folder = d->guard_folder;
    }
    d->second = second_guard_open(&d->loop, c, err);
    if (!d->second) return false;
    guard.peer = second_guard_peer(d->second);
    d->guard = guard_open(&guard, err);
    return d->guard && guard_fits(d->guard, d->policy, err) &&
           auth_set_guard(d->auth, d->guard, err);
}

static bool open_mcp(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    char *data;

    if (!c->mcp) return true;
    data = places_data(c->data, err);
    if (data) d->mcp = mcp_servers_open(c, &d->loop, data, d->tools, err);
    free(data);
    if (!d->mcp) return false;
    daemon_hear_tools(d);
    return mcp_servers_pin(d->mcp, d->tools, d->policy, err);
}

static bool open_tools(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    /* What tools keep goes where the operator said, and nowhere else. */
    char *data = c->data ? places_data(c->data, err) : NULL;
    bool ok = data || !c->data;

    d->tools = registry_new();
    for (int i = 0; ok && i < c->tool_count; i++) {
        const struct tool_options options = {
            .name = c->tools[i].name,
            .map = c->tools[i].options,
            .place = c->tools[i].place,
            .yaml = c->tools[i].place ? c->yaml : NULL,
            .loop = &d->loop,
            .folder = c->folder,
            .data = data,
            .artefacts = registry_artefacts(d->tools),
        };

        ok = registry_open(d->tools, &options, err);
    }
    free(data);
    return ok && open_mcp(d, err);
}

static bool open_sessions(struct daemon *d, struct err *err) {
    char quoted[ERR_TEXT_MAX];
    char *folder = places_data(d->config->data, err);

    if (folder) d->sessions = sessions_open(&d->loop, folder, err);
    free(folder);
    if (d->sessions || d->config->data) return d->sessions != NULL;
    /* Nobody asked for the default place: a second server beside the first, or
     * one without a home, serves all the rest. */
    log_event(LOG_WARN, "no_sessions", "reason=%s",
              log_quote(err->text, quoted, sizeof quoted));
    *err = (struct err){0};
    return true;
}

/* As with sessions: what nobody asked for must not stand in the way. */
static bool open_responses(struct daemon *d, struct responses_store **out,
                           struct err *err) {
    const struct config *c = d->config;
    char quoted[ERR_TEXT_MAX];
    char *folder = c->responses.memory ? NULL : places_data(c->data, err);

    *out = NULL;
    if (folder)
        *out = responses_store_open(&d->loop, folder, c->responses.days, err);
    free(folder);
    if (*out) return true;
    if (!c->responses.memory && c->data) return false;
    if (!c->responses.memory)
        log_event(LOG_WARN, "responses_in_memory", "reason=%s",
                  log_quote(err->text, quoted, sizeof quoted));
    *err = (struct err){0};
    *out = responses_store_new(c->responses.days);
    return true;
}

static void on_spent(void *user, const char *key_id, int64_t tokens) {
    auth_spent_before(user, key_id, tokens);
}

/* A budget of a day is none if a restart fills it again. */
static void recall_spent(struct daemon *d) {
    struct db *db = audit_db_open(d->audit_path, 0, true, NULL);
    int64_t now = clock_wall_s();
    char quoted[ERR_TEXT_MAX];
    struct err err = {0};

    if (db && !audit_chain_spent(db, (now - now % 86400) * 1000, on_spent,
                                 d->auth, &err))
        log_event(LOG_WARN, "budgets_forgotten", "reason=%s",
                  log_quote(err.text, quoted, sizeof quoted));
    db_close(db);
}

static bool open_audit(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    struct audit_options o = {.closed = c->audit.closed,
                              .days = c->audit.days,
                              .no_addresses = !c->audit.addresses,
                              .bytes_max = (uint64_t)c->audit.bytes_max};

    if (!c->audit.on) return true;
    d->data = places_data(c->data, err);
    if (!d->data) return false;
    o.folder = d->data;
    d->audit_path = audit_db_path(d->data);
    d->audit = audit_open(&d->loop, &o, err);
    if (!d->audit) return false;
    recall_spent(d);
    audit_event(d->audit, "start", CORRAL_VERSION);
    audit_event(d->audit, "policy", policy_revision(d->policy));
    return true;
}

static bool open_tracer(struct daemon *d, struct err *err) {
    struct http_header headers[TRACER_HEADERS_MAX];
    const struct tracer_options o = config_tracer(&d->config->traces, headers);

    if (!d->config->traces.on) return true;
    d->tracer = tracer_open(&d->loop, &o, err);
    return d->tracer != NULL;
}

/* The certificate and its key, from the files that the configuration names. */
static bool open_tls(struct daemon *d, struct err *err) {
    const struct config *c = d->config;

    if (!c->tls.cert) return true;
    d->tls = tls_context_serve(c->tls.cert, c->tls.key, c->tls.client_ca, err);
    return d->tls != NULL;
}

struct service_options daemon_service_options(const struct daemon *d) {
    const struct config *c = d->config;

    return (struct service_options){.tools = d->tools,
                                    .policy = d->policy,
                                    .auth = d->auth,
                                    .addresses = d->addresses,
                                    .hosts = {c->allow_remote && !c->host_count,
                                              (const char *const *)c->hosts,
                                              c->host_count},
                                    .audit = d->audit,
                                    .log_requests = c->log_access,
                                    .console = c->console,
                                    .compact = c->agent.compact,
                                    .turn_steps = c->agent.steps,
                                    .turn_tool_calls = c->agent.tool_calls,
                                    .turn_seconds = c->agent.seconds,
                                    .turn_tokens = c->agent.tokens};
}

struct server_options daemon_server_options(const struct daemon *d) {
    const struct config *c = d->config;

    return (struct server_options){.limits = c->limits,
                                   .origins = (const char *const *)c->origins,
                                   .origin_count = c->origin_count,
                                   .tls = d->tls,
                                   .trust = c->proxy_trust};
}

static bool open_server(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    struct service_options service = daemon_service_options(d);
    struct server_options server = daemon_server_options(d);

    service.loop = &d->loop;
    service.guard = d->guard;
    service.router = models_router(d->models);
    service.metrics = d->metrics;
    service.sessions = d->sessions;
    service.tracer = d->tracer;
    if (!open_responses(d, &service.responses, err)) return false;
    d->service = service_new(&service);
    if (d->sessions)
        sessions_resume(d->sessions, service_exchanges(d->service), d->auth);
    server.host = c->host;
    server.port = c->port;
    server.spread = daemon_spread(d, true);
    if (!daemon_listener(d, false, &server.fd, err)) return false;
    server.handler = service_handler(d->service);
    d->server = server_open(&d->loop, &server, err);
    return d->server != NULL;
}

/* ---- administration ---- */

static const struct config *config_now(void *user) {
    return ((struct daemon *)user)->config;
}

static const struct policy *policy_now(void *user) {
    return ((struct daemon *)user)->policy;
}

static void reload_asked(void *user, admin_reloaded *done, void *done_user) {
    daemon_reload(user, DAEMON_ALL, done, done_user);
}

static void reload_keys_asked(void *user, admin_reloaded *done,
                              void *done_user) {
    daemon_reload(user, DAEMON_KEYS, done, done_user);
}

static bool open_admin(struct daemon *d, struct err *err) {
    const struct config *c = d->config;
    struct server_options server = {.host = c->admin.host,
                                    .port = c->admin.port,
                                    .limits = c->limits,
                                    .tls = d->tls};
    struct admin_options admin = {.loop = &d->loop,
                                  .door = d->auth,
                                  .auth = d->auth,
                                  .metrics = d->metrics,
                                  .audit = d->audit,
                                  .audit_path = d->audit_path,
                                  .config = config_now,
                                  .policy = policy_now,
                                  .reload = reload_asked,
                                  .reload_keys = reload_keys_asked,
                                  .user = d};

    if (!c->admin.host) return true;
    if (c->admin.keys) {
        d->admin_auth = auth_open(c->admin.keys, err);
        if (!d->admin_auth) return false;
        admin.door = d->admin_auth;
    }
    d->admin = admin_new(&admin);
    if (!daemon_listener(d, true, &server.fd, err)) return false;
    server.handler = admin_handler(d->admin);
    d->admin_server = server_open(&d->loop, &server, err);
    if (!d->admin_server) return false;
    log_event(LOG_INFO, "admin", "port=%d keys=%d",
              server_port(d->admin_server), auth_key_count(admin.door));
    return true;
}

static void announce(const struct daemon *d) {
    const char *host = d->config->host;
    bool six = strchr(host, ':') != NULL;

    if (!strncmp(host, "unix:", 5))
        (void)printf("%s\n", host);
    else
        (void)printf("http%s://%s%s%s:%d\n", d->tls ? "s" : "", six ? "[" : "",
                     host, six ? "]" : "", server_port(d->server));
    (void)fflush(stdout);
    log_event(LOG_INFO, "serving", "port=%d policy=%s revision=%s kernels=%s",
              server_port(d->server), policy_name(d->policy),
              policy_revision(d->policy),
              d->engine ? engine_kernels(d->engine) : "none");
}

/* The engine's thread may wake the loop until the engine is closed, so the
 * handle it does that with goes last. */
static void daemon_close(struct daemon *d) {
    close_server(d);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    daemon_free_loops(d);
    tracer_close(d->tracer);
    tls_context_close(d->tls);
    audit_event(d->audit, "stop", "");
    audit_close(d->audit);
    registry_free(d->tools);
    mcp_servers_close(d->mcp);
    daemon_close_models(d);
    guard_close(d->guard);
    second_guard_close(d->second);
    engine_close(d->engine);
    d->engine = NULL;
    uv_close((uv_handle_t *)&d->wakeup, NULL);
    policy_watch_close(d->watch);
    file_watch_close(d->keys_watch);
    file_watch_close(d->admin_watch);
    uv_close((uv_handle_t *)&d->watchdog, NULL);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&d->loop);
    metrics_free(d->metrics);
    addresses_free(d->addresses);
    auth_close(d->auth);
    auth_close(d->admin_auth);
    policy_free(d->policy);
    free(d->reload);
    free(d->data);
    free(d->audit_path);
    free(d->policy_path);
    free(d->model_path);
    free(d->guard_folder);
    free(d->model_name);
    free(d);
}

bool daemon_run(struct config *config, const struct daemon_source *again,
                struct err *err) {
    struct daemon *d = xalloc(sizeof *d);
    bool ok;

    d->config = config;
    d->again = again;
    if (uv_loop_init(&d->loop)) {
        free(d);
        return err_set(err, ERR_IO, "the event loop could not be set up");
    }
    (void)uv_async_init(&d->loop, &d->wakeup, on_wakeup);
    d->wakeup.data = d;
    uv_unref((uv_handle_t *)&d->wakeup);
    watch_signals(d);
    (void)uv_timer_init(&d->loop, &d->watchdog);
    uv_unref((uv_handle_t *)&d->watchdog);
    retirement_begin(&d->retired, &d->loop);
    d->metrics = metrics_new();
    ok = open_guard(d, err) && daemon_open_models(d, err) &&
         open_tools(d, err) && open_sessions(d, err) && open_tls(d, err) &&
         open_audit(d, err) && open_tracer(d, err) && open_server(d, err) &&
         open_admin(d, err) && daemon_open_loops(d, err);
    if (ok) {
        add_gauges(d);
        daemon_watch_policy(d);
        daemon_watch_keys(d);
        if (d->admin_auth)
            d->admin_watch = file_watch_open(&d->loop, config->admin.keys,
                                             on_keys_changed, d);
        d->state = SERVING;
        heed_signals(d);
        announce(d);
        daemon_ready(d);
        (void)uv_run(&d->loop, UV_RUN_DEFAULT);
        log_event(LOG_INFO, "end", "pid=%d", (int)uv_os_getpid());
    }
    daemon_close(d);
    return ok;
}
