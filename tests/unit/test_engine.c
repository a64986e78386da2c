/* test_engine.c - jobs through the whole engine: on a tiny random model for
 * what the scheduler does, on the default model for what it says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/answer.h"
#include "tests/unit/model_path.h"
#include "tests/unit/tokenizer_data.h"

enum { ANSWERS_MAX = 80, VOCAB = 260 };

/* The same job on an engine that has nothing else to do. */
static void run_alone(struct job job, bool exact, struct answer *a) {
    struct engine *e = open_tiny((struct engine_options){.exact = exact});

    run_one(e, job, a);
    engine_close(e);
}

/* Thirty jobs of both kinds at once say bit for bit what each says alone and
 * without speculation, whatever the batch and the KV allow: `o` is a different
 * squeeze in every test. */
static void check_crowd(struct engine_options o, bool share) {
    static int prompts[30][200];
    struct answer together[30], alone;
    struct job jobs[30];
    struct engine *e;

    e = open_tiny(o);
    for (int i = 0; i < 30; i++) {
        int count = 20 + i * 5;

        fill(prompts[i], count, (unsigned)i);
        if (share) fill(prompts[i], count * 3 / 4, 99);
        jobs[i] = i % 3 ? generate(prompts[i], count, 10 + i)
                        : score(prompts[i], count);
        jobs[i].client = (uint64_t)i % 4;
        jobs[i].sampling.temperature = i % 2 ? 0.7f : 0;
        jobs[i].sampling.seed = (uint64_t)i;
        submit(e, jobs[i], &together[i]);
    }
    wait_for(e, together, 30);
    engine_close(e);
    for (int i = 0; i < 30; i++) {
        jobs[i].no_speculation = true;
        run_alone(jobs[i], o.exact, &alone);
        /* In exact mode a library multiplies, and rounds as it likes. */
        check_near(&together[i], &alone, o.exact ? 1e-4f : 0);
        assert_int_equal(together[i].usage.prompt_tokens, jobs[i].token_count);
        answer_clear(&alone);
        answer_clear(&together[i]);
    }
}

static void test_batch_independence(void **state) {
    (void)state;
    check_crowd((struct engine_options){.kv_tokens = 1 << 14}, false);
    check_crowd((struct engine_options){.kv_tokens = 1 << 14, .exact = true},
                false);
}

static void test_small_batches(void **state) {
    (void)state;
    check_crowd(
        (struct engine_options){.batch_tokens = 7, .kv_tokens = 1 << 14},
        false);
}

static void test_shared_prefixes(void **state) {
    (void)state;
    check_crowd((struct engine_options){.batch_tokens = 64}, true);
}

/* Generations outgrow the KV and are sent away and resumed. */
static void test_little_kv(void **state) {
    (void)state;
    check_crowd(
        (struct engine_options){.kv_tokens = 256, .context_tokens = 256},
        false);
}

/* A prefix that is in the cache gives what computing it afresh gives. */
static void test_fork_equals_fresh(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[200];
    struct answer first, forked, fresh;

    (void)state;
    fill(tokens, 200, 5);
    run_one(e, score(tokens, 150), &first);
    assert_int_equal(first.usage.cached_tokens, 0);
    fill(tokens + 140, 60, 6); /* leaves the first text at 140 */
    run_one(e, score(tokens, 200), &forked);
    assert_in_range(forked.usage.cached_tokens, 96, 140);
    run_alone(score(tokens, 200), false, &fresh);
    check_same(&forked, &fresh);
    engine_close(e);
    answer_clear(&first);
    answer_clear(&forked);
    answer_clear(&fresh);
}

static void test_seeds(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[20];
    struct answer list[3];
    struct job job;

    (void)state;
    fill(tokens, 20, 1);
    job = generate(tokens, 20, 40);
    job.sampling.temperature = 1;
    for (int i = 0; i < 3; i++) {
        job.sampling.seed = i == 2 ? 8 : 7;
        run_one(e, job, &list[i]);
    }
    check_same(&list[0], &list[1]);
    assert_false(list[0].tokens.count == list[2].tokens.count &&
                 !memcmp(list[0].tokens.at, list[2].tokens.at,
                         list[0].tokens.count * sizeof(int)));
    for (int i = 0; i < 3; i++) answer_clear(&list[i]);
    engine_close(e);
}

static struct engine *cancelling_engine;

/* Cancels at the first thing that it hears, so that nothing hangs on which
 * thread is faster. */
static void on_first_event(void *user, const struct job_event *event) {
    struct answer *a = user;

    on_event(user, event);
    engine_cancel(cancelling_engine, a->id);
    engine_cancel(cancelling_engine, a->id);
}

static void test_cancel(void **state) {
    struct engine *e =
        open_tiny((struct engine_options){.queue_max = 4, .threads = 1});
    struct engine_stats stats;
    int tokens[100];
    struct answer list[3], after;
    struct job job;
    uint64_t until = clock_ms() + WAIT_MS;

    (void)state;
    cancelling_engine = e;
    fill(tokens, 100, 3);
    submit(e, generate(tokens, 100, 300), &list[0]);
    memset(&list[1], 0, sizeof list[1]);
    job = generate(tokens, 99, 300);
    job.on_event = on_first_event;
    job.user = &list[1];
    list[1].id = engine_submit(e, &job, NULL);
    assert_true(list[1].id != 0);
    submit(e, generate(tokens, 98, 300), &list[2]);
    engine_cancel(e, 12345678);
    wait_for(e, list, 1);
    wait_for(e, list + 2, 1);
    assert_int_equal(list[1].events, 1);
    assert_false(list[1].done);
    run_one(e, generate(tokens, 50, 3), &after);
    /* The figures are those of the last step that was finished. */
    do engine_stats(e, &stats);
    while (stats.jobs_done < 4 && clock_ms() < until);
    assert_int_equal(stats.jobs_done, 4);
    assert_int_equal(stats.kv_used, 0);
    for (int i = 0; i < 3; i++) answer_clear(&list[i]);
    answer_clear(&after);
    engine_close(e);
}

static void test_busy(void **state) {
    struct engine *e = open_tiny((struct engine_options){.queue_max = 2});
    int tokens[50];
    struct answer list[3];
    struct job job;
    struct err err;

    (void)state;
    fill(tokens, 50, 4);
    for (int i = 0; i < 2; i++) submit(e, generate(tokens, 50, 400), &list[i]);
    job = generate(tokens, 50, 1);
    assert_int_equal(engine_submit(e, &job, &err), 0);
    assert_int_equal(err.code, ERR_BUSY);
    wait_for(e, list, 2);
    run_one(e, job, &list[2]);
    for (int i = 0; i < 3; i++) answer_clear(&list[i]);
    engine_close(e);
}

/* One client leaves a quarter of the queue to others. */
static void test_busy_client(void **state) {
    struct engine *e = open_tiny((struct engine_options){.queue_max = 8});
    int tokens[50];
    struct answer list[8];
    struct job job;
    struct err err;

    (void)state;
    fill(tokens, 50, 4);
    job = generate(tokens, 50, 400);
    for (int i = 0; i < 6; i++) submit(e, job, &list[i]);
    assert_int_equal(engine_submit(e, &job, &err), 0);
    assert_int_equal(err.code, ERR_BUSY);
    job.client = 1;
    submit(e, job, &list[6]);
    wait_for(e, list, 7);
    submit(e, generate(tokens, 50, 1), &list[7]);
    wait_for(e, list, 8);
    for (int i = 0; i < 8; i++) answer_clear(&list[i]);
    engine_close(e);
}

static void test_deadline(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[50];
    struct job job;
    struct answer a;

    (void)state;
    fill(tokens, 50, 4);
    job = score(tokens, 50);
    job.deadline_ms = 1; /* long ago */
    run_one(e, job, &a);
    assert_int_equal(a.end, JOB_END_ERROR);
    assert_int_equal(a.err.code, ERR_TIMEOUT);
    assert_int_equal(a.score_count, 0);
    answer_clear(&a);
    job.deadline_ms = clock_ms() + WAIT_MS;
    run_one(e, job, &a);
    assert_int_equal(a.end, JOB_END_STOP);
    assert_int_equal(a.score_count, 4);
    answer_clear(&a);
    engine_close(e);
}

/* The hidden state stands behind the labels' logits, and is the same from a
 * cached prefix as computed afresh. */
static void test_embed(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int width = engine_shape(e)->embedding, tokens[100];
    struct job job;
    struct answer a, b, other;

    (void)state;
    fill(tokens, 100, 4);
    job = score(tokens, 100);
    job.label_count = 0;
    job.embed = true;
    run_one(e, job, &a);
    assert_int_equal(a.end, JOB_END_STOP);
    assert_int_equal(a.score_count, width);
    run_one(e, job, &b);
    assert_true(b.usage.cached_tokens > 64);
    check_same(&a, &b);
    tokens[99] ^= 1;
    run_one(e, job, &other);
    assert_memory_not_equal(a.scores, other.scores,
                            (size_t)width * sizeof(float));
    engine_close(e);
    answer_clear(&a);
    answer_clear(&b);
    answer_clear(&other);
}

static void test_stops(void **state) {
    struct engine *e = open_tiny((struct engine_options){.exact = true});
    int tokens[30];
    struct answer whole, cut;
    struct span stop;
    struct job job;
    size_t at;

    (void)state;
    fill(tokens, 30, 12);
    job = generate(tokens, 30, 60);
    run_one(e, job, &whole);
    assert_in_range(whole.text.size, 20, 10000);
    at = whole.text.size / 2;
    while (((unsigned char)whole.text.at[at] & 0xC0) == 0x80) at++;
    stop = span_slice(span_bytes(&whole.text), at, whole.text.size);
    while (stop.size > 12 || ((unsigned char)stop.at[stop.size] & 0xC0) == 0x80)
        stop.size--;
    at = span_find(span_bytes(&whole.text), stop);
    job.stops = &stop;
    job.stop_count = 1;
    run_one(e, job, &cut);
    assert_int_equal(cut.end, JOB_END_STOP);
    assert_true(span_equal(span_bytes(&cut.text),
                           span_slice(span_bytes(&whole.text), 0, at)));
    assert_true(cut.tokens.count < whole.tokens.count);
    answer_clear(&whole);
    answer_clear(&cut);
    engine_close(e);
}

static void test_length(void **state) {
    struct engine *e = open_tiny((struct engine_options){.context_tokens = 64});
    int tokens[64];
    struct answer a;

    (void)state;
    fill(tokens, 64, 2);
    run_one(e, generate(tokens, 40, 5), &a);
    assert_int_equal(a.end, JOB_END_LENGTH);
    assert_int_equal(a.usage.output_tokens, 5);
    assert_int_equal(a.tokens.count, 5);
    assert_false(a.context_full);
    answer_clear(&a);
    run_one(e, generate(tokens, 60, 500), &a); /* to the context's end */
    assert_int_equal(a.end, JOB_END_LENGTH);
    assert_int_equal(a.usage.output_tokens, 4);
    assert_true(a.context_full);
    answer_clear(&a);
    run_one(e, generate(tokens, 60, 4), &a); /* both at once */
    assert_int_equal(a.end, JOB_END_LENGTH);
    assert_false(a.context_full);
    answer_clear(&a);
    run_one(e, score(tokens, 64), &a);
    assert_int_equal(a.score_count, 4);
    answer_clear(&a);
    engine_close(e);
}

static void check_bad(struct engine *e, struct job job, enum err_code code) {
    struct err err = {0};

    assert_int_equal(engine_submit(e, &job, &err), 0);
    assert_int_equal(err.code, code);
}

static void test_bad_jobs(void **state) {
    static const int high[] = {1, VOCAB}, low[] = {-1};
    static const struct span empty = {"", 0};
    struct engine *e = open_tiny((struct engine_options){.context_tokens = 64});
    int tokens[65], out;
    struct job job;
    struct err err;

    (void)state;
    fill(tokens, 65, 2);
    check_bad(e, score(tokens, 65), ERR_LIMIT);
    check_bad(e, generate(tokens, 64, 1), ERR_LIMIT);
    job = generate(tokens, 65, 1);
    assert_int_equal(engine_submit(e, &job, &err), 0);
    assert_non_null(strstr(err.text, "65")); /* both numbers are said */
    assert_non_null(strstr(err.text, "64"));
    check_bad(e, generate(tokens, 0, 1), ERR_INPUT);
    check_bad(e, generate(tokens, 3, 0), ERR_INPUT);
    check_bad(e, generate(high, 2, 1), ERR_INPUT);
    check_bad(e, generate(low, 1, 1), ERR_INPUT);
    job = score(tokens, 3);
    job.label_count = 0; /* and no adapter with a head */
    check_bad(e, job, ERR_INPUT);
    job = score(tokens, 3);
    job.embed = true; /* and labels */
    check_bad(e, job, ERR_INPUT);
    job = score(tokens, 3);
    job.labels = high;
    job.label_count = 2;
    check_bad(e, job, ERR_INPUT);
    job = score(tokens, 3);
    job.adapter = 1;
    check_bad(e, job, ERR_INPUT);
    job = generate(tokens, 3, 1);
    job.sampling.top_p = NAN;
    check_bad(e, job, ERR_INPUT);
    job = generate(tokens, 3, 1);
    job.sampling.biases = &(struct token_bias){1 << 20, 1};
    job.sampling.bias_count = 1;
    check_bad(e, job, ERR_INPUT);
    job = generate(tokens, 3, 1);
    job.logprobs = true;
    job.rival_count = LOGPROBS_TOP_MAX + 1;
    check_bad(e, job, ERR_INPUT);
    job = generate(tokens, 3, 1);
    job.stops = &empty;
    job.stop_count = 1;
    check_bad(e, job, ERR_LIMIT);
    job.stops = &(struct span){"\x80", 1};
    check_bad(e, job, ERR_INPUT);
    assert_false(
        engine_adapter_add(e, "tests/unit/data/tiny.golden", &out, &err));
    engine_close(e);
    assert_null(engine_open(
        &(struct engine_options){.model_path = "tests/unit/data/none.gguf"},
        &err));
    assert_null(engine_open(
        &(struct engine_options){.model_path = "tests/unit/data/tiny.gguf",
                                 .batch_tokens = -1},
        &err));
    assert_int_equal(err.code, ERR_INPUT);
}

/* Each token that is told comes with its own report, whether its text had to
 * wait for a stop string or not, and in whatever company. */
static void test_logprobs(void **state) {
    struct engine *e = open_tiny((struct engine_options){.exact = true});
    struct answer plain, told, many[4];
    struct span stop;
    struct job job;
    int tokens[20];

    (void)state;
    fill(tokens, 20, 3);
    job = generate(tokens, 20, 40);
    job.sampling.temperature = 1.5f;
    job.sampling.seed = 3;
    run_one(e, job, &plain);
    assert_int_equal(plain.logprob_count, 0);
    job.logprobs = true;
    job.rival_count = 5;
    run_one(e, job, &told);
    check_same(&plain, &told); /* asking changes nothing */
    assert_int_equal(told.logprob_count, told.tokens.count);
    for (int i = 0; i < told.logprob_count; i++) {
        const struct token_logprob *row = told.logprobs[i];

        assert_int_equal(row[0].token, told.tokens.at[i]);
        assert_true(row[0].logprob <= row[1].logprob + 1e-6f);
        for (int r = 2; r <= 5; r++)
            assert_true(row[r].logprob <= row[r - 1].logprob);
    }
    for (int i = 0; i < 4; i++) submit(e, job, &many[i]);
    wait_for(e, many, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(many[i].logprob_count, told.logprob_count);
        for (int t = 0; t < told.logprob_count; t++)
            assert_float_equal(many[i].logprobs[t][0].logprob,
                               told.logprobs[t][0].logprob, 1e-3f);
        answer_clear(&many[i]);
    }
    /* What spells the stop has no report, as it has no token. */
    assert_true(told.text.size > 12);
    stop = (struct span){told.text.at + 8, 3};
    while (!utf8_valid(stop)) stop.at++;
    job.stops = &stop;
    job.stop_count = 1;
    answer_clear(&plain);
    run_one(e, job, &plain);
    assert_true(plain.tokens.count < told.tokens.count);
    assert_int_equal(plain.logprob_count, plain.tokens.count);
    for (int i = 0; i < plain.logprob_count; i++)
        assert_int_equal(plain.logprobs[i][0].token, plain.tokens.at[i]);
    answer_clear(&plain);
    answer_clear(&told);
    engine_close(e);
}

/* A bias and a penalty reach the sampler with the job that asked for them, and
 * the list may go when the job is submitted. */
static void test_bias_and_repeats(void **state) {
    struct engine *e = open_tiny((struct engine_options){.exact = true});
    struct token_bias *list = xalloc_array(1, sizeof *list);
    static const struct token_bias favourites[] = {{'a', 100}, {'b', 100}};
    struct answer biased, penalised;
    struct job job;
    int tokens[20];

    (void)state;
    fill(tokens, 20, 5);
    job = generate(tokens, 20, 12);
    list[0] = (struct token_bias){'a', 100};
    job.sampling.biases = list;
    job.sampling.bias_count = 1;
    submit(e, job, &biased);
    list[0] = (struct token_bias){-1, 0};
    free(list);
    wait_for(e, &biased, 1);
    assert_int_equal(biased.tokens.count, 12);
    for (int i = 0; i < 12; i++) assert_int_equal(biased.tokens.at[i], 'a');
    /* Two favourites take turns when the last one is penalised, beginning with
     * the one that does not end the prompt. */
    job.sampling.biases = favourites;
    job.sampling.bias_count = 2;
    job.sampling.repeat_penalty = 2;
    job.sampling.repeat_window = 1;
    tokens[19] = 'b';
    run_one(e, job, &penalised);
    assert_int_equal(penalised.tokens.count, 12);
    for (int i = 0; i < 12; i++)
        assert_int_equal(penalised.tokens.at[i], i % 2 ? 'b' : 'a');
    answer_clear(&biased);
    answer_clear(&penalised);
    engine_close(e);
}

/* Many more events than the outbox holds, and nobody polls for a while. */
static void test_slow_owner(void **state) {
    struct engine *e = open_tiny((struct engine_options){.threads = 1});
    static struct answer list[ANSWERS_MAX];
    int tokens[10];

    (void)state;
    for (int i = 0; i < ANSWERS_MAX; i++) {
        fill(tokens, 10, (unsigned)i);
        submit(e, generate(tokens, 10, 40), &list[i]);
    }
    for (int i = 0; i < 20; i++) (void)engine_wait(e, 1);
    wait_for(e, list, ANSWERS_MAX);
    for (int i = 0; i < ANSWERS_MAX; i++) answer_clear(&list[i]);
    engine_close(e);
}

static struct engine *throttled_engine;

/* Stops at its first words, so that most of them are still to come. */
static void on_throttled(void *user, const struct job_event *event) {
    struct answer *a = user;

    on_event(user, event);
    if (a->events == 1) engine_throttle(throttled_engine, a->id, true);
}

/* A text that nobody takes is not written on, and later it is, as it would have
 * been: while it rests, others are served to their end. */
static void test_throttle(void **state) {
    struct engine *e = open_tiny((struct engine_options){.threads = 1});
    struct answer alone, a = {0}, other;
    int tokens[20], more[20];
    struct engine_stats stats;
    struct job job;
    size_t written;

    (void)state;
    throttled_engine = e;
    fill(tokens, 20, 1);
    fill(more, 20, 2);
    /* More than the outbox holds: it cannot be done before we look. */
    job = generate(tokens, 20, 1500);
    job.no_speculation = true;
    run_alone(job, false, &alone);
    job.on_event = on_throttled;
    job.user = &a;
    a.id = engine_submit(e, &job, NULL);
    assert_true(a.id != 0);
    do { /* until it rests */
        (void)engine_wait(e, 1);
        (void)engine_poll(e);
        engine_stats(e, &stats);
    } while (!a.events || stats.jobs_running);
    (void)engine_poll(e);
    written = a.tokens.count;
    assert_in_range(written, 1, 1499);
    run_one(e, generate(more, 20, 300), &other);
    assert_int_equal(a.tokens.count, written);
    engine_throttle(e, a.id, false);
    wait_for(e, &a, 1);
    check_same(&a, &alone);
    answer_clear(&other);
    answer_clear(&a);
    answer_clear(&alone);
    engine_close(e);
}

static void test_close_with_jobs(void **state) {
    int tokens[100];
    static struct answer list[20];

    (void)state;
    fill(tokens, 100, 9);
    for (int round = 0; round < 3; round++) {
        struct engine *e = open_tiny((struct engine_options){0});

        for (int i = 0; i < 20; i++)
            submit(e, generate(tokens, 100 - i, 100), &list[i]);
        if (round) (void)engine_wait(e, round * 5);
        engine_close(e);
        for (int i = 0; i < 20; i++) assert_int_equal(list[i].events, 0);
    }
}

static struct engine *chained_engine;
static struct answer chained;
static int chained_tokens[10];

static void on_first_done(void *user, const struct job_event *event) {
    if (event->kind != JOB_DONE) return;
    on_event(user, event);
    submit(chained_engine, generate(chained_tokens, 10, 5), &chained);
}

static void test_callbacks_may_submit(void **state) {
    struct engine *e = open_tiny((struct engine_options){.queue_max = 1});
    struct answer first = {0};
    struct job job;

    (void)state;
    chained_engine = e;
    fill(chained_tokens, 10, 1);
    job = score(chained_tokens, 10);
    job.on_event = on_first_done;
    job.user = &first;
    assert_true(engine_submit(e, &job, NULL) != 0);
    wait_for(e, &first, 1);
    wait_for(e, &chained, 1);
    assert_int_equal(chained.usage.output_tokens, 5);
    answer_clear(&chained);
    engine_close(e);
}

static void test_grammar(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    cJSON *schema = json_parse(
        span_of("{\"type\":\"object\",\"properties\":{\"n\":{\"type\":"
                "\"integer\",\"minimum\":3,\"maximum\":77},\"c\":{\"enum\":"
                "[\"he\",\"she\"]}},\"required\":[\"n\",\"c\"]}"),
        NULL);
    struct grammar *g = grammar_from_schema(schema, NULL);
    int tokens[30];

    (void)state;
    assert_non_null(g);
    fill(tokens, 30, 2);
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct job job = generate(tokens, 30, 100);
        struct answer a;
        cJSON *json;

        job.grammar = g;
        job.sampling.temperature = 2;
        job.sampling.seed = seed;
        run_one(e, job, &a);
        assert_int_equal(a.end, JOB_END_STOP);
        json = json_parse(span_bytes(&a.text), NULL);
        assert_non_null(json);
        assert_in_range(cJSON_GetObjectItem(json, "n")->valuedouble, 3, 77);
        cJSON_Delete(json);
        answer_clear(&a);
    }
    grammar_free(g);
    cJSON_Delete(schema);
    engine_close(e);
}

/* ---- the default model ---- */

static struct engine *big;
static struct answer greedy[16];
static struct golden expected[16];
static int greedy_count;

static void push_text(struct tokens *ids, const char *text) {
    assert_true(
        tokenizer_encode(engine_tokenizer(big), span_of(text), ids, NULL));
}

static void submit_golden(const char *line) {
    struct golden *g = &expected[greedy_count];
    struct tokens ids = {0};

    golden_read(g, line);
    assert_true(tokens_push(&ids, 1, NULL));
    push_text(&ids, "user\n");
    assert_true(tokenizer_encode(engine_tokenizer(big), span_bytes(&g->text),
                                 &ids, NULL));
    assert_true(tokens_push(&ids, 2, NULL));
    push_text(&ids, "\n");
    assert_true(tokens_push(&ids, 1, NULL));
    push_text(&ids, "assistant\n");
    submit(big, generate(ids.at, (int)ids.count, 20), &greedy[greedy_count++]);
    tokens_free(&ids);
}

/* Ten answers, in one batch, equal to plain PyTorch's in float32. */
static void test_greedy_answers(void **state) {
    struct engine_options o = {
        .model_path = model_path(), .context_tokens = 1024, .exact = true};
    struct err err = {0};

    (void)state;
    big = engine_open(&o, &err);
    if (!big) fail_msg("%s", err.text);
    assert_int_equal(
        golden_each("tests/unit/data/engine_greedy.txt", submit_golden), 10);
    wait_for(big, greedy, greedy_count);
    for (int i = 0; i < greedy_count; i++) {
        const struct answer *a = &greedy[i];
        size_t count = expected[i].number_count;
        bool ended = tokenizer_is_end(engine_tokenizer(big),
                                      expected[i].numbers[count - 1]);

        assert_int_equal(a->end, ended ? JOB_END_STOP : JOB_END_LENGTH);
        assert_int_equal(a->usage.output_tokens, count);
        assert_int_equal(a->tokens.count, count - ended);
        for (size_t j = 0; j < a->tokens.count; j++)
            if (a->tokens.at[j] != expected[i].numbers[j])
                fail_msg("%s: token %zu is %d, not %d", expected[i].name, j,
                         a->tokens.at[j], expected[i].numbers[j]);
        answer_clear(&greedy[i]);
        golden_clear(&expected[i]);
    }
    engine_close(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_independence),
        cmocka_unit_test(test_small_batches),
        cmocka_unit_test(test_shared_prefixes),
        cmocka_unit_test(test_little_kv),
        cmocka_unit_test(test_fork_equals_fresh),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_busy_client),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_slow_owner),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_close_with_jobs),
        cmocka_unit_test(test_callbacks_may_submit),
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_bias_and_repeats),
        cmocka_unit_test(test_greedy_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
