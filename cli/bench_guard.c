/* bench_guard.c - what verdicts cost: one behind a cached prefix, one of the
 * activated guard on an answer that the main model has just given, and a text
 * judged while it arrives. */
#include "cli/bench.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cli/places.h"
#include "guard/stream.h"

enum {
    PREFIX = 256,
    NEW = 100,
    QUESTION = 64,
    ANSWER = 200,
    SHORT = 25, /* tokens; what the activated guard is compared with */
    STREAM = 512,
    STREAM_LONGEST = 4096,
    DEADLINE_MS = 60 * 1000
};

/* A score job of NEW tokens behind a prefix whose KV is there already, and the
 * bare model on NEW tokens, in turns, so that both see the same machine. */
bool bench_guard(struct bench *b, struct err *err) {
    int tokens[PREFIX + NEW];
    struct bench_samples with = {0}, without = {0};
    struct job job = {.kind = JOB_SCORE,
                      .adapter = BENCH_ADAPTER_FULL,
                      .tokens = tokens,
                      .token_count = PREFIX};
    double ms;

    if (!b->guard) return true;
    bench_tokens(b, tokens, PREFIX);
    if (!bench_job_ms(b, &job, &ms, err)) return false;
    job.token_count = PREFIX + NEW;
    while (bench_more(b, &with)) {
        bench_tokens(b, tokens + PREFIX, NEW);
        if (!bench_job_ms(b, &job, &ms, err)) return false;
        bench_sample(&with, ms);
        if (!bench_prompt_ms(b, NEW, &ms, err)) return false;
        bench_sample(&without, ms);
    }
    ms = bench_median(&with);
    bench_put(b, "guard_ms_100", "ms",
              "verdict on 100 tokens behind a cached prefix", ms);
    bench_put(b, "guard_ratio_100", "", "to prefill of 100 tokens",
              ms / bench_median(&without));
    return true;
}

/* ---- the activated guard ---- */

struct waited {
    bool done;
    uint64_t end_ns;
    struct err err;
};

static void on_scores(void *user, const float *scores, const struct err *err) {
    struct waited *w = user;

    w->done = true;
    w->end_ns = clock_ns();
    if (!scores) w->err = *err;
}

/* The verdict on an answer whose KV the main model has. */
static bool activated_ms(struct bench *b, double *out, struct err *err) {
    int question[QUESTION];
    struct tokens all = {0};
    struct bench_run run = {.output = &all};
    struct job job = bench_decode_job(b, question, QUESTION, ANSWER);
    struct guard_turn turn = {GUARD_ASSISTANT, span_of("An answer.")};
    struct classify_request r = {
        .model = GUARD_MODEL_ACTIVATED, .turns = &turn, .turn_count = 1};
    struct waited w = {0};
    uint64_t start_ns;
    bool ok;

    bench_tokens(b, question, QUESTION);
    ok = tokens_append(&all, question, QUESTION, err) &&
         bench_jobs(b, &job, 1, &run, err);
    r.tokens = all.at;
    r.token_count = (int)all.count;
    start_ns = clock_ns();
    ok = ok &&
         classify_start(guard_classifier(b->guard), &r, on_scores, &w, err);
    while (ok && !w.done) bench_wait(b);
    tokens_free(&all);
    if (!ok) return false;
    *out = (double)(w.end_ns - start_ns) / 1e6;
    if (!w.err.code) return true;
    if (err) *err = w.err;
    return false;
}

bool bench_activated(struct bench *b, struct err *err) {
    struct bench_samples with = {0}, without = {0};
    double ms;

    if (!b->guard ||
        !classifier_has(guard_classifier(b->guard), GUARD_MODEL_ACTIVATED))
        return true;
    while (bench_more(b, &with)) {
        if (!activated_ms(b, &ms, err)) return false;
        bench_sample(&with, ms);
        if (!bench_prompt_ms(b, SHORT, &ms, err)) return false;
        bench_sample(&without, ms);
    }
    ms = bench_median(&with);
    bench_put(b, "activated_ms_200", "ms",
              "verdict of the activated guard on 200 generated tokens", ms);
    bench_put(b, "activated_ratio_200", "", "to prefill of 25 tokens",
              ms / bench_median(&without));
    return true;
}

/* ---- a text still arriving ---- */

struct judged {
    bool done;
    uint64_t end_ns;
    enum verdict_cause cause;
    enum verdict_action action;
    struct err err;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct judged *j = user;

    j->done = true;
    j->end_ns = clock_ns();
    j->cause = v->cause;
    j->action = v->action;
    j->err = v->err;
}

static void on_release(void *user, struct span text) {
    (void)user;
    (void)text;
}

/* A text that was stopped was not read to its end: no figure. */
static bool read_whole(struct bench *b, struct judged *j, struct err *err) {
    while (!j->done) bench_wait(b);
    if (j->err.code) {
        if (err) *err = j->err;
        return false;
    }
    if (j->action > VERDICT_ASK) return true;
    return err_set(err, ERR_INPUT,
                   "the policy stops the harmless text of this bench");
}

/* The text at its checkpoints, each as soon as the one before is judged. */
static bool stream_ms(struct bench *b, const struct policy *policy,
                      struct span text, double *out, struct err *err) {
    struct guard_turn turn = {GUARD_USER, span_of("Tell me about the town.")};
    struct judged j = {0};
    struct guard_stream_options o = {.policy = policy,
                                     .channel = CHANNEL_OUTPUT,
                                     .turns = &turn,
                                     .turn_count = 1,
                                     .on_release = on_release,
                                     .on_verdict = on_verdict,
                                     .user = &j};
    struct guard_stream *s = guard_stream_new(b->guard, &o);
    uint64_t start_ns = clock_ns();
    bool ok;

    guard_stream_push(s, text, NULL, 0);
    guard_stream_finish(s);
    ok = read_whole(b, &j, err);
    guard_stream_free(s);
    *out = (double)(j.end_ns - start_ns) / 1e6;
    return ok;
}

/* The same text, finished. */
static bool once_ms(struct bench *b, const struct policy *policy,
                    struct span text, double *out, struct err *err) {
    struct guard_turn turns[] = {
        {GUARD_USER, span_of("Tell me about the town.")},
        {GUARD_ASSISTANT, text}};
    struct guard_item item = {CHANNEL_OUTPUT, text};
    struct judged j = {0};
    struct guard_request r = {.policy = policy,
                              .items = &item,
                              .item_count = 1,
                              .turns = turns,
                              .turn_count = 2,
                              .channel = CHANNEL_OUTPUT,
                              .deadline_ms = clock_ms() + DEADLINE_MS};
    uint64_t start_ns = clock_ns();

    (void)guard_check_start(b->guard, &r, on_verdict, &j);
    if (!read_whole(b, &j, err)) return false;
    *out = (double)(j.end_ns - start_ns) / 1e6;
    return true;
}

static bool stream_ratio(struct bench *b, const struct policy *policy,
                         struct bytes *text, struct err *err) {
    struct bench_samples arriving = {0}, whole = {0};
    double ms;

    while (bench_more(b, &arriving)) {
        bench_text(b, STREAM, text);
        if (!stream_ms(b, policy, span_bytes(text), &ms, err)) return false;
        bench_sample(&arriving, ms);
        bench_text(b, STREAM, text);
        if (!once_ms(b, policy, span_bytes(text), &ms, err)) return false;
        bench_sample(&whole, ms);
    }
    ms = bench_median(&arriving);
    bench_put(b, "stream_512_ms", "ms", "judging 512 tokens as they arrive",
              ms);
    bench_put(b, "stream_512_ratio", "", "to judging them once",
              ms / bench_median(&whole));
    return true;
}

/* Is the cost linear? Once each: they are long. */
static bool stream_lengths(struct bench *b, const struct policy *policy,
                           struct bytes *text, struct err *err) {
    static const char *const keys[] = {"stream_1024_ms", "stream_2048_ms",
                                       "stream_4096_ms"};
    double ms = 0;

    for (int i = 0; i < 3; i++) {
        bench_text(b, 2 * STREAM << i, text);
        if (!stream_ms(b, policy, span_bytes(text), &ms, err)) return false;
        bench_put(b, keys[i], "ms", "the same, so many tokens", ms);
    }
    bench_put(b, "stream_4096_linear", "", "to eight times stream_512_ms",
              ms * STREAM / STREAM_LONGEST / bench_get(b, "stream_512_ms"));
    return true;
}

bool bench_stream(struct bench *b, struct err *err) {
    struct policy *policy = NULL;
    struct bytes text = {0};
    char *path = NULL;
    bool ok = true;

    if (!b->guard) return true;
    path = places_policy(NULL, err);
    policy = path ? policy_open(path, err) : NULL;
    ok = policy && stream_ratio(b, policy, &text, err) &&
         (b->quick || stream_lengths(b, policy, &text, err));
    policy_free(policy);
    bytes_free(&text);
    free(path);
    return ok;
}
