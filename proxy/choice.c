/* choice.c - with exchange.c the only file that knows both guard and agent:
 * to know what can reach a client, read this one. The states are drawn in
 * choice.h. Where a choice is shows in what it waits for: `turn` while the
 * model runs, `after` while a text is settled, `check` while a tool's text is
 * judged. */
#include "proxy/choice.h"

#include <stdlib.h>
#include <string.h>

#include "agent/fence.h"
#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/approvals.h"
#include "guard/language.h"
#include "proxy/choice_state.h"
#include "proxy/journal.h"

enum {
    /* Beyond the guard's own deadline, for a verdict that never comes. */
    GUARD_GRACE_MS = 1000,
    /* Longer than a token of any vocabulary: a text, which nobody judged. */
    RIVAL_BYTES_MAX = 128,
    /* Between signs of life while a person thinks. */
    WAITING_MS = 10000
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
    c->kept.limit = CHOICE_TEXT_BYTES_MAX;
    c->logprobs.limit = CHOICE_LOGPROB_BYTES_MAX;
    c->waiting.on_entry = on_entry;
    c->waiting.user = c;
    c->reply.index = o->index;
    return c;
}

struct llm_usage choice_usage(const struct choice *c) {
    return c->turn ? turn_usage(c->turn) : c->end.usage;
}

static void stop(struct choice *c) {
    guard_check_cancel(c->check);
    approval_cancel(c->approval);
    guard_stream_free(c->stream);
    c->end.usage = choice_usage(c);
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
    bytes_free(&c->kept);
    bytes_free(&c->text);
    free(c->calls);
    free(c);
}

const struct reply_choice *choice_reply(const struct choice *c) {
    return &c->reply;
}

size_t choice_held(const struct choice *c) {
    return c->stream ? guard_stream_held(c->stream) : 0;
}

/* ---- for the audit ---- */

void choice_judged_begin(struct choice *c) {
    hash_stream_free(c->judged);
    c->judged = audit_hash_new(c->o.audit);
}

void choice_judged_add(struct choice *c, struct span text) {
    if (c->judged) hash_stream_add(c->judged, text);
}

void choice_tell(struct choice *c, enum channel channel,
                 const struct verdict *v, uint64_t ns) {
    char hash[HASH_HEX_SIZE] = "";

    if (c->judged) hash_stream_hex(c->judged, hash);
    c->o.on_verdict(c->o.user, channel, v, ns, hash);
}

void choice_await(struct choice *c, enum channel channel) {
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

/* The additive object, which other ends than a refusal may have, too. */
static cJSON *additions(struct choice *c) {
    if (!c->reply.corral) c->reply.corral = cJSON_CreateObject();
    return c->reply.corral;
}

static void tell_limit(struct choice *c) {
    (void)cJSON_AddStringToObject(additions(c), "limit",
                                  turn_limit_name(c->end.limit));
}

/* Nothing is left out of a conversation without a word. */
static void tell_dropped(struct choice *c) {
    int dropped = journal_dropped(c->o.journal);

    if (!dropped) return;
    (void)cJSON_AddNumberToObject(additions(c), "dropped_messages", dropped);
    if (journal_summarised(c->o.journal))
        (void)cJSON_AddTrueToObject(additions(c), "summarised");
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

/* What a refusal says, in the language that the user last spoke. */
static const char *message(const struct choice *c) {
    const char *language = NULL;

    for (int i = c->o.turn_count - 1; i >= 0 && !language; i--)
        if (c->o.turns[i].role == GUARD_USER)
            language = language_of(c->o.turns[i].text);
    return policy_message(c->o.policy, language ? language : "en");
}

void choice_block(struct choice *c, enum channel channel,
                  const struct verdict *v) {
    stop(c);
    c->o.on_block(c->o.user, c, channel, v);
}

void choice_refuse(struct choice *c, enum channel channel,
                   const struct verdict *v) {
    stop(c);
    c->kept.size = 0;
    c->reply.corral = verdict_to_answer(v, channel);
    c->reply.finish = REPLY_FILTERED;
    c->reply.call_count = 0;
    c->reply.echo = (struct span){0};
    if (!c->request.stream) {
        c->text.size = 0;
        journal_drop_text(c->o.journal);
    }
    c->logprobs.size = 0;
    /* After cleared text has gone out, the end alone says that it was cut. */
    if (!c->request.stream || !c->text_sent) send_text(c, span_of(message(c)));
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
static void release(struct choice *c, struct span text) {
    if (text.size == 0) return;
    c->o.on_cleared(c->o.user);
    if (c->request.logprobs) logprob_queue_release(&c->waiting, text);
    send_text(c, text);
}

static void on_release(void *user, struct span text) {
    struct choice *c = user;
    struct err err = {0};

    if (!moderated_holds(c->o.moderated, c->o.policy))
        release(c, text);
    else if (!bytes_append(&c->kept, text.at, text.size, &err))
        c->end.err = err;
}

static void release_kept(struct choice *c) {
    release(c, span_bytes(&c->kept));
    c->kept.size = 0;
}

static void finish_turn(struct choice *c);

static void on_stream_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;
    struct verdict hard;
    enum after after = c->after;

    moderated_note(c->o.moderated, CHANNEL_OUTPUT, c->o.index, v);
    if (c->o.moderated->wanted) {
        hard = *v;
        if (moderated_harden(c->o.moderated, CHANNEL_OUTPUT, &hard)) v = &hard;
    }
    choice_tell(c, CHANNEL_OUTPUT, v, 0);
    c->deadline_ms = 0;
    c->after = AFTER_NOTHING;
    if (!verdict_lets_pass(v)) {
        choice_block(c, CHANNEL_OUTPUT, v);
        return;
    }
    guard_stream_free(c->stream);
    c->stream = NULL;
    if (!c->end.err.code) release_kept(c);
    logprob_queue_restart(&c->waiting);
    if (c->end.err.code)
        c->o.on_fail(c->o.user, &c->end.err);
    else if (after == AFTER_CALL)
        choice_judge_call(c);
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
        .whole = !c->request.stream,
        .on_release = on_release,
        .on_verdict = on_stream_verdict,
        .user = c,
    };

    choice_judged_begin(c);
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

/* Too short to be a text, but a rule may name it. */
static struct span unless_minded(const struct choice *c, struct span text) {
    struct verdict v;

    if (!text.size) return text;
    verdict_begin(&v, policy_revision(c->o.policy));
    if (!policy_scan(c->o.policy, CHANNEL_OUTPUT, 0, text, &v, NULL) ||
        reaches(&v, 0))
        text.size = 0;
    return text;
}

static void on_origin(void *user, const struct llm_origin *origin) {
    struct choice *c = user;
    struct llm_origin told = *origin;

    if (c->o.index > 0) return;
    told.id = unless_minded(c, told.id);
    told.fingerprint = unless_minded(c, told.fingerprint);
    c->o.on_origin(c->o.user, &told);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct choice *c = user;

    c->o.on_heard(c->o.user);
    if (!c->stream) open_stream(c, NULL, 0);
    choice_judged_add(c, text);
    guard_stream_push(c->stream, text, tokens, token_count);
}

void choice_settle(struct choice *c, enum after after) {
    c->after = after;
    choice_await(c, CHANNEL_OUTPUT);
    guard_stream_finish(c->stream);
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
        c->reply.stop = c->end.stop;
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
        tell_limit(c);
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
        choice_settle(c, AFTER_END);
    else
        finish_turn(c);
}

void choice_start_early(struct choice *c) {
    take_request(c);
    if (c->request.logprobs || c->o.resume) return; /* nothing to keep */
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
        .owner = span_of(c->o.owner),
        .fence_key = c->o.fence_key};
    struct turn_hooks hooks = {
        .on_prompt = on_prompt,
        .on_origin = on_origin,
        .on_text = on_text,
        .on_logprobs = on_logprobs,
        .ask_call = choice_ask_call,
        .ask_result = choice_ask_result,
        .on_client_call = choice_client_call,
        .on_end = on_end,
        .user = c,
    };

    if (c->o.resume) {
        options.pending = c->o.resume->calls;
        options.pending_count = c->o.resume->count;
        options.pending_text = c->o.resume->text;
    }
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
        choice_tell(c, c->channel, &v, 0);
        choice_block(c, c->channel, &v);
    } else if (c->approval) {
        if (clock_ms() - c->waiting_ms >= WAITING_MS) choice_tell_waiting(c);
    } else if (c->turn) {
        turn_tick(c->turn);
    }
}
