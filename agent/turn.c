/* turn.c - the states are drawn in turn.h. One loop, drive(), makes every step
 * that can be made now; hooks, the model and tools only leave a note of what
 * happened and start the loop if it does not run already. So nothing recurses,
 * whichever callback answers at once and whichever answers later.
 *
 * A hook may free the turn. It is then only marked, and goes when the last
 * frame of ours has returned. */
#include "agent/turn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/compact.h"
#include "agent/fence.h"
#include "agent/tool_runs.h"
#include "base/clock.h"

enum {
    TURN_SAME_CALLS_MAX = 2,
    /* Where a server does not count: of a token, and what a template puts
     * around a message. */
    TOKEN_BYTES = 4,
    MESSAGE_BYTES = 16
};

enum state {
    BEGIN,         /* start a generation */
    GENERATING,    /* wait for the model */
    NEXT_CALL,     /* ask about the next call of this generation */
    ASKING_CALL,   /* wait for turn_answer() */
    RUNNING,       /* wait for the next result, in the calls' order */
    ASKING_RESULT, /* wait for turn_answer() */
    HAND_OVER,     /* all client calls were allowed */
    ENDED
};

enum answer { ANSWER_NONE, ANSWER_NO, ANSWER_DENY, ANSWER_YES };

struct turn {
    enum state state;
    struct llm *llm;
    const struct registry *registry;
    struct chat_request request; /* ours; the texts in it are not */
    struct span session;         /* its key, empty: none */
    struct span owner;           /* the id of the caller's key */
    struct turn_limits limits;
    struct turn_hooks hooks;
    uint64_t client;
    uint64_t fence_key;
    uint64_t deadline_ms;
    uint64_t paused_ms; /* since when, or 0 */
    int message_room;
    /* What the model is shown: the same, with results in their fences. */
    struct chat_request shown;
    int shown_room;

    struct llm_call *generation;
    struct bytes text;            /* of this generation */
    int prompt_tokens, tokens;    /* of this generation, by the engine */
    struct chat_tool_call *calls; /* of this generation */
    int call_count;
    int call_index;
    bool client_pass; /* server calls come first, then a pass for the client */
    bool denied[CHAT_TOOL_CALLS_MAX]; /* of the client's calls */
    struct chat_tool_call *made;      /* of the whole turn */

    struct tool_runs *runs; /* of this generation */
    int result_index;       /* whose result comes next */
    struct span result;     /* arena */
    enum answer answer;

    int64_t spent; /* tokens, of the limit */
    struct turn_end end;
    int frames; /* of ours that are on the stack */
    bool driving;
    bool throttled;
    bool freed;
};

static void drive(struct turn *t);

/* ---- ends ---- */

static void turn_destroy(struct turn *t) {
    bytes_free(&t->text);
    free(t->request.messages);
    free(t->shown.messages);
    free(t->calls);
    free(t->made);
    free(t);
}

static void enter(struct turn *t) {
    t->frames++;
}

static void leave(struct turn *t) {
    if (--t->frames == 0 && t->freed) turn_destroy(t);
}

static void usage_add(struct llm_usage *sum, const struct llm_usage *u) {
    sum->prompt_tokens += u->prompt_tokens;
    sum->cached_tokens += u->cached_tokens;
    sum->completion_tokens += u->completion_tokens;
    sum->reasoning_tokens += u->reasoning_tokens;
    sum->prompt_ns += u->prompt_ns;
    sum->completion_ns += u->completion_ns;
}

/* Of a generation that nobody will tell the end of. Without a word of it a
 * server may not have been asked at all. */
static struct llm_usage so_far(const struct turn *t) {
    struct llm_usage u = {0};

    if (t->llm->count)
        return (struct llm_usage){.prompt_tokens = t->prompt_tokens,
                                  .completion_tokens = t->tokens};
    if (t->text.size) compact_guess_usage(&u, &t->request, t->text.size);
    return u;
}

struct llm_usage turn_usage(const struct turn *t) {
    struct llm_usage sum = t->end.usage, now;

    if (t->generation) {
        now = so_far(t);
        usage_add(&sum, &now);
    }
    return sum;
}

static void stop_work(struct turn *t) {
    struct llm_call *generation = t->generation;
    struct tool_runs *runs = t->runs;

    t->end.usage = turn_usage(t);
    t->generation = NULL;
    t->runs = NULL;
    if (generation) t->llm->cancel(t->llm, generation);
    tool_runs_free(runs);
}

static void finish(struct turn *t, enum turn_finish how) {
    if (t->state == ENDED) return;
    t->state = ENDED;
    stop_work(t);
    t->end.finish = how;
    enter(t);
    if (t->hooks.on_end) t->hooks.on_end(t->hooks.user, &t->end);
    leave(t);
}

const char *turn_limit_name(enum turn_limit limit) {
    static const char *const names[] = {[TURN_LIMIT_STEPS] = "steps",
                                        [TURN_LIMIT_TOOL_CALLS] = "tool_calls",
                                        [TURN_LIMIT_SAME_CALL] = "same_call",
                                        [TURN_LIMIT_TOKENS] = "tokens",
                                        [TURN_LIMIT_SECONDS] = "seconds"};

    return names[limit];
}

static void limit(struct turn *t, enum turn_limit which, const char *reason,
                  int most) {
    t->end.limit = which;
    (void)err_set(&t->end.err,
                  which == TURN_LIMIT_SECONDS ? ERR_TIMEOUT : ERR_LIMIT,
                  "%s (%d)", reason, most);
    finish(t, TURN_LIMIT);
}

static bool copy(struct turn *t, struct span s, struct span *out) {
    return arena_copy(t->request.arena, s, out, &t->end.err);
}

static bool copy_call(struct turn *t, const struct chat_tool_call *from,
                      struct chat_tool_call *to) {
    return copy(t, from->id, &to->id) && copy(t, from->name, &to->name) &&
           copy(t, from->arguments, &to->arguments);
}

static struct chat_message *message_add(struct turn *t, enum chat_role role) {
    struct chat_message *m;

    if (t->request.message_count == t->message_room) {
        t->message_room += 16;
        t->request.messages =
            xrealloc_array(t->request.messages, (size_t)t->message_room,
                           sizeof *t->request.messages);
    }
    m = &t->request.messages[t->request.message_count++];
    *m = (struct chat_message){.role = role};
    return m;
}

/* ---- the model ---- */

static void on_prompt(void *user, const int *tokens, int token_count) {
    struct turn *t = user;

    enter(t);
    t->prompt_tokens = token_count;
    if (t->hooks.on_prompt)
        t->hooks.on_prompt(t->hooks.user, tokens, token_count);
    leave(t);
}

static void on_origin(void *user, const struct llm_origin *origin) {
    struct turn *t = user;

    enter(t);
    if (t->hooks.on_origin) t->hooks.on_origin(t->hooks.user, origin);
    leave(t);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct turn *t = user;

    enter(t);
    t->tokens += token_count;
    if (!bytes_append(&t->text, text.at, text.size, &t->end.err))
        finish(t, TURN_FAILED);
    else if (t->hooks.on_text)
        t->hooks.on_text(t->hooks.user, text, tokens, token_count);
    leave(t);
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    struct turn *t = user;

    enter(t);
    if (t->hooks.on_logprobs) t->hooks.on_logprobs(t->hooks.user, list, count);
    leave(t);
}

/* Most turns call nothing. */
static void make_room(struct turn *t) {
    if (!t->calls)
        t->calls = xalloc_array(CHAT_TOOL_CALLS_MAX, sizeof *t->calls);
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct turn *t = user;

    enter(t);
    make_room(t);
    if (t->call_count == CHAT_TOOL_CALLS_MAX)
        limit(t, TURN_LIMIT_TOOL_CALLS, "too many tool calls in one answer",
              CHAT_TOOL_CALLS_MAX);
    else if (copy_call(t, call, &t->calls[t->call_count]))
        t->call_count++;
    else
        finish(t, TURN_FAILED);
    leave(t);
}

/* A server that says nothing of its use would never come to the limit. Texts
 * have fewer tokens than this, most of the time. */
static int64_t tokens_guessed(const struct turn *t) {
    size_t bytes = t->text.size;

    for (int i = 0; i < t->shown.message_count; i++) {
        const struct chat_message *m = &t->shown.messages[i];

        bytes += m->text.size + MESSAGE_BYTES;
        for (int k = 0; k < m->call_count; k++)
            bytes += m->calls[k].name.size + m->calls[k].arguments.size;
    }
    for (int i = 0; i < t->call_count; i++)
        bytes += t->calls[i].name.size + t->calls[i].arguments.size;
    return (int64_t)(bytes / TOKEN_BYTES);
}

static int64_t tokens_used(const struct turn *t, const struct llm_usage *u) {
    int64_t said = (int64_t)u->prompt_tokens + u->completion_tokens;

    return said ? said : tokens_guessed(t);
}

/* What the model said becomes part of the conversation it reads next. */
static bool keep_answer(struct turn *t) {
    struct chat_message *m = message_add(t, CHAT_ASSISTANT);
    size_t count = (size_t)t->call_count;

    m->calls =
        arena_alloc(t->request.arena, count, sizeof *m->calls, &t->end.err);
    if (!m->calls || !copy(t, span_bytes(&t->text), &m->text)) return false;
    memcpy(m->calls, t->calls, count * sizeof *m->calls);
    m->call_count = t->call_count;
    return true;
}

/* A server that finished may say nothing of what it took, or half of it: the
 * rest is guessed, or a budget would never end. */
static struct llm_usage usage_told(const struct turn *t,
                                   const struct llm_usage *told) {
    struct llm_usage u = *told;
    size_t bytes = t->text.size;

    if (t->llm->count) return u;
    for (int i = 0; i < t->call_count; i++)
        bytes += t->calls[i].name.size + t->calls[i].arguments.size;
    compact_guess_usage(&u, &t->request, bytes);
    return u;
}

static void on_generated(void *user, const struct llm_end *end) {
    struct turn *t = user;
    struct llm_usage told = usage_told(t, &end->usage);

    enter(t);
    if (end->ok || end->usage.completion_tokens)
        usage_add(&t->end.usage, &told);
    else
        t->end.usage = turn_usage(t); /* broken off: nobody counted */
    t->generation = NULL;
    t->spent += tokens_used(t, &end->usage);
    if (!end->ok) {
        t->end.err = end->err;
        finish(t, TURN_FAILED);
    } else if (end->finish == LLM_FILTERED) {
        finish(t, TURN_FILTERED);
    } else if (end->finish == LLM_LENGTH) {
        finish(t, TURN_LENGTH); /* its calls may lack their last */
    } else if (t->call_count == 0) {
        t->end.stop = end->stop;
        finish(t, TURN_STOP);
    } else if (!keep_answer(t)) {
        finish(t, TURN_FAILED);
    } else {
        t->call_index = 0;
        t->client_pass = false;
        memset(t->denied, 0, sizeof t->denied);
        t->state = NEXT_CALL;
        drive(t);
    }
    leave(t);
}

static void pass_throttle(struct turn *t, bool on) {
    if (t->generation && t->llm->throttle)
        t->llm->throttle(t->llm, t->generation, on);
}

/* Messages are only ever added, so those shown before stay as they are. */
static bool show_messages(struct turn *t) {
    int from = t->shown.message_count;
    struct chat_message *messages = t->shown.messages;

    if (t->shown_room < t->message_room) {
        t->shown_room = t->message_room;
        messages =
            xrealloc_array(messages, (size_t)t->shown_room, sizeof *messages);
    }
    t->shown = t->request;
    t->shown.messages = messages;
    return fence_messages(t->fence_key, &t->request, from, messages,
                          &t->end.err);
}

static bool launch(struct turn *t) {
    struct llm_events events = {.on_prompt = on_prompt,
                                .on_origin = on_origin,
                                .on_text = on_text,
                                .on_logprobs = on_logprobs,
                                .on_tool_call = on_tool_call,
                                .on_end = on_generated,
                                .user = t};

    t->end.steps++;
    t->call_count = 0;
    t->text.size = 0;
    t->prompt_tokens = t->tokens = 0;
    t->state = GENERATING;
    if (!show_messages(t)) return false;
    t->generation =
        t->llm->start(t->llm, &t->shown, t->client, &events, &t->end.err);
    if (t->throttled) pass_throttle(t, true);
    return t->generation != NULL;
}

static void begin(struct turn *t) {
    if (t->end.steps >= t->limits.steps)
        limit(t, TURN_LIMIT_STEPS, "too many steps", t->limits.steps);
    else if (t->spent > t->limits.tokens)
        limit(t, TURN_LIMIT_TOKENS, "too many tokens", t->limits.tokens);
    else if (!launch(t))
        finish(t, TURN_FAILED);
}

/* ---- calls ---- */

static struct chat_tool_call *call_now(struct turn *t) {
    return &t->calls[t->call_index];
}

static const struct chat_tool *declared(const struct turn *t,
                                        struct span name) {
    for (int i = 0; i < t->request.tool_count; i++)
        if (span_equal(t->request.tools[i].name, name))
            return &t->request.tools[i];
    return NULL;
}

/* Calls of tools that nobody declared are answered here, with an error. */
static bool is_client_call(const struct turn *t,
                           const struct chat_tool_call *call) {
    const struct chat_tool *tool = declared(t, call->name);

    return tool && !tool->server;
}

/* A model that repeats itself will go on doing so. */
static bool count_call(struct turn *t, const struct chat_tool_call *call) {
    int same = 0;

    if (t->end.tool_calls == t->limits.tool_calls) {
        limit(t, TURN_LIMIT_TOOL_CALLS, "too many tool calls",
              t->limits.tool_calls);
        return false;
    }
    for (int i = 0; i < t->end.tool_calls; i++)
        same += span_equal(t->made[i].name, call->name) &&
                span_equal(t->made[i].arguments, call->arguments);
    if (same >= TURN_SAME_CALLS_MAX) {
        limit(t, TURN_LIMIT_SAME_CALL, "the same tool call again and again",
              same + 1);
        return false;
    }
    t->made[t->end.tool_calls++] = *call;
    return true;
}

/* Is there a call for the client that nobody has denied? */
static bool client_waits(const struct turn *t) {
    for (int i = 0; i < t->call_count; i++)
        if (is_client_call(t, &t->calls[i]) && !t->denied[i]) return true;
    return false;
}

static void calls_done(struct turn *t) {
    if (client_waits(t)) {
        t->state = t->client_pass ? HAND_OVER : NEXT_CALL;
        t->client_pass = true;
        t->call_index = 0;
        return;
    }
    /* A demand for a call is met by the first ones. */
    if (t->request.choice != CHOICE_NONE) t->request.choice = CHOICE_AUTO;
    t->state = BEGIN;
}

static void next_call(struct turn *t) {
    while (t->call_index < t->call_count &&
           is_client_call(t, call_now(t)) != t->client_pass)
        t->call_index++;
    if (t->call_index == t->call_count) {
        if (t->client_pass || !t->runs)
            calls_done(t);
        else
            t->state = RUNNING;
        return;
    }
    if (!count_call(t, call_now(t))) return;
    t->answer = ANSWER_NONE;
    t->state = ASKING_CALL;
    t->hooks.ask_call(t->hooks.user, call_now(t), !t->client_pass);
}

/* ---- runs and results ---- */

/* The copy that the model will read. */
static bool keep_result(struct turn *t, const char *prefix, struct span text,
                        size_t room) {
    struct bytes b = {0};
    bool ok;

    tool_result_put(&b, prefix, text, room, false);
    ok = copy(t, span_bytes(&b), &t->result);
    bytes_free(&b);
    return ok;
}

static void on_done(void *user) {
    struct turn *t = user;

    enter(t);
    drive(t);
    leave(t);
}

static struct tool_runs *runs_of(struct turn *t) {
    struct tool_runs_options o = {.registry = t->registry,
                                  .request = &t->request,
                                  .session = t->session,
                                  .owner = t->owner,
                                  .on_done = on_done,
                                  .user = t};

    if (!t->runs) {
        t->runs = tool_runs_new(&o);
        t->result_index = 0;
    }
    return t->runs;
}

static void keep_message(struct turn *t, const struct chat_tool_call *call) {
    struct chat_message *m = message_add(t, CHAT_TOOL);

    m->call_id = call->id;
    m->text = t->result;
}

static void call_allowed(struct turn *t) {
    if (!t->client_pass) tool_runs_add(runs_of(t), call_now(t));
    t->call_index++;
    t->state = NEXT_CALL;
}

/* t->result is the reason. */
static void call_denied(struct turn *t) {
    t->denied[t->call_index] = true;
    if (t->client_pass)
        keep_message(t, call_now(t));
    else
        tool_runs_add_denied(runs_of(t), call_now(t), t->result);
    t->call_index++;
    t->state = NEXT_CALL;
}

static void results_done(struct turn *t) {
    struct tool_runs *runs = t->runs;

    t->runs = NULL;
    tool_runs_free(runs);
    calls_done(t);
}

static void keep_allowed(struct turn *t) {
    const struct chat_tool_call *call =
        tool_runs_call(t->runs, t->result_index++);
    size_t room = tool_result_room(t->registry, call->name);

    t->state = RUNNING;
    if (t->result.size > room && !keep_result(t, "", t->result, room))
        finish(t, TURN_FAILED);
    else
        keep_message(t, call);
}

/* The next result, if it is there. */
static bool next_result(struct turn *t) {
    struct span text;

    if (t->result_index == tool_runs_count(t->runs)) {
        results_done(t);
        return true;
    }
    if (!tool_runs_result(t->runs, t->result_index, &text)) return false;
    if (!copy(t, text, &t->result)) {
        finish(t, TURN_FAILED);
    } else if (tool_runs_denied(t->runs, t->result_index)) {
        keep_allowed(t);
    } else {
        t->answer = ANSWER_NONE;
        t->state = ASKING_RESULT;
        t->hooks.ask_result(
            t->hooks.user, tool_runs_call(t->runs, t->result_index), t->result);
    }
    return true;
}

static void hand_over(struct turn *t) {
    for (int i = 0; i < t->call_count && t->state == HAND_OVER; i++)
        if (is_client_call(t, &t->calls[i]) && !t->denied[i] &&
            t->hooks.on_client_call && !t->freed)
            t->hooks.on_client_call(t->hooks.user, &t->calls[i]);
    if (!t->freed) finish(t, TURN_CLIENT_CALLS);
}

/* ---- the loop ---- */

/* One step; false when there is something to wait for. */
static bool step(struct turn *t) {
    switch (t->state) {
    case BEGIN:
        begin(t);
        return false;
    case NEXT_CALL:
        next_call(t);
        return true;
    case ASKING_CALL:
        if (t->answer == ANSWER_NONE) return false;
        if (t->answer == ANSWER_NO) {
            finish(t, TURN_REFUSED);
        } else if (t->answer == ANSWER_DENY) {
            call_denied(t);
        } else {
            call_allowed(t);
        }
        return true;
    case RUNNING:
        return next_result(t);
    case ASKING_RESULT:
        if (t->answer == ANSWER_NONE) return false;
        if (t->answer == ANSWER_NO)
            finish(t, TURN_REFUSED);
        else
            keep_allowed(t);
        return true;
    case HAND_OVER:
        hand_over(t);
        return false;
    case GENERATING:
    case ENDED:
        return false;
    }
    return false;
}

static bool in_time(struct turn *t) {
    if (t->state == ENDED || t->paused_ms || clock_ms() < t->deadline_ms)
        return true;
    limit(t, TURN_LIMIT_SECONDS, "the turn took too many seconds",
          t->limits.seconds);
    return false;
}

static void drive(struct turn *t) {
    if (t->driving) return;
    t->driving = true;
    enter(t);
    do {
        /* Whatever is asked meanwhile, the others go on running. */
        if (t->runs && (t->state == RUNNING || t->state == ASKING_RESULT))
            tool_runs_start(t->runs);
    } while (!t->freed && in_time(t) && step(t));
    t->driving = false;
    leave(t);
}

/* ---- the face ---- */

/* As if the model had just made them. */
static bool take_pending(struct turn *t, const struct turn_options *o) {
    assert(o->pending_count <= CHAT_TOOL_CALLS_MAX);
    if (!bytes_append(&t->text, o->pending_text.at, o->pending_text.size,
                      &t->end.err))
        return false;
    make_room(t);
    for (; t->call_count < o->pending_count; t->call_count++)
        if (!copy_call(t, &o->pending[t->call_count], &t->calls[t->call_count]))
            return false;
    t->state = NEXT_CALL;
    return keep_answer(t);
}

struct turn *turn_start(const struct turn_options *o,
                        const struct turn_hooks *hooks, struct err *err) {
    struct turn *t = xalloc(sizeof *t);
    const struct chat_request *request = o->request;
    size_t count = (size_t)request->message_count;

    assert(o->limits.steps > 0 && o->limits.tool_calls >= 0 &&
           o->limits.seconds > 0);
    t->llm = o->llm;
    t->registry = o->tools;
    t->request = *request;
    t->session = o->session;
    t->owner = o->owner;
    t->limits = o->limits;
    t->hooks = *hooks;
    t->client = o->client;
    t->fence_key = o->fence_key;
    t->deadline_ms = clock_ms() + (uint64_t)o->limits.seconds * 1000;
    t->message_room = request->message_count + 16;
    t->request.messages = xalloc_array(count + 16, sizeof *t->request.messages);
    if (count)
        memcpy(t->request.messages, request->messages,
               count * sizeof *request->messages);
    t->made = xalloc_array((size_t)o->limits.tool_calls + 1, sizeof *t->made);
    if (o->pending_count ? take_pending(t, o) : launch(t)) return t;
    if (err) *err = t->end.err;
    turn_destroy(t);
    return NULL;
}

static void answer(struct turn *t, enum answer how) {
    if (t->state != ASKING_CALL && t->state != ASKING_RESULT) return;
    if (t->answer != ANSWER_NONE) return;
    t->answer = how;
    if (t->paused_ms) t->deadline_ms += clock_ms() - t->paused_ms;
    t->paused_ms = 0;
    drive(t);
}

void turn_answer(struct turn *t, bool allow) {
    answer(t, allow ? ANSWER_YES : ANSWER_NO);
}

void turn_answer_text(struct turn *t, struct span replacement) {
    if (t->state != ASKING_RESULT || t->answer != ANSWER_NONE) return;
    enter(t);
    if (keep_result(t, "", replacement, TOOL_SHOWN_BYTES_MAX))
        answer(t, ANSWER_YES);
    else
        finish(t, TURN_FAILED);
    leave(t);
}

void turn_deny(struct turn *t, struct span reason) {
    if (t->state != ASKING_CALL || t->answer != ANSWER_NONE) return;
    enter(t);
    if (keep_result(t, t->client_pass ? "error: " : "", reason,
                    TOOL_SHOWN_BYTES_MAX))
        answer(t, ANSWER_DENY);
    else
        finish(t, TURN_FAILED);
    leave(t);
}

void turn_pause(struct turn *t) {
    if (t->state == ASKING_CALL && !t->paused_ms) t->paused_ms = clock_ms();
}

const struct chat_request *turn_request(const struct turn *t) {
    return &t->request;
}

void turn_throttle(struct turn *t, bool on) {
    if (t->throttled == on) return;
    t->throttled = on;
    pass_throttle(t, on);
}

void turn_free(struct turn *t) {
    if (!t || t->freed) return;
    t->freed = true;
    t->state = ENDED;
    enter(t);
    stop_work(t);
    leave(t);
}

void turn_tick(struct turn *t) {
    enter(t);
    if (in_time(t) && t->state == NEXT_CALL) drive(t);
    leave(t);
}
