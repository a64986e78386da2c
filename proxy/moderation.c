#include "proxy/moderation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "guard/guard.h"
#include "proxy/audit.h"
#include "proxy/decision.h"
#include "proxy/auth.h"
#include "proxy/http_error.h"
#include "proxy/moderation_result.h"

enum { MODERATION_ARENA_BYTES_MAX = 16 << 20 };

struct moderation {
    struct moderation_context *context;
    struct conn *conn;
    struct policy *policy;
    struct arena *arena;
    struct span inputs[MODERATION_INPUTS_MAX];
    int input_count;
    int judged;
    int decisions; /* with one that failed */
    struct guard_check *check;
    cJSON *results;
    uint64_t started_ns;
    uint64_t check_ns;
};

static void moderation_free(struct moderation *m) {
    guard_check_cancel(m->check);
    policy_free(m->policy);
    arena_free(m->arena);
    cJSON_Delete(m->results);
    free(m);
}

static void note_verdict(const struct moderation *m, const struct verdict *v) {
    struct hash_stream *h = audit_hash_new(m->context->audit);
    char hash[HASH_HEX_SIZE];
    const struct decision d = {m->conn,
                               audit_subject_of(m->conn, "moderations"),
                               CHANNEL_INPUT,
                               m->policy,
                               clock_ns() - m->check_ns,
                               hash};

    if (h) hash_stream_add(h, m->inputs[m->judged]);
    audit_hash_end(h, hash);
    decision_note(m->context->metrics, m->context->audit, &d, v);
}

static void count(struct moderation *m, int status) {
    const struct audit_subject s = audit_subject_of(m->conn, "moderations");
    const struct audit_end end = {.status = status,
                                  .ns = clock_ns() - m->started_ns,
                                  .decisions = m->decisions,
                                  .policy = policy_revision(m->policy)};

    audit_request(m->context->audit, &s, &end);
    metrics_request(m->context->metrics, ROUTE_MODERATIONS, status);
    metrics_request_seconds(m->context->metrics, ROUTE_MODERATIONS,
                            (double)(clock_ns() - m->started_ns) / 1e9);
}

static void fail(struct moderation *m, const struct err *err) {
    count(m, http_error_of(err->code)->status);
    conn_fail(m->conn, err);
    moderation_free(m);
}

static void fail_unavailable(struct moderation *m, const struct err *why) {
    struct bytes out = {0};
    struct err err = {0};

    if (why->code == ERR_LIMIT) {
        (void)err_set_field(&err, ERR_LIMIT, "input",
                            "input: longer than the policy's "
                            "limits.input_tokens allows");
        fail(m, &err);
        return;
    }

    if (http_error_put(&out, "The guard could not judge this text.",
                       "server_error", NULL, "guard_unavailable", &err)) {
        count(m, 503);
        conn_respond(m->conn, 503, "application/json", NULL, 0,
                     span_bytes(&out));
        moderation_free(m);
    } else {
        fail(m, &err);
    }
    bytes_free(&out);
}

static void answer(struct moderation *m) {
    struct bytes out = {0};
    struct err err = {0};
    char id[HASH_ID_SIZE];
    bool ok;

    hash_random_id(id);
    ok = bytes_printf(&out, &err,
                      "{\"id\":\"modr-%s\",\"model\":\"" MODERATION_MODEL "\","
                      "\"results\":",
                      id) &&
         json_print(m->results, &out, &err) && bytes_printf(&out, &err, "}");
    if (ok) {
        count(m, 200);
        conn_respond(m->conn, 200, "application/json", NULL, 0,
                     span_bytes(&out));
        moderation_free(m);
    } else {
        fail(m, &err);
    }
    bytes_free(&out);
}

static void judge_next(struct moderation *m);

static void on_verdict(void *user, const struct verdict *v) {
    struct moderation *m = user;
    struct moderation_result result = {0};

    m->check = NULL;
    m->decisions++;
    note_verdict(m, v);
    if (v->action == VERDICT_BLOCK && v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        fail_unavailable(m, &v->err);
        return;
    }
    moderation_result_add(&result, v);
    (void)cJSON_AddItemToArray(m->results,
                               moderation_result_json(&result, false));
    m->judged++;
    judge_next(m);
}

static void judge_next(struct moderation *m) {
    struct guard_item item;
    struct guard_turn turn;
    struct guard_request request = {
        .policy = m->policy,
        .items = &item,
        .item_count = 1,
        .turns = &turn,
        .turn_count = 1,
        .channel = CHANNEL_INPUT,
        .client = caller_number(conn_pass(m->conn)->caller, m->conn)};
    struct guard_check *check;

    if (m->judged == m->input_count) {
        answer(m);
        return;
    }
    item = (struct guard_item){CHANNEL_INPUT, m->inputs[m->judged]};
    turn = (struct guard_turn){GUARD_USER, m->inputs[m->judged]};
    m->check_ns = clock_ns();
    check = guard_check_start(m->context->guard, &request, on_verdict, m);
    /* NULL: on_verdict() has run, and `m` may be gone. */
    if (check) m->check = check;
}

static bool bad(struct err *err, const char *reason) {
    return err_set_field(err, ERR_INPUT, "input", "input: %s", reason);
}

static bool add_input(struct moderation *m, const cJSON *json,
                      struct err *err) {
    if (cJSON_IsObject(json)) {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(json, "type");

        if (!cJSON_IsString(type) || strcmp(type->valuestring, "text") != 0)
            return err_set_field(err, ERR_UNSUPPORTED, "input",
                                 "input: the guard reads text only");
        json = cJSON_GetObjectItemCaseSensitive(json, "text");
    }
    if (!cJSON_IsString(json))
        return bad(err, "expected a text or a list of texts");
    if (m->input_count == MODERATION_INPUTS_MAX)
        return err_set_field(err, ERR_LIMIT, "input",
                             "input: more than %d texts",
                             MODERATION_INPUTS_MAX);
    return arena_copy(m->arena, span_of(json->valuestring),
                      &m->inputs[m->input_count++], err);
}

static bool read_inputs(struct moderation *m, struct span body,
                        struct err *err) {
    const cJSON *json = json_read(body, err);
    const cJSON *input, *item;
    bool ok = json != NULL;

    if (!ok) return false;
    input = cJSON_GetObjectItemCaseSensitive(json, "input");
    if (cJSON_IsArray(input)) {
        if (!input->child) ok = bad(err, "empty");
        cJSON_ArrayForEach(item, input) ok = ok && add_input(m, item, err);
    } else {
        ok = add_input(m, input, err);
    }
    json_free(json);
    return ok;
}

void moderation_start(struct moderation_context *context, struct conn *c,
                      const struct http_request *request) {
    struct moderation *m = xalloc(sizeof *m);
    struct err err = {0};

    m->context = context;
    m->conn = c;
    m->policy =
        policy_ref(caller_policy(conn_pass(c)->caller, context->policy));
    m->arena = arena_new(MODERATION_ARENA_BYTES_MAX);
    m->results = cJSON_CreateArray();
    m->started_ns = clock_ns();
    conn_set_user(c, m);
    if (read_inputs(m, request->body, &err))
        judge_next(m);
    else
        fail(m, &err);
}

void moderation_gone(struct moderation *m) {
    count(m, 499);
    moderation_free(m);
}
