#include "agent/weigh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

/* An answer's tokens, its end among them. */
struct answer {
    struct tokens tokens;
    int index; /* as the asker counts */
    double probability;
};

/* Answers that begin alike, so far: answers[from .. end), `depth` tokens. */
struct fork {
    int from, end;
    size_t depth;
};

struct weigh {
    struct engine *engine;
    uint64_t client;
    weigh_done *done;
    void *user;
    struct tokens prompt;
    size_t prompt_count;    /* of `prompt` without the answer's beginning */
    struct answer *answers; /* sorted by their tokens */
    int answer_count;
    /* Those not asked about yet. Each splits into smaller ones, and there are
     * never more than there are answers. */
    struct fork *forks;
    int fork_count;
    struct fork asked;
    int labels[WEIGH_ANSWERS_MAX];
    int label_count;
    uint64_t job;
    bool told; /* the usage of the first job is kept */
    struct weigh_usage usage;
};

static void weigh_free(struct weigh *w) {
    for (int i = 0; i < w->answer_count; i++)
        tokens_free(&w->answers[i].tokens);
    free(w->answers);
    free(w->forks);
    tokens_free(&w->prompt);
    free(w);
}

void weigh_cancel(struct weigh *w) {
    if (!w) return;
    engine_cancel(w->engine, w->job);
    weigh_free(w);
}

static void finish(struct weigh *w) {
    double probabilities[WEIGH_ANSWERS_MAX];

    for (int i = 0; i < w->answer_count; i++)
        probabilities[w->answers[i].index] = w->answers[i].probability;
    w->done(w->user, probabilities, w->answer_count, &w->usage, NULL);
    weigh_free(w);
}

static void fail(struct weigh *w, const struct err *why) {
    struct err err = *why;

    w->done(w->user, NULL, 0, &w->usage, &err);
    weigh_free(w);
}

/* ---- forks ---- */

static int token_at(const struct weigh *w, int answer, size_t depth) {
    return w->answers[answer].tokens.at[depth];
}

/* The end of the answers in `f` that go on as the one at `from` does. */
static int group_end(const struct weigh *w, const struct fork *f, int from) {
    int end = from + 1;

    while (end < f->end &&
           token_at(w, end, f->depth) == token_at(w, from, f->depth))
        end++;
    return end;
}

/* Move on to where the answers part; one alone parts from nothing. No answer
 * ends before that: its end token is one of its own. */
static void add_fork(struct weigh *w, struct fork f) {
    if (f.end - f.from < 2) return;
    while (group_end(w, &f, f.from) == f.end) f.depth++;
    w->forks[w->fork_count++] = f;
}

static bool ask(struct weigh *w, struct err *err);

/* Share the probability of a fork among its branches. */
static void share(struct weigh *w, const float *scores) {
    const struct fork *f = &w->asked;
    double most = -INFINITY, sum = 0;
    int label = 0;

    for (int i = 0; i < w->label_count; i++)
        if ((double)scores[i] > most) most = (double)scores[i];
    for (int i = 0; i < w->label_count; i++)
        sum += exp((double)scores[i] - most);
    for (int from = f->from; from < f->end; label++) {
        int end = group_end(w, f, from);
        double part = exp((double)scores[label] - most) / sum;

        for (int i = from; i < end; i++) w->answers[i].probability *= part;
        add_fork(w, (struct fork){from, end, f->depth + 1});
        from = end;
    }
}

static void on_event(void *user, const struct job_event *event) {
    struct weigh *w = user;
    struct err err = {0};

    if (event->kind == JOB_SCORES) {
        if (!w->told) w->usage.cached_tokens = event->usage.cached_tokens;
        if (w->usage.cached_tokens > w->usage.prompt_tokens)
            w->usage.cached_tokens = w->usage.prompt_tokens;
        w->told = true;
        if (event->score_count == w->label_count) share(w, event->scores);
    }
    if (event->kind != JOB_DONE) return;
    w->job = 0;
    if (event->end == JOB_END_ERROR)
        fail(w, &event->err);
    else if (w->fork_count == 0)
        finish(w);
    else if (!ask(w, &err))
        fail(w, &err);
}

/* About the next fork. */
static bool ask(struct weigh *w, struct err *err) {
    struct job job = {.kind = JOB_SCORE,
                      .client = w->client,
                      .labels = w->labels,
                      .on_event = on_event,
                      .user = w};
    struct fork f = w->forks[--w->fork_count];

    w->asked = f;
    w->label_count = 0;
    for (int from = f.from; from < f.end; from = group_end(w, &f, from))
        w->labels[w->label_count++] = token_at(w, from, f.depth);
    w->prompt.count = w->prompt_count;
    if (!tokens_append(&w->prompt, w->answers[f.from].tokens.at, f.depth, err))
        return false;
    job.tokens = w->prompt.at;
    job.token_count = (int)w->prompt.count;
    job.label_count = w->label_count;
    w->job = engine_submit(w->engine, &job, err);
    return w->job != 0;
}

/* ---- the beginning ---- */

static int compare(const void *left, const void *right) {
    const struct tokens *a = &((const struct answer *)left)->tokens;
    const struct tokens *b = &((const struct answer *)right)->tokens;
    size_t count = a->count < b->count ? a->count : b->count;

    for (size_t i = 0; i < count; i++)
        if (a->at[i] != b->at[i]) return a->at[i] < b->at[i] ? -1 : 1;
    return a->count < b->count ? -1 : a->count > b->count;
}

static bool read_answer(struct weigh *w, const struct weigh_options *o,
                        int index, struct err *err) {
    struct answer *a = &w->answers[w->answer_count];

    if (o->answers[index].size > WEIGH_ANSWER_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "an answer has more than %d bytes",
                       WEIGH_ANSWER_BYTES_MAX);
    w->answer_count++;
    a->index = index;
    a->probability = 1;
    return tokenizer_encode(engine_tokenizer(w->engine), o->answers[index],
                            &a->tokens, err) &&
           (a->tokens.count > 0 ||
            err_set(err, ERR_INPUT, "an answer without a token")) &&
           tokens_push(&a->tokens, o->end, err);
}

static bool read_answers(struct weigh *w, const struct weigh_options *o,
                         struct err *err) {
    if (o->answer_count < 1 || o->answer_count > WEIGH_ANSWERS_MAX)
        return err_set(err, ERR_LIMIT, "expected 1 to %d answers",
                       WEIGH_ANSWERS_MAX);
    w->answers = xalloc_array((size_t)o->answer_count, sizeof *w->answers);
    w->forks = xalloc_array((size_t)o->answer_count, sizeof *w->forks);
    for (int i = 0; i < o->answer_count; i++)
        if (!read_answer(w, o, i, err)) return false;
    qsort(w->answers, (size_t)w->answer_count, sizeof *w->answers, compare);
    for (int i = 1; i < w->answer_count; i++)
        if (compare(&w->answers[i - 1], &w->answers[i]) == 0)
            return err_set(err, ERR_INPUT, "two answers are the same");
    return true;
}

struct weigh *weigh_start(struct engine *engine, const struct weigh_options *o,
                          weigh_done *done, void *user, struct err *err) {
    struct weigh *w = xalloc(sizeof *w);

    w->engine = engine;
    w->client = o->client;
    w->done = done;
    w->user = user;
    w->prompt_count = o->prompt->count;
    w->usage.prompt_tokens = (int)o->prompt->count;
    if (tokens_append(&w->prompt, o->prompt->at, o->prompt->count, err) &&
        read_answers(w, o, err)) {
        /* One answer alone is asked about its end, so that `done` comes from
         * the engine here, too. */
        if (w->answer_count == 1)
            w->forks[w->fork_count++] =
                (struct fork){0, 1, w->answers[0].tokens.count - 1};
        else
            add_fork(w, (struct fork){0, w->answer_count, 0});
        if (ask(w, err)) return w;
    }
    weigh_free(w);
    return NULL;
}
