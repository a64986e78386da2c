#include "guard/feature.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "guard/classify_types.h"

enum {
    NGRAM_MASK = (1 << FEATURE_NGRAM_BITS) - 1,
    EMBEDDING_BYTES = 1 << 16 /* of the base model's, to tell it by */
};

struct window {
    struct feature_job *job;
    float *hidden; /* in job->windows */
    uint64_t id;
    bool filled;
};

struct feature_job {
    struct engine *engine;
    int width;
    struct window *list;
    int count, waiting;
    float *windows;
    struct feature_ngram *ngrams;
    int ngram_count, ngram_capacity;
    uint64_t deadline_ms;
    feature_done *done;
    void *user;
};

int feature_width(const struct classifier *c) {
    return engine_shape(c->engine)->embedding;
}

/* ---- n-grams ---- */

static void on_ngram(void *user, uint32_t bucket) {
    struct feature_job *job = user;

    if (job->ngram_count == job->ngram_capacity) {
        job->ngram_capacity =
            job->ngram_capacity ? 2 * job->ngram_capacity : 512;
        job->ngrams = xrealloc_array(job->ngrams, (size_t)job->ngram_capacity,
                                     sizeof *job->ngrams);
    }
    job->ngrams[job->ngram_count++] =
        (struct feature_ngram){bucket & NGRAM_MASK, 1};
}

static int by_bucket(const void *left, const void *right) {
    const struct feature_ngram *a = left, *b = right;

    return (a->bucket > b->bucket) - (a->bucket < b->bucket);
}

/* Each bucket once, and the whole of norm 1. */
static void ngrams_settle(struct feature_job *job) {
    struct feature_ngram *at = job->ngrams;
    double square = 0;
    int kept = 0;

    if (!job->ngram_count) return;
    qsort(at, (size_t)job->ngram_count, sizeof *at, by_bucket);
    for (int i = 0; i < job->ngram_count; i++) {
        if (kept && at[kept - 1].bucket == at[i].bucket)
            at[kept - 1].value += at[i].value;
        else
            at[kept++] = at[i];
    }
    for (int i = 0; i < kept; i++)
        square += (double)at[i].value * (double)at[i].value;
    for (int i = 0; i < kept; i++) at[i].value /= (float)sqrt(square);
    job->ngram_count = kept;
}

static void read_ngrams(struct feature_job *job, const struct ngram *n,
                        struct span text) {
    struct ngram_text *t = ngram_text_new(n);

    ngram_text_add(t, text);
    ngram_text_each(t, on_ngram, job);
    ngram_text_free(t);
    ngrams_settle(job);
}

/* ---- a job ---- */

static void job_free(struct feature_job *job) {
    free(job->list);
    free(job->windows);
    free(job->ngrams);
    free(job);
}

void feature_cancel(struct feature_job *job) {
    if (!job) return;
    for (int i = 0; i < job->count; i++)
        if (job->list[i].id) engine_cancel(job->engine, job->list[i].id);
    job_free(job);
}

static bool all_there(const struct feature_job *job, struct err *err) {
    if (job->deadline_ms && clock_ms() > job->deadline_ms)
        return err_set(err, ERR_TIMEOUT, "the guard's features came too late");
    for (int i = 0; i < job->count; i++)
        if (!job->list[i].filled)
            return err_set(err, ERR_INTERNAL,
                           "the guard model gave no features");
    return true;
}

/* Ends the job, then tells. */
static void job_end(struct feature_job *job, const struct err *why) {
    struct err err = {0};
    struct features f = {.width = job->width,
                         .window_count = job->count,
                         .windows = job->windows,
                         .ngram_count = job->ngram_count,
                         .ngrams = job->ngrams};
    bool ok = false;

    if (why)
        err = *why;
    else
        ok = all_there(job, &err);
    for (int i = 0; i < job->count; i++)
        if (job->list[i].id) engine_cancel(job->engine, job->list[i].id);
    job->done(job->user, ok ? &f : NULL, ok ? NULL : &err);
    job_free(job);
}

static void take(struct window *w, const struct job_event *event) {
    if (event->score_count != w->job->width) return;
    for (int i = 0; i < event->score_count; i++) {
        if (!isfinite(event->scores[i])) return;
        w->hidden[i] = event->scores[i];
    }
    w->filled = true;
}

static void on_event(void *user, const struct job_event *event) {
    struct window *w = user;
    struct feature_job *job = w->job;
    struct err err = event->err;

    if (event->kind == JOB_SCORES) take(w, event);
    if (event->kind != JOB_DONE) return;
    w->id = 0;
    if (event->end == JOB_END_ERROR) {
        if (!err.code)
            (void)err_set(&err, ERR_INTERNAL, "the guard's job failed");
        job_end(job, &err);
    } else if (--job->waiting == 0) {
        job_end(job, NULL);
    }
}

static bool submit(struct feature_job *job, const struct classifier *c,
                   const int *tokens, size_t count, uint64_t client,
                   struct err *err) {
    const struct tokens *opening = &c->opening[GUARD_USER];
    struct window *w = &job->list[job->count];
    struct job order = {.kind = JOB_SCORE,
                        .embed = true,
                        .client = client,
                        .deadline_ms = job->deadline_ms,
                        .sampling = SAMPLING_GREEDY,
                        .on_event = on_event,
                        .user = w};
    struct tokens prompt = {0};
    bool ok = tokens_append(&prompt, c->system.at, c->system.count, err) &&
              tokens_append(&prompt, opening->at, opening->count, err) &&
              tokens_append(&prompt, tokens, count, err);

    w->job = job;
    w->hidden = job->windows + (size_t)job->count * (size_t)job->width;
    if (ok) {
        order.tokens = prompt.at;
        order.token_count = (int)prompt.count;
        w->id = engine_submit(job->engine, &order, err);
        ok = w->id != 0;
    }
    tokens_free(&prompt);
    if (!ok) return false;
    job->count++;
    job->waiting++;
    return true;
}

/* The last window ends with the text. */
static bool submit_all(struct feature_job *job, const struct classifier *c,
                       const struct tokens *text, uint64_t client,
                       struct err *err) {
    const size_t window = FEATURE_WINDOW, step = window - FEATURE_OVERLAP;
    size_t most = text->count / step + 1;

    job->list = xalloc_array(most, sizeof *job->list);
    job->windows =
        xalloc_array(most * (size_t)job->width, sizeof *job->windows);
    for (size_t from = 0;; from += step) {
        size_t left = text->count - from;
        size_t count = left > window ? window : left;

        if (!submit(job, c, text->at + from, count, client, err)) return false;
        if (count == left) return true;
    }
}

struct feature_job *feature_start(struct classifier *c, struct span text,
                                  int tokens_max, uint64_t client,
                                  uint64_t deadline_ms, feature_done *done,
                                  void *user, struct err *err) {
    struct tokens tokens = {.limit = CLASSIFY_TOKENS_MAX};
    struct feature_job *job = xalloc(sizeof *job);
    struct err why = {0};
    bool ok;

    if (tokens_max > 0 && tokens_max < CLASSIFY_TOKENS_MAX)
        tokens.limit = (size_t)tokens_max;
    *job = (struct feature_job){.engine = c->engine,
                                .width = feature_width(c),
                                .deadline_ms = deadline_ms,
                                .done = done,
                                .user = user};
    ok = tokenizer_encode(engine_tokenizer(c->engine), text, &tokens, &why);
    if (!ok && why.code == ERR_LIMIT)
        (void)err_set(&why, ERR_LIMIT, "a text past %zu tokens", tokens.limit);
    ok = ok && submit_all(job, c, &tokens, client, &why);
    if (ok) read_ngrams(job, c->ngram, text);
    tokens_free(&tokens);
    if (ok) return job;
    if (err) *err = why;
    feature_cancel(job);
    return NULL;
}

/* ---- which model ---- */

static void put_tensor(struct bytes *out, const struct gguf *gguf,
                       const char *name) {
    const struct gguf_tensor *t = gguf_tensor(gguf, name);
    struct span data = {NULL, 0};
    char hex[HASH_HEX_SIZE];

    if (t) data = (struct span){t->data, t->bytes};
    hash_sha256_hex(span_slice(data, 0, EMBEDDING_BYTES), hex);
    bytes_puts(out, hex);
}

/* The base model is told by its size and by two tensors that any training
 * moves: reading all of it would take as long as loading it. */
const char *feature_model(struct classifier *c) {
    const struct gguf *base = engine_gguf(c->engine);
    struct bytes all = {0};
    char size[32];

    if (*c->model) return c->model;
    (void)snprintf(size, sizeof size, "%zu ", gguf_file_bytes(base));
    bytes_puts(&all, "features 1, ");
    bytes_puts(&all, size);
    put_tensor(&all, base, "token_embd.weight");
    put_tensor(&all, base, "output_norm.weight");
    hash_sha256_hex(span_bytes(&all), c->model);
    bytes_free(&all);
    return c->model;
}
