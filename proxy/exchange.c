/* exchange.c - one request, from its last header to its last byte.
 *
 *   JUDGING -> RUNNING -> CLOSING -> answered        (any) -> refused or failed
 *
 * Where an exchange is shows in what it waits for: `check` while something is
 * judged, `turn` while the model runs, `after` while a text is settled.
 *
 * JUDGING asks the guard about every field that came in. RUNNING lets the turn
 * generate; what it writes reaches the client only through on_release() of a
 * guard stream, its tool calls and tool results only through a verdict of their
 * own. CLOSING waits for the verdict over the last piece of text. */
#include "proxy/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/turn.h"
#include "base/clock.h"
#include "guard/guard.h"
#include "guard/stream.h"
#include "proxy/fields.h"
#include "proxy/http_error.h"

enum {
    HEADERS_MAX = 4,
    /* Beyond the guard's own deadline, for a verdict that never comes. */
    GUARD_GRACE_MS = 1000
};

/* One question to the classifier about the request: the last of `turns`. */
struct judgement {
    enum channel channel;
    bool system; /* a system turn */
    const struct guard_turn *turns;
    int turn_count;
};

/* What the guard stream's verdict is waited for. */
enum after { AFTER_NOTHING, AFTER_CALL, AFTER_END };

struct exchange {
    struct exchange_context *context;
    struct exchange *next, *prev;
    struct conn *conn;
    const struct dialect *dialect;
    struct policy *policy;
    struct arena *arena;
    cJSON *body;
    struct chat_request request;
    uint64_t client;
    uint64_t started_ns;
    uint64_t deadline_ms; /* of the guard, while something is judged; or 0 */

    struct field *fields;
    int field_count;
    struct judgement *judgements;
    int judgement_count;
    int judging;
    struct guard_check *check;
    uint64_t check_ns;
    uint64_t guard_ns; /* spent on verdicts so far */
    enum channel channel;

    struct turn *turn;
    struct guard_stream *stream;
    enum after after;
    struct chat_tool_call call; /* the one that asks leave; arena */
    struct span result;         /* arena */
    struct chat_tool_call calls[CHAT_TOOL_CALLS_MAX]; /* for the client */
    int call_count;
    struct turn_end end;

    struct reply reply;
    char id[HASH_ID_SIZE];       /* of the answer */
    char decision[HASH_ID_SIZE]; /* of the verdict that weighs most so far */
    struct bytes checks;         /* that acted so far */
    struct bytes text;           /* cleared, when the answer goes out whole */
    bool text_sent;
};

/* ---- the end of the road ---- */

static void unlink_exchange(struct exchange *x) {
    if (x->prev)
        x->prev->next = x->next;
    else
        x->context->list = x->next;
    if (x->next) x->next->prev = x->prev;
}

/* Cancels what still runs. The connection has been answered, or has left. */
static void exchange_free(struct exchange *x) {
    guard_check_cancel(x->check);
    guard_stream_free(x->stream);
    turn_free(x->turn);
    policy_free(x->policy);
    cJSON_Delete(x->body);
    arena_free(x->arena);
    bytes_free(&x->checks);
    bytes_free(&x->text);
    unlink_exchange(x);
    free(x);
}

static void count_answer(struct exchange *x, int status) {
    struct metrics *m = x->context->metrics;

    metrics_request(m, ROUTE_CHAT, status);
    metrics_request_seconds(m, ROUTE_CHAT,
                            (double)(clock_ns() - x->started_ns) / 1e9);
    metrics_tokens(m, TOKENS_PROMPT, x->end.usage.prompt_tokens);
    metrics_tokens(m, TOKENS_CACHED, x->end.usage.cached_tokens);
    metrics_tokens(m, TOKENS_COMPLETION, x->end.usage.completion_tokens);
}

static int put_headers(struct exchange *x,
                       struct http_header headers[HEADERS_MAX],
                       char guard_ms[24]) {
    int count = 0;

    (void)snprintf(guard_ms, 24, "%.1f", (double)x->guard_ns / 1e6);
    if (*x->decision)
        headers[count++] = (struct http_header){span_of("x-corral-decision"),
                                                span_of(x->decision)};
    if (x->checks.size)
        headers[count++] = (struct http_header){span_of("x-corral-checks"),
                                                span_bytes(&x->checks)};
    headers[count++] = (struct http_header){
        span_of("x-corral-policy"), span_of(policy_revision(x->policy))};
    headers[count++] =
        (struct http_header){span_of("x-corral-guard-ms"), span_of(guard_ms)};
    return count;
}

static void answer(struct exchange *x, int status, const struct bytes *body) {
    struct http_header headers[HEADERS_MAX];
    char guard_ms[24];
    int count = put_headers(x, headers, guard_ms);

    count_answer(x, status);
    conn_respond(x->conn, status, "application/json", headers, count,
                 span_bytes(body));
    exchange_free(x);
}

static void begin_stream(struct exchange *x) {
    struct http_header headers[HEADERS_MAX];
    char guard_ms[24];
    int count;

    if (conn_streaming(x->conn)) return;
    count = put_headers(x, headers, guard_ms);
    conn_begin_stream(x->conn, 200, "text/event-stream", headers, count);
}

/* The last bytes of a stream, and the exchange's end. */
static void end_stream(struct exchange *x, const struct bytes *last) {
    begin_stream(x);
    count_answer(x, 200);
    (void)conn_write(x->conn, span_bytes(last));
    conn_end(x->conn);
    exchange_free(x);
}

/* Something other than the policy went wrong: an error status before the first
 * byte, an error event after it. */
static void fail(struct exchange *x, const struct err *why) {
    struct bytes out = {0};

    if (!conn_streaming(x->conn)) {
        count_answer(x, http_error_of(why->code)->status);
        conn_fail(x->conn, why);
        exchange_free(x);
    } else if (x->dialect->fail(&x->reply, why, &out, NULL)) {
        end_stream(x, &out);
    } else {
        conn_abort(x->conn);
        exchange_free(x);
    }
    bytes_free(&out);
}

/* An error of our own making, with a status and a code that no err.code has. */
static void answer_error(struct exchange *x, int status, const char *message,
                         const char *type, const char *code) {
    struct bytes out = {0};
    struct err err = {0};

    if (http_error_put(&out, message, type, NULL, code, &err))
        answer(x, status, &out);
    else
        fail(x, &err);
    bytes_free(&out);
}

/* The guard itself failed. Never the same body as a block by the policy. */
static void fail_unavailable(struct exchange *x, const struct err *why) {
    struct err err = {.code = ERR_UNAVAILABLE};

    if (why->code == ERR_LIMIT) {
        /* The guard works, but the text is longer than it may read. */
        (void)err_set_field(&err, ERR_LIMIT, "messages",
                            "the text is longer than the policy's "
                            "limits.input_tokens allows");
        fail(x, &err);
        return;
    }
    if (conn_streaming(x->conn)) {
        (void)err_set(&err, ERR_UNAVAILABLE, "guard_unavailable");
        fail(x, &err);
        return;
    }
    answer_error(x, 503, "The guard could not judge this request.",
                 "server_error", "guard_unavailable");
}

static void finish_reply(struct exchange *x, enum reply_finish finish) {
    struct bytes out = {0};
    struct err err = {0};

    x->reply.usage = x->end.usage;
    if (x->request.stream) {
        if (x->dialect->end(&x->reply, finish, &out, &err))
            end_stream(x, &out);
        else
            fail(x, &err);
    } else if (x->dialect->whole(&x->reply, span_bytes(&x->text), x->calls,
                                 x->call_count, finish, &out, &err)) {
        answer(x, 200, &out);
    } else {
        fail(x, &err);
    }
    bytes_free(&out);
}

/* ---- verdicts ---- */

static enum metrics_channel metrics_channel_of(enum channel channel) {
    switch (channel) {
    case CHANNEL_OUTPUT:
        return METRICS_OUTPUT;
    case CHANNEL_TOOL_CALL:
        return METRICS_TOOL_CALL;
    case CHANNEL_TOOL_RESULT:
    case CHANNEL_DOCUMENT:
        return METRICS_TOOL_RESULT;
    case CHANNEL_INPUT:
    case CHANNEL_COUNT:
        break;
    }
    return METRICS_INPUT;
}

static enum metrics_result result_of(const struct verdict *v) {
    switch (v->action) {
    case VERDICT_BLOCK:
    case VERDICT_ASK:
        return v->cause == VERDICT_CAUSE_UNAVAILABLE ? RESULT_UNAVAILABLE
                                                     : RESULT_BLOCKED;
    case VERDICT_REDACT:
        return RESULT_REDACTED;
    case VERDICT_FLAG:
        return RESULT_FLAGGED;
    case VERDICT_ALLOW:
        break;
    }
    for (int i = 0; i < v->finding_count; i++)
        if (v->findings[i].shadow && v->findings[i].action == VERDICT_BLOCK)
            return RESULT_WOULD_BLOCK;
    return RESULT_ALLOWED;
}

/* Keep what headers and metrics tell about a verdict. Seconds are those of a
 * whole check; a stream's work is spread and is not added up. */
static void note_verdict(struct exchange *x, enum channel channel,
                         const struct verdict *v, uint64_t ns) {
    struct bytes checks = {0};

    metrics_verdict(x->context->metrics, metrics_channel_of(channel),
                    result_of(v), (double)ns / 1e9);
    x->guard_ns += ns;
    if (!*x->decision || v->action < VERDICT_ALLOW)
        (void)snprintf(x->decision, sizeof x->decision, "%s", v->id);
    verdict_checks(v, &checks);
    if (checks.size && !conn_streaming(x->conn)) {
        if (x->checks.size) bytes_puts(&x->checks, ",");
        bytes_put(&x->checks, span_bytes(&checks));
    }
    bytes_free(&checks);
}

static bool lets_pass(const struct verdict *v) {
    return v->action == VERDICT_ALLOW || v->action == VERDICT_FLAG ||
           v->action == VERDICT_REDACT;
}

/* {decision_id, action, checks, categories, channel} as the answer shows it. */
static cJSON *corral_object(const struct verdict *v, enum channel channel) {
    cJSON *json = verdict_to_json(v, channel);
    cJSON *id = cJSON_DetachItemFromObjectCaseSensitive(json, "id");

    if (id) (void)cJSON_AddItemToObject(json, "decision_id", id);
    return json;
}

/* The policy said no: its message in the place of the answer, or an error. */
static void refuse(struct exchange *x, enum channel channel,
                   const struct verdict *v) {
    struct bytes out = {0};
    struct err err = {0};
    cJSON *corral;

    guard_stream_free(x->stream);
    x->stream = NULL;
    turn_free(x->turn);
    x->turn = NULL;
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        fail_unavailable(x, &v->err);
        return;
    }
    if (policy_on_block_error(x->policy) && !conn_streaming(x->conn)) {
        answer_error(x, 400, "Blocked by the content policy.",
                     "invalid_request_error", "content_filter");
        return;
    }
    corral = corral_object(v, channel);
    x->reply.corral = corral;
    x->call_count = 0;
    x->text.size = 0;
    /* After cleared text has gone out, the end alone says that it was cut. */
    if (!x->request.stream) {
        bytes_puts(&x->text, policy_message(x->policy, "en"));
    } else if (!x->text_sent) {
        begin_stream(x);
        if (x->dialect->text(&x->reply,
                             span_of(policy_message(x->policy, "en")), &out,
                             &err))
            (void)conn_write(x->conn, span_bytes(&out));
        bytes_free(&out);
    }
    finish_reply(x, REPLY_FILTERED);
    cJSON_Delete(corral);
}

/* ---- RUNNING: text ---- */

/* The only way of model text to the client. */
static void on_release(void *user, struct span text) {
    struct exchange *x = user;
    struct bytes out = {0};
    struct err err = {0};

    if (text.size == 0) return;
    if (!x->text_sent)
        metrics_ttft(x->context->metrics,
                     (double)(clock_ns() - x->started_ns) / 1e9);
    x->text_sent = true;
    if (!x->request.stream) {
        /* What does not fit is not sent in part: see on_stream_verdict(). */
        if (!bytes_append(&x->text, text.at, text.size, &err)) x->end.err = err;
        return;
    }
    begin_stream(x);
    if (x->dialect->text(&x->reply, text, &out, &err))
        (void)conn_write(x->conn, span_bytes(&out));
    else
        x->end.err = err;
    bytes_free(&out);
}

static void judge_call(struct exchange *x);
static void finish_turn(struct exchange *x);

static void on_stream_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    enum after after = x->after;

    note_verdict(x, CHANNEL_OUTPUT, v, 0);
    x->deadline_ms = 0;
    x->after = AFTER_NOTHING;
    if (!lets_pass(v)) {
        refuse(x, CHANNEL_OUTPUT, v);
        return;
    }
    guard_stream_free(x->stream);
    x->stream = NULL;
    if (x->end.err.code)
        fail(x, &x->end.err);
    else if (after == AFTER_CALL)
        judge_call(x);
    else if (after == AFTER_END)
        finish_turn(x);
}

/* The conversation that an answer answers: what the classifier reads before
 * the answer itself. */
static const struct judgement *question(const struct exchange *x) {
    return x->judgement_count ? &x->judgements[0] : NULL;
}

static void open_stream(struct exchange *x, const int *tokens,
                        int token_count) {
    const struct judgement *q = question(x);
    struct guard_stream_options options = {
        .policy = x->policy,
        .channel = CHANNEL_OUTPUT,
        .turns = q ? q->turns : NULL,
        .turn_count = q ? q->turn_count : 0,
        .prompt_tokens = tokens,
        .prompt_token_count = token_count,
        .client = x->client,
        .on_release = on_release,
        .on_verdict = on_stream_verdict,
        .user = x,
    };

    guard_stream_free(x->stream);
    x->stream = guard_stream_new(x->context->guard, &options);
}

static void on_prompt(void *user, const int *tokens, int token_count) {
    open_stream(user, tokens, token_count);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct exchange *x = user;

    if (!x->stream) open_stream(x, NULL, 0);
    guard_stream_push(x->stream, text, tokens, token_count);
}

/* Wait for the verdict over the text so far, then go on with `after`. */
static void settle_text(struct exchange *x, enum after after) {
    x->after = after;
    x->deadline_ms = clock_ms() + (uint64_t)policy_limits(x->policy)->guard_ms +
                     GUARD_GRACE_MS;
    guard_stream_finish(x->stream);
}

/* ---- RUNNING: tool calls and their results ---- */

/* Ask the guard about one text of a tool. */
static void judge_text(struct exchange *x, enum channel channel,
                       struct span text, guard_done *done) {
    struct guard_item item = {channel, text};
    struct guard_turn turn = {GUARD_USER, text};
    struct guard_request request = {
        .policy = x->policy,
        .items = &item,
        .item_count = 1,
        .turns = &turn,
        .turn_count = text.size ? 1 : 0,
        .channel = channel,
        .client = x->client,
    };
    struct guard_check *check;

    x->channel = channel;
    x->check_ns = clock_ns();
    x->deadline_ms = clock_ms() + (uint64_t)policy_limits(x->policy)->guard_ms +
                     GUARD_GRACE_MS;
    check = guard_check_start(x->context->guard, &request, done, x);
    /* NULL: `done` has run, and `x` may be gone. */
    if (check) x->check = check;
}

static void note_check(struct exchange *x, const struct verdict *v) {
    x->check = NULL;
    x->deadline_ms = 0;
    note_verdict(x, x->channel, v, clock_ns() - x->check_ns);
}

static void on_call_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;

    note_check(x, v);
    /* A redaction could turn the arguments into something that was never
     * judged, so it counts as a block here. */
    if (lets_pass(v) && v->action != VERDICT_REDACT)
        turn_answer(x->turn, true);
    else
        refuse(x, CHANNEL_TOOL_CALL, v);
}

static void judge_call(struct exchange *x) {
    struct bytes text = {0};
    struct verdict v;
    struct err err = {0};

    if (!policy_tool_allowed(x->policy, x->call.name)) {
        struct finding finding = {.check = "tools.allow",
                                  .category = "",
                                  .score = 1,
                                  .action = VERDICT_BLOCK,
                                  .shadow = policy_shadow(x->policy)};

        verdict_begin(&v, policy_revision(x->policy));
        verdict_add(&v, &finding);
        if (!lets_pass(&v)) {
            note_verdict(x, CHANNEL_TOOL_CALL, &v, 0);
            refuse(x, CHANNEL_TOOL_CALL, &v);
            return;
        }
    }
    if (fields_call_text(&x->call, &text, &err))
        judge_text(x, CHANNEL_TOOL_CALL, span_bytes(&text), on_call_verdict);
    else
        fail(x, &err);
    bytes_free(&text);
}

static void ask_call(void *user, const struct chat_tool_call *call,
                     bool server) {
    struct exchange *x = user;
    struct err err = {0};

    (void)server; /* ours or the client's: a call is judged alike */
    if (!arena_copy(x->arena, call->id, &x->call.id, &err) ||
        !arena_copy(x->arena, call->name, &x->call.name, &err) ||
        !arena_copy(x->arena, call->arguments, &x->call.arguments, &err)) {
        fail(x, &err);
        return;
    }
    /* Text before the call is settled first, so that it goes out first. */
    if (x->stream)
        settle_text(x, AFTER_CALL);
    else
        judge_call(x);
}

static void on_result_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    struct bytes text = {0};
    struct err err = {0};

    note_check(x, v);
    if (!lets_pass(v)) {
        refuse(x, CHANNEL_TOOL_RESULT, v);
        return;
    }
    if (v->action != VERDICT_REDACT)
        turn_answer(x->turn, true);
    else if (verdict_redact(v, 0, x->result, &text, &err))
        turn_answer_text(x->turn, span_bytes(&text));
    else
        fail(x, &err);
    bytes_free(&text);
}

static void ask_result(void *user, const struct chat_tool_call *call,
                       struct span result) {
    struct exchange *x = user;
    struct err err = {0};

    (void)call;
    if (!arena_copy(x->arena, result, &x->result, &err)) {
        fail(x, &err);
        return;
    }
    judge_text(x, CHANNEL_TOOL_RESULT, x->result, on_result_verdict);
}

static void on_client_call(void *user, const struct chat_tool_call *call) {
    struct exchange *x = user;
    struct err err = {0};
    struct chat_tool_call *kept;

    if (x->call_count == CHAT_TOOL_CALLS_MAX) return;
    kept = &x->calls[x->call_count];
    if (arena_copy(x->arena, call->id, &kept->id, &err) &&
        arena_copy(x->arena, call->name, &kept->name, &err) &&
        arena_copy(x->arena, call->arguments, &kept->arguments, &err))
        x->call_count++;
    else
        x->end.err = err;
}

/* ---- RUNNING: the turn's end ---- */

static bool send_calls(struct exchange *x, struct err *err) {
    struct bytes out = {0};
    bool ok = true;

    if (!x->request.stream || !x->call_count) return true;
    begin_stream(x);
    for (int i = 0; ok && i < x->call_count; i++)
        ok = x->dialect->call(&x->reply, &x->calls[i], &out, err);
    if (ok) (void)conn_write(x->conn, span_bytes(&out));
    bytes_free(&out);
    return ok;
}

/* All text has been cleared and all calls allowed. */
static void finish_turn(struct exchange *x) {
    struct err err = {0};

    switch (x->end.finish) {
    case TURN_STOP:
        finish_reply(x, REPLY_STOP);
        return;
    case TURN_LENGTH:
        finish_reply(x, REPLY_LENGTH);
        return;
    case TURN_FILTERED:
        finish_reply(x, REPLY_FILTERED);
        return;
    case TURN_CLIENT_CALLS:
        if (send_calls(x, &err))
            finish_reply(x, REPLY_TOOL_CALLS);
        else
            fail(x, &err);
        return;
    /* A limit of ours cuts the answer short; what was written is kept. */
    case TURN_LIMIT:
        finish_reply(x, REPLY_LENGTH);
        return;
    case TURN_REFUSED:
    case TURN_FAILED:
        break;
    }
    if (!x->end.err.code)
        (void)err_set(&x->end.err, ERR_INTERNAL, "the turn failed");
    fail(x, &x->end.err);
}

static void on_end(void *user, const struct turn_end *end) {
    struct exchange *x = user;
    struct err earlier = x->end.err;

    x->end = *end;
    if (earlier.code) {
        x->end.finish = TURN_FAILED;
        x->end.err = earlier;
    }
    if (x->end.finish == TURN_FAILED) {
        /* Text that was not cleared is dropped, not sent. */
        finish_turn(x);
        return;
    }
    x->end.err.code = ERR_NONE;
    if (x->stream)
        settle_text(x, AFTER_END);
    else
        finish_turn(x);
}

static void run_turn(struct exchange *x) {
    struct turn_limits limits = {x->context->turn_steps,
                                 x->context->turn_tool_calls,
                                 x->context->turn_seconds};
    struct turn_hooks hooks = {
        .on_prompt = on_prompt,
        .on_text = on_text,
        .ask_call = ask_call,
        .ask_result = ask_result,
        .on_client_call = on_client_call,
        .on_end = on_end,
        .user = x,
    };
    struct err err = {0};

    x->turn = turn_start(x->context->llm, x->context->tools, &x->request,
                         &limits, x->client, &hooks, &err);
    if (!x->turn) fail(x, &err);
}

/* ---- JUDGING ---- */

static bool put_redactions(struct exchange *x, const struct verdict *v,
                           struct err *err) {
    for (int i = 0; i < x->field_count; i++) {
        struct field *f = &x->fields[i];
        struct bytes text = {0};
        bool ok = verdict_redact(v, i, f->text, &text, err);

        if (ok && !span_equal(span_bytes(&text), f->text))
            ok = f->slot
                     ? arena_copy(x->arena, span_bytes(&text), f->slot, err)
                     : err_set_field(err, ERR_DENIED, "messages",
                                     "a field that cannot be redacted holds "
                                     "what the policy redacts");
        bytes_free(&text);
        if (!ok) return false;
    }
    return true;
}

static void judge_next(struct exchange *x);

static void on_input_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    struct err err = {0};

    note_check(x, v);
    if (!lets_pass(v)) {
        refuse(x, x->channel, v);
        return;
    }
    /* The first check saw all fields; the others ask the classifier only. */
    if (x->judging == 0 && v->action == VERDICT_REDACT &&
        !put_redactions(x, v, &err)) {
        if (err.code == ERR_DENIED) {
            struct verdict blocked = *v;

            blocked.action = VERDICT_BLOCK;
            refuse(x, x->channel, &blocked);
        } else {
            fail(x, &err);
        }
        return;
    }
    x->judging++;
    judge_next(x);
}

/* Ask the next question; after the last one, run. */
static void judge_next(struct exchange *x) {
    struct guard_request request = {.policy = x->policy, .client = x->client};
    struct guard_item *items = NULL;
    struct guard_check *check;
    struct err err = {0};

    if (x->judging > 0 && x->judging >= x->judgement_count) {
        run_turn(x);
        return;
    }
    if (x->judging == 0) {
        items =
            arena_alloc(x->arena, (size_t)x->field_count, sizeof *items, &err);
        if (!items) {
            fail(x, &err);
            return;
        }
        for (int i = 0; i < x->field_count; i++)
            items[i] =
                (struct guard_item){x->fields[i].channel, x->fields[i].text};
        request.items = items;
        request.item_count = x->field_count;
    }
    request.channel = CHANNEL_INPUT;
    if (x->judging < x->judgement_count) {
        const struct judgement *j = &x->judgements[x->judging];

        request.channel = j->channel;
        request.operator_text = j->system;
        request.turns = j->turns;
        request.turn_count = j->turn_count;
    }
    x->channel = request.channel;
    x->check_ns = clock_ns();
    x->deadline_ms = clock_ms() + (uint64_t)policy_limits(x->policy)->guard_ms +
                     GUARD_GRACE_MS;
    check = guard_check_start(x->context->guard, &request, on_input_verdict, x);
    if (check) x->check = check;
}

/* The questions about a request: its last user turn within the conversation;
 * each system turn by itself, since instructions may hide there; and each
 * tool result that no answer has followed yet. Earlier turns were the last
 * ones of earlier requests; the guard reads them as context. */
static bool plan_judgements(struct exchange *x, struct err *err) {
    struct chat_request *r = &x->request;
    int last_user = -1, last_answer = -1, turn_count = 0;
    struct guard_turn *turns =
        arena_alloc(x->arena, (size_t)r->message_count, sizeof *turns, err);
    struct judgement *list =
        arena_alloc(x->arena, (size_t)r->message_count + 1, sizeof *list, err);

    if (!turns || !list) return false;
    x->judgements = list;
    for (int i = 0; i < r->message_count; i++) {
        if (r->messages[i].role == CHAT_USER) last_user = i;
        if (r->messages[i].role == CHAT_ASSISTANT) last_answer = i;
    }
    for (int i = 0; i <= last_user; i++) {
        const struct chat_message *m = &r->messages[i];

        if (m->text.size == 0) continue;
        if (m->role == CHAT_USER)
            turns[turn_count++] = (struct guard_turn){GUARD_USER, m->text};
        if (m->role == CHAT_ASSISTANT)
            turns[turn_count++] = (struct guard_turn){GUARD_ASSISTANT, m->text};
    }
    if (turn_count)
        list[x->judgement_count++] =
            (struct judgement){CHANNEL_INPUT, false, turns, turn_count};
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        bool system = m->role == CHAT_SYSTEM;
        bool fresh = m->role == CHAT_TOOL && i > last_answer;
        struct guard_turn *turn;

        if (m->text.size == 0 || !(system || fresh)) continue;
        if (!policy_classifies(x->policy,
                               system ? CHANNEL_INPUT : CHANNEL_TOOL_RESULT))
            continue;
        turn = arena_alloc(x->arena, 1, sizeof *turn, err);
        if (!turn) return false;
        *turn = (struct guard_turn){GUARD_USER, m->text};
        list[x->judgement_count++] = (struct judgement){
            system ? CHANNEL_INPUT : CHANNEL_TOOL_RESULT, system, turn, 1};
    }
    return true;
}

/* Corral's own tools are offered when the client neither brings tools of its
 * own nor asks for a fixed format. */
static bool offer_tools(struct exchange *x, struct err *err) {
    const struct registry *registry = x->context->tools;
    struct chat_request *r = &x->request;
    int count = registry ? registry_count(registry) : 0;

    if (count == 0 || r->tool_count || r->format != FORMAT_TEXT ||
        r->choice == CHOICE_NONE)
        return true;
    r->tools = arena_alloc(x->arena, (size_t)count, sizeof *r->tools, err);
    if (!r->tools) return false;
    for (int i = 0; i < count; i++) {
        const struct tool *t = registry_at(registry, i);

        if (!policy_tool_allowed(x->policy, span_of(t->name))) continue;
        r->tools[r->tool_count++] =
            (struct chat_tool){.name = span_of(t->name),
                               .description = span_of(t->description),
                               .schema = registry_schema(registry, i),
                               .server = true};
    }
    return true;
}

static bool check_choice(const struct chat_request *r, struct err *err) {
    if (r->choice != CHOICE_REQUIRED || r->tool_count) return true;
    return err_set_field(err, ERR_INPUT, "tool_choice",
                         "tool_choice: required, but there are no tools");
}

static bool read_request(struct exchange *x, struct span body,
                         struct err *err) {
    x->body = json_parse(body, err);
    if (!x->body) return false;
    chat_request_init(&x->request, x->arena);
    return x->dialect->parse(x->body, &x->request, err) &&
           fields_collect(&x->request, &x->fields, &x->field_count, err) &&
           plan_judgements(x, err) && offer_tools(x, err) &&
           check_choice(&x->request, err);
}

void exchange_start(struct exchange_context *context,
                    const struct dialect *dialect, struct conn *c,
                    const struct http_request *request) {
    struct exchange *x = xalloc(sizeof *x);
    struct err err = {0};

    x->context = context;
    x->next = context->list;
    if (x->next) x->next->prev = x;
    context->list = x;
    x->conn = c;
    conn_set_user(c, x);
    x->dialect = dialect;
    x->policy = policy_ref(context->policy);
    x->arena = arena_new(EXCHANGE_ARENA_BYTES_MAX);
    x->text.limit = EXCHANGE_TEXT_BYTES_MAX;
    x->client = conn_id(c);
    x->started_ns = clock_ns();
    hash_random_id(x->id);
    if (!read_request(x, request->body, &err)) {
        fail(x, &err);
        return;
    }
    x->reply =
        (struct reply){.id = x->id,
                       .created = clock_wall_s(),
                       .model = context->llm->name ? span_of(context->llm->name)
                                                   : x->request.model,
                       .include_usage = x->request.include_usage};
    judge_next(x);
}

void exchange_gone(struct exchange *x) {
    /* 499: nginx's number for a client that closed its request. */
    count_answer(x, 499);
    exchange_free(x);
}

void exchange_tick(struct exchange_context *context) {
    struct exchange *x = context->list, *next;
    uint64_t now = clock_ms();

    for (; x; x = next) {
        next = x->next;
        if (x->deadline_ms && now > x->deadline_ms) {
            struct verdict v;
            struct err err = {.code = ERR_TIMEOUT};

            verdict_fail(&v, policy_revision(x->policy), &err);
            note_verdict(x, x->channel, &v, 0);
            refuse(x, x->channel, &v);
        } else if (x->turn) {
            turn_tick(x->turn);
        }
    }
}
