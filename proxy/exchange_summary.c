/* exchange_summary.c - a session's turn that outgrew the window, before it is
 * judged: the model is asked for a summary of what is left out. What it is
 * asked is judged as it was when it came, what it writes as an answer. Whatever
 * goes wrong, the turn goes on without a summary, and its record says so. */
#include "agent/compact.h"
#include "agent/summary.h"
#include "base/clock.h"
#include "proxy/auth.h"
#include "proxy/exchange_state.h"
#include "proxy/journal.h"
#include "proxy/judging.h"

enum { SUMMARY_SECONDS = 60, SUMMARY_TEXT_MAX = 8192 };

struct exchange_summary {
    struct chat_message *messages; /* that were left out; arena */
    int count;
    bool had_one; /* the first two of them were a summary, and no entries */
    struct chat_request request; /* asks for it */
    struct field *fields;
    int field_count;
    struct traced *traced; /* the model, where the trace is sampled; or NULL */
    struct llm *llm;       /* either */
    struct llm_call *call;
    int prompt_tokens, tokens; /* so far, by the engine */
    struct guard_check *check;
    uint64_t check_ns;
    enum channel channel;
    uint64_t deadline_ms;
    struct bytes text;
};

static void go_on(struct exchange *x, const struct chat_message *summary,
                  const char *why) {
    struct exchange_summary *s = x->summary;
    int entries = s->count - (s->had_one ? SUMMARY_MESSAGES : 0);

    exchange_summary_stop(x);
    journal_drop(x->journal, entries, summary, why);
    exchange_go_on(x);
}

static void spend(struct exchange *x, const struct llm_usage *u) {
    caller_spend(x->caller, (int64_t)u->prompt_tokens + u->completion_tokens);
    metrics_tokens(x->context->metrics, TOKENS_PROMPT, u->prompt_tokens);
    metrics_tokens(x->context->metrics, TOKENS_COMPLETION,
                   u->completion_tokens);
}

/* What nobody told: as a turn that ends early has it. */
static struct llm_usage so_far(const struct exchange_summary *s) {
    struct llm_usage u = {0};

    if (s->llm->count)
        return (struct llm_usage){.prompt_tokens = s->prompt_tokens,
                                  .completion_tokens = s->tokens};
    if (s->text.size) compact_guess_usage(&u, &s->request, s->text.size);
    return u;
}

void exchange_summary_stop(struct exchange *x) {
    struct exchange_summary *s = x->summary;

    if (!s) return;
    if (s->call) {
        const struct llm_usage u = so_far(s);

        spend(x, &u); /* abandoned, and not for nothing */
        s->llm->cancel(s->llm, s->call);
    }
    s->call = NULL;
    traced_free(s->traced);
    s->traced = NULL;
    guard_check_cancel(s->check);
    s->check = NULL;
    bytes_free(&s->text);
    x->summary = NULL; /* arena */
}

void exchange_summary_tick(struct exchange *x) {
    if (x->summary && clock_ms() > x->summary->deadline_ms)
        go_on(x, NULL, "timeout");
}

/* ---- the summary's place --------------------------------------------- */

static bool insert(struct exchange *x, const struct chat_message *summary,
                   struct err *err) {
    struct chat_request *r = &x->request;
    size_t count = (size_t)r->message_count;
    struct chat_message *list =
        arena_alloc(x->arena, count + SUMMARY_MESSAGES, sizeof *list, err);
    int first = 0, at = 0;

    if (!list) return false;
    while (first < r->message_count && r->messages[first].role == CHAT_SYSTEM)
        list[at++] = r->messages[first++];
    for (int i = 0; i < SUMMARY_MESSAGES; i++) list[at++] = summary[i];
    while (first < r->message_count) list[at++] = r->messages[first++];
    r->messages = list;
    r->message_count = at;
    return true;
}

static void keep(struct exchange *x, struct span text) {
    struct exchange_summary *s = x->summary;
    struct chat_message *summary =
        arena_alloc(x->arena, SUMMARY_MESSAGES, sizeof *summary, NULL);

    if (summary &&
        summary_put(&x->request, s->messages, s->count, text, summary, NULL) &&
        insert(x, summary, NULL))
        go_on(x, summary, NULL);
    else
        go_on(x, NULL, "limit");
}

/* ---- judged ---------------------------------------------------------- */

static void check(struct exchange *x, enum channel channel,
                  const struct guard_request *request, guard_done *done) {
    struct exchange_summary *s = x->summary;
    struct guard_check *c;

    s->channel = channel;
    s->check_ns = clock_ns();
    c = guard_check_start(x->context->guard, request, done, x);
    if (c) s->check = c; /* NULL: `done` has run */
}

static void note(struct exchange *x, const struct verdict *v) {
    struct exchange_summary *s = x->summary;

    s->check = NULL;
    exchange_note_verdict(x, s->channel, v, clock_ns() - s->check_ns, "");
}

static void on_answer_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    struct exchange_summary *s = x->summary;
    struct bytes text = {0};

    note(x, v);
    if (!verdict_lets_pass(v))
        go_on(x, NULL, "blocked");
    else if (v->action != VERDICT_REDACT)
        keep(x, span_bytes(&s->text));
    else if (verdict_redact(v, 0, span_bytes(&s->text), &text, NULL))
        keep(x, span_bytes(&text));
    else
        go_on(x, NULL, "limit");
    bytes_free(&text);
}

static void judge_answer(struct exchange *x) {
    struct span text = span_bytes(&x->summary->text);
    struct guard_item item = {CHANNEL_OUTPUT, text};
    struct guard_turn turns[] = {
        {GUARD_USER, span_of("Summarise our conversation.")},
        {GUARD_ASSISTANT, text}};
    const struct guard_request request = {.policy = x->policy,
                                          .items = &item,
                                          .item_count = 1,
                                          .turns = turns,
                                          .turn_count = 2,
                                          .channel = CHANNEL_OUTPUT,
                                          .client = x->client};

    check(x, CHANNEL_OUTPUT, &request, on_answer_verdict);
}

/* ---- written --------------------------------------------------------- */

static void on_prompt(void *user, const int *tokens, int token_count) {
    struct exchange *x = user;

    (void)tokens;
    x->summary->prompt_tokens = token_count;
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct exchange *x = user;

    (void)tokens;
    x->summary->tokens += token_count;
    if (!bytes_append(&x->summary->text, text.at, text.size, NULL))
        go_on(x, NULL, "limit");
}

static void on_end(void *user, const struct llm_end *end) {
    struct exchange *x = user;
    struct llm_usage u = end->usage;

    if (!u.prompt_tokens && !u.completion_tokens) u = so_far(x->summary);
    x->summary->call = NULL;
    spend(x, &u);
    if (!end->ok || !x->summary->text.size)
        go_on(x, NULL, "model");
    else
        judge_answer(x);
}

static void write_it(struct exchange *x) {
    struct exchange_summary *s = x->summary;
    const struct llm_events events = {.on_prompt = on_prompt,
                                      .on_text = on_text,
                                      .on_end = on_end,
                                      .user = x};
    struct err err = {0};

    s->traced = exchange_traced(x, "summary");
    s->llm = s->traced ? traced_llm(s->traced) : x->llm;
    chat_request_init(&s->request, x->arena);
    if (summary_ask(&x->request, s->messages, s->count,
                    x->context->compact.tokens ? x->context->compact.tokens
                                               : x->llm->context_tokens,
                    &s->request, &err))
        s->call = s->llm->start(s->llm, &s->request, x->client, &events, &err);
    if (!s->call) go_on(x, NULL, "model");
}

static void on_asked_verdict(void *user, const struct verdict *v) {
    struct exchange *x = user;
    struct exchange_summary *s = x->summary;

    note(x, v);
    if (!verdict_lets_pass(v) ||
        (v->action == VERDICT_REDACT &&
         !fields_redact(s->fields, s->field_count, v, x->arena, NULL)))
        go_on(x, NULL, "blocked");
    else
        write_it(x);
}

/* By rules and entities: they cost nothing, and the policy may have changed
 * since these texts came. */
static bool judge_asked(struct exchange *x, struct err *err) {
    struct exchange_summary *s = x->summary;
    struct chat_request old = {
        .arena = x->arena, .messages = s->messages, .message_count = s->count};
    struct guard_request request = {
        .policy = x->policy, .channel = CHANNEL_INPUT, .client = x->client};

    if (!fields_collect(&old, &s->fields, &s->field_count, err) ||
        !judging_fields(&request, s->fields, s->field_count, x->arena, err))
        return false;
    check(x, CHANNEL_INPUT, &request, on_asked_verdict);
    return true;
}

bool exchange_summarise(struct exchange *x, struct chat_message *messages,
                        int count, struct err *err) {
    struct exchange_summary *s = arena_alloc(x->arena, 1, sizeof *s, err);
    const struct chat_request old = {.messages = messages,
                                     .message_count = count};

    if (!s) return false;
    *s = (struct exchange_summary){.messages = messages, .count = count};
    s->had_one = count >= SUMMARY_MESSAGES && summary_at(&old, 0);
    s->text.limit = SUMMARY_TEXT_MAX;
    s->deadline_ms = clock_ms() + (uint64_t)SUMMARY_SECONDS * 1000;
    x->summary = s;
    return true;
}

void exchange_summary_begin(struct exchange *x) {
    struct err err = {0};

    if (!judge_asked(x, &err)) go_on(x, NULL, "limit");
}
