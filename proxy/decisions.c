/* decisions.c - judged, then asked question by question:
 *
 *   JUDGING -> WEIGHING (each question) -> answered     (any) -> failed
 */
#include "proxy/decisions.h"

#include <stdlib.h>
#include <string.h>

#include "agent/llm.h"
#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/decisions_body.h"
#include "proxy/http_error.h"
#include "proxy/judging.h"
#include "proxy/pass.h"
#include "proxy/provenance.h"
#include "proxy/router.h"

enum { DECISIONS_ARENA_BYTES_MAX = 64 << 20 };

struct decisions {
    struct decisions_context *context;
    struct conn *conn;
    struct caller *caller;
    struct policy *policy;
    struct arena *arena;
    cJSON *json;
    struct decisions_body body;
    struct llm *llm;
    struct router *router; /* used, once there is a model */
    struct judging judging;
    struct chat_message *question; /* behind the input's messages */
    int index;                     /* of the question in hand */
    struct weigh *weigh;
    struct bytes answers; /* so far */
    struct weigh_usage usage;
    uint64_t started_ns;
};

static void decisions_free(struct decisions *d) {
    judging_cancel(&d->judging);
    weigh_cancel(d->weigh);
    router_leave(d->router);
    policy_free(d->policy);
    arena_free(d->arena);
    cJSON_Delete(d->json);
    bytes_free(&d->answers);
    free(d);
}

static void count(struct decisions *d, int status) {
    const struct audit_subject s = audit_subject_of(d->conn, "decisions");
    struct metrics *m = d->context->metrics;
    uint64_t ns = clock_ns() - d->started_ns;
    const struct audit_end end = {.status = status,
                                  .ns = ns,
                                  .decisions = d->judging.decisions,
                                  .prompt_tokens = d->usage.prompt_tokens,
                                  .policy = policy_revision(d->policy)};

    audit_request(d->context->audit, &s, &end);
    metrics_request(m, ROUTE_DECISIONS, status);
    metrics_request_seconds(m, ROUTE_DECISIONS, (double)ns / 1e9);
    metrics_tokens(m, TOKENS_PROMPT, d->usage.prompt_tokens);
    metrics_tokens(m, TOKENS_CACHED, d->usage.cached_tokens);
    caller_spend(d->caller, d->usage.prompt_tokens);
}

static void fail(struct decisions *d, const struct err *err) {
    count(d, http_error_of(err->code)->status);
    conn_fail(d->conn, err);
    decisions_free(d);
}

static void on_failed(void *user, const struct err *why) {
    fail(user, why);
}

static void respond(struct decisions *d, int status, const struct bytes *out) {
    count(d, status);
    conn_respond(d->conn, status, "application/json", NULL, 0, span_bytes(out));
    decisions_free(d);
}

static void respond_error(struct decisions *d, int status, const char *message,
                          const char *type, const char *code) {
    struct bytes out = {0};
    struct err err = {0};

    if (http_error_put(&out, message, type, NULL, code, &err))
        respond(d, status, &out);
    else
        fail(d, &err);
    bytes_free(&out);
}

/* ---- the answer ---- */

static bool put_name(const struct asked_question *q, struct bytes *out,
                     struct err *err) {
    return bytes_printf(out, err, ",\"name\":") &&
           (q->name.at ? json_put_string(out, q->name, err)
                       : bytes_printf(out, err, "null"));
}

static bool put_value(const struct decision_option *o, struct bytes *out,
                      struct err *err) {
    return o->boolean ? bytes_append(out, o->label.at, o->label.size, err)
                      : json_put_string(out, o->label, err);
}

static int likeliest(const double *p, int count) {
    int best = 0;

    for (int i = 1; i < count; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

static bool put_choice(const struct asked_question *q, const double *p,
                       struct bytes *out, struct err *err) {
    int best = likeliest(p, q->option_count);

    if (!bytes_printf(out, err, ",\"choice\":") ||
        !put_value(&q->options[best], out, err) ||
        !bytes_printf(out, err, ",\"confidence\":%.6g,\"probabilities\":[",
                      p[best]))
        return false;
    for (int i = 0; i < q->option_count; i++)
        if (!bytes_printf(out, err, "%s{\"value\":", i ? "," : "") ||
            !put_value(&q->options[i], out, err) ||
            !bytes_printf(out, err, ",\"probability\":%.6g}", p[i]))
            return false;
    return bytes_printf(out, err, "]");
}

/* A level's value is its index; the score is what is to be expected. */
static bool put_score(const struct asked_question *q, const double *p,
                      struct bytes *out, struct err *err) {
    double score = 0;

    for (int i = 0; i < q->option_count; i++) score += p[i] * i;
    if (!bytes_printf(out, err,
                      ",\"score\":%.6g,\"confidence\":%.6g,"
                      "\"probabilities\":[",
                      score, p[likeliest(p, q->option_count)]))
        return false;
    for (int i = 0; i < q->option_count; i++)
        if (!bytes_printf(out, err, "%s{\"value\":%d,\"label\":", i ? "," : "",
                          i) ||
            !json_put_string(out, q->options[i].label, err) ||
            !bytes_printf(out, err, ",\"probability\":%.6g}", p[i]))
            return false;
    return bytes_printf(out, err, "]");
}

static bool put_answer(struct decisions *d, const double *p, struct err *err) {
    const struct asked_question *q = &d->body.questions[d->index];
    struct bytes *out = &d->answers;
    static const char *const types[] = {[DECISION_PREDICATE] = "predicate",
                                        [DECISION_CHOICE] = "choice",
                                        [DECISION_SCORE] = "score"};
    bool ok = bytes_printf(out, err, "%s{\"type\":\"%s\"", d->index ? "," : "",
                           types[q->kind]) &&
              put_name(q, out, err);

    if (q->kind == DECISION_PREDICATE)
        ok = ok && bytes_printf(out, err, ",\"probability\":%.6g", p[0]);
    else if (q->kind == DECISION_CHOICE)
        ok = ok && put_choice(q, p, out, err);
    else
        ok = ok && put_score(q, p, out, err);
    return ok && bytes_printf(out, err, "}");
}

static bool put_body(const struct decisions *d, const cJSON *corral,
                     struct bytes *out, struct err *err) {
    struct span model =
        d->llm->name ? span_of(d->llm->name) : d->body.request.model;

    return bytes_printf(out, err, "{\"model\":") &&
           json_put_string(out, model, err) &&
           bytes_printf(out, err, ",\"answers\":[") &&
           bytes_append(out, d->answers.at, d->answers.size, err) &&
           bytes_printf(out, err,
                        "],\"usage\":{\"input_tokens\":%d,"
                        "\"input_tokens_details\":{\"cached_tokens\":%d,"
                        "\"cache_write_tokens\":0},\"output_tokens\":0,"
                        "\"output_tokens_details\":{\"reasoning_tokens\":0},"
                        "\"total_tokens\":%d}",
                        d->usage.prompt_tokens, d->usage.cached_tokens,
                        d->usage.prompt_tokens) &&
           (!corral || (bytes_printf(out, err, ",\"corral\":") &&
                        json_print(corral, out, err))) &&
           bytes_printf(out, err, "}");
}

static void answer(struct decisions *d, const cJSON *corral) {
    struct bytes out = {0};
    struct err err = {0};

    if (put_body(d, corral, &out, &err))
        respond(d, 200, &out);
    else
        fail(d, &err);
    bytes_free(&out);
}

/* ---- the policy said no ---- */

/* What was refused is not repeated: a name only where no rule minds it. */
static bool may_name(const struct decisions *d, struct span name) {
    struct verdict v;

    verdict_begin(&v, policy_revision(d->policy));
    return policy_scan(d->policy, CHANNEL_OUTPUT, 0, name, &v, NULL) &&
           v.finding_count == 0;
}

static void refuse(struct decisions *d, enum channel channel,
                   const struct verdict *v) {
    cJSON *corral = verdict_to_answer(v, channel);
    struct err err = {0};
    bool ok = true;

    for (int i = 0; ok && i < d->body.question_count; i++) {
        struct asked_question *q = &d->body.questions[i];

        if (q->name.at && !may_name(d, q->name)) q->name = (struct span){0};
        ok = bytes_printf(&d->answers, &err, "%s{\"type\":\"refusal\"",
                          i ? "," : "") &&
             put_name(q, &d->answers, &err) &&
             bytes_printf(&d->answers, &err, "}");
    }
    if (ok)
        answer(d, corral);
    else
        fail(d, &err);
    cJSON_Delete(corral);
}

static void on_blocked(void *user, enum channel channel,
                       const struct verdict *v) {
    struct decisions *d = user;
    struct err err = {0};

    conn_add_header(d->conn, "x-corral-decision", v->id);
    conn_add_header(d->conn, "x-corral-policy", policy_revision(d->policy));
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE && v->err.code == ERR_LIMIT) {
        (void)err_set_field(&err, ERR_LIMIT, "input",
                            "input: longer than the policy's "
                            "limits.input_tokens allows");
        fail(d, &err);
    } else if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        respond_error(d, 503, "The guard could not judge this request.",
                      "server_error", "guard_unavailable");
    } else if (policy_on_block_error(d->policy)) {
        respond_error(d, 400, "Blocked by the content policy.",
                      "invalid_request_error", "content_filter");
    } else {
        refuse(d, channel, v);
    }
}

/* ---- the model ---- */

static void weigh_next(struct decisions *d);

static void on_weighed(void *user, const double *probabilities, int options,
                       const struct weigh_usage *usage, const struct err *why) {
    struct decisions *d = user;
    struct err err = {0};

    (void)options;
    d->weigh = NULL;
    d->usage.prompt_tokens += usage->prompt_tokens;
    d->usage.cached_tokens += usage->cached_tokens;
    if (!probabilities) {
        err = *why;
        fail(d, &err);
    } else if (put_answer(d, probabilities, &err)) {
        d->index++;
        weigh_next(d);
    } else {
        fail(d, &err);
    }
}

static bool weigh_question(struct decisions *d, struct err *err) {
    const struct asked_question *q = &d->body.questions[d->index];
    struct span labels[DECISIONS_CHOICES_MAX];
    struct bytes text = {0};

    for (int i = 0; i < q->option_count; i++) labels[i] = q->options[i].label;
    if (decisions_question(q, &text, err) &&
        arena_copy(d->arena, span_bytes(&text), &d->question->text, err))
        d->weigh = d->llm->weigh(
            d->llm, &d->body.request, labels, q->option_count,
            caller_number(d->caller, d->conn), on_weighed, d, err);
    bytes_free(&text);
    return d->weigh != NULL;
}

static void weigh_next(struct decisions *d) {
    struct err err = {0};

    if (d->index == d->body.question_count)
        answer(d, NULL);
    else if (!weigh_question(d, &err))
        fail(d, &err);
}

static void on_passed(void *user) {
    struct decisions *d = user;
    struct chat_request *r = &d->body.request;

    conn_add_header(d->conn, "x-corral-policy", policy_revision(d->policy));
    d->question = &r->messages[r->message_count++];
    *d->question = (struct chat_message){.role = CHAT_USER};
    weigh_next(d);
}

/* ---- the beginning ---- */

static bool find_model(struct decisions *d, struct err *err) {
    d->llm = router_find(d->context->router, d->body.request.model);
    if (!d->llm)
        return err_set_field(err, ERR_NOT_FOUND, "model",
                             "there is no model of this name");
    d->router = router_use(d->context->router);
    if (!d->llm->weigh)
        return err_set_field(err, ERR_UNSUPPORTED, "model",
                             "model: it runs on a server that is asked for "
                             "chats only");
    return true;
}

static bool read_body(struct decisions *d, struct span text,
                      struct judging_options *o, struct err *err) {
    struct question *questions = NULL;

    d->json = json_parse(text, err);
    if (!d->json || !decisions_parse(d->json, &d->body, err) ||
        !find_model(d, err) || !provenance_check(&d->body.request, err) ||
        !decisions_fields(&d->body, &o->fields, &o->field_count, err) ||
        !questions_plan(&d->body.request, d->policy, &questions,
                        &o->question_count, err))
        return false;
    o->questions = questions;
    return true;
}

void decisions_start(struct decisions_context *context, struct conn *c,
                     const struct http_request *request) {
    struct decisions *d = xalloc(sizeof *d);
    struct judging_options o = {.guard = context->guard,
                                .metrics = context->metrics,
                                .audit = context->audit,
                                .conn = c,
                                .route = "decisions",
                                .on_passed = on_passed,
                                .on_blocked = on_blocked,
                                .on_failed = on_failed,
                                .user = d};
    struct err err = {0};

    d->context = context;
    d->conn = c;
    d->caller = conn_pass(c)->caller;
    d->policy = policy_ref(caller_policy(d->caller, context->policy));
    d->arena = arena_new(DECISIONS_ARENA_BYTES_MAX);
    d->started_ns = clock_ns();
    chat_request_init(&d->body.request, d->arena);
    conn_set_user(c, d);
    o.policy = d->policy;
    o.client = caller_number(d->caller, c);
    o.arena = d->arena;
    if (read_body(d, request->body, &o, &err))
        judging_start(&d->judging, &o);
    else
        fail(d, &err);
}

void decisions_gone(struct decisions *d) {
    count(d, 499);
    decisions_free(d);
}
