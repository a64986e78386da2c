/* fake_classifier.h - classify.h without a model, for tests of what stands on
 * it: include it in one program, whose own symbols then win over the library's.
 * The score is a function of the judged text, and every answer comes from
 * fake_poll(), as the engine's would from engine_poll().
 *
 *   BAD        unsafe, S2          HALF1 and HALF2 together: the same
 *   ADV        unsafe, S6          INJ: injection
 *   [SURE      unsafe, S2, where a text begins with it; [HMM: less surely
 *
 * Features have a width of 2; TOPIC makes the first of them 1, else it is -1.
 */
#ifndef CORRAL_TESTS_FAKE_CLASSIFIER_H
#define CORRAL_TESTS_FAKE_CLASSIFIER_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "guard/classify.h"
#include "guard/feature.h"
#include "guard/guard.h"

enum { FAKE_JOBS = 64, FAKE_SEEN = 4096 };

struct classifier {
    int unused;
};

struct classify_text {
    enum guard_model model;
    enum guard_role role;
    struct bytes text;
    bool with_prompt;
    int ridden;
};

struct classify_job {
    enum guard_model model;
    enum guard_role role;
    struct bytes text;
    uint64_t deadline_ms;
    classify_done *done;
    void *user;
};

static struct {
    struct classify_job *jobs[FAKE_JOBS]; /* in order of asking */
    int count;
    int asked;
    int alive;              /* texts and jobs not freed */
    size_t seen[FAKE_SEEN]; /* sizes of the judged texts */
    char last[8192];
    bool busy;               /* nothing can be queued */
    int fail_at;             /* this answer, from 1, is an error */
    enum err_code fail_code; /* of it; ERR_NONE: ERR_TIMEOUT */
    int answered;
    bool no_activated;
    int ridden;
    struct feature_job *features; /* the one that waits */
    int featured;
    bool no_features; /* they are an error */
} fake;

static inline bool fake_has(const struct bytes *text, const char *word) {
    return span_find(span_bytes(text), span_of(word)) != SIZE_MAX;
}

static inline void fake_score(const struct classify_job *job, float *scores) {
    for (int l = 0; l < LABEL_COUNT; l++) scores[l] = 0.01f;
    scores[1] = 0.02f;
    if (fake_has(&job->text, "ADV")) scores[6] = 0.3f;
    if (fake_has(&job->text, "BAD") ||
        (fake_has(&job->text, "HALF1") && fake_has(&job->text, "HALF2")))
        scores[2] = 0.4f;
    if (scores[6] > 0.1f || scores[2] > 0.1f) scores[LABEL_UNSAFE] = 0.9f;
    if (span_starts(span_bytes(&job->text), span_of("[SURE"))) {
        scores[LABEL_UNSAFE] = 0.95f;
        scores[2] = 0.9f;
    }
    if (span_starts(span_bytes(&job->text), span_of("[HMM")))
        scores[LABEL_UNSAFE] = scores[2] = 0.8f;
    if (fake_has(&job->text, "INJ")) scores[LABEL_INJ] = 0.8f;
}

static inline void fake_job_free(struct classify_job *job) {
    bytes_free(&job->text);
    free(job);
    fake.alive--;
}

/* A guard that asks this classifier; without an engine it has none. */
static inline struct guard *fake_guard(bool with_engine) {
    static int engine;
    struct guard_options options = {.model_folder = "/fake"};

    if (with_engine) options.engine = (struct engine *)(void *)&engine;
    return guard_open(&options, NULL);
}

struct feature_job {
    struct bytes text;
    feature_done *done;
    void *user;
};

struct feature_job *feature_start(struct classifier *c, struct span text,
                                  int tokens_max, uint64_t client,
                                  uint64_t deadline_ms, feature_done *done,
                                  void *user, struct err *err) {
    struct feature_job *job;

    (void)c;
    (void)client;
    (void)deadline_ms;
    if (fake.busy || (tokens_max && text.size > (size_t)tokens_max * 4)) {
        (void)err_set(err, ERR_BUSY, "no features");
        return NULL;
    }
    assert(!fake.features);
    job = xalloc(sizeof *job);
    bytes_put(&job->text, text);
    job->done = done;
    job->user = user;
    fake.features = job;
    fake.featured++;
    fake.alive++;
    return job;
}

void feature_cancel(struct feature_job *job) {
    if (!job) return;
    fake.features = NULL;
    fake.alive--;
    bytes_free(&job->text);
    free(job);
}

int feature_width(const struct classifier *c) {
    (void)c;
    return 2;
}

const char *feature_model(struct classifier *c) {
    (void)c;
    return "0123456789abcdef0123456789abcdef"
           "0123456789abcdef0123456789abcdef";
}

static inline bool fake_poll_features(void) {
    struct feature_job *job = fake.features;
    struct err err = {.code = ERR_INTERNAL, .text = "no features"};
    float hidden[2] = {-1, 0};
    struct features f = {.width = 2, .window_count = 1, .windows = hidden};
    feature_done *done;
    void *user;

    if (!job) return false;
    if (fake_has(&job->text, "TOPIC")) hidden[0] = 1;
    done = job->done;
    user = job->user;
    feature_cancel(job);
    done(user, fake.no_features ? NULL : &f, fake.no_features ? &err : NULL);
    return true;
}

/* Answer the oldest question; false when there is none. */
static inline bool fake_poll(void) {
    struct classify_job *job;
    struct err err = {.code = ERR_TIMEOUT, .text = "too late"};
    float scores[LABEL_COUNT];
    classify_done *done;
    void *user;

    if (!fake.count) return fake_poll_features();
    if (fake.fail_code) err.code = fake.fail_code;
    job = fake.jobs[0];
    fake.count--;
    memmove(fake.jobs, fake.jobs + 1, (size_t)fake.count * sizeof job);
    fake_score(job, scores);
    done = job->done;
    user = job->user;
    fake_job_free(job);
    if (++fake.answered == fake.fail_at)
        done(user, NULL, &err);
    else
        done(user, scores, NULL);
    return true;
}

static inline struct classify_job *
fake_ask(enum guard_model model, enum guard_role role, struct span text,
         uint64_t deadline_ms, classify_done *done, void *user,
         struct err *err) {
    struct classify_job *job;

    if (fake.busy || fake.count == FAKE_JOBS) {
        (void)err_set(err, ERR_BUSY, "the queue is full");
        return NULL;
    }
    job = xalloc(sizeof *job);
    job->model = model;
    job->role = role;
    bytes_put(&job->text, text);
    job->deadline_ms = deadline_ms;
    job->done = done;
    job->user = user;
    if (fake.asked < FAKE_SEEN) fake.seen[fake.asked] = text.size;
    fake.asked++;
    fake.alive++;
    fake.jobs[fake.count++] = job;
    return job;
}

struct classifier *classifier_open(struct engine *engine, const char *folder,
                                   struct err *err) {
    (void)engine;
    if (!strcmp(folder, "/missing")) {
        (void)err_set(err, ERR_NOT_FOUND, "no such folder");
        return NULL;
    }
    return xalloc(sizeof(struct classifier));
}

void classifier_close(struct classifier *c) {
    free(c);
}

struct classifier *classifier_share(const struct classifier *c,
                                    struct engine *face) {
    (void)c;
    (void)face;
    return xalloc(sizeof(struct classifier));
}

bool classifier_has(const struct classifier *c, enum guard_model model) {
    (void)c;
    return model == GUARD_MODEL_FULL || !fake.no_activated;
}

/* strict, balanced and loose; a category's own is lower than the overall. */
float classifier_threshold(const struct classifier *c, enum guard_model model,
                           enum level level, int label) {
    static const float overall[] = {0.5f, 0.7f, 0.95f};
    static const float own[] = {0.25f, 0.6f, 0.9f};

    (void)c;
    (void)model;
    return label == LABEL_UNSAFE ? overall[level] : own[level];
}

struct classify_job *classify_start(struct classifier *c,
                                    const struct classify_request *r,
                                    classify_done *done, void *user,
                                    struct err *err) {
    const struct guard_turn *last = &r->turns[r->turn_count - 1];

    (void)c;
    if (r->model == GUARD_MODEL_ACTIVATED && fake.no_activated) {
        (void)err_set(err, ERR_UNAVAILABLE, "not installed");
        return NULL;
    }
    if (r->tokens_max && last->text.size > (size_t)r->tokens_max * 4) {
        (void)err_set(err, ERR_LIMIT, "too long a text");
        return NULL;
    }
    return fake_ask(r->model, last->role, last->text, r->deadline_ms, done,
                    user, err);
}

void classify_cancel(struct classify_job *job) {
    if (!job) return;
    for (int i = 0; i < fake.count; i++) {
        if (fake.jobs[i] != job) continue;
        fake.count--;
        memmove(fake.jobs + i, fake.jobs + i + 1,
                (size_t)(fake.count - i) * sizeof job);
        break;
    }
    fake_job_free(job);
}

/* What stands in brackets, the first of them included. */
bool classify_passage(const struct classifier *c, struct span text,
                      struct span *out) {
    size_t from = span_find(text, span_of("[")), end;

    (void)c;
    if (from == SIZE_MAX) return false;
    end = span_find(text, span_of("]"));
    *out = span_slice(text, from, end);
    return true;
}

struct classify_text *classify_text_new(struct classifier *c,
                                        const struct classify_text_options *o,
                                        struct err *err) {
    struct classify_text *t;

    (void)c;
    if (o->model == GUARD_MODEL_ACTIVATED && fake.no_activated) {
        (void)err_set(err, ERR_UNAVAILABLE, "not installed");
        return NULL;
    }
    t = xalloc(sizeof *t);
    t->model = o->model;
    t->role = o->role;
    t->with_prompt = o->prompt_tokens != NULL;
    fake.alive++;
    return t;
}

void classify_text_free(struct classify_text *t) {
    if (!t) return;
    bytes_free(&t->text);
    free(t);
    fake.alive--;
}

bool classify_text_add(struct classify_text *t, struct span piece,
                       struct err *err) {
    return bytes_append(&t->text, piece.at, piece.size, err);
}

bool classify_text_ride(struct classify_text *t, const int *tokens, int count,
                        struct err *err) {
    (void)t;
    (void)tokens;
    (void)err;
    fake.ridden += count;
    return true;
}

struct classify_job *classify_text_judge(struct classify_text *t,
                                         uint64_t client, uint64_t deadline_ms,
                                         classify_done *done, void *user,
                                         struct err *err) {
    (void)client;
    return fake_ask(t->model, t->role, span_bytes(&t->text), deadline_ms, done,
                    user, err);
}

#endif
