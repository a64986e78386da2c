/* choice.c - with exchange.c the only file that knows both guard and agent:
 * to know what can reach a client, read this one. The states are drawn in
 * choice.h. Where a choice is shows in what it waits for: `turn` while the
 * model runs, `after` while a text is settled, `check` while a tool's text is
 * judged. */
#include "proxy/choice.h"

#include <stdlib.h>
#include <string.h>

#include "agent/fence.h"
#include "agent/turn.h"
#include "base/clock.h"
#include "base/hash.h"
#include "guard/stream.h"
#include "proxy/ahead.h"
#include "proxy/audit.h"
#include "proxy/approvals.h"
#include "proxy/fields.h"
#include "proxy/journal.h"
#include "proxy/logprob_queue.h"
#include "proxy/provenance.h"

enum {
    /* Beyond the guard's own deadline, for a verdict that never comes. */
    GUARD_GRACE_MS = 1000,
    /* Longer than a token of any vocabulary: a text, which nobody judged. */
    RIVAL_BYTES_MAX = 128,
    /* Between signs of life while a person thinks. */
    WAITING_MS = 10000
};

/* What the guard stream's verdict is waited for. */
enum after { AFTER_NOTHING, AFTER_CALL, AFTER_END };

struct choice {
    struct choice_options o;
    struct chat_request request;
    struct chat_request early; /* as the model is shown it */
    uint64_t deadline_ms; /* of the guard, while something is judged; or 0 */

    struct ahead *ahead;        /* begun before the verdict; or NULL */
    struct hash_stream *judged; /* what the next verdict is about; or NULL */
    struct turn *turn;
    struct guard_stream *stream;
    struct guard_check *check;
    struct approval *approval; /* while a person is asked */
    uint64_t waiting_ms;       /* when the client was last told */
    enum channel channel;      /* of the check, or of the stream */
    uint64_t check_ns;
    enum after after;
    struct chat_tool_call call; /* the one that asks leave; arena */
    struct verdict *leave; /* of the rules about tools, on this call; arena */
    bool call_server;      /* whose tool it is */
    struct span result;    /* arena */
    struct turn_end end;
    char session[HASH_ID_SIZE]; /* of a turn that belongs to none: tools may
                                 * keep state from call to call of it */

    struct chat_tool_call calls[CHAT_TOOL_CALLS_MAX]; /* for the client */
    struct bytes text; /* cleared, when the answer goes out whole */
    bool text_sent;
    struct logprob_queue waiting; /* for their text to be cleared */
    struct bytes logprobs;        /* cleared, and not sent yet */
    struct reply_choice reply;
};

/* ---- its life ---- */

static void on_entry(void *user, const struct llm_logprob *entry,
                     struct span before);

/* Our own copy, but for its texts. */
static void take_request(struct choice *c) {
    c->request = *c->o.request;
    /* The first choice is what it would be alone. */
    c->request.seed += (uint64_t)c->o.index;
    if (!c->request.raw) return;
    c->request.messages += chat_prompt_of(c->o.request, c->o.index);
    c->request.message_count = 1;
    if (c->request.echo) c->reply.echo = c->request.messages->text;
}

struct choice *choice_new(const struct choice_options *o) {
    struct choice *c = xalloc(sizeof *c);

    c->o = *o;
    take_request(c);
    c->text.limit = CHOICE_TEXT_BYTES_MAX;
    c->logprobs.limit = CHOICE_LOGPROB_BYTES_MAX;
    c->waiting.on_entry = on_entry;
    c->waiting.user = c;
    c->reply.index = o->index;
    c->reply.calls = c->calls;
    return c;
}

static void stop(struct choice *c) {
    guard_check_cancel(c->check);
    approval_cancel(c->approval);
    guard_stream_free(c->stream);
    turn_free(c->turn);
    ahead_free(c->ahead);
    c->ahead = NULL;
    c->check = NULL;
    c->approval = NULL;
    c->stream = NULL;
    c->turn = NULL;
    c->deadline_ms = 0;
    logprob_queue_restart(&c->waiting);
}

void choice_free(struct choice *c) {
    if (!c) return;
    stop(c);
    hash_stream_free(c->judged);
    cJSON_Delete(c->reply.corral);
    logprob_queue_clear(&c->waiting);
    bytes_free(&c->logprobs);
    bytes_free(&c->text);
    free(c);
}

const struct reply_choice *choice_reply(const struct choice *c) {
    return &c->reply;
}

const struct llm_usage *choice_usage(const struct choice *c) {
    return &c->end.usage;
}

/* ---- for the audit ---- */

static void judged_begin(struct choice *c) {
    hash_stream_free(c->judged);
    c->judged = audit_hash_new(c->o.audit);
}

static void judged_add(struct choice *c, struct span text) {
    if (c->judged) hash_stream_add(c->judged, text);
}

static void tell_verdict(struct choice *c, enum channel channel,
                         const struct verdict *v, uint64_t ns) {
    char hash[HASH_HEX_SIZE] = "";

    if (c->judged) hash_stream_hex(c->judged, hash);
    c->o.on_verdict(c->o.user, channel, v, ns, hash);
}

static void wait_for_guard(struct choice *c, enum channel channel) {
    c->channel = channel;
    c->deadline_ms = clock_ms() +
                     (uint64_t)policy_limits(c->o.policy)->guard_ms +
                     GUARD_GRACE_MS;
}

/* ---- to the client ---- */

/* What goes out next, by the reply's own pointers. */
static void show(struct choice *c) {
    c->reply.text = span_bytes(&c->text);
    c->reply.logprobs = span_bytes(&c->logprobs);
}

static void sent(struct choice *c, struct bytes *out) {
    if (out->size) c->o.on_bytes(c->o.user, out);
    c->logprobs.size = 0;
    bytes_free(out);
}

static const char *const finish_names[] = {[REPLY_STOP] = "stop",
                                           [REPLY_LENGTH] = "length",
                                           [REPLY_TOOL_CALLS] = "tool_calls",
                                           [REPLY_FILTERED] = "content_filter"};

/* The end is told when the session has all of it. */
static void on_kept(void *user, bool ok, const struct err *err);

/* Nothing is left out of a conversation without a word. */
static void tell_dropped(struct choice *c) {
    int dropped = journal_dropped(c->o.journal);

    if (!dropped) return;
    if (!c->reply.corral) c->reply.corral = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(c->reply.corral, "dropped_messages", dropped);
}

static void finish(struct choice *c, enum reply_finish how) {
    struct journal_end end = {.finish = finish_names[how],
                              .calls = c->calls,
                              .call_count = c->reply.call_count};

    c->reply.finish = how;
    tell_dropped(c);
    end.corral = c->reply.corral;
    journal_end(c->o.journal, &end, on_kept, c);
}

static void on_kept(void *user, bool ok, const struct err *why) {
    struct choice *c = user;
    struct bytes out = {0};
    struct err err = {0};

    if (!ok) {
        c->o.on_fail(c->o.user, why);
        return;
    }
    show(c);
    if (c->request.stream &&
        !c->o.dialect->end(c->o.reply, &c->reply, &out, &err)) {
        bytes_free(&out);
        c->o.on_fail(c->o.user, &err);
        return;
    }
    if (c->request.stream) sent(c, &out);
    c->o.on_done(c->o.user);
}

static void send_text(struct choice *c, struct span text) {
    struct bytes out = {0};
    struct err err = {0};

    c->text_sent = true;
    journal_text(c->o.journal, text);
    /* What does not fit is not sent in part: see on_stream_verdict(). */
    if ((!c->request.stream || c->o.dialect->keeps_text) &&
        !bytes_append(&c->text, text.at, text.size, &err))
        c->end.err = err;
    if (!c->request.stream) return;
    show(c);
    if (!c->o.dialect->text(c->o.reply, &c->reply, text, &out, &err)) {
        c->end.err = err;
        out.size = 0;
    }
    sent(c, &out);
}

/* ---- blocked ---- */

static bool lets_pass(const struct verdict *v) {
    return v->action == VERDICT_ALLOW || v->action == VERDICT_FLAG ||
           v->action == VERDICT_REDACT;
}

static void block(struct choice *c, enum channel channel,
                  const struct verdict *v) {
    stop(c);
    c->o.on_block(c->o.user, c, channel, v);
}

/* {decision_id, action, checks, categories, channel} as the answer shows it. */
static cJSON *corral_object(const struct verdict *v, enum channel channel) {
    cJSON *json = verdict_to_json(v, channel);
    cJSON *id = cJSON_DetachItemFromObjectCaseSensitive(json, "id");

    if (id) (void)cJSON_AddItemToObject(json, "decision_id", id);
    return json;
}

void choice_refuse(struct choice *c, enum channel channel,
                   const struct verdict *v) {
    stop(c);
    c->reply.corral = corral_object(v, channel);
    c->reply.call_count = 0;
    c->reply.echo = (struct span){0};
    if (!c->request.stream) {
        c->text.size = 0;
        journal_drop_text(c->o.journal);
    }
    c->logprobs.size = 0;
    /* After cleared text has gone out, the end alone says that it was cut. */
    if (!c->request.stream || !c->text_sent)
        send_text(c, span_of(policy_message(c->o.policy, "en")));
    finish(c, REPLY_FILTERED);
}

/* ---- text ---- */

static bool reaches(const struct verdict *v, size_t from) {
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        if (!f->shadow && f->action <= VERDICT_REDACT && f->end > from)
            return true;
    }
    return v->finding_count == VERDICT_FINDINGS_MAX;
}

/* A rival was not written, so no stream has judged it. It is one token that
 * follows cleared text, too little to ask a classifier about; but where a rule
 * or an entity would have ended there, it is left out. */
static bool may_be_told(const struct choice *c, struct span before,
                        const struct llm_logprob *rival) {
    struct bytes text = {0};
    struct verdict v;
    bool ok;

    if (rival->text.size == 0) return true;
    if (rival->text.size > RIVAL_BYTES_MAX) return false;
    bytes_put(&text, before);
    bytes_put(&text, rival->text);
    verdict_begin(&v, policy_revision(c->o.policy));
    ok = policy_scan(c->o.policy, CHANNEL_OUTPUT, 0, span_bytes(&text), &v,
                     NULL) &&
         !reaches(&v, before.size);
    bytes_free(&text);
    return ok;
}

/* A token whose text has been released. */
static void on_entry(void *user, const struct llm_logprob *entry,
                     struct span before) {
    struct choice *c = user;
    struct llm_logprob told = *entry, top[LOGPROBS_TOP_MAX];
    struct err err = {0};

    told.top = top;
    told.top_count = 0;
    for (int i = 0; i < entry->top_count && i < c->request.top_logprobs; i++)
        if (may_be_told(c, before, &entry->top[i]))
            top[told.top_count++] = entry->top[i];
    if (!c->o.dialect->logprob(&told, &c->logprobs, &err)) c->end.err = err;
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    struct choice *c = user;

    if (c->request.logprobs) logprob_queue_push(&c->waiting, list, count);
}

/* The only way of model text to the client. */
static void on_release(void *user, struct span text) {
    struct choice *c = user;

    if (text.size == 0) return;
    c->o.on_cleared(c->o.user);
    if (c->request.logprobs) logprob_queue_release(&c->waiting, text);
    send_text(c, text);
}

static void judge_call(struct choice *c);
static void finish_turn(struct choice *c);

static void on_stream_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;
    enum after after = c->after;

    tell_verdict(c, CHANNEL_OUTPUT, v, 0);
    c->deadline_ms = 0;
    c->after = AFTER_NOTHING;
    if (!lets_pass(v)) {
        block(c, CHANNEL_OUTPUT, v);
        return;
    }
    guard_stream_free(c->stream);
    c->stream = NULL;
    logprob_queue_restart(&c->waiting);
    if (c->end.err.code)
        c->o.on_fail(c->o.user, &c->end.err);
    else if (after == AFTER_CALL)
        judge_call(c);
    else if (after == AFTER_END)
        finish_turn(c);
}

static void open_stream(struct choice *c, const int *tokens, int token_count) {
    struct guard_stream_options options = {
        .policy = c->o.policy,
        .channel = CHANNEL_OUTPUT,
        .turns = c->o.turns,
        .turn_count = c->o.turn_count,
        .prompt_tokens = tokens,
        .prompt_token_count = token_count,
        .client = c->o.client,
        .on_release = on_release,
        .on_verdict = on_stream_verdict,
        .user = c,
    };

    judged_begin(c);
    guard_stream_free(c->stream);
    c->stream = guard_stream_new(c->o.guard, &options);
}

static void on_prompt(void *user, const int *tokens, int token_count) {
    struct choice *c = user;

    /* The guard has learned to read chats: a raw prompt it reads as one. */
    if (c->request.raw)
        open_stream(c, NULL, 0);
    else
        open_stream(c, tokens, token_count);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct choice *c = user;

    if (!c->stream) open_stream(c, NULL, 0);
    judged_add(c, text);
    guard_stream_push(c->stream, text, tokens, token_count);
}

/* Wait for the verdict over the text so far, then go on with `after`. */
static void settle_text(struct choice *c, enum after after) {
    c->after = after;
    wait_for_guard(c, CHANNEL_OUTPUT);
    guard_stream_finish(c->stream);
}

/* ---- tool calls and their results ---- */

/* Ask the guard about one text of a tool; rules see what goes with it, too. */
static void judge_text(struct choice *c, enum channel channel, struct span text,
                       struct span beside, guard_done *done) {
    struct guard_item items[] = {{channel, text}, {channel, beside}};
    struct guard_turn turn = {GUARD_USER, text};
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

    judged_begin(c);
    judged_add(c, text);
    judged_add(c, beside);
    c->check_ns = clock_ns();
    wait_for_guard(c, channel);
    check = guard_check_start(c->o.guard, &request, done, c);
    /* NULL: `done` has run, and `c` may be gone. */
    if (check) c->check = check;
}

static void note_check(struct choice *c, const struct verdict *v) {
    c->check = NULL;
    c->deadline_ms = 0;
    tell_verdict(c, c->channel, v, clock_ns() - c->check_ns);
}

static void tell_waiting(struct choice *c) {
    c->waiting_ms = clock_ms();
    if (c->request.stream) c->o.on_waiting(c->o.user);
}

/* A tool of ours runs when the session knows that it will. */
static void on_call_kept(void *user, bool ok, const struct err *err) {
    struct choice *c = user;

    if (!ok)
        c->o.on_fail(c->o.user, err);
    else if (c->turn)
        turn_answer(c->turn, true);
}

static void allow_call(struct choice *c) {
    if (c->call_server)
        journal_call(c->o.journal, &c->call, on_call_kept, c);
    else
        turn_answer(c->turn, true);
}

static void deny_call(struct choice *c, const char *reason) {
    journal_denied(c->o.journal, &c->call, reason);
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
                                  .seconds = seconds};
    struct err err = {0};

    if (c->o.approvals && seconds) {
        verdict_checks(v, &checks);
        q.checks = span_bytes(&checks);
        c->approval = approvals_ask(c->o.approvals, &q, on_approval, c, &err);
        bytes_free(&checks);
    }
    if (!c->approval) {
        deny_call(c, "denied: it needs a person's approval, and nobody can "
                     "be asked");
        return;
    }
    turn_pause(c->turn);
    tell_waiting(c);
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
    if (whole.action == VERDICT_ASK) ask_person(c, &whole);
    /* A redaction could turn the arguments into something that was never
     * judged, so it counts as a block here. */
    else if (lets_pass(&whole) && whole.action != VERDICT_REDACT)
        allow_call(c);
    else
        block(c, CHANNEL_TOOL_CALL, &whole);
}

/* What tools.allow and tools.rules say about the call, into c->leave. */
static bool judge_tool(struct choice *c, struct err *err) {
    const struct chat_request *r = turn_request(c->turn);
    struct source_text *sources = NULL;
    struct tool_facts facts = {.tool = c->call.name};
    struct err unread = {0};
    cJSON *arguments;

    if (!c->leave)
        c->leave = arena_alloc(c->request.arena, 1, sizeof *c->leave, err);
    if (!c->leave) return false;
    verdict_begin(c->leave, policy_revision(c->o.policy));
    if (!provenance_collect(r, c->call.name, c->request.arena, &sources,
                            &facts.source_count, err))
        return false;
    facts.sources = sources;
    arguments = json_parse(c->call.arguments, &unread);
    facts.arguments = arguments;
    policy_judge_tool(c->o.policy, &facts, c->leave);
    cJSON_Delete(arguments);
    return true;
}

static void judge_call(struct choice *c) {
    struct bytes text = {0};
    struct err err = {0};

    if (!judge_tool(c, &err)) {
        c->o.on_fail(c->o.user, &err);
    } else if (c->leave->action == VERDICT_BLOCK) {
        tell_verdict(c, CHANNEL_TOOL_CALL, c->leave, 0);
        block(c, CHANNEL_TOOL_CALL, c->leave);
    } else if (fields_call_text(&c->call, &text, &err)) {
        /* An upstream may write anything as an id. */
        judge_text(c, CHANNEL_TOOL_CALL, span_bytes(&text), c->call.id,
                   on_call_verdict);
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

static void ask_call(void *user, const struct chat_tool_call *call,
                     bool server) {
    struct choice *c = user;
    struct err err = {0};

    c->call_server = server; /* judged alike, whosever it is */
    if (!copy_call(c, call, &c->call, &err)) {
        c->o.on_fail(c->o.user, &err);
        return;
    }
    /* Text before the call is settled first, so that it goes out first. */
    if (c->stream)
        settle_text(c, AFTER_CALL);
    else
        judge_call(c);
}

static void on_result_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;
    struct bytes text = {0};
    struct err err = {0};

    note_check(c, v);
    if (!lets_pass(v)) {
        block(c, CHANNEL_TOOL_RESULT, v);
        return;
    }
    if (v->action != VERDICT_REDACT) {
        journal_result(c->o.journal, &c->call, c->result);
        turn_answer(c->turn, true);
    } else if (verdict_redact(v, 0, c->result, &text, &err)) {
        journal_result(c->o.journal, &c->call, span_bytes(&text));
        turn_answer_text(c->turn, span_bytes(&text));
    } else {
        c->o.on_fail(c->o.user, &err);
    }
    bytes_free(&text);
}

static void ask_result(void *user, const struct chat_tool_call *call,
                       struct span result) {
    struct choice *c = user;
    struct err err = {0};

    /* The one asked about last may be another: calls run side by side. */
    if (!copy_call(c, call, &c->call, &err) ||
        !arena_copy(c->request.arena, result, &c->result, &err)) {
        c->o.on_fail(c->o.user, &err);
        return;
    }
    judge_text(c, CHANNEL_TOOL_RESULT, c->result, (struct span){NULL, 0},
               on_result_verdict);
}

static void on_client_call(void *user, const struct chat_tool_call *call) {
    struct choice *c = user;
    struct err err = {0};

    if (c->reply.call_count == CHAT_TOOL_CALLS_MAX) return;
    if (copy_call(c, call, &c->calls[c->reply.call_count], &err))
        c->reply.call_count++;
    else
        c->end.err = err;
}

/* ---- the turn's end ---- */

static bool send_calls(struct choice *c, struct err *err) {
    struct bytes out = {0};
    bool ok = true;

    if (!c->request.stream || !c->reply.call_count) return true;
    show(c);
    for (int i = 0; ok && i < c->reply.call_count; i++)
        ok = c->o.dialect->call(c->o.reply, &c->reply, &c->calls[i], &out, err);
    if (ok) c->o.on_bytes(c->o.user, &out);
    bytes_free(&out);
    return ok;
}

/* All text has been cleared and all calls allowed. */
static void finish_turn(struct choice *c) {
    struct err err = {0};

    switch (c->end.finish) {
    case TURN_STOP:
        finish(c, REPLY_STOP);
        return;
    case TURN_LENGTH:
        finish(c, REPLY_LENGTH);
        return;
    case TURN_FILTERED:
        finish(c, REPLY_FILTERED);
        return;
    case TURN_CLIENT_CALLS:
        if (send_calls(c, &err))
            finish(c, REPLY_TOOL_CALLS);
        else
            c->o.on_fail(c->o.user, &err);
        return;
    /* A limit of ours cuts the answer short; what was written is kept. */
    case TURN_LIMIT:
        finish(c, REPLY_LENGTH);
        return;
    case TURN_REFUSED:
    case TURN_FAILED:
        break;
    }
    if (!c->end.err.code)
        (void)err_set(&c->end.err, ERR_INTERNAL, "the turn failed");
    c->o.on_fail(c->o.user, &c->end.err);
}

static void on_end(void *user, const struct turn_end *end) {
    struct choice *c = user;
    struct err earlier = c->end.err;

    c->end = *end;
    if (earlier.code) {
        c->end.finish = TURN_FAILED;
        c->end.err = earlier;
    }
    if (c->end.finish == TURN_FAILED) {
        /* Text that was not cleared is dropped, not sent. */
        finish_turn(c);
        return;
    }
    c->end.err.code = ERR_NONE;
    if (c->stream)
        settle_text(c, AFTER_END);
    else
        finish_turn(c);
}

void choice_start_early(struct choice *c) {
    take_request(c);
    if (c->request.logprobs) return; /* which are not kept */
    /* What the turn will ask for, byte for byte (see turn.c). */
    c->early = c->request;
    c->early.messages =
        arena_alloc(c->request.arena, (size_t)c->request.message_count,
                    sizeof *c->early.messages, NULL);
    if (c->early.messages &&
        fence_messages(c->o.fence_key, &c->request, 0, c->early.messages, NULL))
        c->ahead = ahead_start(c->o.loop, c->o.llm, &c->early, c->o.client);
}

bool choice_start(struct choice *c, struct err *err) {
    struct turn_options options = {
        .llm = c->ahead ? ahead_llm(c->ahead) : c->o.llm,
        .tools = c->o.tools,
        .request = &c->request,
        .limits = {.steps = c->o.turn_steps,
                   .tool_calls = c->o.turn_tool_calls,
                   .seconds = c->o.turn_seconds,
                   .tokens = c->o.turn_tokens},
        .client = c->o.client,
        .fence_key = c->o.fence_key};
    struct turn_hooks hooks = {
        .on_prompt = on_prompt,
        .on_text = on_text,
        .on_logprobs = on_logprobs,
        .ask_call = ask_call,
        .ask_result = ask_result,
        .on_client_call = on_client_call,
        .on_end = on_end,
        .user = c,
    };

    hash_random_id(c->session);
    options.session =
        c->o.journal ? journal_session(c->o.journal) : span_of(c->session);
    take_request(c); /* as it was judged and redacted */
    c->turn = turn_start(&options, &hooks, err);
    return c->turn != NULL;
}

void choice_throttle(struct choice *c, bool on) {
    if (c->turn) turn_throttle(c->turn, on);
}

void choice_tick(struct choice *c) {
    if (c->deadline_ms && clock_ms() > c->deadline_ms) {
        struct verdict v;
        struct err err = {.code = ERR_TIMEOUT};

        verdict_fail(&v, policy_revision(c->o.policy), &err);
        tell_verdict(c, c->channel, &v, 0);
        block(c, c->channel, &v);
    } else if (c->approval) {
        if (clock_ms() - c->waiting_ms >= WAITING_MS) tell_waiting(c);
    } else if (c->turn) {
        turn_tick(c->turn);
    }
}
