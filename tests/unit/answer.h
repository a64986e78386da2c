/* answer.h - for tests of the engine: a tiny random model, jobs for it, and
 * all that came back of each. */
#ifndef CORRAL_TESTS_UNIT_ANSWER_H
#define CORRAL_TESTS_UNIT_ANSWER_H

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "engine/engine.h"

enum { WAIT_MS = 300000, ANSWER_SCORES_MAX = 512 };

/* All that came back of one job. */
struct answer {
    uint64_t id;
    struct bytes text;
    struct tokens tokens;
    float scores[ANSWER_SCORES_MAX];
    int score_count;
    /* (tokens.count, 1 + rivals), where asked for */
    struct token_logprob logprobs[64][1 + LOGPROBS_TOP_MAX];
    int logprob_count;
    int events;
    bool done;
    enum job_end end;
    bool context_full;
    struct job_usage usage;
    struct err err;
    uint64_t finished; /* the order in which jobs ended, from 1 */
};

static uint64_t finished;

static inline void keep_logprobs(struct answer *a,
                                 const struct job_event *event) {
    int width = 1 + event->rival_count;

    for (int i = 0; event->logprobs && i < event->token_count; i++) {
        assert_in_range(a->logprob_count, 0, 63);
        memcpy(a->logprobs[a->logprob_count++], event->logprobs + i * width,
               (size_t)width * sizeof *event->logprobs);
    }
}

static inline void on_event(void *user, const struct job_event *event) {
    struct answer *a = user;

    assert_false(a->done);
    a->events++;
    if (event->kind == JOB_TEXT) {
        assert_true(utf8_valid(event->text));
        bytes_put(&a->text, event->text);
        assert_true(tokens_append(&a->tokens, event->tokens,
                                  (size_t)event->token_count, NULL));
        keep_logprobs(a, event);
    } else if (event->kind == JOB_SCORES) {
        assert_in_range(event->score_count, 1, ANSWER_SCORES_MAX);
        a->score_count = event->score_count;
        memcpy(a->scores, event->scores,
               (size_t)event->score_count * sizeof(float));
    } else {
        a->done = true;
        a->end = event->end;
        a->context_full = event->context_full;
        a->usage = event->usage;
        a->err = event->err;
        a->finished = ++finished;
    }
}

static inline void answer_clear(struct answer *a) {
    bytes_free(&a->text);
    tokens_free(&a->tokens);
    memset(a, 0, sizeof *a);
}

static inline struct engine *open_tiny(struct engine_options o) {
    struct err err = {0};
    struct engine *e;

    o.model_path = "tests/unit/data/tiny.gguf";
    if (!o.threads) o.threads = 2;
    e = engine_open(&o, &err);
    if (!e) fail_msg("%s", err.text);
    return e;
}

static inline void wait_for(struct engine *e, const struct answer *list,
                            int count) {
    uint64_t until = clock_ms() + WAIT_MS;

    for (;;) {
        int left = 0;

        engine_poll(e);
        for (int i = 0; i < count; i++) left += !list[i].done;
        if (left == 0) return;
        if (clock_ms() > until) fail_msg("%d jobs never ended", left);
        (void)engine_wait(e, 100);
    }
}

/* `count` tokens that depend on `seed`. */
static inline void fill(int *tokens, int count, unsigned seed) {
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        tokens[i] = (int)(seed >> 24);
    }
}

static inline void submit(struct engine *e, struct job job, struct answer *a) {
    struct err err = {0};

    memset(a, 0, sizeof *a);
    job.on_event = on_event;
    job.user = a;
    a->id = engine_submit(e, &job, &err);
    if (!a->id) fail_msg("%s", err.text);
}

static inline struct job generate(const int *tokens, int count,
                                  int max_tokens) {
    return (struct job){.kind = JOB_GENERATE,
                        .tokens = tokens,
                        .token_count = count,
                        .max_tokens = max_tokens,
                        .sampling = SAMPLING_GREEDY};
}

static inline struct job score(const int *tokens, int count) {
    static const int labels[] = {1, 7, 100, 255};

    return (struct job){.kind = JOB_SCORE,
                        .tokens = tokens,
                        .token_count = count,
                        .labels = labels,
                        .label_count = 4};
}

static inline void run_one(struct engine *e, struct job job, struct answer *a) {
    submit(e, job, a);
    wait_for(e, a, 1);
}

static inline void check_near(const struct answer *a, const struct answer *b,
                              float most) {
    assert_int_equal(a->end, b->end);
    assert_int_equal(a->tokens.count, b->tokens.count);
    if (a->tokens.count)
        assert_memory_equal(a->tokens.at, b->tokens.at,
                            a->tokens.count * sizeof(int));
    assert_true(span_equal(span_bytes(&a->text), span_bytes(&b->text)));
    assert_int_equal(a->score_count, b->score_count);
    for (int i = 0; i < a->score_count; i++)
        if (!(fabsf(a->scores[i] - b->scores[i]) <= most))
            fail_msg("score %d: %.9g, not %.9g", i, (double)a->scores[i],
                     (double)b->scores[i]);
}

static inline void check_same(const struct answer *a, const struct answer *b) {
    check_near(a, b, 0);
}

#endif
