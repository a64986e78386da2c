/* test_scheduler.c - whose rows go first, step by step, on a tiny model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/scheduler.h"

enum { EVENTS_MAX = 1 << 14, TASKS_MAX = 128 };

/* A scheduler without threads, and the events it emitted. */
struct bench {
    struct gguf *gguf;
    struct tokenizer *tokenizer;
    struct model *model;
    struct kv *kv;
    struct scheduler *scheduler;
    uint64_t next_id;
    struct {
        uint64_t id;
        enum job_event_kind kind;
        enum job_end end;
        enum err_code code;
    } events[EVENTS_MAX];
    int event_count;
    struct token_bias ends[16];
    int end_count;
};

/* Every look at the clock finds this much later. */
static uint64_t tick_ns, now_ns;

static uint64_t fake_clock(void) {
    now_ns += tick_ns;
    return now_ns;
}

static void on_emit(void *user, struct scheduler_event *event) {
    struct bench *b = user;

    assert_in_range(b->event_count, 0, EVENTS_MAX - 1);
    b->events[b->event_count].id = event->id;
    b->events[b->event_count].kind = event->event.kind;
    b->events[b->event_count].end = event->event.end;
    b->events[b->event_count++].code = event->event.err.code;
    free(event);
}

/* What ends a text is never likely: the lengths below are those asked for. */
static void find_ends(struct bench *b) {
    int most = (int)(sizeof b->ends / sizeof *b->ends);

    for (int i = 0; i < model_shape(b->model)->vocab; i++)
        if (tokenizer_is_end(b->tokenizer, i) && b->end_count < most)
            b->ends[b->end_count++] = (struct token_bias){i, -100};
}

static void bench_init(struct bench *b, int rows, int kv_positions) {
    struct err err = {0};
    struct model_options options = {.threads = 1, .rows_max = rows};
    struct kv_shape shape = {.positions = kv_positions, .type = KV_F32};
    struct scheduler_parts parts = {
        .kv_positions = kv_positions, .rows_max = rows, .tasks_max = TASKS_MAX};

    memset(b, 0, sizeof *b);
    tick_ns = now_ns = 0;
    b->gguf = gguf_open("tests/unit/data/tiny.gguf", &err);
    if (!b->gguf) fail_msg("%s", err.text);
    b->tokenizer = tokenizer_new(b->gguf, &err);
    if (!b->tokenizer) fail_msg("%s", err.text);
    b->model = model_open(b->gguf, &options, &err);
    if (!b->model) fail_msg("%s", err.text);
    shape.blocks = model_shape(b->model)->blocks;
    shape.kv_heads = model_shape(b->model)->kv_heads;
    shape.head_size = model_shape(b->model)->head_size;
    b->kv = kv_new(&shape, &err);
    if (!b->kv) fail_msg("%s", err.text);
    parts.model = b->model;
    parts.tokenizer = b->tokenizer;
    parts.kv = b->kv;
    parts.emit = on_emit;
    parts.clock_ns = fake_clock;
    parts.user = b;
    b->scheduler = scheduler_new(&parts);
    find_ends(b);
}

static void bench_clear(struct bench *b) {
    scheduler_free(b->scheduler);
    kv_free(b->kv);
    model_close(b->model);
    tokenizer_free(b->tokenizer);
    gguf_close(b->gguf);
}

/* Every prompt is different from its first token on. */
static struct task *add(struct bench *b, enum job_kind kind, int prompt,
                        int output, uint64_t client) {
    static const int labels[] = {1, 2};
    int tokens[1024];
    struct job job = {.kind = kind,
                      .tokens = tokens,
                      .token_count = prompt,
                      .client = client,
                      .labels = labels,
                      .label_count = 2,
                      .max_tokens = output,
                      .no_speculation = true,
                      .sampling = SAMPLING_GREEDY};
    struct task *t;

    job.sampling.biases = b->ends;
    job.sampling.bias_count = b->end_count;
    b->next_id++;
    for (int i = 0; i < prompt; i++)
        tokens[i] = (int)((b->next_id * 31 + (uint64_t)i * 7) % 250);
    t = task_new(b->next_id, &job, output);
    scheduler_add(b->scheduler, t);
    return t;
}

static int count(const struct bench *b, uint64_t id, enum job_event_kind kind) {
    int found = 0;

    for (int i = 0; i < b->event_count; i++)
        found += b->events[i].id == id && b->events[i].kind == kind;
    return found;
}

/* The task's place among those that have ended, from 1; 0: not yet. */
static int place(const struct bench *b, uint64_t id) {
    int place_now = 0;

    for (int i = 0; i < b->event_count; i++) {
        if (b->events[i].kind != JOB_DONE) continue;
        place_now++;
        if (b->events[i].id == id) return place_now;
    }
    return 0;
}

static void run_all(struct bench *b) {
    int steps = 0;

    while (scheduler_step(b->scheduler) > 0) assert_in_range(++steps, 0, 5000);
}

static uint64_t steps_of(const struct bench *b) {
    struct engine_stats stats;

    scheduler_stats(b->scheduler, &stats);
    return stats.steps;
}

/* A long prompt is read in chunks, and nobody's decode waits for it. */
static void test_decode_goes_on(void **state) {
    struct bench b;
    struct task *a, *long_one;
    uint64_t before;
    int known;

    (void)state;
    bench_init(&b, 32, 4096);
    a = add(&b, JOB_GENERATE, 10, 200, 1);
    (void)scheduler_step(b.scheduler);
    (void)scheduler_step(b.scheduler);
    long_one = add(&b, JOB_GENERATE, 400, 5, 2);
    before = steps_of(&b);
    known = a->known;
    while (task_output_count(long_one) == 0) {
        assert_in_range(steps_of(&b) - before, 0, 60);
        (void)scheduler_step(b.scheduler);
        assert_int_equal(a->known - known, steps_of(&b) - before);
    }
    assert_in_range(steps_of(&b) - before, 400 / 32, 60);
    run_all(&b);
    bench_clear(&b);
}

static void test_score_goes_first(void **state) {
    struct bench b;

    (void)state;
    bench_init(&b, 32, 4096);
    (void)add(&b, JOB_GENERATE, 60, 1, 1);
    (void)add(&b, JOB_SCORE, 60, 0, 1);
    run_all(&b);
    assert_int_equal(place(&b, 2), 1);
    assert_int_equal(place(&b, 1), 2);
    assert_int_equal(count(&b, 2, JOB_SCORES), 1);
    bench_clear(&b);
}

static void test_clients_take_turns(void **state) {
    struct bench b;

    (void)state;
    bench_init(&b, 32, 4096);
    for (int i = 0; i < 4; i++) (void)add(&b, JOB_SCORE, 32, 0, 1);
    (void)add(&b, JOB_SCORE, 32, 0, 2);
    run_all(&b);
    assert_in_range(place(&b, 5), 1, 2); /* not after all four */
    assert_true(place(&b, 1) < place(&b, 4));
    bench_clear(&b);
}

static void test_cancel_within_a_step(void **state) {
    struct bench b;
    struct task *t;
    struct engine_stats stats;

    (void)state;
    bench_init(&b, 32, 4096);
    t = add(&b, JOB_GENERATE, 20, 100, 1);
    (void)scheduler_step(b.scheduler);
    assert_true(kv_positions_used(b.kv) > 0);
    atomic_store(&t->cancelled, true);
    assert_int_equal(scheduler_step(b.scheduler), 0);
    assert_int_equal(kv_positions_used(b.kv), 0);
    assert_int_equal(count(&b, 1, JOB_DONE), 0);
    scheduler_stats(b.scheduler, &stats);
    assert_int_equal(stats.jobs_done, 1);
    bench_clear(&b);
}

/* It gets no rows and holds nothing; others go on, and so does it later. */
static void test_rests(void **state) {
    struct bench b;
    struct task *t;
    int written;

    (void)state;
    bench_init(&b, 32, 4096);
    t = task_ref(add(&b, JOB_GENERATE, 20, 60, 1));
    for (int i = 0; i < 10; i++) (void)scheduler_step(b.scheduler);
    written = task_output_count(t);
    assert_in_range(written, 1, 59);
    atomic_store(&t->paused, true);
    assert_false(scheduler_rests(b.scheduler));
    assert_int_equal(scheduler_step(b.scheduler), 1);
    assert_true(scheduler_rests(b.scheduler));
    assert_null(t->sequence);
    (void)add(&b, JOB_GENERATE, 20, 40, 2);
    assert_false(scheduler_rests(b.scheduler));
    while (!place(&b, 2)) (void)scheduler_step(b.scheduler);
    assert_int_equal(task_output_count(t), written);
    assert_true(scheduler_rests(b.scheduler));
    atomic_store(&t->paused, false);
    assert_false(scheduler_rests(b.scheduler));
    run_all(&b);
    assert_int_equal(place(&b, 1), 2);
    assert_int_equal(task_output_count(t), 60);
    assert_false(scheduler_rests(b.scheduler)); /* nobody is left */
    task_free(t);
    bench_clear(&b);
}

/* Who rests is cancelled, and runs out of time, like anybody else. */
static void test_rest_ends(void **state) {
    struct bench b;
    struct task *t, *late;

    (void)state;
    bench_init(&b, 32, 4096);
    t = add(&b, JOB_GENERATE, 20, 60, 1);
    late = add(&b, JOB_GENERATE, 20, 60, 1);
    late->deadline_ms = 5;
    atomic_store(&t->paused, true);
    atomic_store(&late->paused, true);
    assert_int_equal(scheduler_step(b.scheduler), 2);
    atomic_store(&t->cancelled, true);
    assert_int_equal(scheduler_step(b.scheduler), 1);
    now_ns = 5000000;
    assert_int_equal(scheduler_step(b.scheduler), 0);
    assert_int_equal(count(&b, 1, JOB_DONE), 0);
    assert_int_equal(b.events[b.event_count - 1].code, ERR_TIMEOUT);
    bench_clear(&b);
}

static void test_deadline(void **state) {
    struct bench b;
    struct task *t;

    (void)state;
    bench_init(&b, 32, 4096);
    t = add(&b, JOB_GENERATE, 20, 400, 1);
    t->deadline_ms = 5;
    now_ns = 4999999;
    (void)scheduler_step(b.scheduler);
    assert_int_equal(place(&b, 1), 0);
    now_ns = 5000000;
    assert_int_equal(scheduler_step(b.scheduler), 0);
    assert_int_equal(place(&b, 1), 1);
    assert_int_equal(b.events[b.event_count - 1].end, JOB_END_ERROR);
    assert_int_equal(b.events[b.event_count - 1].code, ERR_TIMEOUT);
    bench_clear(&b);
}

/* Generations fill the KV; a score job does not wait until one is done, and
 * whoever was sent away for it is finished later. */
static void test_score_makes_room(void **state) {
    struct bench b;
    uint64_t before;

    (void)state;
    bench_init(&b, 64, 256);
    (void)add(&b, JOB_GENERATE, 120, 100, 1);
    for (int i = 0; i < 60; i++) (void)scheduler_step(b.scheduler);
    (void)add(&b, JOB_SCORE, 120, 0, 1);
    before = steps_of(&b);
    while (!place(&b, 2)) {
        (void)scheduler_step(b.scheduler);
        assert_in_range(steps_of(&b) - before, 0, 5);
    }
    assert_int_equal(place(&b, 1), 0);
    run_all(&b);
    assert_int_equal(b.events[b.event_count - 1].end, JOB_END_LENGTH);
    bench_clear(&b);
}

/* What can never fit fails; it does not wait for ever. */
static void test_too_large(void **state) {
    struct bench b;

    (void)state;
    bench_init(&b, 64, 64);
    (void)add(&b, JOB_SCORE, 100, 0, 1);
    (void)add(&b, JOB_GENERATE, 50, 50, 1);
    run_all(&b);
    assert_int_equal(b.events[0].code, ERR_LIMIT);
    assert_int_equal(place(&b, 1), 1);
    assert_int_equal(b.events[b.event_count - 1].id, 2);
    assert_int_equal(b.events[b.event_count - 1].code, ERR_LIMIT);
    bench_clear(&b);
}

/* Two jobs with one long prefix at once: it is computed once. */
static void test_same_prefix_at_once(void **state) {
    struct bench b;
    struct engine_stats stats;

    (void)state;
    bench_init(&b, 64, 4096);
    (void)add(&b, JOB_SCORE, 200, 0, 1);
    b.next_id--;
    (void)add(&b, JOB_SCORE, 200, 0, 2);
    run_all(&b);
    scheduler_stats(b.scheduler, &stats);
    assert_int_equal(stats.prompt_tokens, 400);
    assert_in_range(stats.cached_tokens, 160, 199);
    bench_clear(&b);
}

/* Steps until a prompt of 480 tokens is read while another text decodes,
 * when a step with a piece of it seems to take `step_us`, and others 1 ms. */
static int steps_of_prompt(uint64_t step_us) {
    struct bench b;
    struct task *a, *prompt;
    int steps = 0;

    bench_init(&b, 256, 4096);
    tick_ns = 1000000;
    a = add(&b, JOB_GENERATE, 10, 400, 1);
    while (task_output_count(a) < 2) (void)scheduler_step(b.scheduler);
    prompt = add(&b, JOB_GENERATE, 480, 5, 2);
    tick_ns = step_us * 1000;
    while (task_output_count(prompt) == 0) {
        int known = a->known;

        (void)scheduler_step(b.scheduler);
        assert_int_equal(a->known - known, 1);
        assert_in_range(++steps, 1, 100);
    }
    bench_clear(&b);
    return steps;
}

/* The slower the machine, the smaller the pieces of a prompt. */
static void test_prompts_in_pieces(void **state) {
    (void)state;
    assert_in_range(steps_of_prompt(1100), 2, 4);
    assert_in_range(steps_of_prompt(400000), 25, 30);
}

/* A client with a hundred jobs runs as many as there are places; another's
 * first job does not wait until one of them has ended. */
static void test_nobody_starves(void **state) {
    struct bench b;
    struct task *other;
    struct engine_stats stats;

    (void)state;
    bench_init(&b, 32, 8192);
    for (int i = 0; i < 100; i++) (void)add(&b, JOB_GENERATE, 20, 60, 1);
    for (int i = 0; i < 30; i++) (void)scheduler_step(b.scheduler);
    scheduler_stats(b.scheduler, &stats);
    assert_int_equal(stats.jobs_running, 16);
    other = add(&b, JOB_GENERATE, 20, 3, 2);
    (void)scheduler_step(b.scheduler);
    (void)scheduler_step(b.scheduler);
    assert_in_range(task_output_count(other), 1, 2);
    while (!place(&b, 101)) (void)scheduler_step(b.scheduler);
    assert_int_equal(place(&b, 101), 1);
    run_all(&b);
    for (uint64_t id = 1; id <= 100; id++) assert_true(place(&b, id) > 0);
    bench_clear(&b);
}

/* All places are taken by generations, and a score job gets one. */
static void test_score_gets_a_place(void **state) {
    struct bench b;

    (void)state;
    bench_init(&b, 32, 8192);
    for (int i = 0; i < 16; i++)
        (void)add(&b, JOB_GENERATE, 20, 60, (uint64_t)i);
    for (int i = 0; i < 20; i++) (void)scheduler_step(b.scheduler);
    (void)add(&b, JOB_SCORE, 16, 0, 99);
    (void)scheduler_step(b.scheduler);
    assert_int_equal(place(&b, 17), 1);
    run_all(&b);
    bench_clear(&b);
}

/* A stream of score jobs leaves something of each step to the others. */
static void test_scores_leave_some(void **state) {
    struct bench b;
    int steps = 0;

    (void)state;
    bench_init(&b, 64, 8192);
    (void)add(&b, JOB_GENERATE, 100, 1, 1);
    while (!place(&b, 1)) {
        for (int i = 0; i < 3; i++) (void)add(&b, JOB_SCORE, 60, 0, 2);
        (void)scheduler_step(b.scheduler);
        assert_in_range(++steps, 1, 8);
    }
    run_all(&b);
    bench_clear(&b);
}

/* The same text in fewer steps, and the figures say so. */
static void test_speculation(void **state) {
    struct bench b;
    struct task *plain, *quick;
    uint64_t steps[2];
    struct engine_stats stats;

    (void)state;
    bench_init(&b, 64, 4096);
    plain = task_ref(add(&b, JOB_GENERATE, 20, 300, 1));
    run_all(&b);
    steps[0] = steps_of(&b);
    b.next_id--;
    quick = task_ref(add(&b, JOB_GENERATE, 20, 300, 1));
    quick->speculates = true;
    run_all(&b);
    steps[1] = steps_of(&b) - steps[0];
    assert_int_equal(plain->known, quick->known);
    assert_memory_equal(plain->tokens, quick->tokens,
                        (size_t)plain->known * sizeof(int));
    scheduler_stats(b.scheduler, &stats);
    assert_in_range(stats.accepted_tokens, 1, stats.drafted_tokens);
    assert_int_equal(stats.accepted_tokens, quick->draft.accepted);
    /* Each token took a step or came for free; each had the prompt's first. */
    assert_int_equal(steps[0] - steps[1], stats.accepted_tokens);
    assert_int_equal(kv_positions_used(b.kv), 0);
    task_free(plain);
    task_free(quick);
    bench_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_goes_on),
        cmocka_unit_test(test_score_goes_first),
        cmocka_unit_test(test_clients_take_turns),
        cmocka_unit_test(test_cancel_within_a_step),
        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_rest_ends),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_score_makes_room),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_same_prefix_at_once),
        cmocka_unit_test(test_prompts_in_pieces),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_score_gets_a_place),
        cmocka_unit_test(test_scores_leave_some),
        cmocka_unit_test(test_speculation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
