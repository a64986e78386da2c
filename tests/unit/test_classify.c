/* test_classify.c - from a text to the exact tokens that the engine is asked
 * about, and from its raw logits to probabilities. The engine is a fake that
 * keeps what it is given; the tokenizer is real, with one token for each byte,
 * so that a prompt can be read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "guard/classify.h"
#include "tests/unit/gguf_make.h"

enum {
    MERGED = 256, /* "~~", so that there is a merge */
    START = 257,  /* printed as '<' below */
    END = 258,    /* and '>' */
    VOCAB = 259,
    WINDOW = 40,
    OVERLAP = 10,
    JOBS = 16
};

/* ---- the fake engine: its symbols win over the library's ---- */

struct asked {
    uint64_t id;
    bool cancelled;
    struct job job;
    struct bytes prompt; /* readable */
};

struct engine {
    struct tokenizer *tokenizer;
    int context;
    int labels;
    int adapters;
    int refuse_at; /* this submission, from 1, is refused */
    struct asked asked[JOBS];
    int count;
};

static struct engine engine;

const struct tokenizer *engine_tokenizer(const struct engine *e) {
    return e->tokenizer;
}

int engine_context(const struct engine *e) {
    return e->context;
}

bool engine_adapter_add(struct engine *e, const char *path, int *out,
                        struct err *err) {
    (void)path;
    (void)err;
    *out = ++e->adapters;
    return true;
}

int engine_adapter_labels(const struct engine *e, int adapter) {
    (void)adapter;
    return e->labels;
}

uint64_t engine_submit(struct engine *e, const struct job *job,
                       struct err *err) {
    struct asked *a = &e->asked[e->count];

    assert_true(e->count < JOBS);
    if (e->count + 1 == e->refuse_at) {
        (void)err_set(err, ERR_BUSY, "the queue is full");
        return 0;
    }
    *a = (struct asked){.id = (uint64_t)++e->count, .job = *job};
    for (int i = 0; i < job->token_count; i++) {
        char c = (char)job->tokens[i];

        if (job->tokens[i] == START) c = '<';
        if (job->tokens[i] == END) c = '>';
        bytes_put(&a->prompt, (struct span){&c, 1});
    }
    a->job.tokens = NULL;
    return a->id;
}

void engine_cancel(struct engine *e, uint64_t id) {
    assert_in_range(id, 1, JOBS);
    e->asked[id - 1].cancelled = true;
}

static void engine_forget(void) {
    for (int i = 0; i < engine.count; i++) bytes_free(&engine.asked[i].prompt);
    engine.count = 0;
    engine.refuse_at = 0;
}

static void give_scores(int index, const float *scores, int count) {
    struct asked *a = &engine.asked[index];
    struct job_event event = {
        .kind = JOB_SCORES, .scores = scores, .score_count = count};

    assert_false(a->cancelled);
    a->job.on_event(a->job.user, &event);
}

static void give_end(int index, enum job_end end, enum err_code code) {
    struct asked *a = &engine.asked[index];
    struct job_event event = {.kind = JOB_DONE, .end = end};

    assert_false(a->cancelled);
    event.err.code = code;
    a->job.on_event(a->job.user, &event);
}

/* All logits `x` but the first, which is `first`. */
static void give_logits(int index, float first, float x) {
    float scores[LABEL_COUNT];

    for (int l = 0; l < LABEL_COUNT; l++) scores[l] = l ? x : first;
    give_scores(index, scores, LABEL_COUNT);
    give_end(index, JOB_END_STOP, ERR_NONE);
}

/* ---- files ---- */

static char folder[] = "/tmp/test_classify_XXXXXX";

static void write_file(struct gguf_make *m, const char *name) {
    struct bytes out = {0};
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    gguf_make_bytes(m, &out);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(out.at, 1, out.size, f), out.size);
    assert_int_equal(fclose(f), 0);
    bytes_free(&out);
    bytes_free(&m->keys);
    bytes_free(&m->tensors);
    bytes_free(&m->data);
}

static void remove_file(const char *name) {
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

static void make_array(struct gguf_make *m, const char *key, uint32_t kind,
                       uint64_t count) {
    make_key(m, key, 9);
    put_u32(&m->keys, kind);
    put_u64(&m->keys, count);
}

static void make_tensor(struct gguf_make *m, const char *name, uint32_t type,
                        uint64_t columns, uint64_t rows, const void *data,
                        size_t size) {
    while (m->data.size % 32) put(&m->data, "", 1);
    put_text(&m->tensors, name);
    put_u32(&m->tensors, 2);
    put_u64(&m->tensors, columns);
    put_u64(&m->tensors, rows);
    put_u32(&m->tensors, type);
    put_u64(&m->tensors, m->data.size);
    m->tensor_count++;
    put(&m->data, data, size);
}

/* GPT-2's printable stand-in for a byte. */
static uint32_t byte_point(int b) {
    uint32_t next = 256;

    for (int i = 0; i < 256; i++) {
        bool plain =
            (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;

        if (i == b) return plain ? (uint32_t)b : next;
        next += !plain;
    }
    return 0;
}

static void make_vocabulary(void) {
    struct gguf_make m = {0};
    struct err err = {0};
    struct gguf *gguf;
    char path[128];

    make_string(&m, "general.architecture", "llama");
    make_string(&m, "tokenizer.ggml.model", "gpt2");
    make_string(&m, "tokenizer.ggml.pre", "gpt-2");
    make_array(&m, "tokenizer.ggml.tokens", 8, VOCAB);
    for (int i = 0; i < 256; i++) {
        char utf8[UTF8_MAX];
        size_t size = utf8_encode(byte_point(i), utf8);

        put_u64(&m.keys, size);
        put(&m.keys, utf8, size);
    }
    put_text(&m.keys, "~~");
    put_text(&m.keys, "<|im_start|>");
    put_text(&m.keys, "<|im_end|>");
    make_array(&m, "tokenizer.ggml.merges", 8, 1);
    put_text(&m.keys, "~ ~");
    make_array(&m, "tokenizer.ggml.token_type", 5, VOCAB);
    for (uint32_t i = 0; i < VOCAB; i++) put_u32(&m.keys, i < START ? 1 : 3);
    make_u32(&m, "tokenizer.ggml.eos_token_id", END);
    write_file(&m, "vocabulary.gguf");
    (void)snprintf(path, sizeof path, "%s/vocabulary.gguf", folder);
    gguf = gguf_open(path, &err);
    if (!gguf) fail_msg("%s", err.text);
    engine.tokenizer = tokenizer_new(gguf, &err);
    if (!engine.tokenizer) fail_msg("%s", err.text);
    gguf_close(gguf);
}

/* No weights: every text has the logits 0.5, -0.25 and 0 (half English). */
static void make_ngrams(const char *text) {
    static const float scale[3] = {1, 1, 1}, bias[3] = {0.5f, -0.25f, 0};
    static const int8_t table[16][4] = {{1, 0, 0, 0}};
    struct gguf_make m = {0};

    make_u32(&m, "corral.ngram.bits", 4);
    make_string(&m, "corral.ngram.text", text);
    make_array(&m, "corral.ngram.scale", 6, 3);
    put(&m.keys, scale, sizeof scale);
    make_array(&m, "corral.ngram.bias", 6, 3);
    put(&m.keys, bias, sizeof bias);
    make_tensor(&m, "ngram.table", 24, 4, 16, table, sizeof table);
    write_file(&m, "ngrams.gguf");
}

struct adapter_file {
    const char *kind, *template, *label2;
    uint32_t version, suffix, window, overlap;
    uint64_t combiner_rows;
    bool by_level; /* how the thresholds lie */
    float threshold;
};

static const struct adapter_file full = {"full", "chatml", "S2", 1,     END,
                                         WINDOW, OVERLAP,  16,   false, 0.25f};

static void make_adapter(const struct adapter_file *file, const char *name) {
    static const char suffix[] = "guard:";
    float combiner[LABEL_COUNT][27], thresholds[48];
    struct gguf_make m = {0};

    make_string(&m, "corral.guard.kind", file->kind);
    make_string(&m, "corral.guard.template", file->template);
    make_u32(&m, "corral.guard.version", file->version);
    make_array(&m, "corral.guard.labels", 8, LABEL_COUNT);
    for (int l = 0; l < LABEL_COUNT; l++)
        put_text(&m.keys, l == 2 ? file->label2 : label_name(l));
    make_array(&m, "corral.guard.suffix_tokens", 4, 1 + strlen(suffix));
    put_u32(&m.keys, file->suffix);
    for (size_t i = 0; i < strlen(suffix); i++)
        put_u32(&m.keys, (uint32_t)suffix[i]);
    make_u32(&m, "corral.guard.window_tokens", file->window);
    make_u32(&m, "corral.guard.overlap_tokens", file->overlap);
    for (int l = 0; l < LABEL_COUNT; l++)
        for (int i = 0; i < 27; i++)
            combiner[l][i] = 0.0125f * (float)(i + 1) + 0.01f * (float)l;
    /* label l, level k: (l + 1) / 100 + k / 1000 */
    for (int l = 0; l < LABEL_COUNT; l++)
        for (int k = 0; k < 3; k++)
            thresholds[file->by_level ? k * 16 + l : l * 3 + k] =
                (float)(l + 1) / 100 + (float)k / 1000;
    if (file->threshold != 0.25f) thresholds[7] = file->threshold;
    make_tensor(&m, "guard.combiner", 0, 27, file->combiner_rows, combiner,
                file->combiner_rows * sizeof combiner[0]);
    make_tensor(&m, "guard.thresholds", 0, file->by_level ? 16 : 3,
                file->by_level ? 3 : 16, thresholds, sizeof thresholds);
    write_file(&m, name);
}

static struct classifier *open_all(void) {
    struct adapter_file activated = full;
    struct classifier *c;
    struct err err = {0};

    activated.kind = "activated";
    activated.by_level = true;
    make_adapter(&full, "guard.gguf");
    make_adapter(&activated, "guard-activated.gguf");
    c = classifier_open(&engine, folder, &err);
    if (!c) fail_msg("%s", err.text);
    return c;
}

/* ---- opening ---- */

static void check_refused(const char *reason, struct adapter_file file) {
    struct err err = {0};

    make_adapter(&file, "guard.gguf");
    assert_null(classifier_open(&engine, folder, &err));
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, reason)) fail_msg("%s: not %s", err.text, reason);
}

static void test_bad_files(void **state) {
    struct adapter_file f = full;
    struct err err = {0};

    (void)state;
    remove_file("guard-activated.gguf");
    f.kind = "activated";
    check_refused("corral.guard.kind", f);
    f = full;
    f.template = "llama3";
    check_refused("corral.guard.template", f);
    f = full;
    f.label2 = "S3";
    check_refused("corral.guard.labels[2]", f);
    f = full;
    f.version = 2;
    check_refused("corral.guard.version", f);
    f = full;
    f.suffix = VOCAB;
    check_refused("suffix_tokens[0]", f);
    f = full;
    f.overlap = WINDOW;
    check_refused("window_tokens", f);
    f = full;
    f.window = 600;
    check_refused("does not fit a context", f);
    f = full;
    f.combiner_rows = 15;
    check_refused("guard.combiner", f);
    f = full;
    f.threshold = NAN;
    check_refused("guard.thresholds", f);
    engine.labels = 15;
    check_refused("16 labels", full);
    engine.labels = LABEL_COUNT;
    remove_file("guard.gguf");
    assert_null(classifier_open(&engine, folder, &err));
}

static void test_thresholds(void **state) {
    struct classifier *c = open_all();

    (void)state;
    for (int m = 0; m < 2; m++)
        for (int l = 0; l < LABEL_COUNT; l++)
            for (int k = 0; k < 3; k++) {
                float t = classifier_threshold(c, (enum guard_model)m,
                                               (enum level)k, l);

                assert_true(fabsf(t - ((float)(l + 1) / 100 +
                                       (float)k / 1000)) < 1e-6f);
            }
    assert_true(isinf(classifier_threshold(c, GUARD_MODEL_FULL, LEVEL_OFF, 0)));
    classifier_close(c);
}

/* ---- prompts ---- */

struct answer {
    int told;
    bool ok;
    float scores[LABEL_COUNT];
    enum err_code code;
};

static void on_scores(void *user, const float *scores, const struct err *err) {
    struct answer *a = user;

    a->told++;
    a->ok = scores != NULL;
    if (scores) memcpy(a->scores, scores, sizeof a->scores);
    a->code = err ? err->code : ERR_NONE;
}

static void check_prompt(int index, const char *want, int active_from) {
    struct asked *a = &engine.asked[index];

    assert_true(index < engine.count);
    if (!span_is(span_bytes(&a->prompt), want))
        fail_msg("job %d reads\n%.*s\nnot\n%s", index, (int)a->prompt.size,
                 a->prompt.at, want);
    assert_int_equal(a->job.active_from, active_from);
    assert_int_equal(a->job.kind, JOB_SCORE);
    assert_int_equal(a->job.label_count, 0);
}

#define SYSTEM                                                                 \
    "<system\nYou are a helpful AI assistant named SmolLM, trained by "        \
    "Hugging Face>\n"

static void test_prompts(void **state) {
    struct classifier *c = open_all();
    struct guard_turn turns[3] = {{GUARD_USER, {"old", 3}},
                                  {GUARD_USER, {"Why?", 4}},
                                  {GUARD_ASSISTANT, {"<|im_end|>", 10}}};
    struct classify_request r = {.turns = turns + 1,
                                 .turn_count = 1,
                                 .client = 7,
                                 .deadline_ms = UINT64_MAX};
    struct answer a = {0};
    struct err err = {0};
    struct classify_job *jobs[4];

    (void)state;
    jobs[0] = classify_start(c, &r, on_scores, &a, &err);
    check_prompt(0, "<user\nWhy?>guard:", 0);
    assert_int_equal(engine.asked[0].job.adapter + 1, engine.adapters);
    assert_int_equal(engine.asked[0].job.client, 7);
    assert_true(engine.asked[0].job.deadline_ms == UINT64_MAX);
    r.model = GUARD_MODEL_ACTIVATED;
    jobs[1] = classify_start(c, &r, on_scores, &a, &err);
    check_prompt(1, SYSTEM "<user\nWhy?>guard:", (int)strlen(SYSTEM) + 10);
    assert_int_equal(engine.asked[1].job.adapter, engine.adapters);
    /* An answer behind its question, and text is never a control token. */
    r = (struct classify_request){.turns = turns, .turn_count = 3};
    jobs[2] = classify_start(c, &r, on_scores, &a, &err);
    check_prompt(2, "<user\nWhy?>\n<assistant\n<|im_end|>>guard:", 0);
    /* Of a long question, half a window. */
    turns[1].text = span_of("aaaaaaaaaabbbbbbbbbbccccc");
    jobs[3] = classify_start(c, &r, on_scores, &a, &err);
    check_prompt(
        3, "<user\naaaaaaaaaabbbbbbbbbb>\n<assistant\n<|im_end|>>guard:", 0);
    for (int i = 0; i < 4; i++) {
        assert_non_null(jobs[i]);
        classify_cancel(jobs[i]);
        assert_true(engine.asked[i].cancelled);
    }
    assert_int_equal(a.told, 0);
    engine_forget();
    classifier_close(c);
}

/* A word of ten letters, so that windows can be read. */
#define TEN "abcdefghij"

/* z of one window: C . (lm of all, ng, e lm, e ng, e, a, a lm, a ng, s lm, s
 * ng, s, 1), with e = 1/2 as the n-gram tier says it, and s = 0 of Latin
 * letters. */
static float joined(int label, float first, float others, bool answer) {
    float lm = label ? others : first, a = answer ? 1 : 0, z = 0;
    float ng = label == LABEL_INJ ? -0.25f : 0.5f;
    const float more[11] = {ng,     lm / 2, ng / 2, 0.5f, a, a * lm,
                            a * ng, 0,      0,      0,    1};

    for (int i = 0; i < 27; i++) {
        float f = i == 0 ? first : i < 16 ? others : more[i - 16];

        z += (0.0125f * (float)(i + 1) + 0.01f * (float)label) * f;
    }
    return z;
}

static void test_answer(void **state) {
    struct classifier *c = open_all();
    struct guard_turn turn = {GUARD_ASSISTANT, {"Yes.", 4}};
    struct classify_request r = {.turns = &turn, .turn_count = 1};
    struct answer a = {0};
    struct err err = {0};

    (void)state;
    assert_non_null(classify_start(c, &r, on_scores, &a, &err));
    give_logits(0, 1, -1);
    assert_true(a.ok);
    for (int l = 0; l < LABEL_COUNT; l++) {
        float want = 1 / (1 + expf(-joined(l, 1, -1, true)));

        assert_true(fabsf(a.scores[l] - want) < 1e-5f);
    }
    engine_forget();
    classifier_close(c);
}

static void test_windows(void **state) {
    struct classifier *c = open_all();
    struct guard_turn turn = {GUARD_USER, {NULL, 0}};
    struct classify_request r = {.turns = &turn, .turn_count = 1};
    struct answer a = {0};
    struct err err = {0};

    (void)state;
    turn.text = span_of("0123456789" TEN TEN TEN "0123456789" TEN TEN
                        "ABCDEFGHIJ" TEN TEN);
    assert_int_equal(turn.text.size, 100);
    assert_non_null(classify_start(c, &r, on_scores, &a, &err));
    assert_int_equal(engine.count, 3);
    check_prompt(0, "<user\n0123456789" TEN TEN TEN ">guard:", 0);
    check_prompt(1, "<user\n" TEN "0123456789" TEN TEN ">guard:", 0);
    check_prompt(2, "<user\n" TEN "ABCDEFGHIJ" TEN TEN ">guard:", 0);
    give_logits(1, 3, -2);
    give_logits(0, -1, 4);
    assert_int_equal(a.told, 0);
    give_logits(2, 0, 0);
    assert_int_equal(a.told, 1);
    assert_true(a.ok);
    for (int l = 0; l < LABEL_COUNT; l++) {
        static const float first[3] = {-1, 3, 0}, others[3] = {4, -2, 0};
        float best = -INFINITY;

        for (int w = 0; w < 3; w++) {
            float z = joined(l, first[w], others[w], false);

            if (z > best) best = z;
        }
        assert_true(fabsf(a.scores[l] - 1 / (1 + expf(-best))) < 1e-5f);
    }
    engine_forget();
    /* Exactly a window, and one token more. */
    turn.text.size = WINDOW;
    classify_cancel(classify_start(c, &r, on_scores, &a, &err));
    assert_int_equal(engine.count, 1);
    turn.text.size = WINDOW + 1;
    classify_cancel(classify_start(c, &r, on_scores, &a, &err));
    assert_int_equal(engine.count, 3);
    engine_forget();
    r.tokens_max = WINDOW;
    assert_null(classify_start(c, &r, on_scores, &a, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(engine.count, 0);
    classifier_close(c);
}

/* ---- failures: every one of them is told, once, as an error ---- */

static void test_failures(void **state) {
    static const float few[LABEL_COUNT - 1];
    struct classifier *c = open_all();
    struct guard_turn turn = {GUARD_USER, {NULL, 0}};
    struct classify_request r = {.turns = &turn, .turn_count = 1};

    (void)state;
    turn.text = span_of(TEN TEN TEN TEN TEN TEN TEN);
    for (int way = 0; way < 7; way++) {
        struct answer a = {0};
        struct err err = {0};
        float nan_scores[LABEL_COUNT] = {0};

        r.deadline_ms = way == 6 ? 1 : 0;
        assert_non_null(classify_start(c, &r, on_scores, &a, &err));
        assert_int_equal(engine.count, 2);
        nan_scores[5] = way == 3 ? NAN : -INFINITY;
        switch (way) {
        case 0:
            give_end(0, JOB_END_ERROR, ERR_TIMEOUT);
            break;
        case 1:
            give_scores(1, few, LABEL_COUNT - 1);
            break;
        case 2: /* ends without a score */
            give_logits(0, 1, 1);
            give_end(1, JOB_END_STOP, ERR_NONE);
            break;
        case 3:
        case 4: /* one window is not finite, the other is */
            give_scores(0, nan_scores, LABEL_COUNT);
            give_end(0, JOB_END_STOP, ERR_NONE);
            give_logits(1, 1, 1);
            break;
        case 5:
            give_end(1, JOB_END_ERROR, ERR_NONE);
            break;
        default: /* the answer is good and late */
            give_logits(0, 1, 1);
            give_logits(1, 1, 1);
        }
        assert_int_equal(a.told, 1);
        assert_false(a.ok);
        assert_int_equal(a.code,
                         way == 0 || way == 6 ? ERR_TIMEOUT : ERR_INTERNAL);
        for (int i = 0; i < 2; i++) assert_true(engine.asked[i].cancelled);
        engine_forget();
    }
    {
        struct answer a = {0};
        struct err err = {0};

        engine.refuse_at = 2;
        assert_null(classify_start(c, &r, on_scores, &a, &err));
        assert_int_equal(err.code, ERR_BUSY);
        assert_true(engine.asked[0].cancelled);
        assert_int_equal(a.told, 0);
        engine_forget();
        r.turn_count = 0;
        assert_null(classify_start(c, &r, on_scores, &a, &err));
    }
    classifier_close(c);
}

static void test_missing_model(void **state) {
    struct guard_turn turn = {GUARD_USER, {"hi", 2}};
    struct classify_request r = {
        .model = GUARD_MODEL_ACTIVATED, .turns = &turn, .turn_count = 1};
    struct answer a = {0};
    struct err err = {0};
    struct classifier *c;

    (void)state;
    make_adapter(&full, "guard.gguf");
    remove_file("guard-activated.gguf");
    c = classifier_open(&engine, folder, &err);
    assert_non_null(c);
    assert_true(classifier_has(c, GUARD_MODEL_FULL));
    assert_false(classifier_has(c, GUARD_MODEL_ACTIVATED));
    assert_null(classify_start(c, &r, on_scores, &a, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    classifier_close(c);
}

/* ---- a text that grows ---- */

static void grow(struct classify_text *t, const char *piece) {
    struct answer a = {0};
    struct err err = {0};
    struct classify_job *job;

    assert_true(classify_text_add(t, span_of(piece), &err));
    job = classify_text_judge(t, 0, 0, on_scores, &a, &err);
    if (!job) fail_msg("%s", err.text);
    classify_cancel(job);
}

static void test_growing(void **state) {
    struct classifier *c = open_all();
    struct guard_turn asked = {GUARD_USER, {"Q", 1}};
    struct classify_text_options o = {
        .role = GUARD_ASSISTANT, .turns = &asked, .turn_count = 1};
    struct err err = {0};
    struct answer a = {0};
    struct classify_text *t = classify_text_new(c, &o, &err);

    (void)state;
    grow(t, "0123456789");
    check_prompt(0, "<user\nQ>\n<assistant\n0123456789>guard:", 0);
    grow(t, TEN TEN);
    check_prompt(1, "<user\nQ>\n<assistant\n0123456789" TEN TEN ">guard:", 0);
    /* Full: it begins anew, an overlap before the piece. */
    grow(t, "ABCDEFGHIJKLMNO");
    check_prompt(2, "<user\nQ>\n<assistant\n" TEN "ABCDEFGHIJKLMNO>guard:", 0);
    /* A piece as long as a window leaves no room for an overlap. */
    grow(t, "0123456789" TEN TEN TEN);
    check_prompt(3,
                 "<user\nQ>\n<assistant\n0123456789" TEN TEN TEN ">guard:", 0);
    /* Past it, something would go unread. */
    assert_true(classify_text_add(t, span_of("x" TEN TEN TEN TEN), &err));
    assert_null(classify_text_judge(t, 0, 0, on_scores, &a, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    classify_text_free(t);
    engine_forget();
    classifier_close(c);
}

/* On the main model's own tokens, as long as they are the text. */
static void test_ride(void **state) {
    static const int prompt[] = {START, 'p', 'q'};
    static const int answer[] = {'H', 'i', MERGED, 'y', 'o', 'u', '!', END};
    struct classifier *c = open_all();
    struct guard_turn asked = {GUARD_USER, {"Q", 1}};
    struct classify_text_options o = {.model = GUARD_MODEL_ACTIVATED,
                                      .role = GUARD_ASSISTANT,
                                      .turns = &asked,
                                      .turn_count = 1,
                                      .prompt_tokens = prompt,
                                      .prompt_token_count = 3};
    struct err err = {0};
    struct classify_text *t = classify_text_new(c, &o, &err);
    int bad = VOCAB;

    (void)state;
    assert_true(classify_text_ride(t, answer, 8, &err));
    grow(t, "Hi");
    check_prompt(0, "<pqHi>guard:", 5);
    grow(t, "~"); /* inside a token: the whole token is read */
    assert_int_equal(engine.asked[1].job.active_from, 6);
    grow(t, "~yo");
    assert_int_equal(engine.asked[2].job.active_from, 8);
    assert_false(classify_text_ride(t, &bad, 1, &err));
    /* Another text than the tokens: what is sent is what is judged. */
    grow(t, "ha");
    assert_int_equal(engine.asked[3].prompt.size,
                     strlen(SYSTEM "<user\nQ>\n<assistant\nHi~~yoha>guard:"));
    classify_text_free(t);
    engine_forget();
    /* At the context's end the question has no room behind the answer. */
    engine.context = 3 + 2 + 6;
    t = classify_text_new(c, &o, &err);
    assert_true(classify_text_ride(t, answer, 8, &err));
    grow(t, "Hi");
    check_prompt(0, SYSTEM "<user\nQ>\n<assistant\nHi>guard:",
                 (int)strlen(SYSTEM "<user\nQ>\n<assistant\nHi"));
    classify_text_free(t);
    engine.context = 512;
    engine_forget();
    /* A whole text on given tokens. */
    {
        struct classify_request r = {.model = GUARD_MODEL_ACTIVATED,
                                     .turns = &asked,
                                     .turn_count = 1,
                                     .tokens = prompt,
                                     .token_count = 3};
        struct answer a = {0};

        classify_cancel(classify_start(c, &r, on_scores, &a, &err));
        check_prompt(0, "<pq>guard:", 3);
        engine_forget();
    }
    classifier_close(c);
}

static int setup(void **state) {
    (void)state;
    if (!hash_init(NULL) || !mkdtemp(folder)) return -1;
    engine.context = 512;
    engine.labels = LABEL_COUNT;
    make_vocabulary();
    make_ngrams("response");
    return 0;
}

static int teardown(void **state) {
    static const char *const names[] = {"vocabulary.gguf", "ngrams.gguf",
                                        "guard.gguf", "guard-activated.gguf"};

    (void)state;
    for (size_t i = 0; i < 4; i++) remove_file(names[i]);
    tokenizer_free(engine.tokenizer);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),     cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_prompts),       cmocka_unit_test(test_answer),
        cmocka_unit_test(test_windows),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_missing_model), cmocka_unit_test(test_growing),
        cmocka_unit_test(test_ride),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
