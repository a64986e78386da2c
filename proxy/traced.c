/* traced.c - generations as spans: the face of a model between whoever asks
 * and the model itself, which hands everything on and keeps time. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/tracing.h"

enum { MODEL_SIZE = 128 };

struct traced {
    struct llm llm; /* first, so that the calls can cast back */
    struct llm *inner;
    const struct trace_point *at;
    const char *purpose;
    char model[MODEL_SIZE];
};

struct generation {
    struct traced *traced;
    struct llm_call *call;
    struct llm_events events;    /* of whoever asked */
    struct chat_request request; /* theirs, under a trace of our own */
    char trace[TRACE_SIZE];
    uint64_t start_ns;
    uint64_t heard_ns; /* its first text; 0: none yet */
};

static const char *reason_of(enum llm_finish finish) {
    switch (finish) {
    case LLM_STOP:
        return "stop";
    case LLM_LENGTH:
        return "length";
    case LLM_TOOL_CALLS:
        return "tool_calls";
    case LLM_FILTERED:
        return "content_filter";
    }
    return "";
}

static void put_usage(cJSON *list, const struct llm_usage *u) {
    tracer_number(list, "gen_ai.usage.input_tokens", u->prompt_tokens);
    tracer_number(list, "gen_ai.usage.cache_read.input_tokens",
                  u->cached_tokens);
    tracer_number(list, "gen_ai.usage.output_tokens", u->completion_tokens);
}

/* `end` NULL: cancelled. */
static void put_span(const struct generation *g, const struct llm_end *end) {
    const struct traced *t = g->traced;
    bool here = t->inner->facts != NULL;
    char name[MODEL_SIZE + 8];
    struct tracer_span span = {.trace = g->trace,
                               .parent = t->at->trace + TRACE_SPAN_AT,
                               .name = name,
                               .kind = here ? TRACER_INTERNAL : TRACER_CLIENT,
                               .start_ns = g->start_ns,
                               .end_ns = clock_ns(),
                               .failed = end && !end->ok,
                               .attributes = tracer_attributes()};
    cJSON *list = span.attributes;

    (void)snprintf(name, sizeof name, "chat %s", t->model);
    tracer_text(list, "gen_ai.operation.name", "chat");
    tracer_text(list, "gen_ai.provider.name", here ? "corral" : "openai");
    tracer_text(list, "gen_ai.request.model", t->model);
    tracer_text(list, "corral.purpose", t->purpose);
    if (g->heard_ns)
        tracer_number(list, "corral.first_text_us",
                      (int64_t)(g->heard_ns - g->start_ns) / 1000);
    if (!end)
        tracer_text(list, "error.type", "cancelled");
    else if (!end->ok)
        tracer_text(list, "error.type", err_code_name(end->err.code));
    else
        tracer_texts(list, "gen_ai.response.finish_reasons",
                     reason_of(end->finish));
    if (end) put_usage(list, &end->usage);
    tracer_span(t->at->tracer, &span);
}

/* ---- what the model says, handed on ---- */

static void on_prompt(void *user, const int *tokens, int token_count) {
    const struct llm_events *e = &((struct generation *)user)->events;

    if (e->on_prompt) e->on_prompt(e->user, tokens, token_count);
}

static void on_origin(void *user, const struct llm_origin *origin) {
    const struct llm_events *e = &((struct generation *)user)->events;

    if (e->on_origin) e->on_origin(e->user, origin);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct generation *g = user;

    if (!g->heard_ns) g->heard_ns = clock_ns();
    if (g->events.on_text)
        g->events.on_text(g->events.user, text, tokens, token_count);
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    const struct llm_events *e = &((struct generation *)user)->events;

    if (e->on_logprobs) e->on_logprobs(e->user, list, count);
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    const struct llm_events *e = &((struct generation *)user)->events;

    if (e->on_tool_call) e->on_tool_call(e->user, call);
}

/* Whoever asked may free the model's face in here. */
static void on_end(void *user, const struct llm_end *end) {
    struct generation *g = user;
    struct llm_events events = g->events;

    put_span(g, end);
    free(g);
    events.on_end(events.user, end);
}

/* ---- the face ---- */

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct traced *t = (struct traced *)llm;
    struct generation *g = xalloc(sizeof *g);
    const struct llm_events ours = {.on_prompt = on_prompt,
                                    .on_origin = on_origin,
                                    .on_text = on_text,
                                    .on_logprobs = on_logprobs,
                                    .on_tool_call = on_tool_call,
                                    .on_end = on_end,
                                    .user = g};
    struct llm_end failed = {0};

    g->traced = t;
    g->events = *events;
    g->request = *r;
    g->start_ns = clock_ns();
    trace_child(t->at->trace, g->trace);
    g->request.trace = span_of(g->trace);
    g->call = t->inner->start(t->inner, &g->request, client, &ours, err);
    if (g->call) return (struct llm_call *)(void *)g;
    failed.err = *err;
    put_span(g, &failed);
    free(g);
    return NULL;
}

static void cancel(struct llm *llm, struct llm_call *call) {
    struct traced *t = (struct traced *)llm;
    struct generation *g = (struct generation *)(void *)call;

    t->inner->cancel(t->inner, g->call);
    put_span(g, NULL);
    free(g);
}

static bool count_tokens(struct llm *llm, const struct chat_request *r,
                         int *out, struct err *err) {
    struct traced *t = (struct traced *)llm;

    return t->inner->count(t->inner, r, out, err);
}

static void throttle(struct llm *llm, struct llm_call *call, bool on) {
    struct traced *t = (struct traced *)llm;
    struct generation *g = (struct generation *)(void *)call;

    t->inner->throttle(t->inner, g->call, on);
}

struct traced *traced_new(const struct trace_point *at, struct llm *inner,
                          struct span model, const char *purpose) {
    struct traced *t = xalloc(sizeof *t);

    t->llm = (struct llm){.name = inner->name,
                          .facts = inner->facts,
                          .fences = inner->fences,
                          .start = start,
                          .cancel = cancel,
                          .count = inner->count ? count_tokens : NULL,
                          .throttle = inner->throttle ? throttle : NULL,
                          .early = inner->early,
                          .context_tokens = inner->context_tokens};
    t->inner = inner;
    t->at = at;
    t->purpose = purpose;
    (void)snprintf(t->model, sizeof t->model, "%.*s", (int)model.size,
                   model.at);
    return t;
}

struct llm *traced_llm(struct traced *t) {
    return &t->llm;
}

void traced_free(struct traced *t) {
    free(t);
}
