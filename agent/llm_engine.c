/* llm_engine.c - the engine as an llm. One call is a few jobs in a row:
 *
 *   DECIDING -> TEXT -> CALLING      tools, and the model may choose
 *       +--------------> CALLING
 *   TEXT                             no tools
 *   CALLING                          tool_choice demands one
 *
 * DECIDING asks a model that was not trained for tools whether it needs one,
 * and which; its arguments are then written from worked examples (decide.h). A
 * model that was trained goes straight to TEXT, or to CALLING if it must call.
 * In TEXT the first byte of a call's start marker is held back until it is or
 * is not a marker; then the job is stopped, and another goes on from the same
 * place under the grammar. In CALLING nothing is said until the whole call is
 * there. */
#include "agent/llm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/decide.h"
#include "agent/logprobs.h"
#include "agent/toolcall.h"
#include "base/clock.h"
#include "base/hash.h"
#include "engine/engine.h"

enum {
    CALL_TEXT_BYTES_MAX = 4 << 20,
    /* When the client names no limit: a small model that has begun to repeat
     * itself would go on to the end of its context. */
    OUTPUT_TOKENS_DEFAULT = 1024
};

struct llm_engine {
    struct llm face; /* first, so that a struct llm can be cast back */
    struct engine *engine;
    enum template_kind kind;
    bool trained;           /* for tools */
    bool calls_stand_alone; /* nothing stands before a call in an answer */
    int python_tag;         /* -1: there is no such token */
    int adapter;            /* that trained it; 0: none is needed */
    struct llm_facts facts;
};

enum stage { DECIDING, TEXT, CALLING };

struct llm_call {
    struct llm_engine *llm;
    const struct chat_request *request;
    struct llm_events events;
    uint64_t client;
    enum stage stage;
    uint64_t job; /* 0: none runs */

    struct tokens prompt;
    struct grammar *format; /* response_format; NULL: free text */
    struct grammar *calls;  /* NULL: no call may be made */
    struct grammar *either; /* of both: what comes tells which it is */
    struct decision *decision;
    int worked; /* the tool whose arguments are written from worked examples */
    struct tokens worked_prompt;
    bool watch;  /* for the marker */
    bool tagged; /* the answer began with <|python_tag|>: a call, or code */

    struct bytes text; /* TEXT: all of it. CALLING: the calls */
    size_t said;       /* bytes of `text` that on_text() got */
    struct tokens held;
    struct logprobs logprobs; /* of `held`, where asked for */
    bool prompt_told;
    uint64_t seed;
    int tokens_left;
    int tokens_seen; /* of the job that runs */
    struct llm_usage usage;
    bool usage_known;
    uint64_t started_ns;
    uint64_t first_ns; /* the first text; 0: none yet */

    int frames; /* of ours that are on the stack */
    bool throttled;
    bool dead;
};

static bool submit(struct llm_call *c, struct err *err);

/* ---- the end ---- */

static void call_destroy(struct llm_call *c) {
    tokens_free(&c->prompt);
    tokens_free(&c->held);
    logprobs_free(&c->logprobs);
    tokens_free(&c->worked_prompt);
    bytes_free(&c->text);
    grammar_free(c->format);
    grammar_free(c->calls);
    grammar_free(c->either);
    decision_free(c->decision);
    free(c);
}

/* No callback comes after this; the memory goes with our last frame. */
static void call_kill(struct llm_call *c) {
    if (c->job) engine_cancel(c->llm->engine, c->job);
    c->job = 0;
    c->dead = true;
    if (c->frames == 0) call_destroy(c);
}

/* How the time is shared out between reading and writing. */
static void note_time(struct llm_call *c) {
    uint64_t now = clock_ns();

    if (!c->first_ns) c->first_ns = now;
    c->usage.prompt_ns = c->first_ns - c->started_ns;
    c->usage.completion_ns = now - c->first_ns;
}

static void call_end(struct llm_call *c, struct llm_end *end) {
    note_time(c);
    end->usage = c->usage;
    if (c->dead) return;
    if (c->job) engine_cancel(c->llm->engine, c->job);
    c->job = 0;
    c->dead = true; /* before the callback: it may not cancel us any more */
    c->events.on_end(c->events.user, end);
}

static void call_fail(struct llm_call *c, const struct err *err) {
    struct llm_end end = {.ok = false, .err = *err};

    call_end(c, &end);
}

static void call_finish(struct llm_call *c, enum llm_finish finish) {
    struct llm_end end = {.ok = true, .finish = finish};

    call_end(c, &end);
}

/* ---- text ---- */

static void say(struct llm_call *c, size_t size, bool own_tokens) {
    struct span text = {c->text.at + c->said, size};
    int count = own_tokens ? (int)c->held.count : 0;

    if (size == 0) return;
    c->said += size;
    if (own_tokens) logprobs_tell(&c->logprobs, c->llm->engine, &c->events);
    c->logprobs.count = 0;
    if (c->dead) return; /* on_logprobs() cancelled the call */
    if (c->events.on_text)
        c->events.on_text(c->events.user, text, count ? c->held.at : NULL,
                          count);
    c->held.count = 0;
}

/* How much of the end of `text` could still begin the marker. */
static size_t marker_tail(struct span text, struct span marker) {
    size_t most = marker.size - 1 < text.size ? marker.size - 1 : text.size;

    for (size_t size = most; size > 0; size--)
        if (!memcmp(text.at + text.size - size, marker.at, size)) return size;
    return 0;
}

/* From text to a call: the marker and what follows come again, but under the
 * grammar. The text before it is encoded anew, since a token may straddle. */
static void switch_to_call(struct llm_call *c, size_t marker_at) {
    struct err err = {0};
    size_t before = marker_at - c->said;

    engine_cancel(c->llm->engine, c->job);
    c->job = 0;
    c->usage.completion_tokens += c->tokens_seen;
    c->tokens_left -= c->tokens_seen;
    say(c, before, false);
    if (c->dead) return;
    c->stage = CALLING;
    if (c->tokens_left <= 0) {
        call_finish(c, LLM_LENGTH);
        return;
    }
    if ((!c->tagged || tokens_push(&c->prompt, c->llm->python_tag, &err)) &&
        (marker_at == 0 ||
         tokenizer_encode(engine_tokenizer(c->llm->engine),
                          (struct span){c->text.at, marker_at}, &c->prompt,
                          &err))) {
        c->text.size = 0;
        c->said = 0;
        if (submit(c, &err)) return;
    }
    call_fail(c, &err);
}

/* Llama 3 writes calls as bare JSON, and under a response format everything is
 * under a grammar: there a call is one only where nothing stands before it. */
static void look_at_start(struct llm_call *c) {
    switch (toolcall_look(c->llm->kind, c->request, span_bytes(&c->text))) {
    case TOOLCALL_MAYBE:
        return;
    case TOOLCALL_YES:
        if (!c->either) switch_to_call(c, 0);
        return; /* with both allowed, the end tells which it was */
    case TOOLCALL_NO:
        break;
    }
    if (c->tagged) return; /* code, to its end */
    c->watch = false;
    say(c, c->text.size, true);
}

static void look_for_marker(struct llm_call *c) {
    struct span marker = toolcall_start(c->llm->kind);
    struct span rest = {c->text.at + c->said, c->text.size - c->said};
    size_t at = span_find(rest, marker);

    if (at != SIZE_MAX)
        switch_to_call(c, c->said + at);
    else if (marker_tail(rest, marker) == 0)
        say(c, rest.size, true);
}

static void on_text(struct llm_call *c, const struct job_event *event) {
    struct err err = {0};

    if (!c->first_ns) c->first_ns = clock_ns();
    c->tokens_seen += event->token_count;
    if (c->text.size + event->text.size > CALL_TEXT_BYTES_MAX ||
        !bytes_append(&c->text, event->text.at, event->text.size, &err)) {
        (void)err_set(&err, ERR_LIMIT, "the model's text passes %d bytes",
                      CALL_TEXT_BYTES_MAX);
        call_fail(c, &err);
        return;
    }
    if (c->stage == CALLING) return;
    if (event->token_count && event->tokens[0] == c->llm->python_tag &&
        c->watch && c->said == 0 && c->held.count == 0)
        c->tagged = true;
    if (!tokens_append(&c->held, event->tokens, (size_t)event->token_count,
                       &err)) {
        call_fail(c, &err);
        return;
    }
    logprobs_keep(&c->logprobs, event);
    if (c->watch && (c->either || c->llm->calls_stand_alone))
        look_at_start(c);
    else if (c->watch)
        look_for_marker(c);
    else
        say(c, c->text.size - c->said, true);
}

/* ---- the end of a job ---- */

/* False when the text is no call, or not a whole one. */
static bool tell_calls(struct llm_call *c) {
    struct chat_tool_call *calls =
        xalloc_array(CHAT_TOOL_CALLS_MAX, sizeof *calls);
    struct err err = {0};
    int count = 0;
    bool ok = toolcall_parse(c->llm->kind, c->request, span_bytes(&c->text),
                             c->request->arena, calls, CHAT_TOOL_CALLS_MAX,
                             &count, &err);

    for (int i = 0; ok && i < count && !c->dead; i++)
        if (c->events.on_tool_call)
            c->events.on_tool_call(c->events.user, &calls[i]);
    free(calls);
    if (ok) call_finish(c, LLM_TOOL_CALLS);
    return ok;
}

/* From arguments alone to the call that they are of. */
static bool complete_call(struct llm_call *c, struct err *err) {
    struct bytes whole = {0};
    cJSON *arguments;

    if (c->worked < 0) return true;
    arguments = json_parse(span_bytes(&c->text), err);
    if (!arguments) return false; /* cut off */
    cJSON_Delete(arguments);
    if (!toolcall_print(c->llm->kind, c->request->tools[c->worked].name,
                        span_bytes(&c->text), &whole, err)) {
        bytes_free(&whole);
        return false;
    }
    bytes_free(&c->text);
    c->text = whole;
    return true;
}

static void calling_done(struct llm_call *c, enum job_end how) {
    struct err err = {0};

    if (complete_call(c, &err) && tell_calls(c)) return;
    if (how == JOB_END_LENGTH) {
        call_finish(c, LLM_LENGTH); /* cut off inside a call */
        return;
    }
    /* The grammar promised otherwise. */
    (void)err_set(&err, ERR_INTERNAL, "the model's tool call is broken");
    call_fail(c, &err);
}

/* What stands after <|python_tag|> and is none of the calls. */
static bool tell_code(struct llm_call *c) {
    struct chat_tool_call call;

    if (!toolcall_code(c->request, span_bytes(&c->text), c->request->arena,
                       &call, NULL))
        return false;
    if (c->events.on_tool_call) c->events.on_tool_call(c->events.user, &call);
    call_finish(c, LLM_TOOL_CALLS);
    return true;
}

/* A text that is still held back may be a call that needed no grammar; one
 * that was cut off is none. */
static bool held_call(struct llm_call *c, enum job_end how) {
    if (c->said || (!c->either && !(c->watch && c->llm->calls_stand_alone)))
        return false;
    if (how == JOB_END_LENGTH && !c->either) return false;
    return tell_calls(c) || (c->tagged && tell_code(c));
}

static void text_done(struct llm_call *c, enum job_end how, int stop) {
    struct llm_end end = {
        .ok = true, .finish = how == JOB_END_LENGTH ? LLM_LENGTH : LLM_STOP};

    if (held_call(c, how)) return;
    say(c, c->text.size - c->said, true);
    if (stop) end.stop = c->request->stops[stop - 1];
    call_end(c, &end);
}

/* The arguments of this tool are what comes next. */
static bool work_out(struct llm_call *c, int tool, struct err *err) {
    c->stage = CALLING;
    c->worked = tool;
    grammar_free(c->calls);
    c->calls = toolcall_arguments(c->request, tool, span_of(" "), err);
    return c->calls &&
           decide_arguments_prompt(engine_tokenizer(c->llm->engine), c->request,
                                   tool, &c->worked_prompt, err);
}

static void on_decided(struct llm_call *c) {
    struct err err = {0};

    if (decision_done(c->decision)) {
        int tool = c->request->choice == CHOICE_REQUIRED
                       ? decision_best(c->decision)
                       : decision_tool(c->decision);

        c->stage = TEXT;
        if (tool >= 0 && !work_out(c, tool, &err)) {
            call_fail(c, &err);
            return;
        }
    }
    if (!submit(c, &err)) call_fail(c, &err);
}

static void usage_add(struct llm_call *c, const struct job_usage *u) {
    /* What was cached before the first job of this call. */
    if (!c->usage_known) {
        c->usage.cached_tokens = u->cached_tokens < c->usage.prompt_tokens
                                     ? u->cached_tokens
                                     : c->usage.prompt_tokens;
        c->usage_known = true;
    }
    if (c->stage != DECIDING) c->usage.completion_tokens += u->output_tokens;
}

static void on_done(struct llm_call *c, const struct job_event *event) {
    c->job = 0;
    if (event->end == JOB_END_ERROR) {
        call_fail(c, &event->err);
        return;
    }
    usage_add(c, &event->usage);
    if (c->stage == DECIDING) {
        on_decided(c);
    } else if (c->stage == CALLING) {
        calling_done(c, event->end);
    } else {
        text_done(c, event->end, event->stop);
    }
}

static void on_event(void *user, const struct job_event *event) {
    struct llm_call *c = user;
    bool failed = event->kind == JOB_DONE && event->end == JOB_END_ERROR;

    c->frames++;
    if (!c->prompt_told && !failed) {
        c->prompt_told = true;
        if (c->events.on_prompt)
            c->events.on_prompt(c->events.user, c->prompt.at,
                                (int)c->prompt.count);
    }
    if (c->dead) {
        /* on_prompt() cancelled the call */
    } else if (event->kind == JOB_TEXT) {
        on_text(c, event);
    } else if (event->kind == JOB_SCORES) {
        decision_scored(c->decision, event->scores, event->score_count);
    } else {
        on_done(c, event);
    }
    if (--c->frames == 0 && c->dead) call_destroy(c);
}

/* ---- jobs ---- */

static bool submit_decision(struct llm_call *c, struct err *err) {
    struct decision_question q;
    struct job job = {.kind = JOB_SCORE,
                      .client = c->client,
                      .on_event = on_event,
                      .user = c};

    if (!decision_next(c->decision, &q, err)) return false;
    job.tokens = q.tokens;
    job.token_count = q.token_count;
    job.labels = q.labels;
    job.label_count = q.label_count;
    c->job = engine_submit(c->llm->engine, &job, err);
    return c->job != 0;
}

/* What the makers of small Llama models advise (SmolLM2's model card). At the
 * API's own 1 and 1 such a model wanders off. */
#define SMALL_TEMPERATURE 0.2f
#define SMALL_TOP_P 0.9f

static float said(float value, float otherwise) {
    return value < 0 ? otherwise : value;
}

static bool submit(struct llm_call *c, struct err *err) {
    const struct chat_request *r = c->request;
    bool calling = c->stage == CALLING;
    bool worked = calling && c->worked >= 0;
    struct job job = {
        .kind = JOB_GENERATE,
        .tokens = worked ? c->worked_prompt.at : c->prompt.at,
        .token_count = (int)(worked ? c->worked_prompt.count : c->prompt.count),
        .client = c->client,
        .sampling = {.temperature = said(r->temperature, SMALL_TEMPERATURE),
                     .top_p = said(r->top_p, SMALL_TOP_P),
                     .presence_penalty = r->presence_penalty,
                     .frequency_penalty = r->frequency_penalty,
                     .top_k = r->top_k,
                     .min_p = r->min_p,
                     .repeat_penalty = r->repeat_penalty,
                     .repeat_window = r->repeat_window,
                     .biases = r->biases,
                     .bias_count = r->bias_count,
                     .seed = c->seed},
        .logprobs = r->logprobs && !calling,
        .rival_count = r->top_logprobs,
        .max_tokens = c->tokens_left,
        /* A stop string in the middle of a call would leave half a call. */
        .stops = calling ? NULL : r->stops,
        .stop_count = calling ? 0 : r->stop_count,
        .grammar = calling     ? c->calls
                   : c->either ? c->either
                               : c->format,
        .may_be_cut = calling, /* half a call is none */
        .adapter = template_shows_tools(r) ? c->llm->adapter : 0,
        .on_event = on_event,
        .user = c};

    if (c->stage == DECIDING) return submit_decision(c, err);
    c->tokens_seen = 0;
    c->job = engine_submit(c->llm->engine, &job, err);
    if (c->job && c->throttled) engine_throttle(c->llm->engine, c->job, true);
    return c->job != 0;
}

/* ---- the beginning ---- */

static bool prepare_format(struct llm_call *c, struct err *err) {
    const struct chat_request *r = c->request;
    struct err inner = {0};
    cJSON *object = NULL;
    char field[ERR_FIELD_MAX];

    if (r->format == FORMAT_TEXT) return true;
    if (r->format == FORMAT_JSON_OBJECT) {
        object = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(object, "type", "object");
        c->format = grammar_from_schema(object, &inner);
        cJSON_Delete(object);
    } else {
        c->format = grammar_from_schema(r->format_schema, &inner);
    }
    if (c->format) return true;
    (void)snprintf(field, sizeof field,
                   "response_format.json_schema.schema%s%.50s",
                   inner.field[0] ? "." : "", inner.field);
    return err_set_field(err, inner.code, field, "%s: %s", field, inner.text);
}

/* toolcall_grammar() has checked that it is there. */
static int tool_named(const struct chat_request *r, struct span name) {
    int i = 0;

    while (i < r->tool_count - 1 && !span_equal(r->tools[i].name, name)) i++;
    return i;
}

static bool prepare_calls(struct llm_call *c, struct err *err) {
    const struct chat_request *r = c->request;
    bool demanded = r->choice == CHOICE_REQUIRED || r->choice == CHOICE_NAMED;

    c->stage = TEXT;
    if (demanded && r->tool_count == 0)
        return err_set_field(err, ERR_INPUT, "tool_choice",
                             "tool_choice: a call is required, but there are "
                             "no tools");
    if (!template_shows_tools(r)) return true;
    c->calls = toolcall_grammar(c->llm->kind, r, err);
    if (!c->calls) return false;
    if (demanded) c->stage = CALLING;
    if (!c->llm->trained && decide_can(r)) {
        if (r->choice == CHOICE_NAMED)
            return work_out(c, tool_named(r, r->choice_name), err);
        c->decision = decision_new(engine_tokenizer(c->llm->engine), r);
        c->stage = DECIDING;
    }
    if (!demanded && !c->decision && c->format) {
        const struct grammar *both[] = {c->calls, c->format};

        c->either = grammar_any(both, 2, err);
        if (!c->either) return false;
    }
    c->watch = c->either || !c->format;
    return true;
}

/* The whole prompt of a request. */
static bool render(const struct llm_engine *llm, const struct chat_request *r,
                   struct tokens *out, struct err *err) {
    time_t now = (time_t)clock_wall_s();
    struct chat_request shown = *r;
    char date[32];
    struct tm tm;

    /* Shown tools and a result, a model that was not trained for them repeats
     * the result's tags; shown the result alone, it says what it is. */
    if (!llm->trained && r->message_count > 0 &&
        r->messages[r->message_count - 1].role == CHAT_TOOL)
        shown.choice = CHOICE_NONE;
    if (!gmtime_r(&now, &tm) || !strftime(date, sizeof date, "%d %b %Y", &tm))
        return err_set(err, ERR_INTERNAL, "no date");
    return template_render(llm->kind, engine_tokenizer(llm->engine), &shown,
                           date, out, err);
}

static bool prepare_prompt(struct llm_call *c, struct err *err) {
    const struct chat_request *r = c->request;
    int context = engine_context(c->llm->engine);
    int most = r->max_tokens > 0 ? r->max_tokens : OUTPUT_TOKENS_DEFAULT;

    if (!render(c->llm, r, &c->prompt, err)) return false;
    if (c->prompt.count >= (size_t)context)
        return err_set_field(err, ERR_LIMIT, "messages",
                             "messages: %zu tokens, but the model reads and "
                             "writes %d in all",
                             c->prompt.count, context);
    c->usage.prompt_tokens = (int)c->prompt.count;
    c->tokens_left = context - (int)c->prompt.count;
    if (most < c->tokens_left) c->tokens_left = most;
    return true;
}

static bool count_prompt(struct llm *face, const struct chat_request *r,
                         int *out, struct err *err) {
    struct tokens prompt = {0};
    bool ok = render((struct llm_engine *)(void *)face, r, &prompt, err);

    if (ok) *out = (int)prompt.count;
    tokens_free(&prompt);
    return ok;
}

static struct llm_call *start(struct llm *face, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct llm_engine *llm = (struct llm_engine *)(void *)face;
    struct llm_call *c = xalloc(sizeof *c);

    c->llm = llm;
    c->request = r;
    c->events = *events;
    c->client = client;
    c->started_ns = clock_ns();
    c->worked = -1;
    c->seed = r->seeded ? r->seed : hash_random_u64();
    if (prepare_format(c, err) && prepare_calls(c, err) &&
        prepare_prompt(c, err) && submit(c, err))
        return c;
    call_destroy(c);
    return NULL;
}

static void cancel(struct llm *face, struct llm_call *c) {
    (void)face;
    call_kill(c);
}

/* A decision says nothing that could be too much: only what follows it waits.
 */
static void throttle(struct llm *face, struct llm_call *c, bool on) {
    (void)face;
    c->throttled = on;
    if (c->job) engine_throttle(c->llm->engine, c->job, on);
}

/* Most weights have the type of the largest matrix inside a layer. */
static void gather_facts(struct llm_engine *llm) {
    const struct gguf *gguf = engine_gguf(llm->engine);
    const struct gguf_tensor *down = gguf_tensor(gguf, "blk.0.ffn_down.weight");
    struct llm_facts *f = &llm->facts;

    f->quantization = down ? gguf_type_name(down->type) : "unknown";
    f->file_bytes = (int64_t)gguf_file_bytes(gguf);
    f->context_tokens = engine_context(llm->engine);
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);

        f->parameters +=
            (int64_t)(t->size[0] * t->size[1] * t->size[2] * t->size[3]);
    }
}

static struct embed *embed(struct llm *face, struct span text, uint64_t client,
                           embed_done *done, void *user, struct err *err) {
    struct llm_engine *llm = (struct llm_engine *)(void *)face;

    return embed_start(llm->engine, text, client, done, user, err);
}

/* What ends an answer of the assistant. */
static int turn_end(const struct llm_engine *llm) {
    const struct tokenizer *t = engine_tokenizer(llm->engine);
    int end = tokenizer_control(t, llm->kind == TEMPLATE_LLAMA3 ? "<|eot_id|>"
                                                                : "<|im_end|>");

    return end < 0 ? tokenizer_eos(t) : end;
}

static struct weigh *weigh(struct llm *face, const struct chat_request *r,
                           const struct span *answers, int count,
                           uint64_t client, weigh_done *done, void *user,
                           struct err *err) {
    struct llm_engine *llm = (struct llm_engine *)(void *)face;
    struct tokens prompt = {0};
    struct weigh_options o = {.prompt = &prompt,
                              .end = turn_end(llm),
                              .answers = answers,
                              .answer_count = count,
                              .client = client};
    struct weigh *w = NULL;

    if (render(llm, r, &prompt, err))
        w = weigh_start(llm->engine, &o, done, user, err);
    tokens_free(&prompt);
    return w;
}

struct llm *llm_engine_open(struct engine *engine, const char *name,
                            struct err *err) {
    struct llm_engine *llm = xalloc(sizeof *llm);

    llm->engine = engine;
    if (!template_detect(engine_gguf(engine), engine_tokenizer(engine),
                         &llm->kind, err)) {
        free(llm);
        return NULL;
    }
    /* The default model is SmolLM2, which has not seen tools in this form; the
     * Llama 2 models have not seen any. */
    llm->trained = llm->kind != TEMPLATE_CHATML && llm->kind != TEMPLATE_LLAMA2;
    llm->calls_stand_alone = llm->kind == TEMPLATE_LLAMA3;
    llm->python_tag =
        tokenizer_control(engine_tokenizer(engine), "<|python_tag|>");
    gather_facts(llm);
    llm->face = (struct llm){.name = xstrdup(name),
                             .facts = &llm->facts,
                             .fences = llm->kind == TEMPLATE_CHATML,
                             .start = start,
                             .cancel = cancel,
                             .count = count_prompt,
                             .throttle = throttle,
                             .embed = embed,
                             .weigh = weigh,
                             .context_tokens = engine_context(engine)};
    return &llm->face;
}

void llm_engine_teach(struct llm *face, int adapter) {
    struct llm_engine *llm = (struct llm_engine *)(void *)face;

    llm->adapter = adapter;
    llm->trained = true;
}

bool llm_engine_tool_prompt(struct llm *face, const char *name,
                            struct err *err) {
    struct llm_engine *llm = (struct llm_engine *)(void *)face;

    return template_tool_prompt(name, engine_tokenizer(llm->engine), &llm->kind,
                                err);
}

void llm_engine_close(struct llm *face) {
    if (!face) return;
    free((void *)(uintptr_t)face->name);
    free((struct llm_engine *)(void *)face);
}
