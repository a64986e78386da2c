/* test_engine_memory.c - memory does not grow with the jobs that were served:
 * thousands of them, of every kind and with every end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <malloc.h>

#include "tests/unit/answer.h"

enum {
    ROUNDS = 150,
    WARM_ROUNDS = 30,
    JOBS = 24,
    /* The lists of free blocks that an allocator keeps count as used. */
    SLACK_BYTES = 64 * 1024
};

struct plan {
    struct engine *engine;
    struct grammar *grammar;
    int tokens[JOBS][120];
    struct answer answers[JOBS];
    bool cancelled[JOBS];
};

static struct plan *cancelling;

static void on_event_cancel(void *user, const struct job_event *event) {
    struct answer *a = user;

    on_event(user, event);
    if (a->done) return;
    engine_cancel(cancelling->engine, a->id);
    cancelling->cancelled[a - cancelling->answers] = true;
}

static void put_job(struct plan *p, int i, unsigned seed) {
    static const struct span stops[] = {{"e", 1}, {"the", 3}};
    static const struct token_bias biases[] = {{40, 2}, {41, -2}};
    struct job job = generate(p->tokens[i], 20 + i * 4, 5 + i);

    fill(p->tokens[i], 120, seed / 3); /* some of them share prefixes */
    job.client = seed % 5;
    job.sampling.seed = seed;
    job.sampling.temperature = i % 2 ? 1.0f : 0.0f;
    if (i % 8 == 0) job = score(p->tokens[i], 20 + i * 4);
    if (i % 8 == 2) job.grammar = p->grammar;
    if (i % 8 == 3) {
        job.stops = stops;
        job.stop_count = 2;
    }
    if (i % 8 == 4) {
        job.sampling.biases = biases;
        job.sampling.bias_count = 2;
        job.logprobs = true;
        job.rival_count = 5;
    }
    if (i % 8 == 5) job.deadline_ms = 1;
    memset(&p->answers[i], 0, sizeof p->answers[i]);
    p->cancelled[i] = false;
    job.on_event = i % 8 == 6 ? on_event_cancel : on_event;
    job.user = &p->answers[i];
    p->answers[i].id = engine_submit(p->engine, &job, NULL);
    assert_true(p->answers[i].id != 0);
    if (i % 8 == 7) { /* gone before it has begun, most likely */
        engine_cancel(p->engine, p->answers[i].id);
        p->cancelled[i] = true;
    }
}

static void run_round(struct plan *p, unsigned round) {
    struct err err;
    struct job bad;

    for (int i = 0; i < JOBS; i++) put_job(p, i, round * JOBS + (unsigned)i);
    bad = generate(p->tokens[0], 0, 1);
    assert_int_equal(engine_submit(p->engine, &bad, &err), 0);
    for (int i = 0; i < JOBS; i++)
        while (!p->answers[i].done && !p->cancelled[i]) {
            (void)engine_wait(p->engine, 100);
            engine_poll(p->engine);
        }
    for (int i = 0; i < JOBS; i++) answer_clear(&p->answers[i]);
}

/* In use once the last job has left, cancelled ones too. */
static size_t used_bytes(struct engine *e) {
    struct engine_stats stats;

    do engine_stats(e, &stats);
    while (stats.jobs_running || stats.jobs_waiting);
    assert_int_equal(stats.kv_used, 0);
    return mallinfo2().uordblks;
}

static void test_flat(void **state) {
    static struct plan p;
    cJSON *schema = json_parse(
        span_of("{\"type\":\"array\",\"items\":{\"type\":\"object\","
                "\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":"
                "\"integer\"}},\"required\":[\"a\",\"b\"]},\"maxItems\":4}"),
        NULL);
    size_t warm = 0, after;

    (void)state;
    p.engine = open_tiny((struct engine_options){
        .kv_tokens = 1024, .context_tokens = 256, .batch_tokens = 64});
    p.grammar = grammar_from_schema(schema, NULL);
    assert_non_null(p.grammar);
    cancelling = &p;
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_round(&p, round);
        if (round == WARM_ROUNDS) warm = used_bytes(p.engine);
    }
    after = used_bytes(p.engine);
    if (after > warm + SLACK_BYTES)
        fail_msg("%zu bytes in use after %d jobs, %zu after %d", warm,
                 WARM_ROUNDS * JOBS, after, ROUNDS * JOBS);
    grammar_free(p.grammar);
    cJSON_Delete(schema);
    engine_close(p.engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flat)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
