/* choice_calls.c - a choice's tool calls and their results: each waits for a
 * verdict of its own, and where that says `ask`, for a person. */
#include "agent/tool_runs.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "proxy/approvals.h"
#include "proxy/choice_state.h"
#include "proxy/fields.h"
#include "proxy/journal.h"
#include "proxy/provenance.h"
#include "proxy/tracing.h"

/* Ask the guard about one text of a tool, of which the classifier reads `read`;
 * rules see what goes with it, too. */
static void judge_text(struct choice *c, enum channel channel, struct span text,
                       struct span read, struct span beside, guard_done *done) {
    struct guard_item items[] = {{channel, text}, {channel, beside}};
    struct guard_turn turn = {GUARD_USER, read};
    struct guard_request request = {
        .policy = c->o.policy,
        .items = items,
        .item_count = beside.size ? 2 : 1,
        .turns = &turn,
        .turn_count = text.size ? 1 : 0,
        .channel = channel,
        .client = c->o.client,
    };
    struct guard_check *check;

    choice_judged_begin(c);
    choice_judged_add(c, text);
    choice_judged_add(c, beside);
    c->check_ns = clock_ns();
    choice_await(c, channel);
    check = guard_check_start(c->o.guard, &request, done, c);
    /* NULL: `done` has run, and `c` may be gone. */
    if (check) c->check = check;
}

static void note_check(struct choice *c, const struct verdict *v) {
    c->check = NULL;
    c->deadline_ms = 0;
    choice_tell(c, c->channel, v, clock_ns() - c->check_ns);
    choice_event_verdict(c, v);
}

void choice_tell_waiting(struct choice *c) {
    c->waiting_ms = clock_ms();
    if (c->request.stream) c->o.on_waiting(c->o.user);
}

/* A tool of ours runs when the session knows that it will. */
static void on_call_kept(void *user, bool ok, const struct err *err) {
    struct choice *c = user;

    if (!ok) {
        c->o.on_fail(c->o.user, err);
    } else if (c->turn) {
        choice_event_call(c);
        turn_answer(c->turn, true);
    }
}

static bool may_run_again(const struct choice *c) {
    const struct tool *tool =
        c->o.tools ? registry_find(c->o.tools, c->call.name) : NULL;

    return tool && tool->idempotent;
}

/* ---- how long tools take ---- */

static uint64_t call_key(const struct chat_tool_call *call) {
    return hash_fnv1a(HASH_FNV1A_START, call->id);
}

static void trace_begin(struct choice *c) {
    if (!c->o.at || !c->o.at->tracer) return;
    for (int i = 0; i < CHOICE_TRACED_MAX; i++) {
        if (c->begun[i].start_ns) continue;
        c->begun[i].id = call_key(&c->call);
        c->begun[i].start_ns = clock_ns();
        return;
    }
}

static void trace_end(struct choice *c) {
    uint64_t id = call_key(&c->call);

    for (int i = 0; i < CHOICE_TRACED_MAX; i++) {
        if (!c->begun[i].start_ns || c->begun[i].id != id) continue;
        tracing_tool(c->o.at, c->call.name, c->begun[i].start_ns);
        c->begun[i].start_ns = 0;
        return;
    }
}

/* ---- may it be made? ---- */

static void allow_call(struct choice *c) {
    if (c->call_server) trace_begin(c);
    if (c->call_server)
        journal_call(c->o.journal, &c->call, may_run_again(c), on_call_kept, c);
    else
        turn_answer(c->turn, true);
}

static void deny_call(struct choice *c, const char *reason) {
    journal_denied(c->o.journal, &c->call, reason);
    choice_event_result(c, "error: ", span_of(reason));
    turn_deny(c->turn, span_of(reason));
}

static void on_approval(void *user, enum approval_answer answer) {
    struct choice *c = user;

    c->approval = NULL;
    if (answer == APPROVAL_APPROVED)
        allow_call(c);
    else if (answer == APPROVAL_DENIED)
        deny_call(c, "denied by a person");
    else
        deny_call(c, "denied: nobody approved it in time");
}

/* Nobody who can be asked is a no. */
static void ask_person(struct choice *c, const struct verdict *v) {
    int seconds = policy_limits(c->o.policy)->approval_s;
    struct bytes checks = {0};
    struct approval_question q = {.tool = c->call.name,
                                  .arguments = c->call.arguments,
                                  .decision = span_of(v->id),
                                  .seconds = seconds};
    struct err err = {0};

    if (c->o.approvals && seconds) {
        verdict_checks(v, &checks);
        q.checks = span_bytes(&checks);
        c->approval = approvals_ask(c->o.approvals, &q, on_approval, c, &err);
        if (c->approval && c->call_server)
            journal_ask(c->o.journal, &c->call, q.checks, c->approval);
        if (c->approval) choice_event_approval(c, q.checks);
        bytes_free(&checks);
    }
    if (!c->approval) {
        deny_call(c, "denied: it needs a person's approval, and nobody can "
                     "be asked");
        return;
    }
    turn_pause(c->turn);
    choice_tell_waiting(c);
}

/* A person was asked about this very call by an earlier process. */
static bool was_answered(const struct choice *c) {
    const struct choice_resume *r = c->o.resume;

    return r && r->asked.size && span_equal(r->asked, c->call.id);
}

/* What the rules about tools found, and then the guard. */
static void join_verdicts(struct verdict *sum, const struct verdict *more) {
    for (int i = 0; i < more->finding_count; i++)
        verdict_add(sum, &more->findings[i]);
    /* Past its limit a list holds less than the action was made of. */
    if (more->action < sum->action) sum->action = more->action;
}

static void on_call_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;
    struct verdict whole = *v;

    if (v->cause == VERDICT_CAUSE_POLICY) join_verdicts(&whole, c->leave);
    note_check(c, &whole);
    if (whole.action == VERDICT_ASK && was_answered(c))
        allow_call(c);
    else if (whole.action == VERDICT_ASK)
        ask_person(c, &whole);
    /* A redaction could turn the arguments into something that was never
     * judged, so it counts as a block here. */
    else if (verdict_lets_pass(&whole) && whole.action != VERDICT_REDACT)
        allow_call(c);
    else
        choice_block(c, CHANNEL_TOOL_CALL, &whole);
}

/* What tools.allow and tools.rules say about the call, into c->leave. */
static bool judge_tool(struct choice *c, struct err *err) {
    const struct chat_request *r = turn_request(c->turn);
    struct source_text *sources = NULL;
    struct tool_facts facts = {.tool = c->call.name};
    struct err unread = {0};
    const cJSON *arguments;

    if (!c->leave)
        c->leave = arena_alloc(c->request.arena, 1, sizeof *c->leave, err);
    if (!c->leave) return false;
    verdict_begin(c->leave, policy_revision(c->o.policy));
    if (!provenance_collect(r, c->call.name, c->request.arena, &sources,
                            &facts.source_count, err))
        return false;
    facts.sources = sources;
    arguments = json_read(c->call.arguments, &unread);
    facts.arguments = arguments;
    policy_judge_tool(c->o.policy, &facts, c->leave);
    json_free(arguments);
    return true;
}

void choice_judge_call(struct choice *c) {
    struct bytes text = {0};
    struct err err = {0};

    if (!judge_tool(c, &err)) {
        c->o.on_fail(c->o.user, &err);
    } else if (c->leave->action == VERDICT_BLOCK) {
        choice_tell(c, CHANNEL_TOOL_CALL, c->leave, 0);
        choice_block(c, CHANNEL_TOOL_CALL, c->leave);
    } else if (fields_call_text(&c->call, &text, &err)) {
        /* An upstream may write anything as an id. */
        judge_text(c, CHANNEL_TOOL_CALL, span_bytes(&text), span_bytes(&text),
                   c->call.id, on_call_verdict);
    } else {
        c->o.on_fail(c->o.user, &err);
    }
    bytes_free(&text);
}

static bool copy_call(struct choice *c, const struct chat_tool_call *from,
                      struct chat_tool_call *to, struct err *err) {
    struct arena *arena = c->request.arena;

    return arena_copy(arena, from->id, &to->id, err) &&
           arena_copy(arena, from->name, &to->name, err) &&
           arena_copy(arena, from->arguments, &to->arguments, err);
}

void choice_ask_call(void *user, const struct chat_tool_call *call,
                     bool server) {
    struct choice *c = user;
    struct err err = {0};

    c->call_server = server; /* judged alike, whosever it is */
    if (!copy_call(c, call, &c->call, &err)) {
        c->o.on_fail(c->o.user, &err);
        return;
    }
    /* Text before the call is settled first, so that it goes out first. */
    if (was_answered(c) && c->o.resume->denied)
        deny_call(c, c->o.resume->denied);
    else if (c->stream)
        choice_settle(c, AFTER_CALL);
    else
        choice_judge_call(c);
}

static size_t result_room(const struct choice *c) {
    return tool_result_room(c->o.tools, c->call.name);
}

/* What was judged, as far as the model reads it: the record and the client have
 * the same. */
static void show_result(struct choice *c, struct span judged) {
    struct bytes text = {0};

    tool_result_put(&text, "", judged, result_room(c), c->result_shown);
    journal_result(c->o.journal, &c->call, span_bytes(&text));
    choice_event_result(c, "", span_bytes(&text));
    turn_answer_text(c->turn, span_bytes(&text));
    bytes_free(&text);
}

static void on_result_verdict(void *user, const struct verdict *v);

/* Rules and entities always judge all of a result. So does the classifier,
 * where all is within the policy's limit; else it judges what may be shown of
 * it, and no more than that, not even of what a redaction makes shorter, is. */
static void judge_result(struct choice *c) {
    size_t size = c->result_shown ? result_room(c) : c->result.size;

    judge_text(c, CHANNEL_TOOL_RESULT, c->result,
               span_slice(c->result, 0, size), (struct span){NULL, 0},
               on_result_verdict);
}

static bool is_too_long(const struct choice *c, const struct verdict *v) {
    return v->cause == VERDICT_CAUSE_UNAVAILABLE && v->err.code == ERR_LIMIT &&
           !c->result_shown && c->result.size > result_room(c);
}

static void on_result_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;
    struct span judged = c->result;
    struct bytes text = {0};
    struct err err = {0};

    if (is_too_long(c, v)) {
        c->check = NULL;
        c->result_shown = true;
        judge_result(c);
        return;
    }
    note_check(c, v);
    if (!verdict_lets_pass(v)) {
        choice_block(c, CHANNEL_TOOL_RESULT, v);
        return;
    }
    if (c->result_shown) judged = utf8_head(judged, result_room(c));
    if (v->action != VERDICT_REDACT)
        show_result(c, judged);
    else if (verdict_redact(v, 0, judged, &text, &err))
        show_result(c, span_bytes(&text));
    else
        c->o.on_fail(c->o.user, &err);
    bytes_free(&text);
}

void choice_ask_result(void *user, const struct chat_tool_call *call,
                       struct span result) {
    struct choice *c = user;
    struct err err = {0};

    /* The one asked about last may be another: calls run side by side. */
    if (!copy_call(c, call, &c->call, &err) ||
        !arena_copy(c->request.arena, result, &c->result, &err)) {
        c->o.on_fail(c->o.user, &err);
        return;
    }
    trace_end(c);
    c->result_shown = false;
    judge_result(c);
}

void choice_client_call(void *user, const struct chat_tool_call *call) {
    struct choice *c = user;
    struct err err = {0};

    if (c->reply.call_count == CHAT_TOOL_CALLS_MAX) return;
    if (!c->calls)
        c->reply.calls = c->calls =
            xalloc_array(CHAT_TOOL_CALLS_MAX, sizeof *c->calls);
    if (copy_call(c, call, &c->calls[c->reply.call_count], &err))
        c->reply.call_count++;
    else
        c->end.err = err;
}
