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

#include "base/clock.h"
#include "base/utf8.h"
#include "tools/schema.h"

enum { TURN_SAME_CALLS_MAX = 2 };

static const char cut_mark[] = "\n[the rest of this result was cut off]";

enum state {
    BEGIN,         /* start a generation */
    GENERATING,    /* wait for the model */
    NEXT_CALL,     /* take the next call of this generation */
    ASKING_CALL,   /* wait for turn_answer() */
    RUNNING,       /* wait for the tool */
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
    struct turn_limits limits;
    struct turn_hooks hooks;
    uint64_t client;
    uint64_t deadline_ms;
    uint64_t paused_ms; /* since when, or 0 */
    int message_room;

    struct llm_call *generation;
    struct bytes text;            /* of this generation */
    struct chat_tool_call *calls; /* of this generation */
    int call_count;
    int call_index;
    bool client_pass; /* server calls come first, then a pass for the client */
    bool denied[CHAT_TOOL_CALLS_MAX]; /* of the client's calls */
    struct chat_tool_call *made;      /* of the whole turn */

    struct tool_run *run;
    const struct tool *tool; /* whose run it is */
    bool ran;                /* the tool reported */
    struct span result;
    enum answer answer;

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

static void stop_work(struct turn *t) {
    struct llm_call *generation = t->generation;
    struct tool_run *run = t->run;

    t->generation = NULL;
    t->run = NULL;
    if (generation) t->llm->cancel(t->llm, generation);
    if (run) t->tool->cancel(run);
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

static void limit(struct turn *t, enum err_code code, const char *reason,
                  int most) {
    (void)err_set(&t->end.err, code, "%s (%d)", reason, most);
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
    if (t->hooks.on_prompt)
        t->hooks.on_prompt(t->hooks.user, tokens, token_count);
    leave(t);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct turn *t = user;

    enter(t);
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

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct turn *t = user;

    enter(t);
    if (t->call_count == CHAT_TOOL_CALLS_MAX)
        limit(t, ERR_LIMIT, "too many tool calls in one answer",
              CHAT_TOOL_CALLS_MAX);
    else if (copy_call(t, call, &t->calls[t->call_count]))
        t->call_count++;
    else
        finish(t, TURN_FAILED);
    leave(t);
}

static void usage_add(struct llm_usage *sum, const struct llm_usage *u) {
    sum->prompt_tokens += u->prompt_tokens;
    sum->cached_tokens += u->cached_tokens;
    sum->completion_tokens += u->completion_tokens;
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

static void on_generated(void *user, const struct llm_end *end) {
    struct turn *t = user;

    enter(t);
    t->generation = NULL;
    usage_add(&t->end.usage, &end->usage);
    if (!end->ok) {
        t->end.err = end->err;
        finish(t, TURN_FAILED);
    } else if (end->finish == LLM_FILTERED) {
        finish(t, TURN_FILTERED);
    } else if (end->finish == LLM_LENGTH) {
        finish(t, TURN_LENGTH); /* its calls may lack their last */
    } else if (t->call_count == 0) {
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

static bool launch(struct turn *t) {
    struct llm_events events = {.on_prompt = on_prompt,
                                .on_text = on_text,
                                .on_logprobs = on_logprobs,
                                .on_tool_call = on_tool_call,
                                .on_end = on_generated,
                                .user = t};

    t->end.steps++;
    t->call_count = 0;
    t->text.size = 0;
    t->state = GENERATING;
    t->generation =
        t->llm->start(t->llm, &t->request, t->client, &events, &t->end.err);
    if (t->throttled) pass_throttle(t, true);
    return t->generation != NULL;
}

static void begin(struct turn *t) {
    if (t->end.steps >= t->limits.steps)
        limit(t, ERR_LIMIT, "too many steps", t->limits.steps);
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
        limit(t, ERR_LIMIT, "too many tool calls", t->limits.tool_calls);
        return false;
    }
    for (int i = 0; i < t->end.tool_calls; i++)
        same += span_equal(t->made[i].name, call->name) &&
                span_equal(t->made[i].arguments, call->arguments);
    if (same >= TURN_SAME_CALLS_MAX) {
        limit(t, ERR_LIMIT, "the same tool call again and again", same + 1);
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
        calls_done(t);
        return;
    }
    if (!count_call(t, call_now(t))) return;
    t->answer = ANSWER_NONE;
    t->state = ASKING_CALL;
    t->hooks.ask_call(t->hooks.user, call_now(t), !t->client_pass);
}

/* ---- results ---- */

/* The copy that the model will read, cut where it passes the limit. */
static bool keep_result(struct turn *t, const char *prefix, struct span text) {
    struct bytes b = {.limit = TOOL_RESULT_BYTES_MAX};
    size_t room = TOOL_RESULT_BYTES_MAX - strlen(prefix);
    bool cut = text.size > room;
    bool ok;

    if (cut) {
        text.size = room - strlen(cut_mark);
        text.size = utf8_complete(text);
    }
    bytes_puts(&b, prefix);
    bytes_put(&b, text);
    if (cut) bytes_puts(&b, cut_mark);
    ok = copy(t, span_bytes(&b), &t->result);
    bytes_free(&b);
    return ok;
}

static void on_done(void *user, bool ok, struct span text) {
    struct turn *t = user;

    t->run = NULL;
    if (t->ran || t->state != RUNNING) return;
    enter(t);
    t->ran = true;
    if (keep_result(t, ok ? "" : "error: ", text))
        drive(t);
    else
        finish(t, TURN_FAILED);
    leave(t);
}

static const cJSON *schema_of(const struct registry *r,
                              const struct tool *tool) {
    for (int i = 0; i < registry_count(r); i++)
        if (registry_at(r, i) == tool) return registry_schema(r, i);
    return NULL;
}

/* Only what the request declared may run, whatever else there is. */
static void run_call(struct turn *t) {
    const struct chat_tool_call *call = call_now(t);
    const struct chat_tool *tool = declared(t, call->name);
    struct err err = {0};
    cJSON *arguments = NULL;
    struct tool_run *run = NULL;
    const struct tool_context context = {.session = t->session};

    t->state = RUNNING;
    t->ran = false;
    t->tool =
        tool && t->registry ? registry_find(t->registry, call->name) : NULL;
    if (!t->tool) {
        (void)err_set(&err, ERR_NOT_FOUND, "there is no tool \"%.*s\"",
                      call->name.size > TOOL_NAME_MAX ? TOOL_NAME_MAX
                                                      : (int)call->name.size,
                      call->name.at);
    } else if (call->arguments.size > TOOL_ARGUMENT_BYTES_MAX) {
        (void)err_set(&err, ERR_LIMIT, "the arguments are too long");
    } else {
        arguments = json_parse(call->arguments, &err);
        if (arguments && !cJSON_IsObject(arguments))
            (void)err_set(&err, ERR_INPUT, "the arguments are not an object");
        else if (arguments && schema_validate(schema_of(t->registry, t->tool),
                                              arguments, &err))
            run = t->tool->run(t->tool, arguments, &context, on_done, t);
    }
    cJSON_Delete(arguments);
    if (err.code) on_done(t, false, span_of(err.text));
    if (t->state == RUNNING && !t->ran) t->run = run;
}

static void ask_result(struct turn *t) {
    t->answer = ANSWER_NONE;
    t->state = ASKING_RESULT;
    t->hooks.ask_result(t->hooks.user, call_now(t), t->result);
}

static void keep_allowed(struct turn *t) {
    struct chat_message *m = message_add(t, CHAT_TOOL);

    m->call_id = call_now(t)->id;
    m->text = t->result;
    t->call_index++;
    t->state = NEXT_CALL;
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
            t->denied[t->call_index] = true;
            keep_allowed(t);
        } else if (t->client_pass) {
            t->call_index++;
            t->state = NEXT_CALL;
        } else {
            run_call(t);
        }
        return true;
    case RUNNING:
        if (!t->ran) return false;
        ask_result(t);
        return true;
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
    limit(t, ERR_TIMEOUT, "the turn took too many seconds", t->limits.seconds);
    return false;
}

static void drive(struct turn *t) {
    if (t->driving) return;
    t->driving = true;
    enter(t);
    while (!t->freed && in_time(t) && step(t)) {
    }
    t->driving = false;
    leave(t);
}

/* ---- the face ---- */

struct turn *turn_start(struct llm *llm, const struct registry *tools,
                        const struct chat_request *request,
                        const struct turn_limits *limits, uint64_t client,
                        const struct turn_hooks *hooks, struct err *err) {
    struct turn *t = xalloc(sizeof *t);
    size_t count = (size_t)request->message_count;

    assert(limits->steps > 0 && limits->tool_calls >= 0 && limits->seconds > 0);
    t->llm = llm;
    t->registry = tools;
    t->request = *request;
    t->limits = *limits;
    t->hooks = *hooks;
    t->client = client;
    t->deadline_ms = clock_ms() + (uint64_t)limits->seconds * 1000;
    t->message_room = request->message_count + 16;
    t->request.messages = xalloc_array(count + 16, sizeof *t->request.messages);
    if (count)
        memcpy(t->request.messages, request->messages,
               count * sizeof *request->messages);
    t->calls = xalloc_array(CHAT_TOOL_CALLS_MAX, sizeof *t->calls);
    t->made = xalloc_array((size_t)limits->tool_calls + 1, sizeof *t->made);
    if (launch(t)) return t;
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
    if (keep_result(t, "", replacement))
        answer(t, ANSWER_YES);
    else
        finish(t, TURN_FAILED);
    leave(t);
}

void turn_deny(struct turn *t, struct span reason) {
    if (t->state != ASKING_CALL || t->answer != ANSWER_NONE) return;
    enter(t);
    if (keep_result(t, "error: ", reason))
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
    (void)in_time(t);
    leave(t);
}
