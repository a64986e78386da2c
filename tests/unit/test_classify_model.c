/* test_classify_model.c - the whole road of a score with the real engine and
 * the shipped adapters: the trainer's own probabilities, prefix reuse of a
 * text that grows, and a policy's verdicts. Skipped where the model is not
 * installed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "guard/stream.h"
#include "tests/unit/model_path.h"

static struct engine *engine;
static struct guard *guard;

static const char *guard_folder(void) {
    const char *folder = getenv("CORRAL_GUARD_MODELS");

    return folder ? folder : "guard/models";
}

static const char *golden_path(void) {
    static char path[1024];
    const char *folder = getenv("CORRAL_GUARD_MODELS");

    if (!folder) return "tests/unit/data/guard_golden.json";
    (void)snprintf(path, sizeof path, "%s/golden.json", folder);
    return path;
}

/* ---- scores ---- */

struct answer {
    bool told;
    bool ok;
    float scores[LABEL_COUNT];
    struct err err;
};

static void on_scores(void *user, const float *scores, const struct err *err) {
    struct answer *a = user;

    a->told = true;
    a->ok = scores != NULL;
    if (scores)
        memcpy(a->scores, scores, sizeof a->scores);
    else
        a->err = *err;
}

static void wait_for(const bool *told) {
    uint64_t end = clock_ms() + 600000;

    while (!*told && clock_ms() < end) {
        (void)engine_wait(engine, 1000);
        (void)engine_poll(engine);
    }
    assert_true(*told);
}

static void score(const struct classify_request *r, float out[LABEL_COUNT]) {
    struct answer a = {.told = false};
    struct err err = {0};

    if (!classify_start(guard_classifier(guard), r, on_scores, &a, &err))
        fail_msg("%s", err.text);
    wait_for(&a.told);
    if (!a.ok) fail_msg("%s", a.err.text);
    memcpy(out, a.scores, sizeof a.scores);
}

static struct span text_of(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItem(object, key);

    return span_of(cJSON_IsString(item) ? item->valuestring : NULL);
}

/* How far the engine's probabilities are from the trainer's. */
struct differences {
    float worst, sum;
    int count;
};

static void check_case(const cJSON *one, enum guard_model model,
                       struct differences *d) {
    const cJSON *p = cJSON_GetObjectItem(one, "p");
    const cJSON *ids = cJSON_GetObjectItem(one, "ids");
    struct guard_turn turns[2] = {{GUARD_USER, text_of(one, "prompt")},
                                  {GUARD_ASSISTANT, text_of(one, "response")}};
    struct classify_request r = {.model = model, .turns = turns};
    int active_from = cJSON_GetObjectItem(one, "active_from")->valueint;
    int *tokens = xalloc_array((size_t)active_from + 1, sizeof *tokens);
    float scores[LABEL_COUNT];

    r.turn_count = turns[1].text.at ? 2 : 1;
    /* The activated kind rides on the conversation as it was: the trainer's
     * system turns differ. */
    if (model == GUARD_MODEL_ACTIVATED) {
        r.tokens = tokens;
        r.token_count = active_from;
    }
    for (int i = 0; i < active_from; i++)
        tokens[i] = cJSON_GetArrayItem(ids, i)->valueint;
    score(&r, scores);
    for (int l = 0; l < LABEL_COUNT; l++) {
        float want = (float)cJSON_GetArrayItem(p, l)->valuedouble;
        float off = fabsf(scores[l] - want);

        if (off > d->worst) d->worst = off;
        d->sum += off;
        d->count++;
        /* Activations of 8 bits: not the trainer's floats, and the nearer to an
         * even chance a probability is, the more is made of it. */
        if (!(off < 0.09f))
            fail_msg("model %d, \"%.40s\", label %d: %.4f, not %.4f",
                     (int)model, turns[0].text.at, l, (double)scores[l],
                     (double)want);
    }
    free(tokens);
}

static void test_golden(void **state) {
    struct bytes text = {0};
    struct err err = {0};
    const cJSON *kind, *one;
    cJSON *root;
    struct differences d = {0};

    (void)state;
    assert_non_null(guard);
    if (!bytes_read_file(&text, golden_path(), &err)) fail_msg("%s", err.text);
    root = json_parse(span_bytes(&text), &err);
    assert_non_null(root);
    assert_int_equal(cJSON_GetArraySize(root), 2);
    cJSON_ArrayForEach(kind, root) {
        bool full = span_is(text_of(kind, "kind"), "full");
        const cJSON *cases = cJSON_GetObjectItem(kind, "cases");

        assert_true(cJSON_GetArraySize(cases) >= 10);
        cJSON_ArrayForEach(one, cases) check_case(
            one, full ? GUARD_MODEL_FULL : GUARD_MODEL_ACTIVATED, &d);
    }
    print_message("differences of a probability: at most %.4f, mean %.5f\n",
                  (double)d.worst, (double)(d.sum / (float)d.count));
    assert_true(d.sum / (float)d.count < 0.003f);
    cJSON_Delete(root);
    bytes_free(&text);
}

/* A text that grows is judged as the same text at once, and costs little more
 * than its new pieces. */
static void check_growing(enum guard_model model) {
    static const struct guard_turn asked = {GUARD_USER,
                                            {"Tell me how bread is made.", 26}};
    static const char *const pieces[] = {
        "Bread is made from flour, water, salt",
        " and yeast. The dough is "
        "kneaded until it is smooth and then",
        " left to rise in a warm place for an hour or two. After that it is "
        "shaped, left to rise again"};
    struct classify_text_options o = {.model = model,
                                      .role = GUARD_ASSISTANT,
                                      .turns = &asked,
                                      .turn_count = 1};
    struct err err = {0};
    struct classify_text *t =
        classify_text_new(guard_classifier(guard), &o, &err);
    struct bytes whole = {0};
    struct engine_stats before, after;

    if (!t) fail_msg("%s", err.text);
    engine_stats(engine, &before);
    for (int i = 0; i < 3; i++) {
        struct answer a = {.told = false};
        struct guard_turn turns[2] = {asked, {GUARD_ASSISTANT, {NULL, 0}}};
        struct classify_request r = {
            .model = model, .turns = turns, .turn_count = 2};
        float scores[LABEL_COUNT];

        bytes_puts(&whole, pieces[i]);
        assert_true(classify_text_add(t, span_of(pieces[i]), &err));
        assert_non_null(classify_text_judge(t, 0, 0, on_scores, &a, &err));
        wait_for(&a.told);
        assert_true(a.ok);
        turns[1].text = span_bytes(&whole);
        score(&r, scores);
        for (int l = 0; l < LABEL_COUNT; l++)
            assert_true(fabsf(scores[l] - a.scores[l]) < 0.02f);
    }
    engine_stats(engine, &after);
    /* Six questions were asked, of which five had most of it cached. */
    assert_true(after.cached_tokens - before.cached_tokens >
                (after.prompt_tokens - before.prompt_tokens) / 3);
    classify_text_free(t);
    bytes_free(&whole);
}

static void test_growing(void **state) {
    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    check_growing(GUARD_MODEL_FULL);
    if (classifier_has(guard_classifier(guard), GUARD_MODEL_ACTIVATED))
        check_growing(GUARD_MODEL_ACTIVATED);
}

/* Many windows: the unsafe one in the middle is found. */
static void test_windows(void **state) {
    struct bytes text = {0};
    struct guard_turn turn = {GUARD_USER, {NULL, 0}};
    struct classify_request r = {
        .model = GUARD_MODEL_FULL, .turns = &turn, .turn_count = 1};
    struct answer a = {.told = false};
    struct err err = {0};
    float scores[LABEL_COUNT];

    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    for (int i = 0; i < 60; i++)
        bytes_puts(&text, "The baker opens the shop at seven every day. ");
    turn.text = span_bytes(&text);
    score(&r, scores);
    for (int l = 0; l < LABEL_COUNT; l++)
        assert_true(scores[l] >= 0 && scores[l] <= 1);
    r.tokens_max = 500;
    assert_null(
        classify_start(guard_classifier(guard), &r, on_scores, &a, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(a.told);
    bytes_free(&text);
}

static void test_deadline_and_cancel(void **state) {
    struct guard_turn turn = {GUARD_USER, {"Hello there", 11}};
    struct classify_request r = {.model = GUARD_MODEL_FULL,
                                 .turns = &turn,
                                 .turn_count = 1,
                                 .deadline_ms = 1};
    struct answer a = {.told = false}, b = {.told = false};
    struct err err = {0};
    float scores[LABEL_COUNT];
    struct classify_job *job;

    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    assert_non_null(
        classify_start(guard_classifier(guard), &r, on_scores, &a, &err));
    wait_for(&a.told);
    assert_false(a.ok);
    assert_int_equal(a.err.code, ERR_TIMEOUT);
    r.deadline_ms = 0;
    job = classify_start(guard_classifier(guard), &r, on_scores, &b, &err);
    assert_non_null(job);
    classify_cancel(job);
    score(&r, scores);
    assert_false(b.told);
}

/* ---- verdicts of the default policy ---- */

struct result {
    bool told;
    struct verdict v;
    struct bytes out;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct result *r = user;

    assert_false(r->told);
    r->told = true;
    r->v = *v;
}

static void on_release(void *user, struct span text) {
    bytes_put(&((struct result *)user)->out, text);
}

static void test_policy(void **state) {
    struct err err = {0};
    struct policy *p;

    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    p = policy_open("policies/default.yaml", &err);
    if (!p) fail_msg("%s", err.text);
    {
        struct guard_turn turn = {GUARD_USER,
                                  {"What is the capital of France?", 30}};
        struct guard_item item = {CHANNEL_INPUT, turn.text};
        struct guard_request request = {.policy = p,
                                        .items = &item,
                                        .item_count = 1,
                                        .turns = &turn,
                                        .turn_count = 1,
                                        .channel = CHANNEL_INPUT,
                                        .deadline_ms = clock_ms() + 600000};
        struct result r = {.told = false};

        (void)guard_check_start(guard, &request, on_verdict, &r);
        wait_for(&r.told);
        assert_int_equal(r.v.cause, VERDICT_CAUSE_POLICY);
        assert_true(r.v.classified);
        assert_true(r.v.stage_us[STAGE_CLASSIFY] > 0);
    }
    policy_free(p);
}

/* It waits for a slow machine, and what the model says does not act. */
static struct policy *patient_policy(void) {
    static const char text[] =
        "policy: patient\n"
        "limits: {guard_ms: 60000}\n"
        "checks:\n"
        "  - {id: hazards, use: classifier, on: [output], "
        "categories: {all: loose}, action: flag}\n"
        "  - {id: people, use: entities, on: [output], kinds: [email], "
        "action: redact}\n";
    char path[] = "/tmp/test_classify_model_XXXXXX";
    int fd = mkstemp(path);
    struct err err = {0};
    struct policy *p;

    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(close(fd), 0);
    p = policy_open(path, &err);
    unlink(path);
    if (!p) fail_msg("%s", err.text);
    return p;
}

/* An address inside an answer that the model judges, at every cut. */
static void test_stream(void **state) {
    static const char text[] =
        "You can write to jane.doe@example.org or look at the "
        "noticeboard in the hall on the first floor, by the stairs.";
    static const char want[] =
        "You can write to [EMAIL] or look at the "
        "noticeboard in the hall on the first floor, by the stairs.";
    struct guard_turn turn = {GUARD_USER, {"Whom do I ask?", 14}};
    struct policy *p;

    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    p = patient_policy();
    for (size_t cut = 1; cut < sizeof text - 1; cut += 23) {
        struct result r = {.told = false};
        struct guard_stream_options o = {.policy = p,
                                         .channel = CHANNEL_OUTPUT,
                                         .turns = &turn,
                                         .turn_count = 1,
                                         .on_release = on_release,
                                         .on_verdict = on_verdict,
                                         .user = &r};
        struct guard_stream *s = guard_stream_new(guard, &o);

        guard_stream_push(s, (struct span){text, cut}, NULL, 0);
        (void)engine_poll(engine);
        guard_stream_push(s, span_of(text + cut), NULL, 0);
        guard_stream_finish(s);
        wait_for(&r.told);
        assert_int_equal(r.v.cause, VERDICT_CAUSE_POLICY);
        assert_true(r.v.classified);
        assert_true(span_is(span_bytes(&r.out), want));
        guard_stream_free(s);
        bytes_free(&r.out);
    }
    policy_free(p);
}

/* ---- riding on the main model's own KV ---- */

/* A stream that the main model writes into, its tokens with it. */
struct ride {
    struct guard_stream *s;
    struct bytes said;
    bool ended;
};

static void on_generated(void *user, const struct job_event *event) {
    struct ride *r = user;

    if (event->kind == JOB_TEXT) {
        bytes_put(&r->said, event->text);
        guard_stream_push(r->s, event->text, event->tokens, event->token_count);
    } else if (event->kind == JOB_DONE) {
        assert_int_not_equal(event->end, JOB_END_ERROR);
        r->ended = true;
        guard_stream_finish(r->s);
    }
}

/* An answer of the default model judged as it is written. Returns the prompt
 * tokens that were computed, for the generation and its verdicts together. */
static uint64_t ride_answer(const struct policy *p, const struct tokens *prompt,
                            bool rides, struct bytes *said) {
    static const struct guard_turn turn = {GUARD_USER, {"the sea", 7}};
    struct result result = {.told = false};
    struct ride ride = {.ended = false};
    struct guard_stream_options o = {.policy = p,
                                     .channel = CHANNEL_OUTPUT,
                                     .turns = &turn,
                                     .turn_count = 1,
                                     .on_release = on_release,
                                     .on_verdict = on_verdict,
                                     .user = &result};
    struct job job = {.kind = JOB_GENERATE,
                      .tokens = prompt->at,
                      .token_count = (int)prompt->count,
                      .sampling = SAMPLING_GREEDY,
                      .max_tokens = 120,
                      .on_event = on_generated,
                      .user = &ride};
    struct engine_stats before, after;
    struct err err = {0};

    if (rides) {
        o.prompt_tokens = prompt->at;
        o.prompt_token_count = (int)prompt->count;
    }
    engine_stats(engine, &before);
    ride.s = guard_stream_new(guard, &o);
    if (!engine_submit(engine, &job, &err)) fail_msg("%s", err.text);
    wait_for(&ride.ended);
    wait_for(&result.told);
    engine_stats(engine, &after);
    guard_stream_free(ride.s);
    assert_int_equal(result.v.cause, VERDICT_CAUSE_POLICY);
    assert_true(result.v.classified);
    assert_true(span_equal(span_bytes(&result.out), span_bytes(&ride.said)));
    bytes_free(&result.out);
    *said = ride.said;
    return after.prompt_tokens - before.prompt_tokens -
           (after.cached_tokens - before.cached_tokens);
}

static struct policy *riding_policy(void) {
    static const char text[] =
        "policy: riding\n"
        "limits: {guard_ms: 60000}\n"
        "checks:\n"
        "  - {id: hazards, use: classifier, model: activated, on: [output], "
        "categories: {all: loose}, action: flag}\n";
    char path[] = "/tmp/test_classify_model_XXXXXX";
    int fd = mkstemp(path);
    struct err err = {0};
    struct policy *p;

    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(close(fd), 0);
    p = policy_open(path, &err);
    unlink(path);
    if (!p) fail_msg("%s", err.text);
    return p;
}

/* The same answer, judged on the main model's tokens and on tokens of its own:
 * riding computes the questions alone, and lets out the same bytes. */
static void test_ride(void **state) {
    const struct tokenizer *t = engine_tokenizer(engine);
    struct tokens prompt = {0};
    struct bytes own = {0}, ridden = {0};
    struct policy *p;
    uint64_t alone, riding;

    (void)state;
    assert_non_null(guard); /* its files are part of the project */
    p = riding_policy();
    assert_true(
        tokens_push(&prompt, tokenizer_control(t, "<|im_start|>"), NULL));
    assert_true(tokenizer_encode(
        t, span_of("user\nTell me a story about the sea."), &prompt, NULL));
    assert_true(tokens_push(&prompt, tokenizer_control(t, "<|im_end|>"), NULL));
    assert_true(tokenizer_encode(t, span_of("\n"), &prompt, NULL));
    assert_true(
        tokens_push(&prompt, tokenizer_control(t, "<|im_start|>"), NULL));
    assert_true(tokenizer_encode(t, span_of("assistant\n"), &prompt, NULL));
    riding = ride_answer(p, &prompt, true, &ridden);
    alone = ride_answer(p, &prompt, false, &own);
    assert_true(own.size > 200);
    assert_true(span_equal(span_bytes(&own), span_bytes(&ridden)));
    print_message("computed: riding %d prompt tokens, alone %d\n", (int)riding,
                  (int)alone);
    /* Alone the whole text is read anew, some 120 tokens. */
    assert_true(riding + 60 < alone);
    tokens_free(&prompt);
    bytes_free(&own);
    bytes_free(&ridden);
    policy_free(p);
}

static int setup(void **state) {
    struct engine_options options = {.model_path = model_path(), .threads = 2};
    struct guard_options guarding = {.model_folder = guard_folder()};
    char path[1024];
    struct err err = {0};

    (void)state;
    if (!hash_init(NULL)) return -1;
    (void)snprintf(path, sizeof path, "%s/guard.gguf", guard_folder());
    if (access(model_path(), R_OK) != 0 || access(path, R_OK) != 0) return 0;
    engine = engine_open(&options, &err);
    guarding.engine = engine;
    if (engine) guard = guard_open(&guarding, &err);
    if (!guard) print_error("%s\n", err.text);
    return guard ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    guard_close(guard);
    if (engine) engine_close(engine);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_ride),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
