#include "proxy/guard_upstream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Where tokens cannot be counted: the fewest bytes that one usually has. */
enum { BYTES_PER_TOKEN = 3 };

struct guard_upstream {
    uv_loop_t *loop;
    struct llm *llm;
    enum llamaguard_format format;
    struct peer peer;
};

/* One question. The timer's memory is the job's, so it is freed when that is
 * closed. */
struct upstream_job {
    uv_timer_t timer; /* first, so that the close callback can cast back */
    struct guard_upstream *g;
    struct arena *arena; /* of the request */
    struct chat_request request;
    struct llm_call *call; /* NULL: over */
    int custom_count;
    bool weighed; /* the first word's token was seen */
    double unsafe;
    struct bytes text;
    peer_done *done;
    void *user;
};

/* ---- the end of a job ---- */

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void job_free(struct upstream_job *job) {
    if (job->call) job->g->llm->cancel(job->g->llm, job->call);
    bytes_free(&job->text);
    arena_free(job->arena);
    uv_close((uv_handle_t *)&job->timer, on_closed);
}

static void cancel(void *job) {
    if (job) job_free(job);
}

static void job_fail(struct upstream_job *job, const struct err *why) {
    struct err err = *why;
    peer_done *done = job->done;
    void *user = job->user;

    job_free(job);
    done(user, NULL, &err);
}

/* ---- the first word ---- */

static struct span trimmed(struct span s) {
    while (s.size && strchr(" \t\r\n", s.at[s.size - 1])) s.size--;
    while (s.size && strchr(" \t\r\n", s.at[0])) s = span_slice(s, 1, s.size);
    return s;
}

/* Adds the token's probability to that of the word it begins. */
static void weigh(const struct llm_logprob *token, double *safe,
                  double *unsafe) {
    struct span word = trimmed(token->text);
    double p = exp((double)token->logprob);

    if (!word.size) return;
    if (span_starts(span_of("safe"), word)) *safe += p;
    if (span_starts(span_of("unsafe"), word)) *unsafe += p;
}

/* What the list leaves out is no likelier than the last on it, nor than all
 * that is left. Of the two words only "unsafe" gets the benefit of the doubt.
 */
static double unseen(const struct llm_logprob *token, double seen) {
    double rest = seen < 1 ? 1 - seen : 0, last = rest;

    if (token->top_count)
        last = exp((double)token->top[token->top_count - 1].logprob);
    return last < rest ? last : rest;
}

static bool in_top(const struct llm_logprob *token) {
    for (int i = 0; i < token->top_count; i++)
        if (span_equal(token->top[i].text, token->text)) return true;
    return false;
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    struct upstream_job *job = user;

    for (int i = 0; i < count && !job->weighed; i++) {
        const struct llm_logprob *token = &list[i];
        double safe = 0, unsafe = 0, seen = 0;

        /* A model whose template ends early begins with line breaks. */
        if (!trimmed(token->text).size) continue;
        job->weighed = true;
        if (!in_top(token)) {
            weigh(token, &safe, &unsafe);
            seen += exp((double)token->logprob);
        }
        for (int k = 0; k < token->top_count; k++) {
            weigh(&token->top[k], &safe, &unsafe);
            seen += exp((double)token->top[k].logprob);
        }
        if (unsafe <= 0) unsafe = unseen(token, seen);
        job->unsafe = safe + unsafe > 0 ? unsafe / (safe + unsafe) : 1;
    }
}

/* ---- the answer ---- */

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct upstream_job *job = user;
    struct err err = {0};

    (void)tokens;
    (void)token_count;
    if (bytes_append(&job->text, text.at, text.size, &err)) return;
    /* Not the client's text is too long, but the answer about it. */
    (void)err_set(&err, ERR_IO, "the guard's server says more than a verdict");
    job_fail(job, &err);
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct err err = {0};

    (void)call;
    (void)err_set(&err, ERR_IO, "the guard's server answered with a tool call");
    job_fail(user, &err);
}

static void name_code(const struct upstream_job *job, struct span named,
                      float scores[PEER_SCORES]) {
    enum llamaguard_format f = job->g->format;
    int own = llamaguard_codes(f, 0);
    char code[LLAMAGUARD_CODE_SIZE];

    for (int i = 0; i < own + job->custom_count; i++) {
        llamaguard_code(f, i, code);
        if (span_is(named, code))
            scores[i < own ? llamaguard_label(f, i) : LABEL_COUNT + i - own] =
                (float)job->unsafe;
    }
}

/* "safe", or "unsafe" and a line of codes; else ERR_IO. */
static bool read_answer(struct upstream_job *job, float scores[PEER_SCORES],
                        struct err *err) {
    struct span text = trimmed(span_bytes(&job->text)), codes;
    size_t line = span_find(text, span_of("\n"));
    struct span word = trimmed(span_slice(text, 0, line));
    bool safe = span_is(word, "safe");

    if (!safe && !span_is(word, "unsafe"))
        return err_set(err, ERR_IO,
                       "the guard's server said neither safe nor unsafe");
    /* A server that shows no probabilities is taken at its word. */
    if (!job->weighed) job->unsafe = safe ? 0 : 1;
    scores[LABEL_UNSAFE] = (float)job->unsafe;
    if (safe || line == SIZE_MAX) return true;
    codes = span_slice(text, line + 1, text.size);
    while (codes.size) {
        size_t comma = span_find(codes, span_of(","));

        name_code(job, trimmed(span_slice(codes, 0, comma)), scores);
        if (comma == SIZE_MAX) break;
        codes = span_slice(codes, comma + 1, codes.size);
    }
    return true;
}

static void on_end(void *user, const struct llm_end *end) {
    struct upstream_job *job = user;
    float scores[PEER_SCORES] = {0};
    struct err err = {0};
    peer_done *done = job->done;
    void *told = job->user;

    job->call = NULL;
    if (!end->ok || !read_answer(job, scores, &err)) {
        job_fail(job, end->ok ? &err : &end->err);
        return;
    }
    job_free(job);
    done(told, scores, NULL);
}

static void on_deadline(uv_timer_t *timer) {
    struct err err = {0};

    (void)err_set(&err, ERR_TIMEOUT, "the guard's server took too long");
    job_fail((struct upstream_job *)timer, &err);
}

/* ---- asking ---- */

/* The turns, with nothing in them that the server could take for a token of
 * its template. */
static bool put_turns(struct upstream_job *job, const struct peer_request *r,
                      struct err *err) {
    struct chat_request *to = &job->request;

    to->messages = arena_alloc(job->arena, (size_t)r->turn_count,
                               sizeof *to->messages, err);
    if (!to->messages) return false;
    for (int i = 0; i < r->turn_count; i++) {
        struct bytes text = {0};
        struct span kept;
        bool ok = llamaguard_turn(r->turns[i].text, &text, err) &&
                  arena_copy(job->arena, span_bytes(&text), &kept, err);

        bytes_free(&text);
        if (!ok) return false;
        to->messages[to->message_count++] = (struct chat_message){
            .role = r->turns[i].role == GUARD_USER ? CHAT_USER : CHAT_ASSISTANT,
            .text = kept};
    }
    return true;
}

static bool request_build(struct upstream_job *job,
                          const struct peer_request *r, struct err *err) {
    size_t size = r->turns[r->turn_count - 1].text.size;
    int most = r->tokens_max > 0 && r->tokens_max < CLASSIFY_TOKENS_MAX
                   ? r->tokens_max
                   : CLASSIFY_TOKENS_MAX;

    if (size / BYTES_PER_TOKEN > (size_t)most)
        return err_set(err, ERR_LIMIT, "a text past %d tokens", most);
    chat_request_init(&job->request, job->arena);
    job->request.temperature = 0;
    job->request.max_tokens = GUARD_UPSTREAM_TOKENS;
    job->request.logprobs = true;
    job->request.top_logprobs = GUARD_UPSTREAM_RIVALS;
    return put_turns(job, r, err);
}

static bool job_start(struct upstream_job *job, const struct peer_request *r,
                      struct err *err) {
    const struct llm_events events = {.on_text = on_text,
                                      .on_logprobs = on_logprobs,
                                      .on_tool_call = on_tool_call,
                                      .on_end = on_end,
                                      .user = job};
    uint64_t now = clock_ms();

    if (!request_build(job, r, err)) return false;
    if (r->deadline_ms)
        (void)uv_timer_start(&job->timer, on_deadline,
                             r->deadline_ms > now ? r->deadline_ms - now : 0,
                             0);
    job->call =
        job->g->llm->start(job->g->llm, &job->request, r->client, &events, err);
    return job->call != NULL;
}

static void *ask(void *self, const struct peer_request *r, peer_done *done,
                 void *user, struct err *err) {
    struct upstream_job *job = xalloc(sizeof *job);

    job->g = self;
    job->arena = arena_new(16 << 20);
    job->custom_count = r->custom_count;
    job->text.limit = GUARD_UPSTREAM_TEXT_MAX;
    job->done = done;
    job->user = user;
    (void)uv_timer_init(job->g->loop, &job->timer);
    if (job_start(job, r, err)) return job;
    job_free(job);
    return NULL;
}

struct guard_upstream *guard_upstream_open(uv_loop_t *loop, struct llm *llm,
                                           enum llamaguard_format format) {
    struct guard_upstream *g = xalloc(sizeof *g);

    g->loop = loop;
    g->llm = llm;
    g->format = format;
    g->peer = (struct peer){.ask = ask, .cancel = cancel, .self = g};
    memcpy(g->peer.thresholds, peer_thresholds, sizeof peer_thresholds);
    return g;
}

void guard_upstream_close(struct guard_upstream *g) {
    free(g);
}

struct peer *guard_upstream_peer(struct guard_upstream *g) {
    return &g->peer;
}
