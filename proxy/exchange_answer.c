/* exchange_answer.c - the end of an exchange's road: an answer, a stream's last
 * bytes, or an error, told to client, metrics and audit. Nothing is judged
 * here: text comes as choice.c has cleared it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/exchange_state.h"
#include "proxy/http_error.h"
#include "proxy/journal.h"
#include "proxy/router.h"

enum { HEADERS_MAX = 4, ANSWER_ROOM = 1024 /* for short ones */ };

static void unlink_exchange(struct exchange *x) {
    if (x->prev)
        x->prev->next = x->next;
    else
        x->context->list = x->next;
    if (x->next) x->next->prev = x->prev;
}

static void exchange_destroy(struct exchange *x) {
    journal_close(x->journal); /* from here on it calls no choice */
    for (int i = 0; i < x->choice_count; i++) choice_free(x->choices[i]);
    traced_free(x->traced);
    router_leave(x->router);
    policy_free(x->policy);
    if (x->added)
        cJSON_Delete(x->added);
    else
        json_free(x->body);
    json_free(x->calls);
    arena_free(x->arena);
    bytes_free(&x->checks);
    unlink_exchange(x);
    free(x);
}

void exchange_free(struct exchange *x) {
    exchange_summary_stop(x);
    guard_check_cancel(x->check);
    x->check = NULL;
    x->freed = true;
    if (x->holds == 0) exchange_destroy(x);
}

void exchange_hold(struct exchange *x) {
    x->holds++;
}

void exchange_let_go(struct exchange *x) {
    if (--x->holds == 0 && x->freed) exchange_destroy(x);
}

/* A prompt is one, however often it was read. */
static void sum_usage(struct exchange *x) {
    struct llm_usage *sum = &x->reply.usage;

    *sum = (struct llm_usage){0};
    for (int i = 0; i < x->choice_count; i++) {
        const struct llm_usage now = choice_usage(x->choices[i]), *u = &now;

        if (i == 0) *sum = now;
        if (i > 0) sum->completion_tokens += u->completion_tokens;
        if (i > 0) sum->reasoning_tokens += u->reasoning_tokens;
        if (i > 0 && chat_prompt_of(&x->request, i) !=
                         chat_prompt_of(&x->request, i - 1)) {
            sum->prompt_tokens += u->prompt_tokens;
            sum->cached_tokens += u->cached_tokens;
        }
    }
}

struct audit_subject exchange_subject(const struct exchange *x) {
    if (x->conn) return audit_subject_of(x->conn, x->dialect->name);
    return (struct audit_subject){.request_id = x->id,
                                  .route = x->dialect->name,
                                  .key_id = exchange_owner(x),
                                  .peer = ""};
}

bool exchange_streaming(const struct exchange *x) {
    return x->conn && conn_streaming(x->conn);
}

static void audit_answer(const struct exchange *x, int status, uint64_t ns) {
    const struct audit_subject s = exchange_subject(x);
    const struct audit_end end = {.status = status,
                                  .ns = ns,
                                  .decisions = x->decisions,
                                  .prompt_tokens = x->reply.usage.prompt_tokens,
                                  .completion_tokens =
                                      x->reply.usage.completion_tokens,
                                  .policy = policy_revision(x->policy)};

    audit_request(x->context->audit, &s, &end);
}

void exchange_count(struct exchange *x, int status) {
    struct metrics *m = x->context->metrics;
    uint64_t ns = clock_ns() - x->started_ns;

    sum_usage(x);
    audit_answer(x, status, ns);
    metrics_request(m, x->dialect->route, status);
    metrics_request_seconds(m, x->dialect->route, (double)ns / 1e9);
    caller_spend(x->caller, (int64_t)x->reply.usage.prompt_tokens +
                                x->reply.usage.completion_tokens);
    metrics_tokens(m, TOKENS_PROMPT, x->reply.usage.prompt_tokens);
    metrics_tokens(m, TOKENS_CACHED, x->reply.usage.cached_tokens);
    metrics_tokens(m, TOKENS_COMPLETION, x->reply.usage.completion_tokens);
}

static int put_headers(struct exchange *x,
                       struct http_header headers[HEADERS_MAX],
                       char guard_ms[CLOCK_MS_SIZE]) {
    int count = 0;

    clock_put_ms(x->guard_ns, guard_ms);
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
    char guard_ms[CLOCK_MS_SIZE];
    int count = put_headers(x, headers, guard_ms);

    exchange_count(x, status);
    if (x->conn)
        conn_respond(x->conn, status, "application/json", headers, count,
                     span_bytes(body));
    exchange_free(x);
}

void exchange_begin_stream(struct exchange *x) {
    struct http_header headers[HEADERS_MAX];
    char guard_ms[CLOCK_MS_SIZE];
    int count;

    if (exchange_streaming(x)) return;
    count = put_headers(x, headers, guard_ms);
    conn_begin_stream(x->conn, 200, x->dialect->stream_type, headers, count);
}

/* The last bytes of a stream, and the exchange's end. */
static void end_stream(struct exchange *x, const struct bytes *last) {
    exchange_begin_stream(x);
    exchange_count(x, 200);
    (void)conn_write(x->conn, span_bytes(last));
    conn_end(x->conn);
    exchange_free(x);
}

void exchange_fail(struct exchange *x, const struct err *why) {
    struct bytes out = {0};

    if (!x->conn) {
        char quoted[ERR_TEXT_MAX];

        log_event(LOG_WARN, "resumed_turn_failed", "reason=%s",
                  log_quote(why->text, quoted, sizeof quoted));
        exchange_count(x, http_error_of(why->code)->status);
        exchange_free(x);
    } else if (!exchange_streaming(x)) {
        exchange_count(x, http_error_of(why->code)->status);
        conn_fail(x->conn, why);
        exchange_free(x);
    } else if (x->dialect->fail(why, &out, NULL)) {
        end_stream(x, &out);
    } else {
        exchange_count(x, 500);
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

    if (http_error_shaped(x->dialect->errors, status, message, type, NULL, code,
                          &out, &err))
        answer(x, status, &out);
    else
        exchange_fail(x, &err);
    bytes_free(&out);
}

void exchange_fail_unavailable(struct exchange *x, const struct err *why) {
    struct err err = {.code = ERR_UNAVAILABLE};

    if (why->code == ERR_LIMIT) {
        /* The guard works, but the text is longer than it may read. */
        (void)err_set_field(&err, ERR_LIMIT, "messages",
                            "the text is longer than the policy's "
                            "limits.input_tokens allows");
        exchange_fail(x, &err);
        return;
    }
    if (exchange_streaming(x)) {
        (void)err_set(&err, ERR_UNAVAILABLE, "guard_unavailable");
        exchange_fail(x, &err);
        return;
    }
    answer_error(x, 503, "The guard could not judge this request.",
                 "server_error", "guard_unavailable");
}

const char *exchange_owner(const struct exchange *x) {
    return caller_id(x->caller);
}

void exchange_finish(struct exchange *x) {
    const struct reply_choice *choices[CHAT_CHOICES_MAX];
    struct bytes out = {0};
    struct err err = {0};
    bool ok;

    bytes_expect(&out, ANSWER_ROOM);
    sum_usage(x);
    x->reply.total_ns = clock_ns() - x->started_ns;
    for (int i = 0; i < x->choice_count; i++)
        choices[i] = choice_reply(x->choices[i]);
    ok = x->request.stream ? x->dialect->close(&x->reply, choices,
                                               x->choice_count, &out, &err)
                           : x->dialect->whole(&x->reply, choices,
                                               x->choice_count, &out, &err);
    if (ok && x->dialect->keep)
        x->dialect->keep(x->context->responses, exchange_owner(x), x->body,
                         &x->reply, choices[0]);
    if (!ok)
        exchange_fail(x, &err);
    else if (x->request.stream)
        end_stream(x, &out);
    else
        answer(x, 200, &out);
    bytes_free(&out);
}

void exchange_count_tokens(struct exchange *x) {
    struct llm *llm = x->llm;
    struct bytes out = {0};
    struct err err = {0};
    int tokens = 0;
    bool ok = llm->count ? llm->count(llm, &x->request, &tokens, &err)
                         : err_set(&err, ERR_UNSUPPORTED,
                                   "tokens cannot be counted: the model runs "
                                   "on a server whose tokenizer is not known");

    if (ok && x->dialect->count(tokens, &out, &err))
        answer(x, 200, &out);
    else
        exchange_fail(x, &err);
    bytes_free(&out);
}

void exchange_refuse_error(struct exchange *x) {
    answer_error(x, 400, "Blocked by the content policy.",
                 "invalid_request_error", "content_filter");
}
