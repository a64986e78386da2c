#include "proxy/embeddings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/compact.h"
#include "agent/embed.h"
#include "agent/llm.h"
#include "base/arena.h"
#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/http_error.h"
#include "proxy/judging.h"
#include "proxy/pass.h"
#include "proxy/router.h"
#include "proxy/tracing.h"

enum { EMBEDDINGS_ARENA_BYTES_MAX = 64 << 20 };

/* All texts are judged, then read: by the model here one after the other, by
 * one elsewhere together. */
struct embeddings {
    struct embeddings_context *context;
    struct conn *conn;
    struct caller *caller;
    struct policy *policy;
    struct arena *arena;
    struct llm *llm;
    struct span model; /* as the client calls it */
    struct span inputs[EMBEDDINGS_INPUTS_MAX];
    int input_count;
    struct judging judging;
    int index;             /* of the one in hand */
    struct router *router; /* used, once there is a model */
    struct embed *embed;
    struct llm_vectors *vectors;
    struct bytes data;  /* the answer's list so far */
    int64_t dimensions; /* 0: all */
    bool base64;
    int prompt_tokens;
    uint64_t started_ns;
    char trace[TRACE_SIZE]; /* the span of the model's work */
    uint64_t asked_ns;      /* when it began; 0: it did not */
};

static void embeddings_free(struct embeddings *m) {
    judging_cancel(&m->judging);
    embed_cancel(m->embed);
    if (m->vectors) m->llm->vectors_cancel(m->llm, m->vectors);
    router_leave(m->router);
    policy_free(m->policy);
    arena_free(m->arena);
    bytes_free(&m->data);
    free(m);
}

static void count(struct embeddings *m, int status) {
    const struct audit_subject s = audit_subject_of(m->conn, "embeddings");
    const struct audit_end end = {.status = status,
                                  .ns = clock_ns() - m->started_ns,
                                  .decisions = m->judging.decisions,
                                  .prompt_tokens = m->prompt_tokens,
                                  .policy = policy_revision(m->policy)};

    audit_request(m->context->audit, &s, &end);
    metrics_request(m->context->metrics, ROUTE_EMBEDDINGS, status);
    metrics_request_seconds(m->context->metrics, ROUTE_EMBEDDINGS,
                            (double)(clock_ns() - m->started_ns) / 1e9);
    metrics_tokens(m->context->metrics, TOKENS_PROMPT, m->prompt_tokens);
    caller_spend(m->caller, m->prompt_tokens);
}

/* Once, when the model's part is over. */
static void trace_end(struct embeddings *m, const char *error) {
    const struct trace_point at = tracing_of(m->conn);
    const struct tracing_vectors v = {.trace = m->trace,
                                      .model = m->model,
                                      .here = m->llm && m->llm->embed,
                                      .texts = m->input_count,
                                      .prompt_tokens = m->prompt_tokens,
                                      .start_ns = m->asked_ns,
                                      .error = error};

    if (m->asked_ns) tracing_embeddings(&at, &v);
    m->asked_ns = 0;
}

static void fail(struct embeddings *m, const struct err *err) {
    trace_end(m, err_code_name(err->code));
    count(m, http_error_of(err->code)->status);
    conn_fail(m->conn, err);
    embeddings_free(m);
}

static void respond(struct embeddings *m, int status, const struct bytes *out) {
    count(m, status);
    conn_respond(m->conn, status, "application/json", NULL, 0, span_bytes(out));
    embeddings_free(m);
}

/* A vector has no place for a refusal's words, so every block is an error. */
static void on_blocked(void *user, enum channel channel,
                       const struct verdict *v) {
    struct embeddings *m = user;
    bool broken = v->cause == VERDICT_CAUSE_UNAVAILABLE;
    struct bytes out = {0};
    struct err err = {0};
    bool ok;

    (void)channel;
    if (broken && v->err.code == ERR_LIMIT) {
        (void)err_set_field(&err, ERR_LIMIT, "input",
                            "input: longer than the policy's "
                            "limits.input_tokens allows");
        fail(m, &err);
        return;
    }
    ok = broken
             ? http_error_put(&out, "The guard could not judge this text.",
                              "server_error", NULL, "guard_unavailable", &err)
             : http_error_put(&out, "Blocked by the content policy.",
                              "invalid_request_error", "input",
                              "content_filter", &err);
    if (ok)
        respond(m, broken ? 503 : 400, &out);
    else
        fail(m, &err);
    bytes_free(&out);
}

/* ---- the answer ---- */

static void answer(struct embeddings *m) {
    struct bytes out = {0};
    struct err err = {0};

    trace_end(m, "");
    if (bytes_printf(&out, &err, "{\"object\":\"list\",\"model\":") &&
        json_put_string(&out, m->llm->name ? span_of(m->llm->name) : m->model,
                        &err) &&
        bytes_printf(&out, &err, ",\"data\":[") &&
        bytes_append(&out, m->data.at, m->data.size, &err) &&
        bytes_printf(&out, &err,
                     "],\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}}",
                     m->prompt_tokens, m->prompt_tokens))
        respond(m, 200, &out);
    else
        fail(m, &err);
    bytes_free(&out);
}

/* The first so many numbers, brought to length 1 again. */
static void shorten(float *vector, int size) {
    double sum = 0;

    for (int i = 0; i < size; i++) sum += (double)vector[i] * (double)vector[i];
    for (int i = 0; i < size && sum > 0; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

static bool put_vector(struct embeddings *m, const float *vector, int size,
                       struct err *err) {
    struct bytes *out = &m->data;

    if (!bytes_printf(out, err,
                      "%s{\"object\":\"embedding\",\"index\":%d,"
                      "\"embedding\":",
                      m->index ? "," : "", m->index))
        return false;
    if (m->base64) {
        if (!bytes_printf(out, err, "\"") ||
            !hash_put_base64(out, vector, (size_t)size * sizeof *vector, err))
            return false;
        return bytes_printf(out, err, "\"}");
    }
    for (int i = 0; i < size; i++)
        if (!bytes_printf(out, err, "%c%.8g", i ? ',' : '[', (double)vector[i]))
            return false;
    return bytes_printf(out, err, "]}");
}

/* ---- the model ---- */

static void embed_next(struct embeddings *m);

static bool put_shortened(struct embeddings *m, const float *vector, int size,
                          struct err *err) {
    float *copy;
    bool ok;

    if (m->dimensions > size)
        return err_set_field(err, ERR_INPUT, "dimensions",
                             "dimensions: the model has %d", size);
    copy = xalloc_array((size_t)size, sizeof *copy);
    memcpy(copy, vector, (size_t)size * sizeof *copy);
    if (m->dimensions && m->dimensions < size) {
        size = (int)m->dimensions;
        shorten(copy, size);
    }
    ok = put_vector(m, copy, size, err);
    free(copy);
    return ok;
}

static void on_embedded(void *user, const float *vector, int size,
                        int prompt_tokens, const struct err *why) {
    struct embeddings *m = user;
    struct err err = {0};

    m->embed = NULL;
    m->prompt_tokens += prompt_tokens;
    if (!vector) {
        err = *why;
        fail(m, &err);
    } else if (put_shortened(m, vector, size, &err)) {
        m->index++;
        embed_next(m);
    } else {
        fail(m, &err);
    }
}

static void embed_next(struct embeddings *m) {
    struct err err = {0};

    if (m->index == m->input_count) {
        answer(m);
        return;
    }
    m->embed =
        m->llm->embed(m->llm, m->inputs[m->index],
                      caller_number(m->caller, m->conn), on_embedded, m, &err);
    if (!m->embed) fail(m, &err);
}

/* A server that says nothing of its use would never end a budget. */
static int tokens_guessed(const struct embeddings *m) {
    size_t bytes = 0;

    for (int i = 0; i < m->input_count; i++) bytes += m->inputs[i].size;
    return compact_guess_text(bytes);
}

static void on_vectors(void *user, const float *vectors, int size,
                       int prompt_tokens, const struct err *why) {
    struct embeddings *m = user;
    struct err err = {0};

    m->vectors = NULL;
    if (!vectors) {
        err = *why;
        fail(m, &err);
        return;
    }
    m->prompt_tokens = prompt_tokens ? prompt_tokens : tokens_guessed(m);
    while (
        m->index < m->input_count &&
        put_shortened(m, vectors + (size_t)m->index * (size_t)size, size, &err))
        m->index++;
    if (m->index == m->input_count)
        answer(m);
    else
        fail(m, &err);
}

static void on_passed(void *user) {
    struct embeddings *m = user;
    const struct llm_vectors_request r = {.model = m->model,
                                          .texts = m->inputs,
                                          .count = m->input_count,
                                          .dimensions = (int)m->dimensions,
                                          .trace = span_of(m->trace)};
    struct err err = {0};

    m->asked_ns = clock_ns();
    if (m->llm->embed) {
        embed_next(m);
        return;
    }
    m->vectors = m->llm->vectors(m->llm, &r, on_vectors, m, &err);
    if (!m->vectors) fail(m, &err);
}

static void on_failed(void *user, const struct err *why) {
    fail(user, why);
}

/* ---- the guard ---- */

/* Each text is a question of its own. */
static bool plan(struct embeddings *m, struct judging_options *o,
                 struct err *err) {
    size_t count = (size_t)m->input_count;
    /* The model's name, too: a server elsewhere may be told it. */
    struct field *fields =
        arena_alloc(m->arena, count + 1, sizeof *fields, err);
    struct question *questions =
        arena_alloc(m->arena, count, sizeof *questions, err);
    struct guard_turn *turns = arena_alloc(m->arena, count, sizeof *turns, err);

    if (!fields || !questions || !turns) return false;
    for (size_t i = 0; i < count; i++) {
        fields[i] = (struct field){CHANNEL_INPUT, m->inputs[i], &m->inputs[i]};
        turns[i] = (struct guard_turn){GUARD_USER, m->inputs[i]};
        questions[i] = (struct question){CHANNEL_INPUT, false, &turns[i], 1};
    }
    fields[count] = (struct field){CHANNEL_INPUT, m->model, NULL};
    o->fields = fields;
    o->field_count = m->input_count + 1;
    o->questions = questions;
    o->question_count =
        policy_classifies(m->policy, CHANNEL_INPUT) ? m->input_count : 0;
    return true;
}

/* ---- the body ---- */

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

static bool add_input(struct embeddings *m, const cJSON *json,
                      struct err *err) {
    if (cJSON_IsNumber(json) || cJSON_IsArray(json))
        return err_set_field(err, ERR_UNSUPPORTED, "input",
                             "input: the guard reads texts, not token ids");
    if (!cJSON_IsString(json) || !*json->valuestring)
        return bad(err, "input", "expected a text or a list of texts");
    if (m->input_count == EMBEDDINGS_INPUTS_MAX)
        return err_set_field(err, ERR_LIMIT, "input",
                             "input: more than %d texts",
                             EMBEDDINGS_INPUTS_MAX);
    return arena_copy(m->arena, span_of(json->valuestring),
                      &m->inputs[m->input_count++], err);
}

static bool read_inputs(struct embeddings *m, const cJSON *body,
                        struct err *err) {
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(body, "input");
    const cJSON *item;

    if (!cJSON_IsArray(input)) return add_input(m, input, err);
    if (!input->child) return bad(err, "input", "empty");
    cJSON_ArrayForEach(item, input) {
        if (!add_input(m, item, err)) return false;
    }
    return true;
}

static bool read_options(struct embeddings *m, const cJSON *body,
                         struct err *err) {
    const char *model = NULL, *format = "float";

    if (!json_get_string(body, "", "model", &model, err) ||
        !json_get_string(body, "", "encoding_format", &format, err) ||
        !json_get_int(body, "", "dimensions", 1, INT32_MAX, &m->dimensions,
                      err))
        return false;
    if (!model || !*model) return bad(err, "model", "missing");
    m->base64 = !strcmp(format, "base64");
    if (!m->base64 && strcmp(format, "float") != 0)
        return bad(err, "encoding_format", "expected float or base64");
    if (!arena_copy(m->arena, span_of(model), &m->model, err)) return false;
    m->llm = router_find(m->context->router, m->model);
    if (!m->llm)
        return err_set_field(err, ERR_NOT_FOUND, "model",
                             "there is no model of this name");
    m->router = router_use(m->context->router);
    if (!m->llm->embed && !m->llm->vectors)
        return err_set_field(err, ERR_UNSUPPORTED, "model",
                             "model: it runs on a server that is asked for "
                             "chats only");
    return true;
}

static bool read_body(struct embeddings *m, struct span text, struct err *err) {
    const cJSON *body = json_read(text, err);
    bool ok = body && (cJSON_IsObject(body) ||
                       err_set(err, ERR_INPUT, "expected a JSON object"));

    ok = ok && read_options(m, body, err) && read_inputs(m, body, err);
    json_free(body);
    return ok;
}

void embeddings_start(struct embeddings_context *context, struct conn *c,
                      const struct http_request *request) {
    struct embeddings *m = xalloc(sizeof *m);
    struct judging_options o = {.guard = context->guard,
                                .metrics = context->metrics,
                                .audit = context->audit,
                                .conn = c,
                                .route = "embeddings",
                                .on_passed = on_passed,
                                .on_blocked = on_blocked,
                                .on_failed = on_failed,
                                .user = m};
    struct err err = {0};

    m->context = context;
    m->conn = c;
    m->caller = conn_pass(c)->caller;
    m->policy = policy_ref(caller_policy(m->caller, context->policy));
    m->arena = arena_new(EMBEDDINGS_ARENA_BYTES_MAX);
    m->started_ns = clock_ns();
    trace_child(conn_pass(c)->trace, m->trace);
    conn_set_user(c, m);
    o.policy = m->policy;
    o.client = caller_number(m->caller, c);
    o.arena = m->arena;
    if (read_body(m, request->body, &err) && plan(m, &o, &err))
        judging_start(&m->judging, &o);
    else
        fail(m, &err);
}

void embeddings_gone(struct embeddings *m) {
    trace_end(m, "cancelled");
    count(m, 499);
    embeddings_free(m);
}
