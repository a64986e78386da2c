#include "proxy/tracing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/auth.h"

enum { NAME_SIZE = 128, FAILED_FROM = 500 };

struct trace_point tracing_of(struct conn *c) {
    const struct pass *p = conn_pass(c);
    struct trace_point at = {.tracer = p->tracer};

    memcpy(at.trace, p->trace, sizeof at.trace);
    return at;
}

static const char *action_of(const struct pass *p) {
    if (!*p->decision) return "none";
    return p->failed ? "unavailable" : verdict_action_name(p->action);
}

/* Those that there are: another is any word of the client's. */
static const char *method_of(const struct http_request *r) {
    static const char *const known[] = {"GET", "HEAD",   "POST",
                                        "PUT", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_is(r->method, known[i])) return known[i];
    return "_OTHER";
}

void tracing_request(struct conn *c, const char *route,
                     const struct conn_outcome *end) {
    const struct pass *p = conn_pass(c);
    const struct http_request *r = conn_request(c);
    struct tracer_span span = {.trace = p->trace,
                               .parent = p->parent,
                               .kind = TRACER_SERVER,
                               .start_ns = p->started_ns,
                               .end_ns = clock_ns(),
                               .failed = end->status >= FAILED_FROM};
    const char *method = method_of(r);
    char name[NAME_SIZE], status[16];

    if (!p->tracer) return;
    (void)snprintf(name, sizeof name, "%s%s%s", method, route ? " " : "",
                   route ? route : "");
    (void)snprintf(status, sizeof status, "%d", end->status);
    span.name = name;
    span.attributes = tracer_attributes();
    tracer_text(span.attributes, "http.request.method", method);
    tracer_text(span.attributes, "http.route", route ? route : "");
    tracer_number(span.attributes, "http.response.status_code", end->status);
    if (span.failed) tracer_text(span.attributes, "error.type", status);
    tracer_text(span.attributes, "corral.request_id", p->request_id);
    tracer_text(span.attributes, "corral.action", action_of(p));
    tracer_text(span.attributes, "corral.decision", p->decision);
    if (p->caller)
        tracer_text(span.attributes, "corral.key", caller_id(p->caller));
    tracer_span(p->tracer, &span);
}

/* A span below another, which takes `attributes`. */
static void put_child(const struct trace_point *at, const char *name,
                      uint64_t start_ns, bool failed, cJSON *attributes) {
    char own[TRACE_SIZE];
    const struct tracer_span span = {.trace = own,
                                     .parent = at->trace + TRACE_SPAN_AT,
                                     .name = name,
                                     .kind = TRACER_INTERNAL,
                                     .start_ns = start_ns,
                                     .end_ns = clock_ns(),
                                     .failed = failed,
                                     .attributes = attributes};

    trace_child(at->trace, own);
    tracer_span(at->tracer, &span);
}

static uint64_t worked_ns(const struct verdict *v) {
    uint64_t us = 0;

    for (int i = 0; i < STAGE_COUNT; i++) us += v->stage_us[i];
    return us * 1000;
}

void tracing_verdict(struct conn *c, enum channel channel,
                     const struct verdict *v, uint64_t ns) {
    const struct trace_point at = tracing_of(c);
    bool failed =
        v->action == VERDICT_BLOCK && v->cause == VERDICT_CAUSE_UNAVAILABLE;
    struct bytes checks = {0};
    char name[NAME_SIZE];
    cJSON *list;

    if (!at.tracer) return;
    list = tracer_attributes();
    verdict_checks(v, &checks);
    bytes_put(&checks, (struct span){"", 1});
    tracer_text(list, "corral.channel", channel_name(channel));
    tracer_text(list, "corral.action",
                failed ? "unavailable" : verdict_action_name(v->action));
    tracer_text(list, "corral.checks", checks.at);
    tracer_text(list, "corral.decision", v->id);
    tracer_text(list, "corral.policy", v->revision);
    bytes_free(&checks);
    for (int i = 0; i < STAGE_COUNT; i++) {
        char key[64];

        (void)snprintf(key, sizeof key, "corral.stage.%s_us",
                       stage_name((enum stage)i));
        tracer_number(list, key, v->stage_us[i]);
    }
    (void)snprintf(name, sizeof name, "guard %s", channel_name(channel));
    put_child(&at, name, clock_ns() - (ns ? ns : worked_ns(v)), failed, list);
}

void tracing_tool(const struct trace_point *at, struct span name,
                  uint64_t start_ns) {
    char tool[NAME_SIZE / 2], title[NAME_SIZE];
    cJSON *list;

    if (!at || !at->tracer) return;
    (void)snprintf(tool, sizeof tool, "%.*s", (int)name.size, name.at);
    (void)snprintf(title, sizeof title, "execute_tool %s", tool);
    list = tracer_attributes();
    tracer_text(list, "gen_ai.operation.name", "execute_tool");
    tracer_text(list, "gen_ai.tool.name", tool);
    put_child(at, title, start_ns, false, list);
}

void tracing_embeddings(const struct trace_point *at,
                        const struct tracing_vectors *v) {
    char model[NAME_SIZE / 2], name[NAME_SIZE];
    struct tracer_span span = {.trace = v->trace,
                               .parent = at->trace + TRACE_SPAN_AT,
                               .name = name,
                               .kind =
                                   v->here ? TRACER_INTERNAL : TRACER_CLIENT,
                               .start_ns = v->start_ns,
                               .end_ns = clock_ns(),
                               .failed = *v->error != 0};
    cJSON *list;

    if (!at->tracer) return;
    (void)snprintf(model, sizeof model, "%.*s", (int)v->model.size,
                   v->model.at);
    (void)snprintf(name, sizeof name, "embeddings %s", model);
    list = span.attributes = tracer_attributes();
    tracer_text(list, "gen_ai.operation.name", "embeddings");
    tracer_text(list, "gen_ai.provider.name", v->here ? "corral" : "openai");
    tracer_text(list, "gen_ai.request.model", model);
    tracer_number(list, "gen_ai.usage.input_tokens", v->prompt_tokens);
    tracer_number(list, "corral.texts", v->texts);
    tracer_text(list, "error.type", v->error);
    tracer_span(at->tracer, &span);
}
