#include "proxy/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "guard/policy.h"
#include "proxy/access.h"
#include "proxy/addresses.h"
#include "proxy/artefacts.h"
#include "proxy/inquiry.h"
#include "proxy/approvals.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/console.h"
#include "proxy/decisions.h"
#include "proxy/embeddings.h"
#include "proxy/exchange.h"
#include "proxy/http_error.h"
#include "proxy/moderation.h"
#include "proxy/ollama_models.h"
#include "proxy/pass.h"
#include "proxy/responses.h"
#include "proxy/router.h"
#include "proxy/sessions.h"
#include "proxy/tracing.h"

enum { REFUSED_ROWS_MAX = 20, TICKS_A_SECOND = 4 };
enum { TICK_MS = 250 };

struct service {
    struct exchange_context exchanges;
    struct moderation_context moderations;
    struct inquiry_context inquiries;
    struct embeddings_context embeddings;
    struct decisions_context decisions;
    struct policy *policy;
    struct sessions *sessions; /* NULL: there are none */
    struct metrics *metrics;
    struct auth *auth;
    struct addresses *addresses;
    struct hosts hosts;
    struct audit *audit;
    struct tracer *tracer;
    uv_timer_t timer;
    uv_prepare_t prepare;
    int handles; /* open or closing */
    int64_t started;
    bool away; /* another one is the first loop's */
    bool draining;
    bool log_requests;
    bool console;
    int refused_rows;      /* of the audit, in this second */
    uint64_t refused_more; /* that have none of their own */
    int ticks;
};

/* One route: `path` exact, or with `below` everything under it. */
struct route {
    const char *method; /* NULL: the handler tells them apart */
    const char *path;
    bool below;
    enum metrics_route metrics;
    void (*handle)(struct service *s, struct conn *c,
                   const struct http_request *r);
    void (*gone)(void *user); /* NULL: it answers at once */
};

static void respond(struct service *s, struct conn *c, enum metrics_route route,
                    int status, const char *type, const struct bytes *body) {
    metrics_request(s->metrics, route, status);
    conn_respond(c, status, type, NULL, 0, span_bytes(body));
}

static void fail_status(struct service *s, struct conn *c,
                        enum metrics_route route, int status,
                        const char *message) {
    metrics_request(s->metrics, route, status);
    conn_fail_status(c, status, message);
}

/* ---- handlers ---- */

static void chat(struct service *s, struct conn *c,
                 const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_openai, c, r);
}

static void anthropic_messages(struct service *s, struct conn *c,
                               const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_anthropic, c, r);
}

static void anthropic_count(struct service *s, struct conn *c,
                            const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_anthropic_count, c, r);
}

static void completions(struct service *s, struct conn *c,
                        const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_completions, c, r);
}

static void responses(struct service *s, struct conn *c,
                      const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_responses, c, r);
}

/* What a client may see again of its answers, and take away. */
static void response(struct service *s, struct conn *c,
                     const struct http_request *r) {
    struct responses_store *store = s->exchanges.responses;
    struct span rest =
        span_slice(r->path, strlen("/v1/responses/"), r->path.size);
    const char *owner = caller_id(conn_pass(c)->caller);
    struct bytes out = {0};
    struct err err = {0};
    bool ok = span_is(r->method, "DELETE")
                  ? responses_delete(store, owner, rest, &out, &err)
                  : responses_get(store, owner, rest, r->query, &out, &err);

    if (ok) {
        respond(s, c, ROUTE_RESPONSES, 200, "application/json", &out);
    } else {
        metrics_request(s->metrics, ROUTE_RESPONSES,
                        http_error_of(err.code)->status);
        conn_fail(c, &err);
    }
    bytes_free(&out);
}

static void ollama_chat(struct service *s, struct conn *c,
                        const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_ollama_chat, c, r);
}

static void ollama_generate(struct service *s, struct conn *c,
                            const struct http_request *r) {
    exchange_start(&s->exchanges, &dialect_ollama_generate, c, r);
}

static void chat_gone(void *user) {
    exchange_gone(user);
}

static void sessions(struct service *s, struct conn *c,
                     const struct http_request *r) {
    if (s->sessions)
        sessions_request(s->sessions, &s->exchanges, c, r);
    else
        fail_status(s, c, ROUTE_SESSIONS, 503, "this server keeps no sessions");
}

static void moderations(struct service *s, struct conn *c,
                        const struct http_request *r) {
    moderation_start(&s->moderations, c, r);
}

static void moderations_gone(void *user) {
    moderation_gone(user);
}

static void embeddings(struct service *s, struct conn *c,
                       const struct http_request *r) {
    embeddings_start(&s->embeddings, c, r);
}

static void embeddings_are_gone(void *user) {
    embeddings_gone(user);
}

static void decisions(struct service *s, struct conn *c,
                      const struct http_request *r) {
    decisions_start(&s->decisions, c, r);
}

static void decisions_are_gone(void *user) {
    decisions_gone(user);
}

static void guard_check(struct service *s, struct conn *c,
                        const struct http_request *r) {
    inquiry_start(&s->inquiries, c, r);
}

static void guard_check_gone(void *user) {
    inquiry_gone(user);
}

static bool put_model(struct service *s, const char *name, struct bytes *out) {
    return bytes_printf(out, NULL, "{\"id\":") &&
           json_put_string(out, span_of(name), NULL) &&
           bytes_printf(out, NULL,
                        ",\"object\":\"model\",\"created\":%lld,"
                        "\"owned_by\":\"corral\"}",
                        (long long)s->started);
}

static void models(struct service *s, struct conn *c,
                   const struct http_request *r) {
    const struct router *router = s->exchanges.router;
    struct bytes out = {0};

    (void)r;
    bytes_puts(&out, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < router_count(router); i++) {
        if (i) bytes_puts(&out, ",");
        (void)put_model(s, router_name(router, i), &out);
    }
    bytes_puts(&out, "]}");
    respond(s, c, ROUTE_MODELS, 200, "application/json", &out);
    bytes_free(&out);
}

static const char *model_name(const struct service *s, struct span name) {
    const struct router *router = s->exchanges.router;

    for (int i = 0; i < router_count(router); i++)
        if (span_is(name, router_name(router, i)))
            return router_name(router, i);
    return NULL;
}

static void model(struct service *s, struct conn *c,
                  const struct http_request *r) {
    const char *name =
        model_name(s, span_slice(r->path, strlen("/v1/models/"), r->path.size));
    struct bytes out = {0};

    if (!name)
        fail_status(s, c, ROUTE_MODELS, 404, "there is no such model");
    else if (put_model(s, name, &out))
        respond(s, c, ROUTE_MODELS, 200, "application/json", &out);
    bytes_free(&out);
}

static void ollama_tags(struct service *s, struct conn *c,
                        const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    if (ollama_put_models(s->exchanges.router, s->started, &out, NULL))
        respond(s, c, ROUTE_OLLAMA, 200, "application/json", &out);
    bytes_free(&out);
}

static void ollama_version(struct service *s, struct conn *c,
                           const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    if (ollama_put_version(&out, NULL))
        respond(s, c, ROUTE_OLLAMA, 200, "application/json", &out);
    bytes_free(&out);
}

static void ollama_model_shown(struct service *s, struct conn *c,
                               const struct http_request *r) {
    struct bytes out = {0};
    struct err err = {0};

    if (ollama_show(s->exchanges.router, s->started, r->body, &out, &err)) {
        respond(s, c, ROUTE_OLLAMA, 200, "application/json", &out);
    } else {
        metrics_request(s->metrics, ROUTE_OLLAMA,
                        http_error_of(err.code)->status);
        conn_fail(c, &err);
    }
    bytes_free(&out);
}

/* A file that a tool made for this key. */
static void artefact(struct service *s, struct conn *c,
                     const struct http_request *r) {
    struct span id =
        span_slice(r->path, strlen("/v1/artefacts/"), r->path.size);
    struct span owner = span_of(caller_id(conn_pass(c)->caller));
    struct bytes out = {0};
    struct span content;
    const char *type;

    if (artefact_find(s->exchanges.tools, id, owner, &type, &content)) {
        bytes_put(&out, content);
        respond(s, c, ROUTE_OTHER, 200, type, &out);
    } else {
        fail_status(s, c, ROUTE_OTHER, 404, "there is no such file");
    }
    bytes_free(&out);
}

static void approvals(struct service *s, struct conn *c,
                      const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    if (approvals_list(s->exchanges.approvals, &out, NULL))
        respond(s, c, ROUTE_APPROVALS, 200, "application/json", &out);
    else
        fail_status(s, c, ROUTE_APPROVALS, 500, "the list is too long");
    bytes_free(&out);
}

static void approval(struct service *s, struct conn *c,
                     const struct http_request *r) {
    struct span id =
        span_slice(r->path, strlen("/v1/approvals/"), r->path.size);
    struct bytes out = {0};
    struct err err = {0};

    if (approvals_decide(s->exchanges.approvals, id, r->body,
                         caller_id(conn_pass(c)->caller), &out, &err)) {
        respond(s, c, ROUTE_APPROVALS, 200, "application/json", &out);
    } else {
        metrics_request(s->metrics, ROUTE_APPROVALS,
                        http_error_of(err.code)->status);
        conn_fail(c, &err);
    }
    bytes_free(&out);
}

static void healthz(struct service *s, struct conn *c,
                    const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    bytes_puts(&out, "ok\n");
    respond(s, c, ROUTE_HEALTH, 200, "text/plain", &out);
    bytes_free(&out);
}

/* Ready once it listens, since it listens last; not while it drains. */
static void readyz(struct service *s, struct conn *c,
                   const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    bytes_puts(&out, s->draining ? "draining\n" : "ready\n");
    respond(s, c, ROUTE_HEALTH, s->draining ? 503 : 200, "text/plain", &out);
    bytes_free(&out);
}

static void metrics(struct service *s, struct conn *c,
                    const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    metrics_print(s->metrics, &out);
    respond(s, c, ROUTE_METRICS, 200, metrics_content_type, &out);
    bytes_free(&out);
}

static void console(struct service *s, struct conn *c,
                    const struct http_request *r) {
    if (s->console)
        metrics_request(s->metrics, ROUTE_CONSOLE, console_respond(c, r));
    else
        fail_status(s, c, ROUTE_CONSOLE, 404, "there is no such route");
}

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", false, ROUTE_CHAT, chat, chat_gone},
    {"POST", "/v1/completions", false, ROUTE_COMPLETIONS, completions,
     chat_gone},
    {"POST", "/v1/responses", false, ROUTE_RESPONSES, responses, chat_gone},
    {"GET", "/v1/responses/", true, ROUTE_RESPONSES, response, NULL},
    {"DELETE", "/v1/responses/", true, ROUTE_RESPONSES, response, NULL},
    {"POST", "/v1/embeddings", false, ROUTE_EMBEDDINGS, embeddings,
     embeddings_are_gone},
    {"POST", "/v1/moderations", false, ROUTE_MODERATIONS, moderations,
     moderations_gone},
    {"POST", "/v1/decisions", false, ROUTE_DECISIONS, decisions,
     decisions_are_gone},
    {"POST", "/v1/messages", false, ROUTE_MESSAGES, anthropic_messages,
     chat_gone},
    {"POST", "/v1/messages/count_tokens", false, ROUTE_MESSAGES,
     anthropic_count, chat_gone},
    {NULL, "/v1/sessions", false, ROUTE_SESSIONS, sessions, NULL},
    {NULL, "/v1/sessions/", true, ROUTE_SESSIONS, sessions, NULL},
    {"POST", "/v1/guard/check", false, ROUTE_GUARD, guard_check,
     guard_check_gone},
    {"POST", "/api/chat", false, ROUTE_OLLAMA, ollama_chat, chat_gone},
    {"POST", "/api/generate", false, ROUTE_OLLAMA, ollama_generate, chat_gone},
    {"POST", "/api/show", false, ROUTE_OLLAMA, ollama_model_shown, NULL},
    {"GET", "/api/tags", false, ROUTE_OLLAMA, ollama_tags, NULL},
    {"GET", "/api/ps", false, ROUTE_OLLAMA, ollama_tags, NULL},
    {"GET", "/api/version", false, ROUTE_OLLAMA, ollama_version, NULL},
    {"GET", "/v1/models", false, ROUTE_MODELS, models, NULL},
    {"GET", "/v1/models/", true, ROUTE_MODELS, model, NULL},
    {"GET", "/v1/artefacts/", true, ROUTE_OTHER, artefact, NULL},
    {"GET", "/v1/approvals", false, ROUTE_APPROVALS, approvals, NULL},
    {"POST", "/v1/approvals/", true, ROUTE_APPROVALS, approval, NULL},
    {"GET", "/healthz", false, ROUTE_HEALTH, healthz, NULL},
    {"GET", "/readyz", false, ROUTE_HEALTH, readyz, NULL},
    {"GET", "/metrics", false, ROUTE_METRICS, metrics, NULL},
    {"GET", "/", false, ROUTE_CONSOLE, console, NULL},
    {"GET", "/console/", true, ROUTE_CONSOLE, console, NULL},
};

static bool method_fits(const struct route *route, struct span method) {
    return !route->method || span_is(method, route->method) ||
           (span_is(method, "HEAD") && !strcmp(route->method, "GET"));
}

/* The first of the path, unless a later one knows the method: a wrong method is
 * another answer than a wrong path. */
static const struct route *route_find(struct span path, struct span method) {
    const struct route *found = NULL;

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!http_path_fits(path, routes[i].path, routes[i].below)) continue;
        if (method_fits(&routes[i], method)) return &routes[i];
        if (!found) found = &routes[i];
    }
    return found;
}

static void refuse_method(struct service *s, struct conn *c,
                          const struct http_request *r,
                          enum metrics_route metrics) {
    struct bytes allow = {0};

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!http_path_fits(r->path, routes[i].path, routes[i].below)) continue;
        if (allow.size) bytes_puts(&allow, ", ");
        bytes_puts(&allow, routes[i].method);
        if (!strcmp(routes[i].method, "GET")) bytes_puts(&allow, ", HEAD");
    }
    metrics_request(s->metrics, metrics, 405);
    bytes_put(&allow, (struct span){"", 1});
    conn_fail_method(c, allow.at);
    bytes_free(&allow);
}

/* Asked every few seconds, and of no interest to a trace. */
static bool is_probe(const struct route *route) {
    return route &&
           (route->metrics == ROUTE_HEALTH || route->metrics == ROUTE_METRICS);
}

/* What the first loop alone keeps, or can tell of all. */
static bool only_first(const struct route *route) {
    return route &&
           (route->metrics == ROUTE_SESSIONS ||
            route->metrics == ROUTE_RESPONSES ||
            route->metrics == ROUTE_APPROVALS ||
            route->metrics == ROUTE_METRICS || route->handle == artefact);
}

/* Whatever can lead to a decision. */
static bool needs_audit(const struct route *route) {
    return !is_probe(route) && route->metrics != ROUTE_MODELS &&
           route->metrics != ROUTE_CONSOLE;
}

/* Clients of Ollama, which does not look, may leave the type out. A page of
 * another origin could do so too, but not without saying where it is from. */
static bool says_json(const struct http_request *r) {
    struct span type = http_request_header(r, "content-type");

    if (!type.size && span_starts(r->path, span_of("/api/")))
        return !http_request_header(r, "origin").size;
    return http_type_is(type, "application/json");
}

/* Who has no key or no budget left gets a row, too; but not as many as he
 * likes, or anybody could fill the disk. */
static void note_refused(struct service *s, struct conn *c, const char *route,
                         int status) {
    const struct audit_subject subject = audit_subject_of(c, route);
    const struct audit_end end = {.status = status,
                                  .ns = clock_ns() - conn_pass(c)->started_ns,
                                  .policy = policy_revision(s->policy)};

    if (s->refused_rows++ < REFUSED_ROWS_MAX)
        audit_request(s->audit, &subject, &end);
    else
        s->refused_more++;
}

static void tell_refused(struct service *s) {
    char more[48];

    s->refused_rows = 0;
    if (!s->refused_more) return;
    (void)snprintf(more, sizeof more, "%llu more",
                   (unsigned long long)s->refused_more);
    s->refused_more = 0;
    audit_event(s->audit, "refused", more);
}

/* Where keys are asked for, those have the limits. */
static bool address_admit(struct service *s, struct conn *c,
                          const struct route *route, int *status) {
    if (is_probe(route) || (s->auth && auth_path(s->auth))) return true;
    return addresses_admit(s->addresses, c, conn_request(c), status);
}

/* A unix socket is out of a browser's reach. */
static bool host_admit(struct service *s, struct conn *c,
                       const struct http_request *r) {
    if ((s->auth && auth_path(s->auth)) || !strcmp(conn_peer(c), "unix") ||
        hosts_know(&s->hosts, http_request_header(r, "host")))
        return true;
    conn_pass(c)->refused = true;
    return false;
}

static void on_request(void *user, struct conn *c,
                       const struct http_request *r) {
    struct service *s = user;
    const struct route *route = route_find(r->path, r->method);
    int status;

    pass_begin(c, r, is_probe(route) ? NULL : s->tracer);
    if (s->away && only_first(route)) {
        conn_leave(c);
        return;
    }
    if (!auth_admit(s->auth, c, r, &status) ||
        !address_admit(s, c, route, &status)) {
        metrics_request(s->metrics, route ? route->metrics : ROUTE_OTHER,
                        status);
    } else if (!host_admit(s, c, r)) {
        fail_status(s, c, route ? route->metrics : ROUTE_OTHER, 403,
                    "this server has no keys and is not called that; its "
                    "configuration may name it in `hosts`");
    } else if (!route) {
        fail_status(s, c, ROUTE_OTHER, 404, "there is no such route");
    } else if (!method_fits(route, r->method)) {
        refuse_method(s, c, r, route->metrics);
    } else if (audit_refuses(s->audit) && needs_audit(route)) {
        fail_status(s, c, route->metrics, 503,
                    "the audit cannot be written at the moment");
    } else if (span_is(r->method, "POST") && !says_json(r)) {
        fail_status(s, c, route->metrics, 415,
                    "expected content-type application/json");
    } else {
        route->handle(s, c, r);
    }
}

static void on_gone(void *user, struct conn *c) {
    struct service *s = user;
    const struct http_request *r = conn_request(c);
    const struct route *route = route_find(r->path, r->method);

    if (!route || !conn_user(c)) return;
    if (route->metrics == ROUTE_SESSIONS)
        sessions_gone(s->sessions, conn_user(c));
    else if (route->gone)
        route->gone(conn_user(c));
}

static void on_drain(void *user, struct conn *c) {
    const struct http_request *r = conn_request(c);
    const struct route *route = route_find(r->path, r->method);

    (void)user;
    if (route && route->gone == chat_gone && conn_user(c))
        exchange_drained(conn_user(c));
}

/* What a connection answered by itself: it never became a request of ours. */
static void on_refused(void *user, int status) {
    struct service *s = user;

    metrics_request(s->metrics, ROUTE_OTHER, status);
}

static void on_end(void *user, struct conn *c, const struct conn_outcome *end) {
    struct service *s = user;
    const struct http_request *r = conn_request(c);
    const struct route *route = route_find(r->path, r->method);
    const char *name = metrics_route_name(route ? route->metrics : ROUTE_OTHER);

    addresses_done(s->addresses, c);
    if (conn_pass(c)->refused) note_refused(s, c, name, end->status);
    if (s->log_requests) access_log(c, name, end);
    tracing_request(c, route ? route->path : NULL, end);
}

/* ---- the service ---- */

static void on_tick(uv_timer_t *timer) {
    struct service *s = timer->data;

    if (++s->ticks % TICKS_A_SECOND == 0) tell_refused(s);
    exchange_tick(&s->exchanges);
    approvals_tick(s->exchanges.approvals);
    if (s->exchanges.responses) responses_store_tick(s->exchanges.responses);
}

/* The loop is about to wait: what it had to say goes out in one piece. */
static void on_prepare(uv_prepare_t *prepare) {
    (void)prepare;
    log_flush();
    log_gather(true);
}

static void on_closed(uv_handle_t *handle) {
    struct service *s = handle->data;

    if (--s->handles) return;
    policy_free(s->policy);
    approvals_free(s->exchanges.approvals);
    responses_store_free(s->exchanges.responses);
    free(s);
}

struct service *service_new(const struct service_options *o) {
    struct service *s = xalloc(sizeof *s);

    s->exchanges = (struct exchange_context){
        .guard = o->guard,
        .loop = o->loop,
        .router = o->router,
        .tools = o->tools,
        .approvals =
            o->first ? approvals_share(o->first->exchanges.approvals, o->box)
                     : approvals_new(o->audit),
        .responses = o->responses,
        .metrics = o->metrics,
        .audit = o->audit,
        .compact = o->compact,
        .turn_steps = o->turn_steps,
        .turn_tool_calls = o->turn_tool_calls,
        .turn_seconds = o->turn_seconds,
        .turn_tokens = o->turn_tokens,
        .fence_key = hash_random_u64() | 1, /* 0 is none */
    };
    s->moderations = (struct moderation_context){
        .guard = o->guard, .metrics = o->metrics, .audit = o->audit};
    s->embeddings = (struct embeddings_context){.guard = o->guard,
                                                .router = o->router,
                                                .metrics = o->metrics,
                                                .audit = o->audit};
    s->decisions = (struct decisions_context){.guard = o->guard,
                                              .router = o->router,
                                              .metrics = o->metrics,
                                              .audit = o->audit};
    s->inquiries = (struct inquiry_context){
        .guard = o->guard, .metrics = o->metrics, .audit = o->audit};
    s->away = o->first != NULL;
    s->metrics = o->metrics;
    s->sessions = o->sessions;
    s->auth = o->auth;
    s->addresses = o->addresses;
    s->hosts = o->hosts;
    s->audit = o->audit;
    s->tracer = o->tracer;
    s->log_requests = o->log_requests;
    s->console = o->console;
    s->started = clock_wall_s();
    service_set_policy(s, o->policy);
    (void)uv_timer_init(o->loop, &s->timer);
    s->timer.data = s;
    (void)uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    (void)uv_prepare_init(o->loop, &s->prepare);
    s->prepare.data = s;
    (void)uv_prepare_start(&s->prepare, on_prepare);
    s->handles = 2;
    return s;
}

void service_close(struct service *s) {
    if (!s) return;
    exchange_end_resumed(&s->exchanges);
    log_gather(false);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    uv_close((uv_handle_t *)&s->prepare, on_closed);
}

struct conn_handler service_handler(struct service *s) {
    return (struct conn_handler){.on_request = on_request,
                                 .on_gone = on_gone,
                                 .on_drain = on_drain,
                                 .on_end = on_end,
                                 .on_refused = on_refused,
                                 .user = s};
}

void service_set_policy(struct service *s, struct policy *policy) {
    struct policy *before = s->policy;

    s->policy = policy_ref(policy);
    s->exchanges.policy = s->policy;
    s->moderations.policy = s->policy;
    s->inquiries.policy = s->policy;
    s->embeddings.policy = s->policy;
    s->decisions.policy = s->policy;
    policy_free(before);
}

void service_set_router(struct service *s, struct router *router) {
    s->exchanges.router = router;
    s->embeddings.router = router;
    s->decisions.router = router;
}

void service_set_turns(struct service *s, const struct service_turns *turns) {
    s->exchanges.compact = turns->compact;
    s->exchanges.turn_steps = turns->steps;
    s->exchanges.turn_tool_calls = turns->tool_calls;
    s->exchanges.turn_seconds = turns->seconds;
    s->exchanges.turn_tokens = turns->tokens;
}

void service_log_requests(struct service *s, bool on) {
    s->log_requests = on;
}

void service_show_console(struct service *s, bool on) {
    s->console = on;
}

struct exchange_context *service_exchanges(struct service *s) {
    return &s->exchanges;
}

size_t service_held(const struct service *s) {
    return exchange_held(&s->exchanges);
}

void service_drain(struct service *s) {
    s->exchanges.closing = true;
    s->draining = true;
}
