#include "proxy/inquiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/decision.h"
#include "proxy/auth.h"
#include "proxy/http_error.h"
#include "proxy/judging.h"
#include "proxy/openai.h"
#include "proxy/pass.h"
#include "proxy/provenance.h"

enum { INQUIRY_ARENA_BYTES_MAX = 64 << 20 };

struct inquiry {
    struct inquiry_context *context;
    struct conn *conn;
    struct caller *caller;
    struct policy *policy;
    struct arena *arena;
    const cJSON *body;
    struct chat_request request; /* `messages` and `tools` */
    enum channel channel;
    struct field *fields;
    int field_count;
    struct question *questions;
    int question_count;
    int asked;
    struct guard_check *running;
    struct verdict total; /* the findings of all questions */
    struct verdict leave; /* of the rules about tools, on a call */
    int decisions;
    uint64_t asked_ns; /* when the question in hand was */
    uint64_t started_ns;
};

static void inquiry_free(struct inquiry *q) {
    guard_check_cancel(q->running);
    policy_free(q->policy);
    arena_free(q->arena);
    json_free(q->body);
    free(q);
}

static void count(struct inquiry *q, int status) {
    const struct audit_subject s = audit_subject_of(q->conn, "guard_check");
    const struct audit_end end = {.status = status,
                                  .ns = clock_ns() - q->started_ns,
                                  .decisions = q->decisions,
                                  .policy = policy_revision(q->policy)};

    audit_request(q->context->audit, &s, &end);
    metrics_request(q->context->metrics, ROUTE_GUARD, status);
    metrics_request_seconds(q->context->metrics, ROUTE_GUARD,
                            (double)(clock_ns() - q->started_ns) / 1e9);
}

static void fail(struct inquiry *q, const struct err *err) {
    count(q, http_error_of(err->code)->status);
    conn_fail(q->conn, err);
    inquiry_free(q);
}

static void respond(struct inquiry *q, int status, const struct bytes *out) {
    count(q, status);
    conn_respond(q->conn, status, "application/json", NULL, 0, span_bytes(out));
    inquiry_free(q);
}

static void fail_unavailable(struct inquiry *q, const struct err *why) {
    struct bytes out = {0};
    struct err err = {0};

    if (why->code == ERR_LIMIT)
        (void)err_set(&err, ERR_LIMIT,
                      "the text is longer than the policy's "
                      "limits.input_tokens allows");
    else if (http_error_put(&out, "The guard could not judge this text.",
                            "server_error", NULL, "guard_unavailable", &err))
        respond(q, 503, &out);
    if (err.code) fail(q, &err);
    bytes_free(&out);
}

/* ---- the answer ---- */

/* Where a finding's span lies, as the body names it; false: in a text that was
 * put together of several, such as a schema. */
static bool field_path(const struct inquiry *q, const struct field *f,
                       char path[ERR_FIELD_MAX]) {
    const struct chat_request *r = &q->request;

    /* A call's messages are what came before it. */
    if (!r->message_count || q->channel == CHANNEL_TOOL_CALL) {
        (void)snprintf(path, ERR_FIELD_MAX, "%s",
                       q->channel == CHANNEL_TOOL_CALL     ? "tool_call"
                       : q->channel == CHANNEL_TOOL_RESULT ? "tool_result"
                                                           : "text");
        return q->channel != CHANNEL_TOOL_CALL;
    }
    for (int i = 0; i < r->message_count; i++) {
        if (f->slot != &r->messages[i].text) continue;
        (void)snprintf(path, ERR_FIELD_MAX, "messages[%d].content", i);
        return true;
    }
    for (int i = 0; i < r->tool_count; i++) {
        if (f->slot != &r->tools[i].description) continue;
        (void)snprintf(path, ERR_FIELD_MAX, "tools[%d].description", i);
        return true;
    }
    return false;
}

static cJSON *finding_json(const struct inquiry *q, const struct finding *f) {
    cJSON *json = cJSON_CreateObject();
    char path[ERR_FIELD_MAX] = "";

    (void)cJSON_AddStringToObject(json, "check", f->check);
    if (*f->category)
        (void)cJSON_AddStringToObject(json, "category", f->category);
    (void)cJSON_AddNumberToObject(json, "score", (double)f->score);
    (void)cJSON_AddStringToObject(json, "action",
                                  verdict_action_name(f->action));
    if (f->shadow) (void)cJSON_AddBoolToObject(json, "shadow", true);
    if (f->item < 0 || f->item >= q->field_count) return json;
    (void)cJSON_AddStringToObject(json, "channel",
                                  channel_name(q->fields[f->item].channel));
    if (f->from < f->end && field_path(q, &q->fields[f->item], path)) {
        (void)cJSON_AddNumberToObject(json, "start", (double)f->from);
        (void)cJSON_AddNumberToObject(json, "end", (double)f->end);
    }
    if (*path) (void)cJSON_AddStringToObject(json, "field", path);
    return json;
}

static cJSON *answer_json(const struct inquiry *q) {
    const struct verdict *v = &q->total;
    cJSON *json = verdict_to_json(v, q->channel), *list, *timings;

    (void)cJSON_AddStringToObject(json, "object", "guard.check");
    (void)cJSON_AddStringToObject(json, "policy", policy_name(q->policy));
    (void)cJSON_AddStringToObject(json, "revision", v->revision);
    list = cJSON_AddArrayToObject(json, "findings");
    for (int i = 0; i < v->finding_count; i++)
        (void)cJSON_AddItemToArray(list, finding_json(q, &v->findings[i]));
    timings = cJSON_AddObjectToObject(json, "timings_us");
    for (int i = 0; i < STAGE_COUNT; i++)
        (void)cJSON_AddNumberToObject(timings, stage_name((enum stage)i),
                                      v->stage_us[i]);
    (void)cJSON_AddNumberToObject(
        timings, "total", (double)((clock_ns() - q->started_ns) / 1000));
    return json;
}

static void answer(struct inquiry *q) {
    cJSON *json;
    struct bytes out = {0};
    struct err err = {0};

    /* Arguments are not redacted: they would be ones that nobody judged. */
    if (q->channel == CHANNEL_TOOL_CALL && q->total.action == VERDICT_REDACT)
        q->total.action = VERDICT_BLOCK;
    json = answer_json(q);

    if (json_print(json, &out, &err))
        respond(q, 200, &out);
    else
        fail(q, &err);
    cJSON_Delete(json);
    bytes_free(&out);
}

/* ---- the questions ---- */

/* The worst of all counts, as it would for a request. */
static void add_verdict(struct inquiry *q, const struct verdict *v) {
    struct verdict *total = &q->total;

    for (int i = 0; i < v->finding_count; i++)
        verdict_add(total, &v->findings[i]);
    if (v->action < total->action) total->action = v->action;
    for (int i = 0; i < STAGE_COUNT; i++) total->stage_us[i] += v->stage_us[i];
    if (!v->classified) return;
    total->classified = true;
    for (int i = 0; i < LABEL_COUNT; i++)
        if (v->score[i] > total->score[i]) total->score[i] = v->score[i];
}

static void ask_next(struct inquiry *q);

static void note_verdict(struct inquiry *q, const struct verdict *v) {
    const struct question *asked =
        q->asked < q->question_count ? &q->questions[q->asked] : NULL;
    char hash[HASH_HEX_SIZE];
    struct decision d = {q->conn,
                         audit_subject_of(q->conn, "guard_check"),
                         q->channel,
                         q->policy,
                         clock_ns() - q->asked_ns,
                         hash};

    if (asked) d.channel = asked->channel;
    judging_hash(q->context->audit, q->fields, q->field_count,
                 q->asked > 0 ? asked : NULL, hash);
    q->decisions++;
    decision_note(q->context->metrics, q->context->audit, &d, v);
}

/* What the guard and the rules about tools say of a call together. */
static void join_leave(const struct inquiry *q, struct verdict *v) {
    if (q->channel != CHANNEL_TOOL_CALL ||
        v->cause == VERDICT_CAUSE_UNAVAILABLE)
        return;
    for (int i = 0; i < q->leave.finding_count; i++)
        verdict_add(v, &q->leave.findings[i]);
    if (q->leave.action < v->action) v->action = q->leave.action;
}

static void on_verdict(void *user, const struct verdict *v) {
    struct inquiry *q = user;
    struct verdict whole = *v;

    q->running = NULL;
    join_leave(q, &whole);
    note_verdict(q, &whole);
    if (v->action == VERDICT_BLOCK && v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        fail_unavailable(q, &v->err);
        return;
    }
    add_verdict(q, &whole);
    q->asked++;
    ask_next(q);
}

/* As in a turn: what the rules about tools block, nobody else is asked about.
 */
static void begin(struct inquiry *q) {
    if (q->channel != CHANNEL_TOOL_CALL || q->leave.action != VERDICT_BLOCK) {
        ask_next(q);
        return;
    }
    q->asked_ns = clock_ns();
    note_verdict(q, &q->leave);
    add_verdict(q, &q->leave);
    answer(q);
}

/* The first question sees all fields, the others ask the classifier only. */
static void ask_next(struct inquiry *q) {
    struct guard_request request = {.policy = q->policy,
                                    .channel = q->channel,
                                    .client =
                                        caller_number(q->caller, q->conn)};
    struct guard_check *running;
    struct err err = {0};

    if (q->asked > 0 && q->asked >= q->question_count) {
        answer(q);
        return;
    }
    if (q->asked == 0 &&
        !judging_fields(&request, q->fields, q->field_count, q->arena, &err)) {
        fail(q, &err);
        return;
    }
    if (q->asked < q->question_count)
        judging_question(&request, &q->questions[q->asked]);
    q->asked_ns = clock_ns();
    running = guard_check_start(q->context->guard, &request, on_verdict, q);
    /* NULL: on_verdict() has run, and `q` may be gone. */
    if (running) q->running = running;
}

/* ---- the body ---- */

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

/* One text and the turns that the classifier reads. */
static bool plan_text(struct inquiry *q, struct span text, struct span prompt,
                      struct err *err) {
    struct guard_turn *turns = arena_alloc(q->arena, 2, sizeof *turns, err);
    int count = 0;

    q->fields = arena_alloc(q->arena, 2, sizeof *q->fields, err);
    q->questions = arena_alloc(q->arena, 1, sizeof *q->questions, err);
    if (!turns || !q->fields || !q->questions) return false;
    q->fields[q->field_count++] = (struct field){q->channel, text, NULL};
    if (prompt.size) turns[count++] = (struct guard_turn){GUARD_USER, prompt};
    turns[count++] = (struct guard_turn){
        q->channel == CHANNEL_OUTPUT ? GUARD_ASSISTANT : GUARD_USER, text};
    q->questions[q->question_count++] =
        (struct question){q->channel, false, turns, count};
    return true;
}

static bool read_text(struct inquiry *q, const cJSON *json, struct err *err) {
    const char *channel = "input", *prompt = NULL;
    struct span text, before = {0};

    if (!cJSON_IsString(json) || !*json->valuestring)
        return bad(err, "text", "expected a text");
    if (!json_get_string(q->body, "", "channel", &channel, err) ||
        !json_get_string(q->body, "", "prompt", &prompt, err))
        return false;
    if (!channel_from_name(channel, &q->channel) ||
        q->channel == CHANNEL_TOOL_CALL)
        return bad(err, "channel",
                   "expected input, output, tool_result, document or "
                   "tool_definition");
    if (prompt && q->channel != CHANNEL_OUTPUT)
        return bad(err, "prompt", "goes with \"channel\": \"output\"");
    return arena_copy(q->arena, span_of(json->valuestring), &text, err) &&
           (!prompt || arena_copy(q->arena, span_of(prompt), &before, err)) &&
           plan_text(q, text, before, err);
}

/* What tools.allow and tools.rules say about a call, after `messages` and with
 * `tools`, where the body has them. */
static bool judge_rules(struct inquiry *q, const struct chat_tool_call *call,
                        struct err *err) {
    struct openai_reader reader = {&q->request, err};
    struct source_text *sources = NULL;
    struct tool_facts facts = {.tool = call->name};
    struct err unread = {0};
    const cJSON *arguments;

    facts.untold = !cJSON_GetObjectItemCaseSensitive(q->body, "messages");
    if ((!facts.untold && !openai_messages(&reader, q->body)) ||
        !openai_tools(&reader, q->body) ||
        !provenance_check(&q->request, err) ||
        !provenance_collect(&q->request, call->name, q->arena, &sources,
                            &facts.source_count, err))
        return false;
    facts.sources = sources;
    arguments = json_read(call->arguments, &unread);
    facts.arguments = arguments;
    policy_judge_tool(q->policy, &facts, &q->leave);
    json_free(arguments);
    return true;
}

/* {"name", "arguments"}, the arguments as an object or as its text. */
static bool read_tool_call(struct inquiry *q, const cJSON *json,
                           struct err *err) {
    const cJSON *arguments =
        cJSON_GetObjectItemCaseSensitive(json, "arguments");
    const char *name = NULL;
    struct chat_tool_call call = {0};
    struct bytes printed = {0}, text = {0};
    struct span judged;
    bool ok;

    q->channel = CHANNEL_TOOL_CALL;
    if (!cJSON_IsObject(json))
        return bad(err, "tool_call", "expected an object");
    if (!json_get_string(json, "tool_call", "name", &name, err)) return false;
    if (!name || !*name) return bad(err, "tool_call.name", "missing");
    if (!cJSON_IsObject(arguments) && !cJSON_IsString(arguments))
        return bad(err, "tool_call.arguments", "expected an object");
    call.name = span_of(name);
    call.arguments = span_of(arguments->valuestring);
    ok = cJSON_IsString(arguments) || json_print(arguments, &printed, err);
    if (printed.size) call.arguments = span_bytes(&printed);
    ok = ok && fields_call_text(&call, &text, err) &&
         arena_copy(q->arena, span_bytes(&text), &judged, err) &&
         plan_text(q, judged, (struct span){0}, err) &&
         judge_rules(q, &call, err);
    bytes_free(&printed);
    bytes_free(&text);
    return ok;
}

static bool read_tool_result(struct inquiry *q, const cJSON *json,
                             struct err *err) {
    const cJSON *content =
        cJSON_IsObject(json) ? cJSON_GetObjectItemCaseSensitive(json, "content")
                             : json;
    struct span text;

    q->channel = CHANNEL_TOOL_RESULT;
    if (!cJSON_IsString(content) || !*content->valuestring)
        return bad(err, "tool_result",
                   "expected a text, or an object with \"content\"");
    return arena_copy(q->arena, span_of(content->valuestring), &text, err) &&
           plan_text(q, text, (struct span){0}, err);
}

static bool read_messages(struct inquiry *q, struct err *err) {
    struct openai_reader reader = {&q->request, err};

    return openai_messages(&reader, q->body) &&
           openai_tools(&reader, q->body) &&
           fields_collect(&q->request, &q->fields, &q->field_count, err) &&
           questions_plan(&q->request, q->policy, &q->questions,
                          &q->question_count, err);
}

static bool read_body(struct inquiry *q, struct span body, struct err *err) {
    static const char *const keys[] = {"text",        "channel",  "prompt",
                                       "tool_call",   "messages", "tools",
                                       "tool_result", "model",    NULL};
    static const char *const subjects[] = {"text", "messages", "tool_call",
                                           "tool_result"};
    const cJSON *found[4];
    int count = 0;

    q->body = json_read(body, err);
    if (!q->body) return false;
    if (!cJSON_IsObject(q->body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_only_keys(q->body, "", keys, err)) return false;
    for (int i = 0; i < 4; i++) {
        found[i] = cJSON_GetObjectItemCaseSensitive(q->body, subjects[i]);
        count += found[i] != NULL;
    }
    /* A call may have the conversation before it. */
    if (count != 1 && !(count == 2 && found[1] && found[2]))
        return err_set(err, ERR_INPUT,
                       "expected one of text, messages, tool_call and "
                       "tool_result");
    if (found[0]) return read_text(q, found[0], err);
    if (found[2]) return read_tool_call(q, found[2], err);
    if (found[1]) return read_messages(q, err);
    return read_tool_result(q, found[3], err);
}

void inquiry_start(struct inquiry_context *context, struct conn *c,
                   const struct http_request *request) {
    struct inquiry *q = xalloc(sizeof *q);
    struct err err = {0};

    q->context = context;
    q->conn = c;
    q->caller = conn_pass(c)->caller;
    q->policy = policy_ref(caller_policy(q->caller, context->policy));
    q->arena = arena_new(INQUIRY_ARENA_BYTES_MAX);
    q->started_ns = clock_ns();
    q->channel = CHANNEL_INPUT;
    chat_request_init(&q->request, q->arena);
    verdict_begin(&q->total, policy_revision(q->policy));
    verdict_begin(&q->leave, policy_revision(q->policy));
    conn_set_user(c, q);
    if (!read_body(q, request->body, &err)) {
        fail(q, &err);
        return;
    }
    begin(q);
}

void inquiry_gone(struct inquiry *q) {
    count(q, 499);
    inquiry_free(q);
}
