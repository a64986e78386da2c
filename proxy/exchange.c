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

#include <string.h>

#include "agent/turn.h"
#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/decision.h"
#include "proxy/exchange_state.h"
#include "proxy/journal.h"
#include "proxy/judging.h"

/* Beyond the guard's own deadline, for a verdict that never comes. */
enum { GUARD_GRACE_MS = 1000 };

/* ---- verdicts ---- */

/* Keep what headers and metrics tell about a verdict. Seconds are those of a
 * whole check; a stream's work is spread and is not added up. */
void exchange_note_verdict(struct exchange *x, enum channel channel,
                           const struct verdict *v, uint64_t ns,
                           const char *hash) {
    const struct decision d = {
        x->conn, exchange_subject(x), channel, x->policy, ns, hash};
    struct bytes checks = {0};

    x->decisions++;
    decision_note(x->context->metrics, x->context->audit, &d, v);
    x->guard_ns += ns;
    if (!*x->decision || v->action < VERDICT_ALLOW)
        memcpy(x->decision, v->id, sizeof v->id);
    verdict_checks(v, &checks);
    if (checks.size && !exchange_streaming(x)) {
        if (x->checks.size) bytes_puts(&x->checks, ",");
        bytes_put(&x->checks, span_bytes(&checks));
    }
    bytes_free(&checks);
}

static bool refusal_is_error(const struct exchange *x) {
    return policy_on_block_error(x->policy) && !exchange_streaming(x);
}

/* Behind "*" an answer bears the name that the client wrote, which may be what
 * was refused. */
static struct span shown_model(const struct exchange *x) {
    struct span model = x->request.model;
    struct verdict v;

    if (x->llm->name) return span_of(x->llm->name);
    verdict_begin(&v, policy_revision(x->policy));
    if (!policy_scan(x->policy, CHANNEL_INPUT, 0, model, &v, NULL) ||
        v.finding_count)
        return span_of("refused");
    return model;
}

/* The policy said no to the request: its message in the place of every answer,
 * or an error. */
static void refuse(struct exchange *x, enum channel channel,
                   const struct verdict *v) {
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        exchange_fail_unavailable(x, &v->err);
        return;
    }
    if (refusal_is_error(x)) {
        exchange_refuse_error(x);
        return;
    }
    x->reply.model = shown_model(x);
    exchange_hold(x);
    for (int i = 0; i < x->choice_count && !x->freed; i++)
        choice_refuse(x->choices[i], channel, v);
    exchange_let_go(x);
}

/* ---- RUNNING ---- */

/* The first step's, and only before a client was told ours. */
static void on_origin(void *user, const struct llm_origin *origin) {
    struct exchange *x = user;
    struct reply *r = &x->reply;

    if (exchange_streaming(x) || r->own_id.size ||
        !arena_copy(x->arena, origin->id, &r->own_id, NULL) ||
        !arena_copy(x->arena, origin->fingerprint, &r->fingerprint, NULL))
        return;
    if (origin->created) r->created = origin->created;
}

static void on_heard(void *user) {
    struct exchange *x = user;

    if (!x->heard && x->asked_ns)
        metrics_model_ttft(x->context->metrics,
                           (double)(clock_ns() - x->asked_ns) / 1e9);
    x->heard = true;
}

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

    exchange_begin_stream(x);
    if (!conn_write(x->conn, span_bytes(bytes))) throttle(x, true);
}

void exchange_drained(struct exchange *x) {
    throttle(x, false);
}

/* A comment, which clients skip: it keeps them and what lies between from
 * taking the silence for a dead connection. */
static void on_waiting(void *user) {
    struct exchange *x = user;

    exchange_begin_stream(x);
    (void)conn_write(x->conn, span_of(x->dialect->stream_idle));
}

static void on_verdict(void *user, enum channel channel,
                       const struct verdict *v, uint64_t ns, const char *hash) {
    exchange_note_verdict(user, channel, v, ns, hash);
}

/* One of several choices ends alone: the others are none the worse. */
static void on_block(void *user, struct choice *c, enum channel channel,
                     const struct verdict *v) {
    struct exchange *x = user;

    if (v->cause == VERDICT_CAUSE_UNAVAILABLE)
        exchange_fail_unavailable(x, &v->err);
    else if (x->choice_count == 1 && refusal_is_error(x))
        exchange_refuse_error(x);
    else
        choice_refuse(c, channel, v);
}

static void on_fail(void *user, const struct err *why) {
    /* A copy: what it lies in goes with the exchange. */
    struct err err = *why;

    exchange_fail(user, &err);
}

static void on_done(void *user) {
    struct exchange *x = user;

    if (--x->choices_left == 0) exchange_finish(x);
}

struct traced *exchange_traced(const struct exchange *x, const char *purpose) {
    if (!x->at.tracer) return NULL;
    return traced_new(&x->at, x->llm, shown_model(x), purpose);
}

/* The model, or its face that keeps time of what it is asked. */
static struct llm *asked_model(struct exchange *x) {
    x->traced = exchange_traced(x, "");
    return x->traced ? traced_llm(x->traced) : x->llm;
}

static void make_choices(struct exchange *x) {
    const struct exchange_context *context = x->context;
    /* What an answer answers is what the classifier reads before it. */
    const struct question *q = x->question_count ? x->questions : NULL;
    struct choice_options o = {
        .guard = context->guard,
        .policy = x->policy,
        .llm = asked_model(x),
        .at = &x->at,
        .tools = context->tools,
        .approvals = context->approvals,
        .journal = x->journal,
        .turn_steps = context->turn_steps,
        .turn_tool_calls = context->turn_tool_calls,
        .turn_seconds = context->turn_seconds,
        .turn_tokens = context->turn_tokens,
        .fence_key = x->llm->fences ? 0 : context->fence_key,
        .resume = x->resumed ? &x->resume : NULL,
        .dialect = x->dialect,
        .reply = &x->reply,
        .moderated = &x->moderated,
        .request = &x->request,
        .turns = q ? q->turns : NULL,
        .turn_count = q ? q->turn_count : 0,
        .owner = exchange_owner(x),
        .client = x->client,
        .loop = context->loop,
        .audit = context->audit,
        .on_origin = on_origin,
        .on_heard = on_heard,
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

    x->asked_ns = clock_ns();
    journal_begin(x->journal, &x->request);
    while (i < x->choice_count && choice_start(x->choices[i], &err)) i++;
    if (i < x->choice_count) exchange_fail(x, &err);
}

/* ---- JUDGING ---- */

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
    x->heard = true; /* when, only ahead.c could say */
    for (int i = 0; i < x->choice_count; i++) choice_start_early(x->choices[i]);
}

static void on_input_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    char hash[HASH_HEX_SIZE];
    struct verdict hard;
    struct err err = {0};

    x->check = NULL;
    x->deadline_ms = 0;
    moderated_note(&x->moderated, CHANNEL_INPUT, 0, v);
    if (x->moderated.wanted) {
        hard = *v;
        if (moderated_harden(&x->moderated, CHANNEL_INPUT, &hard)) v = &hard;
    }
    judging_hash(x->context->audit, x->fields, x->field_count,
                 x->judging > 0 ? &x->questions[x->judging] : NULL, hash);
    exchange_note_verdict(x, x->channel, v, clock_ns() - x->check_ns, hash);
    if (!verdict_lets_pass(v)) {
        refuse(x, x->channel, v);
        return;
    }
    /* The first check saw all fields; the others ask the classifier only. */
    if (!x->fields_judged && v->action == VERDICT_REDACT &&
        !fields_redact(x->fields, x->field_count, v, x->arena, &err)) {
        if (err.code == ERR_DENIED) {
            struct verdict blocked = *v;

            blocked.action = VERDICT_BLOCK;
            refuse(x, x->channel, &blocked);
        } else {
            exchange_fail(x, &err);
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
    struct guard_request request = {
        .policy = x->policy, .channel = CHANNEL_INPUT, .client = x->client};
    struct guard_check *check;
    struct err err = {0};

    if (x->fields_judged && x->judging >= x->question_count) {
        run_choices(x);
        return;
    }
    if (!x->fields_judged &&
        !judging_fields(&request, x->fields, x->field_count, x->arena, &err)) {
        exchange_fail(x, &err);
        return;
    }
    if (x->judging < x->question_count && (x->fields_judged || !runs_early(x)))
        judging_question(&request, &x->questions[x->judging]);
    x->channel = request.channel;
    x->check_ns = clock_ns();
    x->deadline_ms = clock_ms() + (uint64_t)policy_limits(x->policy)->guard_ms +
                     GUARD_GRACE_MS;
    check = guard_check_start(x->context->guard, &request, on_input_verdict, x);
    if (check) x->check = check;
}

static struct exchange *begin(struct exchange_context *context,
                              const struct dialect *dialect,
                              struct caller *caller, struct journal *journal) {
    struct exchange *x = xalloc(sizeof *x);

    x->context = context;
    x->next = context->list;
    if (x->next) x->next->prev = x;
    context->list = x;
    x->dialect = dialect;
    x->journal = journal;
    x->caller = caller;
    x->policy = policy_ref(caller_policy(x->caller, context->policy));
    x->arena = arena_new(EXCHANGE_ARENA_BYTES_MAX);
    x->started_ns = clock_ns();
    hash_random_id(x->id);
    return x;
}

static void judge(struct exchange *x) {
    x->reply = (struct reply){.body = x->body,
                              .id = x->id,
                              .created = clock_wall_s(),
                              .model = x->llm->name ? span_of(x->llm->name)
                                                    : x->request.model,
                              .include_usage = x->request.include_usage,
                              .legacy_calls = x->request.legacy_calls,
                              .moderated = &x->moderated};
    make_choices(x);
    judge_next(x);
}

void exchange_go_on(struct exchange *x) {
    struct err err = {0};

    if (!exchange_prepare(x, &err))
        exchange_fail(x, &err);
    else if (x->dialect->count)
        exchange_count_tokens(x);
    else
        judge(x);
}

static void go(struct exchange *x) {
    if (x->summary)
        exchange_summary_begin(x);
    else
        exchange_go_on(x);
}

static void start(struct exchange_context *context,
                  const struct dialect *dialect, struct conn *c,
                  struct span body, struct journal *journal) {
    struct exchange *x = begin(context, dialect, conn_pass(c)->caller, journal);
    struct err err = {0};

    x->conn = c;
    conn_set_user(c, x);
    x->client = caller_number(x->caller, c);
    x->at = tracing_of(c);
    if (exchange_read(x, body, &err) &&
        arena_copy(x->arena, span_of(conn_pass(c)->trace), &x->request.trace,
                   &err))
        go(x);
    else
        exchange_fail(x, &err);
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

void exchange_resume_turn(struct exchange_context *context,
                          const struct exchange_resume *r,
                          struct journal *journal) {
    struct exchange *x = begin(context, &dialect_openai, r->caller, journal);
    struct err err = {0};

    x->client = hash_random_u64();
    if (exchange_read(x, r->body, &err) && exchange_read_calls(x, r, &err))
        go(x);
    else
        exchange_fail(x, &err);
}

/* Those that nobody waits for, that is all that are left. */
void exchange_end_resumed(struct exchange_context *context) {
    struct exchange *x = context->list, *next;

    for (; x; x = next) {
        next = x->next;
        if (x->conn) continue;
        if (context->closing) journal_outlive(x->journal);
        exchange_free(x);
    }
}

void exchange_gone(struct exchange *x) {
    /* 499: nginx's number for a client that closed its request. */
    exchange_count(x, 499);
    if (x->context->closing) journal_outlive(x->journal);
    exchange_free(x);
}

static void tick(struct exchange *x) {
    struct err err = {.code = ERR_TIMEOUT};
    struct verdict v;

    if (x->deadline_ms && clock_ms() > x->deadline_ms) {
        verdict_fail(&v, policy_revision(x->policy), &err);
        exchange_note_verdict(x, x->channel, &v, 0, "");
        refuse(x, x->channel, &v);
        return;
    }
    exchange_hold(x);
    exchange_summary_tick(x);
    for (int i = 0; i < x->choice_count && !x->freed; i++)
        choice_tick(x->choices[i]);
    exchange_let_go(x);
}

size_t exchange_held(const struct exchange_context *context) {
    size_t held = 0;

    for (const struct exchange *x = context->list; x; x = x->next)
        for (int i = 0; i < x->choice_count; i++)
            held += choice_held(x->choices[i]);
    return held;
}

void exchange_tick(struct exchange_context *context) {
    struct exchange *x = context->list, *next;

    for (; x; x = next) {
        next = x->next;
        tick(x);
    }
}
