/* exchange.c - one request, from its last header to its last byte.
 *
 *   JUDGING -> RUNNING -> answered        (any) -> refused or failed
 *
 * JUDGING asks the guard about every field that came in; what was redacted is
 * put in its place. A model that may be asked early begins once the rules have
 * passed, and its answer is kept (ahead.c) until JUDGING is over. RUNNING lets
 * each choice generate: what of it reaches the client is choice.c's matter.
 * These two files alone know guard and agent: what can reach a model is decided
 * here, what can reach a client there. */
#include "proxy/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/turn.h"
#include "base/clock.h"
#include "guard/guard.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/choice.h"
#include "proxy/fields.h"
#include "proxy/http_error.h"
#include "proxy/journal.h"
#include "proxy/provenance.h"
#include "proxy/questions.h"
#include "proxy/router.h"

enum {
    HEADERS_MAX = 4,
    /* Beyond the guard's own deadline, for a verdict that never comes. */
    GUARD_GRACE_MS = 1000
};

struct exchange {
    struct exchange_context *context;
    struct exchange *next, *prev;
    struct conn *conn;
    const struct dialect *dialect;
    struct policy *policy;
    struct arena *arena;
    cJSON *body;
    struct chat_request request;
    struct llm *llm;         /* that the request asks for */
    struct caller *caller;   /* whose key; NULL: without */
    struct journal *journal; /* of a session's turn, or NULL */
    uint64_t client;
    uint64_t started_ns;
    uint64_t deadline_ms; /* of the guard, while the request is judged; or 0 */

    struct field *fields;
    int field_count;
    struct question *questions;
    int question_count;
    int judging;        /* the question that is asked, or would be next */
    bool fields_judged; /* by rules and entities */
    struct guard_check *check;
    uint64_t check_ns;
    uint64_t guard_ns; /* spent on verdicts so far */
    enum channel channel;

    struct choice *choices[CHAT_CHOICES_MAX];
    int choice_count;
    int choices_left; /* not done yet */
    bool answering;   /* the first text was cleared */

    struct reply reply;
    char id[HASH_ID_SIZE];       /* of the answer */
    char decision[HASH_ID_SIZE]; /* of the verdict that weighs most so far */
    struct bytes checks;         /* that acted so far */
    int decisions;

    int holds; /* loops over the choices that are on the stack */
    bool freed;
};

/* ---- the end of the road ---- */

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
    policy_free(x->policy);
    cJSON_Delete(x->body);
    arena_free(x->arena);
    bytes_free(&x->checks);
    unlink_exchange(x);
    free(x);
}

/* Cancels what still runs. The connection has been answered, or has left. */
static void exchange_free(struct exchange *x) {
    guard_check_cancel(x->check);
    x->check = NULL;
    x->freed = true;
    if (x->holds == 0) exchange_destroy(x);
}

/* Around a loop over the choices, any of which may be the exchange's end:
 * until let_go(), the loop may look at x->freed. */
static void hold(struct exchange *x) {
    x->holds++;
}

static void let_go(struct exchange *x) {
    if (--x->holds == 0 && x->freed) exchange_destroy(x);
}

/* A prompt is one, however often it was read. */
static void sum_usage(struct exchange *x) {
    struct llm_usage *sum = &x->reply.usage;

    *sum = (struct llm_usage){0};
    for (int i = 0; i < x->choice_count; i++) {
        const struct llm_usage *u = choice_usage(x->choices[i]);

        if (i == 0) *sum = *u;
        if (i > 0) sum->completion_tokens += u->completion_tokens;
        if (i > 0 && chat_prompt_of(&x->request, i) !=
                         chat_prompt_of(&x->request, i - 1)) {
            sum->prompt_tokens += u->prompt_tokens;
            sum->cached_tokens += u->cached_tokens;
        }
    }
}

static void audit_answer(const struct exchange *x, int status, uint64_t ns) {
    const struct audit_subject s = audit_subject_of(x->conn, x->dialect->name);
    const struct audit_end end = {.status = status,
                                  .ns = ns,
                                  .decisions = x->decisions,
                                  .prompt_tokens = x->reply.usage.prompt_tokens,
                                  .completion_tokens =
                                      x->reply.usage.completion_tokens,
                                  .policy = policy_revision(x->policy)};

    audit_request(x->context->audit, &s, &end);
}

static void count_answer(struct exchange *x, int status) {
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
    conn_begin_stream(x->conn, 200, x->dialect->stream_type, headers, count);
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
    } else if (x->dialect->fail(why, &out, NULL)) {
        end_stream(x, &out);
    } else {
        count_answer(x, 500);
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

/* Whose request it is, in stores that outlive it. */
static const char *owner(const struct exchange *x) {
    return caller_id(x->caller);
}

/* All choices are done. */
static void finish(struct exchange *x) {
    const struct reply_choice *choices[CHAT_CHOICES_MAX];
    struct bytes out = {0};
    struct err err = {0};
    bool ok;

    sum_usage(x);
    x->reply.total_ns = clock_ns() - x->started_ns;
    for (int i = 0; i < x->choice_count; i++)
        choices[i] = choice_reply(x->choices[i]);
    ok = x->request.stream ? x->dialect->close(&x->reply, choices,
                                               x->choice_count, &out, &err)
                           : x->dialect->whole(&x->reply, choices,
                                               x->choice_count, &out, &err);
    if (ok && x->dialect->keep)
        x->dialect->keep(x->context->responses, owner(x), x->body, &x->reply,
                         choices[0]);
    if (!ok)
        fail(x, &err);
    else if (x->request.stream)
        end_stream(x, &out);
    else
        answer(x, 200, &out);
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

static enum metrics_result result_of(enum channel channel,
                                     const struct verdict *v) {
    switch (v->action) {
    case VERDICT_ASK: /* elsewhere nobody is asked */
        return channel == CHANNEL_TOOL_CALL ? RESULT_ASKED : RESULT_BLOCKED;
    case VERDICT_BLOCK:
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
                         const struct verdict *v, uint64_t ns,
                         const char *hash) {
    const struct audit_subject s = audit_subject_of(x->conn, x->dialect->name);
    struct bytes checks = {0};

    x->decisions++;
    audit_decision(x->context->audit, &s, channel, v, ns, hash);
    metrics_verdict(x->context->metrics, metrics_channel_of(channel),
                    result_of(channel, v), (double)ns / 1e9);
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

static bool refusal_is_error(const struct exchange *x) {
    return policy_on_block_error(x->policy) && !conn_streaming(x->conn);
}

static void refuse_error(struct exchange *x) {
    answer_error(x, 400, "Blocked by the content policy.",
                 "invalid_request_error", "content_filter");
}

/* The policy said no to the request: its message in the place of every answer,
 * or an error. */
static void refuse(struct exchange *x, enum channel channel,
                   const struct verdict *v) {
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        fail_unavailable(x, &v->err);
        return;
    }
    if (refusal_is_error(x)) {
        refuse_error(x);
        return;
    }
    hold(x);
    for (int i = 0; i < x->choice_count && !x->freed; i++)
        choice_refuse(x->choices[i], channel, v);
    let_go(x);
}

/* ---- RUNNING ---- */

static void on_cleared(void *user) {
    struct exchange *x = user;

    if (!x->answering)
        metrics_ttft(x->context->metrics,
                     (double)(clock_ns() - x->started_ns) / 1e9);
    x->answering = true;
}

static void throttle(struct exchange *x, bool on) {
    for (int i = 0; i < x->choice_count; i++)
        choice_throttle(x->choices[i], on);
}

static void on_bytes(void *user, const struct bytes *bytes) {
    struct exchange *x = user;

    begin_stream(x);
    if (!conn_write(x->conn, span_bytes(bytes))) throttle(x, true);
}

void exchange_drained(struct exchange *x) {
    throttle(x, false);
}

/* A comment, which clients skip: it keeps them and what lies between from
 * taking the silence for a dead connection. */
static void on_waiting(void *user) {
    struct exchange *x = user;

    begin_stream(x);
    (void)conn_write(x->conn, span_of(x->dialect->stream_idle));
}

static void on_verdict(void *user, enum channel channel,
                       const struct verdict *v, uint64_t ns, const char *hash) {
    note_verdict(user, channel, v, ns, hash);
}

/* One of several choices ends alone: the others are none the worse. */
static void on_block(void *user, struct choice *c, enum channel channel,
                     const struct verdict *v) {
    struct exchange *x = user;

    if (v->cause == VERDICT_CAUSE_UNAVAILABLE)
        fail_unavailable(x, &v->err);
    else if (x->choice_count == 1 && refusal_is_error(x))
        refuse_error(x);
    else
        choice_refuse(c, channel, v);
}

static void on_fail(void *user, const struct err *why) {
    /* A copy: what it lies in goes with the exchange. */
    struct err err = *why;

    fail(user, &err);
}

static void on_done(void *user) {
    struct exchange *x = user;

    if (--x->choices_left == 0) finish(x);
}

static void make_choices(struct exchange *x) {
    const struct exchange_context *context = x->context;
    /* What an answer answers is what the classifier reads before it. */
    const struct question *q = x->question_count ? x->questions : NULL;
    struct choice_options o = {
        .guard = context->guard,
        .policy = x->policy,
        .llm = x->llm,
        .tools = context->tools,
        .approvals = context->approvals,
        .journal = x->journal,
        .turn_steps = context->turn_steps,
        .turn_tool_calls = context->turn_tool_calls,
        .turn_seconds = context->turn_seconds,
        .turn_tokens = context->turn_tokens,
        .fence_key = x->llm->fences ? 0 : context->fence_key,
        .dialect = x->dialect,
        .reply = &x->reply,
        .request = &x->request,
        .turns = q ? q->turns : NULL,
        .turn_count = q ? q->turn_count : 0,
        .client = x->client,
        .loop = context->loop,
        .audit = context->audit,
        .on_cleared = on_cleared,
        .on_bytes = on_bytes,
        .on_waiting = on_waiting,
        .on_verdict = on_verdict,
        .on_block = on_block,
        .on_fail = on_fail,
        .on_done = on_done,
        .user = x,
    };

    for (; x->choice_count < x->request.choices; x->choice_count++) {
        int prompt = chat_prompt_of(&x->request, x->choice_count);

        o.index = x->choice_count;
        if (x->request.raw) o.turns = x->questions[prompt].turns;
        x->choices[o.index] = choice_new(&o);
    }
    x->choices_left = x->choice_count;
}

static void run_choices(struct exchange *x) {
    struct err err = {0};
    int i = 0;

    journal_begin(x->journal, &x->request);
    while (i < x->choice_count && choice_start(x->choices[i], &err)) i++;
    if (i < x->choice_count) fail(x, &err);
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

/* Rules and entities cost nothing and redact: whatever leaves early has been
 * before them, and only the classifier is still to be heard. */
static bool runs_early(const struct exchange *x) {
    if (!x->llm->early) return false;
    for (int i = 0; i < x->question_count; i++)
        if (policy_classifies(x->policy, x->questions[i].channel)) return true;
    return false;
}

static void start_early(struct exchange *x) {
    for (int i = 0; i < x->choice_count; i++) choice_start_early(x->choices[i]);
}

/* The first question is about all that came in, a further one about its turn.
 */
static void hash_judged(const struct exchange *x, char out[HASH_HEX_SIZE]) {
    struct hash_stream *h = audit_hash_new(x->context->audit);

    for (int i = 0; h && x->judging == 0 && i < x->field_count; i++)
        hash_stream_add(h, x->fields[i].text);
    if (h && x->judging > 0 && x->judging < x->question_count) {
        const struct question *q = &x->questions[x->judging];

        hash_stream_add(h, q->turns[q->turn_count - 1].text);
    }
    audit_hash_end(h, out);
}

static void on_input_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    char hash[HASH_HEX_SIZE];
    struct err err = {0};

    x->check = NULL;
    x->deadline_ms = 0;
    hash_judged(x, hash);
    note_verdict(x, x->channel, v, clock_ns() - x->check_ns, hash);
    if (!lets_pass(v)) {
        refuse(x, x->channel, v);
        return;
    }
    /* The first check saw all fields; the others ask the classifier only. */
    if (!x->fields_judged && v->action == VERDICT_REDACT &&
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
    if (!x->fields_judged && runs_early(x))
        start_early(x);
    else
        x->judging++;
    x->fields_judged = true;
    judge_next(x);
}

/* Ask the next question; after the last one, run. */
static void judge_next(struct exchange *x) {
    struct guard_request request = {.policy = x->policy, .client = x->client};
    struct guard_item *items = NULL;
    struct guard_check *check;
    struct err err = {0};

    if (x->fields_judged && x->judging >= x->question_count) {
        run_choices(x);
        return;
    }
    if (!x->fields_judged) {
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
    if (x->judging < x->question_count &&
        (x->fields_judged || !runs_early(x))) {
        const struct question *q = &x->questions[x->judging];

        request.channel = q->channel;
        request.operator_text = q->system;
        request.turns = q->turns;
        request.turn_count = q->turn_count;
    }
    x->channel = request.channel;
    x->check_ns = clock_ns();
    x->deadline_ms = clock_ms() + (uint64_t)policy_limits(x->policy)->guard_ms +
                     GUARD_GRACE_MS;
    check = guard_check_start(x->context->guard, &request, on_input_verdict, x);
    if (check) x->check = check;
}

/* Corral's own tools are offered when the client neither brings tools of its
 * own nor asks for a fixed format. */
static bool offer_tools(struct exchange *x, struct err *err) {
    const struct registry *registry = x->context->tools;
    struct chat_request *r = &x->request;
    int count = registry ? registry_count(registry) : 0;

    if (r->raw || count == 0 || r->tool_count || r->format != FORMAT_TEXT ||
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

static bool find_model(struct exchange *x, struct err *err) {
    x->llm = router_find(x->context->router, x->request.model);
    if (x->llm) return true;
    return err_set_field(err, ERR_NOT_FOUND, "model",
                         "there is no model of this name");
}

/* A session's messages are cut to the model's window before they are judged:
 * what is left out reaches nobody. The tools that will be offered take their
 * part of it. */
static bool fit_window(struct exchange *x, struct err *err) {
    struct chat_request *r = &x->request;
    struct chat_tool *tools = r->tools;
    int tool_count = r->tool_count, dropped = 0;
    bool ok;

    if (!x->journal) return true;
    ok = offer_tools(x, err) &&
         compact_fit(x->llm, &x->context->compact, r, &dropped, err);
    r->tools = tools;
    r->tool_count = tool_count;
    journal_drop(x->journal, dropped);
    return ok;
}

static bool read_request(struct exchange *x, struct span body,
                         struct err *err) {
    x->body = json_parse(body, err);
    if (!x->body) return false;
    if (x->dialect->prepare &&
        !x->dialect->prepare(x->context->responses, owner(x), x->body, err))
        return false;
    chat_request_init(&x->request, x->arena);
    return x->dialect->parse(x->body, &x->request, err) && find_model(x, err) &&
           fit_window(x, err) && provenance_check(&x->request, err) &&
           fields_collect(&x->request, &x->fields, &x->field_count, err) &&
           questions_plan(&x->request, x->policy, &x->questions,
                          &x->question_count, err) &&
           offer_tools(x, err) && check_choice(&x->request, err);
}

/* Nothing of the request is shown to anybody, so nobody judges it. */
static void count_tokens(struct exchange *x) {
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
        fail(x, &err);
    bytes_free(&out);
}

static void start(struct exchange_context *context,
                  const struct dialect *dialect, struct conn *c,
                  struct span body, struct journal *journal) {
    struct exchange *x = xalloc(sizeof *x);
    struct err err = {0};

    x->context = context;
    x->next = context->list;
    if (x->next) x->next->prev = x;
    context->list = x;
    x->conn = c;
    conn_set_user(c, x);
    x->dialect = dialect;
    x->journal = journal;
    x->caller = conn_pass(c)->caller;
    x->policy = policy_ref(caller_policy(x->caller, context->policy));
    x->arena = arena_new(EXCHANGE_ARENA_BYTES_MAX);
    x->client = caller_number(x->caller, c);
    x->started_ns = clock_ns();
    hash_random_id(x->id);
    if (!read_request(x, body, &err)) {
        fail(x, &err);
        return;
    }
    if (x->dialect->count) {
        count_tokens(x);
        return;
    }
    x->reply = (struct reply){.body = x->body,
                              .id = x->id,
                              .created = clock_wall_s(),
                              .model = x->llm->name ? span_of(x->llm->name)
                                                    : x->request.model,
                              .include_usage = x->request.include_usage,
                              .legacy_calls = x->request.legacy_calls};
    make_choices(x);
    judge_next(x);
}

void exchange_start(struct exchange_context *context,
                    const struct dialect *dialect, struct conn *c,
                    const struct http_request *request) {
    start(context, dialect, c, request->body, NULL);
}

void exchange_start_turn(struct exchange_context *context, struct conn *c,
                         struct span body, struct journal *journal) {
    start(context, &dialect_openai, c, body, journal);
}

void exchange_gone(struct exchange *x) {
    /* 499: nginx's number for a client that closed its request. */
    count_answer(x, 499);
    exchange_free(x);
}

static void tick(struct exchange *x) {
    struct err err = {.code = ERR_TIMEOUT};
    struct verdict v;

    if (x->deadline_ms && clock_ms() > x->deadline_ms) {
        verdict_fail(&v, policy_revision(x->policy), &err);
        note_verdict(x, x->channel, &v, 0, "");
        refuse(x, x->channel, &v);
        return;
    }
    hold(x);
    for (int i = 0; i < x->choice_count && !x->freed; i++)
        choice_tick(x->choices[i]);
    let_go(x);
}

void exchange_tick(struct exchange_context *context) {
    struct exchange *x = context->list, *next;

    for (; x; x = next) {
        next = x->next;
        tick(x);
    }
}
