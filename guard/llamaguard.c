#include "guard/llamaguard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

enum {
    WORDS = 2,          /* ways to begin the answer, with a blank or without */
    ANSWER_TOKENS = 96, /* "unsafe" and the longest list of codes */
    ROOM_MIN = 256,     /* tokens for the judged text, or a model is no use */
    WINDOWS_MAX = 64
};

struct llamaguard {
    struct engine *engine;
    enum llamaguard_format format;
    struct peer peer;
    /* The first tokens of "safe" and " safe", then of the same with "unsafe",
     * (2, ways). A way whose two are the same token tells nothing and is left
     * out. */
    int labels[2 * WORDS];
    int ways;
    struct tokens unsafe[WORDS]; /* the whole line */
    /* Lists of codes, by how many custom ones there are; made when needed. */
    struct grammar *lists[LLAMAGUARD_CUSTOM_MAX + 1];
};

struct window {
    struct llamaguard_job *job;
    struct tokens prompt;
    uint64_t id;
    bool scored;
    int way; /* likelier to say "unsafe" */
    double unsafe;
};

/*   SCORING (all windows) -> NAMING (the worst, where it matters) -> told */
struct llamaguard_job {
    struct llamaguard *g;
    int custom_count;
    uint64_t client;
    uint64_t deadline_ms;
    struct window windows[WINDOWS_MAX];
    int count, waiting;
    uint64_t naming; /* the id of that generation; 0: not yet */
    struct bytes codes;
    peer_done *done;
    void *user;
};

/* ---- opening ---- */

static bool encode(const struct llamaguard *g, const char *text,
                   struct tokens *out, struct err *err) {
    return tokenizer_encode(engine_tokenizer(g->engine), span_of(text), out,
                            err);
}

/* Add one way to answer, if its two words begin differently. */
static bool add_way(struct llamaguard *g, const char *safe, const char *unsafe,
                    struct err *err) {
    struct tokens yes = {0}, no = {0};
    bool ok = encode(g, safe, &yes, err) && encode(g, unsafe, &no, err);

    if (ok && yes.count && no.count && yes.at[0] != no.at[0]) {
        g->labels[2 * g->ways] = yes.at[0]; /* in pairs at first */
        g->labels[2 * g->ways + 1] = no.at[0];
        ok = encode(g, "\n", &no, err);
        g->unsafe[g->ways++] = no;
        no = (struct tokens){0};
    }
    tokens_free(&yes);
    tokens_free(&no);
    return ok;
}

static bool find_words(struct llamaguard *g, struct err *err) {
    int second;

    if (!add_way(g, "safe", "unsafe", err) ||
        !add_way(g, " safe", " unsafe", err))
        return false;
    if (!g->ways)
        return err_set(err, ERR_UNSUPPORTED,
                       "the vocabulary cannot tell safe from unsafe by one "
                       "token");
    if (g->ways < WORDS) return true;
    second = g->labels[1];
    g->labels[1] = g->labels[2];
    g->labels[2] = second;
    return true;
}

static bool prompt_of(const struct llamaguard *g, const struct peer_request *r,
                      struct tokens *out, struct err *err) {
    struct llamaguard_prompt p = {g->format, r->turns, r->turn_count, r->custom,
                                  r->custom_count};

    return llamaguard_tokens(&p, engine_tokenizer(g->engine), out, err);
}

static int budget(const struct llamaguard *g) {
    return engine_context(g->engine) - ANSWER_TOKENS;
}

/* The control tokens are there, and a text fits beside the prompt. */
static bool try_prompt(const struct llamaguard *g, struct err *err) {
    struct guard_turn turn = {GUARD_USER, {"", 0}};
    struct peer_request r = {.turns = &turn, .turn_count = 1};
    struct tokens prompt = {0};
    bool ok = prompt_of(g, &r, &prompt, err);

    if (ok && (int)prompt.count + ROOM_MIN > budget(g))
        ok = err_set(err, ERR_LIMIT,
                     "a context of %d tokens is too short for the prompt of %s",
                     engine_context(g->engine),
                     llamaguard_format_name(g->format));
    tokens_free(&prompt);
    return ok;
}

static void *ask(void *self, const struct peer_request *r, peer_done *done,
                 void *user, struct err *err);
static void cancel(void *job);

struct llamaguard *llamaguard_open(struct engine *engine,
                                   enum llamaguard_format format,
                                   struct err *err) {
    struct llamaguard *g = xalloc(sizeof *g);

    g->engine = engine;
    g->format = format;
    g->peer = (struct peer){.ask = ask,
                            .cancel = cancel,
                            .self = g,
                            .custom_max = LLAMAGUARD_CUSTOM_MAX};
    memcpy(g->peer.thresholds, peer_thresholds, sizeof peer_thresholds);
    if (find_words(g, err) && try_prompt(g, err)) return g;
    llamaguard_close(g);
    return NULL;
}

void llamaguard_close(struct llamaguard *g) {
    if (!g) return;
    for (int i = 0; i < WORDS; i++) tokens_free(&g->unsafe[i]);
    for (int i = 0; i <= LLAMAGUARD_CUSTOM_MAX; i++) grammar_free(g->lists[i]);
    free(g);
}

struct peer *llamaguard_peer(struct llamaguard *g) {
    return &g->peer;
}

/* "S1,S2", any codes in any order. */
static struct grammar *code_list(struct llamaguard *g, int custom_count,
                                 struct err *err) {
    char codes[LLAMAGUARD_CODES_MAX][LLAMAGUARD_CODE_SIZE];
    struct span choices[LLAMAGUARD_CODES_MAX];
    int count = llamaguard_codes(g->format, custom_count);
    struct grammar **list = &g->lists[custom_count];
    struct grammar *one;

    if (*list) return *list;
    for (int i = 0; i < count; i++) {
        llamaguard_code(g->format, i, codes[i]);
        choices[i] = span_of(codes[i]);
    }
    one = grammar_from_choices(choices, count, err);
    if (one) *list = grammar_repeat(one, count, span_of(","), err);
    grammar_free(one);
    return *list;
}

/* ---- the end of a job ---- */

static void job_free(struct llamaguard_job *job) {
    for (int i = 0; i < job->count; i++) {
        if (job->windows[i].id)
            engine_cancel(job->g->engine, job->windows[i].id);
        tokens_free(&job->windows[i].prompt);
    }
    if (job->naming) engine_cancel(job->g->engine, job->naming);
    bytes_free(&job->codes);
    free(job);
}

static void cancel(void *job) {
    if (job) job_free(job);
}

static void job_fail(struct llamaguard_job *job, const struct err *why) {
    struct err err = *why; /* it may belong to an event of the job */
    peer_done *done = job->done;
    void *user = job->user;

    if (!err.code)
        (void)err_set(&err, ERR_INTERNAL, "Llama Guard's job failed");
    job_free(job);
    done(user, NULL, &err);
}

static struct window *worst(struct llamaguard_job *job) {
    struct window *found = &job->windows[0];

    for (int i = 1; i < job->count; i++)
        if (job->windows[i].unsafe > found->unsafe) found = &job->windows[i];
    return found;
}

/* Every code that the answer names scores what the answer does. */
static void read_codes(const struct llamaguard_job *job, float score,
                       float scores[PEER_SCORES]) {
    enum llamaguard_format f = job->g->format;
    int own = llamaguard_codes(f, 0);
    struct span rest = span_bytes(&job->codes);
    char code[LLAMAGUARD_CODE_SIZE];

    while (rest.size) {
        size_t comma = span_find(rest, span_of(","));
        struct span named = span_slice(rest, 0, comma);

        for (int i = 0; i < own + job->custom_count; i++) {
            llamaguard_code(f, i, code);
            if (span_is(named, code))
                scores[i < own ? llamaguard_label(f, i)
                               : LABEL_COUNT + i - own] = score;
        }
        if (comma == SIZE_MAX) break;
        rest = span_slice(rest, comma + 1, rest.size);
    }
}

static void job_tell(struct llamaguard_job *job) {
    float scores[PEER_SCORES] = {0};
    peer_done *done = job->done;
    void *user = job->user;
    struct err err = {0};

    if (job->deadline_ms && clock_ms() > job->deadline_ms) {
        (void)err_set(&err, ERR_TIMEOUT, "Llama Guard's answer came too late");
        job_fail(job, &err);
        return;
    }
    scores[LABEL_UNSAFE] = (float)worst(job)->unsafe;
    read_codes(job, scores[LABEL_UNSAFE], scores);
    job_free(job);
    done(user, scores, NULL);
}

/* ---- naming: which categories ---- */

static void on_codes(void *user, const struct job_event *event) {
    struct llamaguard_job *job = user;
    struct err err = {0};

    if (event->kind == JOB_TEXT) {
        /* The grammar bounds it. */
        if (!bytes_append(&job->codes, event->text.at, event->text.size, &err))
            job_fail(job, &err);
        return;
    }
    if (event->kind != JOB_DONE) return;
    job->naming = 0;
    if (event->end == JOB_END_ERROR)
        job_fail(job, &event->err);
    else
        job_tell(job);
}

static bool name_start(struct llamaguard_job *job, struct window *w,
                       struct err *err) {
    const struct tokens *line = &job->g->unsafe[w->way];
    struct job order = {.kind = JOB_GENERATE,
                        .client = job->client,
                        .deadline_ms = job->deadline_ms,
                        .sampling = SAMPLING_GREEDY,
                        .max_tokens = ANSWER_TOKENS - (int)line->count,
                        .grammar = code_list(job->g, job->custom_count, err),
                        .on_event = on_codes,
                        .user = job};

    w->prompt.limit = 0; /* ANSWER_TOKENS were kept free for this */
    if (!order.grammar ||
        !tokens_append(&w->prompt, line->at, line->count, err))
        return false;
    order.tokens = w->prompt.at;
    order.token_count = (int)w->prompt.count;
    job->naming = engine_submit(job->g->engine, &order, err);
    return job->naming != 0;
}

/* Below every threshold nobody acts on a category. */
static bool matters(const struct llamaguard *g, double unsafe) {
    for (int i = 0; i < LEVEL_OFF; i++)
        if (unsafe >= (double)g->peer.thresholds[i]) return true;
    return false;
}

static void windows_done(struct llamaguard_job *job) {
    struct window *w = worst(job);
    struct err err = {0};

    for (int i = 0; i < job->count; i++)
        if (!job->windows[i].scored) {
            (void)err_set(&err, ERR_INTERNAL, "Llama Guard gave no score");
            job_fail(job, &err);
            return;
        }
    if (!matters(job->g, w->unsafe))
        job_tell(job);
    else if (!name_start(job, w, &err))
        job_fail(job, &err);
}

/* ---- scoring: safe or unsafe ---- */

/* The words' logits, (2, ways), to P(unsafe) between them. */
static bool window_score(const struct llamaguard *g, struct window *w,
                         const struct job_event *event) {
    double most = -INFINITY, sum[2] = {0, 0};
    const float *x = event->scores;

    if (event->score_count != 2 * g->ways) return false;
    for (int i = 0; i < 2 * g->ways; i++) {
        if (!isfinite(x[i])) return false;
        if ((double)x[i] > most) most = (double)x[i];
    }
    for (int i = 0; i < 2 * g->ways; i++)
        sum[i / g->ways] += exp((double)x[i] - most);
    for (int i = 1; i < g->ways; i++)
        if (x[g->ways + i] > x[g->ways + w->way]) w->way = i;
    w->unsafe = sum[1] / (sum[0] + sum[1]);
    w->scored = true;
    return true;
}

static void on_scores(void *user, const struct job_event *event) {
    struct window *w = user;
    struct llamaguard_job *job = w->job;
    struct err err = {0};

    if (event->kind == JOB_SCORES && !window_score(job->g, w, event)) {
        (void)err_set(&err, ERR_INTERNAL, "Llama Guard's score is no number");
        job_fail(job, &err);
        return;
    }
    if (event->kind != JOB_DONE) return;
    w->id = 0;
    if (event->end == JOB_END_ERROR)
        job_fail(job, &event->err);
    else if (--job->waiting == 0)
        windows_done(job);
}

static bool window_start(struct llamaguard_job *job, struct window *w,
                         struct err *err) {
    struct job order = {.kind = JOB_SCORE,
                        .tokens = w->prompt.at,
                        .token_count = (int)w->prompt.count,
                        .client = job->client,
                        .deadline_ms = job->deadline_ms,
                        .labels = job->g->labels,
                        .label_count = 2 * job->g->ways,
                        .sampling = SAMPLING_GREEDY,
                        .on_event = on_scores,
                        .user = w};

    w->job = job;
    w->id = engine_submit(job->g->engine, &order, err);
    if (w->id) job->waiting++;
    return w->id != 0;
}

/* ---- asking ---- */

/* The prompt with text[from, end) as its last turn, as one more window. */
static bool add_window(struct llamaguard_job *job, const struct peer_request *r,
                       size_t from, size_t end, struct err *err) {
    struct guard_turn turns[PEER_TURNS_MAX + 1];
    struct peer_request one = *r;
    struct window *w;

    if (job->count == WINDOWS_MAX)
        return err_set(err, ERR_LIMIT, "a text past %d windows", WINDOWS_MAX);
    w = &job->windows[job->count++];
    memcpy(turns, r->turns, (size_t)r->turn_count * sizeof *turns);
    one.turns = turns;
    turns[r->turn_count - 1].text =
        span_slice(r->turns[r->turn_count - 1].text, from, end);
    w->prompt.limit = (size_t)budget(job->g);
    return prompt_of(job->g, &one, &w->prompt, err);
}

/* A token is a byte or more, and what breaks the spell of a fence makes two
 * bytes three: so much of the text surely fits beside the rest. */
static bool add_windows(struct llamaguard_job *job,
                        const struct peer_request *r, struct err *err) {
    struct span text = r->turns[r->turn_count - 1].text;
    struct tokens rest = {0};
    struct peer_request none = *r;
    struct guard_turn turns[PEER_TURNS_MAX + 1];
    size_t room, from = 0, end;
    bool ok;

    memcpy(turns, r->turns, (size_t)r->turn_count * sizeof *turns);
    turns[r->turn_count - 1].text = (struct span){"", 0};
    none.turns = turns;
    ok = prompt_of(job->g, &none, &rest, err);
    room = (size_t)budget(job->g);
    room = ok && rest.count < room ? (room - rest.count) / 3 * 2 : 0;
    tokens_free(&rest);
    if (!ok) return false;
    if (room < ROOM_MIN / 2)
        return err_set(err, ERR_LIMIT,
                       "the conversation leaves no room for the judged text");
    for (;; from = utf8_back(text, end - room / 4)) {
        end =
            text.size - from > room ? utf8_back(text, from + room) : text.size;
        if (!add_window(job, r, from, end, err)) return false;
        if (end == text.size) return true;
    }
}

static bool within(const struct llamaguard *g, const struct peer_request *r,
                   struct err *err) {
    struct tokens text = {.limit = CLASSIFY_TOKENS_MAX};
    struct err why = {0};
    bool ok;

    if (r->tokens_max > 0 && r->tokens_max < CLASSIFY_TOKENS_MAX)
        text.limit = (size_t)r->tokens_max;
    ok = tokenizer_encode(engine_tokenizer(g->engine),
                          r->turns[r->turn_count - 1].text, &text, &why);
    tokens_free(&text);
    if (ok) return true;
    return err_set(err, why.code, "%s",
                   why.code == ERR_LIMIT ? "a text past the limit of tokens"
                                         : why.text);
}

/* Whole where it fits, else in windows. */
static bool plan(struct llamaguard_job *job, const struct peer_request *r,
                 struct err *err) {
    struct err why = {0};

    if (!within(job->g, r, err)) return false;
    if (add_window(job, r, 0, SIZE_MAX, &why)) return true;
    tokens_free(&job->windows[--job->count].prompt);
    if (why.code == ERR_LIMIT) return add_windows(job, r, err);
    if (err) *err = why;
    return false;
}

static void *ask(void *self, const struct peer_request *r, peer_done *done,
                 void *user, struct err *err) {
    struct llamaguard_job *job = xalloc(sizeof *job);
    bool ok;

    job->g = self;
    job->custom_count = r->custom_count;
    job->client = r->client;
    job->deadline_ms = r->deadline_ms;
    job->done = done;
    job->user = user;
    ok = plan(job, r, err);
    for (int i = 0; ok && i < job->count; i++)
        ok = window_start(job, &job->windows[i], err);
    if (ok) return job;
    job_free(job);
    return NULL;
}
