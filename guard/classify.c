#include "guard/classify.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/gguf.h"
#include "guard/classify_types.h"

enum {
    WINDOW_MAX = 8192,
    ROLE_TOKENS_MAX = 64 /* an opened and closed turn without its text */
};

/* What the training of the activated kind put in front by default. */
static const char system_turn[] =
    "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face";

/* Several windows of one text, in the engine at once. */
struct classify_job {
    const struct guard_adapter *adapter;
    struct engine *engine;
    uint64_t *ids;
    int count, waiting, scored;
    bool broken; /* a logit was not finite */
    uint64_t deadline_ms;
    bool answer;               /* is what is judged, not a question */
    float logits[LABEL_COUNT]; /* joined, the greatest of all windows */
    float ngram[NGRAM_LABELS];
    float foreign;
    classify_done *done;
    void *user;
};

struct classify_text {
    struct classifier *c;
    const struct guard_adapter *adapter;
    enum guard_model model;
    bool answer;
    struct tokens head; /* everything before the text */
    struct tokens text;
    size_t from, end; /* the window, and where the last judgement ended */
    struct ngram_text *ngram;
    /* The main model's own tokens, or empty. */
    bool rides;
    struct tokens ride;
    size_t ride_end;    /* tokens whose bytes were compared with the text */
    struct bytes ahead; /* of those, the bytes not yet in the text */
};

/* ---- opening ---- */

static bool encode(const struct classifier *c, const char *text,
                   struct tokens *out, struct err *err) {
    return tokenizer_encode(engine_tokenizer(c->engine), span_of(text), out,
                            err);
}

static bool encode_template(struct classifier *c, struct err *err) {
    const struct tokenizer *t = engine_tokenizer(c->engine);
    int start = tokenizer_control(t, "<|im_start|>");
    int end = tokenizer_control(t, "<|im_end|>");

    if (start < 0 || end < 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "the guard needs a base model with ChatML's tokens");
    return tokens_push(&c->opening[GUARD_USER], start, err) &&
           encode(c, "user\n", &c->opening[GUARD_USER], err) &&
           tokens_push(&c->opening[GUARD_ASSISTANT], start, err) &&
           encode(c, "assistant\n", &c->opening[GUARD_ASSISTANT], err) &&
           tokens_push(&c->closing, end, err) &&
           encode(c, "\n", &c->closing, err) &&
           tokens_push(&c->system, start, err) &&
           encode(c, system_turn, &c->system, err) &&
           tokens_append(&c->system, c->closing.at, c->closing.count, err);
}

static bool read_words(const struct gguf *gguf, const char *kind,
                       struct err *err) {
    const char *path = gguf_path(gguf);
    uint32_t version;
    struct span s;

    if (!gguf_string(gguf, "corral.guard.kind", &s) || !span_is(s, kind))
        return err_set(err, ERR_INPUT, "%s: corral.guard.kind is not \"%s\"",
                       path, kind);
    if (!gguf_u32(gguf, "corral.guard.version", &version) || version != 1)
        return err_set(err, ERR_INPUT, "%s: corral.guard.version is not 1",
                       path);
    if (!gguf_string(gguf, "corral.guard.template", &s) ||
        !span_is(s, "chatml"))
        return err_set(err, ERR_INPUT,
                       "%s: corral.guard.template is not \"chatml\"", path);
    if (gguf_array_count(gguf, "corral.guard.labels") != LABEL_COUNT)
        return err_set(err, ERR_INPUT, "%s: corral.guard.labels is not %d",
                       path, LABEL_COUNT);
    for (int i = 0; i < LABEL_COUNT; i++)
        if (!gguf_array_string(gguf, "corral.guard.labels", (size_t)i, &s) ||
            !span_is(s, label_name(i)))
            return err_set(err, ERR_INPUT,
                           "%s: corral.guard.labels[%d] is not \"%s\"", path, i,
                           label_name(i));
    return true;
}

static bool read_suffix(struct guard_adapter *a, const struct gguf *gguf,
                        const struct tokenizer *t, struct err *err) {
    static const char key[] = "corral.guard.suffix_tokens";
    size_t count = gguf_array_count(gguf, key);

    if (count < 1 || count > CLASSIFY_SUFFIX_MAX ||
        !gguf_array_i32(gguf, key, a->suffix, count))
        return err_set(err, ERR_INPUT, "%s: %s is not 1 to %d tokens",
                       gguf_path(gguf), key, CLASSIFY_SUFFIX_MAX);
    for (size_t i = 0; i < count; i++)
        if (a->suffix[i] < 0 || a->suffix[i] >= tokenizer_vocab(t))
            return err_set(err, ERR_INPUT, "%s: %s[%zu] is no token",
                           gguf_path(gguf), key, i);
    a->suffix_count = (int)count;
    return true;
}

static bool read_windows(struct guard_adapter *a, const struct gguf *gguf,
                         int context, struct err *err) {
    uint32_t window, overlap;

    if (!gguf_u32(gguf, "corral.guard.window_tokens", &window) ||
        !gguf_u32(gguf, "corral.guard.overlap_tokens", &overlap) ||
        window < 2 || window > WINDOW_MAX || overlap >= window)
        return err_set(err, ERR_INPUT,
                       "%s: corral.guard.window_tokens and overlap_tokens do "
                       "not fit together",
                       gguf_path(gguf));
    a->window = (int)window;
    a->overlap = (int)overlap;
    if (a->window + a->window / 2 + a->suffix_count + 3 * ROLE_TOKENS_MAX >
        context)
        return err_set(err, ERR_INPUT,
                       "%s: a window of %d tokens does not fit a context of %d",
                       gguf_path(gguf), a->window, context);
    return true;
}

/* An F32 tensor of exactly [columns, rows], all of it finite. */
static const float *read_matrix(const struct gguf *gguf, const char *name,
                                uint64_t columns, uint64_t rows) {
    const struct gguf_tensor *t = gguf_tensor(gguf, name);
    const float *at;

    if (!t || t->type != GGUF_F32 || t->size[0] != columns ||
        t->size[1] != rows || t->size[2] != 1 || t->size[3] != 1)
        return NULL;
    at = t->data;
    for (uint64_t i = 0; i < columns * rows; i++)
        if (!isfinite(at[i])) return NULL;
    return at;
}

static bool read_numbers(struct guard_adapter *a, const struct gguf *gguf,
                         struct err *err) {
    const float *m =
        read_matrix(gguf, "guard.combiner", CLASSIFY_FEATURES, LABEL_COUNT);
    const float *by_label, *by_level;

    if (!m)
        return err_set(err, ERR_INPUT, "%s: guard.combiner is not F32 [%d, %d]",
                       gguf_path(gguf), CLASSIFY_FEATURES, LABEL_COUNT);
    memcpy(a->combiner, m, sizeof a->combiner);
    /* The shape says which way round it lies. */
    by_label =
        read_matrix(gguf, "guard.thresholds", CLASSIFY_LEVELS, LABEL_COUNT);
    by_level =
        read_matrix(gguf, "guard.thresholds", LABEL_COUNT, CLASSIFY_LEVELS);
    if (!by_label && !by_level)
        return err_set(err, ERR_INPUT,
                       "%s: guard.thresholds is not F32 [3, 16]",
                       gguf_path(gguf));
    for (int l = 0; l < LABEL_COUNT; l++)
        for (int k = 0; k < CLASSIFY_LEVELS; k++)
            a->thresholds[l][k] = by_label ? by_label[l * CLASSIFY_LEVELS + k]
                                           : by_level[k * LABEL_COUNT + l];
    return true;
}

static bool adapter_read(struct classifier *c, enum guard_model model,
                         const char *path, struct err *err) {
    struct guard_adapter *a = &c->adapters[model];
    const char *kind = model == GUARD_MODEL_FULL ? "full" : "activated";
    struct gguf *gguf = gguf_open(path, err);
    bool ok = gguf && read_words(gguf, kind, err) &&
              read_suffix(a, gguf, engine_tokenizer(c->engine), err) &&
              read_windows(a, gguf, engine_context(c->engine), err) &&
              read_numbers(a, gguf, err) &&
              engine_adapter_add(c->engine, path, &a->id, err);

    gguf_close(gguf);
    if (!ok) return false;
    if (engine_adapter_labels(c->engine, a->id) != LABEL_COUNT)
        return err_set(err, ERR_INPUT, "%s: its head has not %d labels", path,
                       LABEL_COUNT);
    a->present = true;
    return true;
}

static bool open_files(struct classifier *c, const char *folder,
                       struct err *err) {
    char path[PATH_MAX];

    if (strlen(folder) > sizeof path - 64)
        return err_set(err, ERR_INPUT, "%s: too long a path", folder);
    (void)snprintf(path, sizeof path, "%s/ngrams.gguf", folder);
    c->ngram = ngram_open(path, err);
    if (!c->ngram) return false;
    (void)snprintf(path, sizeof path, "%s/guard.gguf", folder);
    if (!adapter_read(c, GUARD_MODEL_FULL, path, err)) return false;
    (void)snprintf(path, sizeof path, "%s/guard-activated.gguf", folder);
    if (access(path, F_OK) != 0) return true;
    return adapter_read(c, GUARD_MODEL_ACTIVATED, path, err);
}

struct classifier *classifier_open(struct engine *engine, const char *folder,
                                   struct err *err) {
    struct classifier *c = xalloc(sizeof *c);

    c->engine = engine;
    if (!encode_template(c, err) || !open_files(c, folder, err)) {
        classifier_close(c);
        return NULL;
    }
    return c;
}

void classifier_close(struct classifier *c) {
    if (!c) return;
    if (!c->borrows) {
        ngram_close(c->ngram);
        tokens_free(&c->opening[GUARD_USER]);
        tokens_free(&c->opening[GUARD_ASSISTANT]);
        tokens_free(&c->closing);
        tokens_free(&c->system);
    }
    free(c);
}

struct classifier *classifier_share(const struct classifier *c,
                                    struct engine *face) {
    struct classifier *out = xalloc(sizeof *out);

    *out = *c;
    out->engine = face;
    out->borrows = true;
    return out;
}

bool classifier_has(const struct classifier *c, enum guard_model model) {
    return c->adapters[model].present;
}

float classifier_threshold(const struct classifier *c, enum guard_model model,
                           enum level level, int label) {
    if (level >= LEVEL_OFF) return INFINITY;
    return c->adapters[model].thresholds[label][level];
}

/* ---- a job: windows in, probabilities out ---- */

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

/* One window's logits (LABEL_COUNT), joined with the n-gram tier's; each label
 * keeps the greatest of all windows. The order of the features is that of
 * train/corral_train/combine.py. */
static void combine(struct classify_job *job, const float *lm) {
    float english = sigmoid(job->ngram[NGRAM_ENGLISH]);
    float answer = job->answer ? 1 : 0;
    float foreign = job->foreign;

    for (int l = 0; l < LABEL_COUNT; l++) {
        const float *c = job->adapter->combiner[l];
        float ng = job->ngram[l == LABEL_INJ ? NGRAM_INJ : NGRAM_UNSAFE];
        const float more[CLASSIFY_FEATURES - LABEL_COUNT] = {ng,
                                                             english * lm[l],
                                                             english * ng,
                                                             english,
                                                             answer,
                                                             answer * lm[l],
                                                             answer * ng,
                                                             foreign * lm[l],
                                                             foreign * ng,
                                                             foreign,
                                                             1};
        float z = 0;

        for (int i = 0; i < LABEL_COUNT; i++) z += c[i] * lm[i];
        for (int i = LABEL_COUNT; i < CLASSIFY_FEATURES; i++)
            z += c[i] * more[i - LABEL_COUNT];
        /* A window that is not a number must not hide behind another. */
        if (!isfinite(z)) job->broken = true;
        if (z > job->logits[l]) job->logits[l] = z;
    }
}

/* False when any number on the way was not finite. */
static bool scores_of(const struct classify_job *job, float out[LABEL_COUNT]) {
    for (int l = 0; l < LABEL_COUNT; l++) out[l] = sigmoid(job->logits[l]);
    return !job->broken;
}

static void job_free(struct classify_job *job) {
    free(job->ids);
    free(job);
}

/* Ends the job, then tells: the caller may do anything in `done`. */
static void job_end(struct classify_job *job, const struct err *err) {
    classify_done *done = job->done;
    void *user = job->user;
    struct err own = {0};
    float scores[LABEL_COUNT];

    if (!err && job->scored != job->count)
        (void)err_set(&own, ERR_INTERNAL, "the guard model gave no score");
    else if (!err && job->deadline_ms && clock_ms() > job->deadline_ms)
        (void)err_set(&own, ERR_TIMEOUT, "the guard's score came too late");
    else if (!err && !scores_of(job, scores))
        (void)err_set(&own, ERR_INTERNAL, "the guard's score is not finite");
    if (err) own = *err; /* it belongs to an event that may go with the job */
    for (int i = 0; i < job->count; i++)
        if (job->ids[i]) engine_cancel(job->engine, job->ids[i]);
    job_free(job);
    done(user, own.code ? NULL : scores, own.code ? &own : NULL);
}

static void on_event(void *user, const struct job_event *event) {
    struct classify_job *job = user;
    struct err err = {0};

    switch (event->kind) {
    case JOB_TEXT:
        return;
    case JOB_SCORES:
        if (event->score_count != LABEL_COUNT) {
            (void)err_set(&err, ERR_INTERNAL, "the guard's head gave %d labels",
                          event->score_count);
            job_end(job, &err);
            return;
        }
        job->scored++;
        combine(job, event->scores);
        return;
    case JOB_DONE:
        if (event->end == JOB_END_ERROR) {
            err = event->err;
            if (!err.code)
                (void)err_set(&err, ERR_INTERNAL, "the guard's job failed");
            job_end(job, &err);
            return;
        }
        if (--job->waiting == 0) job_end(job, NULL);
        return;
    }
}

static struct classify_job *job_new(const struct classify_text *t,
                                    uint64_t deadline_ms, int windows,
                                    classify_done *done, void *user) {
    struct classify_job *job = xalloc(sizeof *job);

    job->adapter = t->adapter;
    job->engine = t->c->engine;
    job->answer = t->answer;
    job->ids = xalloc_array((size_t)windows, sizeof *job->ids);
    job->deadline_ms = deadline_ms;
    job->done = done;
    job->user = user;
    for (int l = 0; l < LABEL_COUNT; l++) job->logits[l] = -INFINITY;
    ngram_text_logits(t->ngram, job->ngram);
    job->foreign = ngram_text_foreign(t->ngram);
    return job;
}

/* One window: `count` tokens up to the judged text's end, then the suffix. */
static bool job_submit(struct classify_job *job, struct tokens *prompt,
                       bool activated, uint64_t client, struct err *err) {
    const struct guard_adapter *a = job->adapter;
    struct job order = {.kind = JOB_SCORE,
                        .adapter = a->id,
                        .client = client,
                        .deadline_ms = job->deadline_ms,
                        .sampling = SAMPLING_GREEDY,
                        .on_event = on_event,
                        .user = job};
    uint64_t id;

    if (activated) order.active_from = (int)prompt->count;
    if (!tokens_append(prompt, a->suffix, (size_t)a->suffix_count, err))
        return false;
    if (prompt->count > INT_MAX)
        return err_set(err, ERR_LIMIT, "the judged conversation is too long");
    order.tokens = prompt->at;
    order.token_count = (int)prompt->count;
    id = engine_submit(job->engine, &order, err);
    if (!id) return false;
    job->ids[job->count++] = id;
    job->waiting++;
    return true;
}

static bool submit_window(struct classify_job *job,
                          const struct classify_text *t, size_t from,
                          size_t end, uint64_t client, struct err *err) {
    struct tokens prompt = {0};
    bool ok = tokens_append(&prompt, t->head.at, t->head.count, err) &&
              tokens_append(&prompt, t->text.at + from, end - from, err) &&
              job_submit(job, &prompt, t->model == GUARD_MODEL_ACTIVATED,
                         client, err);

    tokens_free(&prompt);
    return ok;
}

static bool submit_ride(struct classify_job *job, const int *tokens,
                        size_t count, uint64_t client, struct err *err) {
    struct tokens prompt = {0};
    bool ok = tokens_append(&prompt, tokens, count, err) &&
              job_submit(job, &prompt, true, client, err);

    tokens_free(&prompt);
    return ok;
}

void classify_cancel(struct classify_job *job) {
    if (!job) return;
    for (int i = 0; i < job->count; i++)
        engine_cancel(job->engine, job->ids[i]);
    job_free(job);
}

/* ---- a text ---- */

/* The question that an answer belongs to, or -1. */
static int last_user_turn(const struct guard_turn *turns, int count) {
    for (int i = count - 1; i >= 0; i--)
        if (turns[i].role == GUARD_USER) return i;
    return -1;
}

static bool head_build(struct classify_text *t,
                       const struct classify_text_options *o, struct err *err) {
    struct classifier *c = t->c;
    const struct tokens *open = &c->opening[o->role];
    struct tokens question = {0};
    int asked = o->role == GUARD_ASSISTANT
                    ? last_user_turn(o->turns, o->turn_count)
                    : -1;
    size_t most = (size_t)t->adapter->window / 2;
    bool ok = true;

    if (t->model == GUARD_MODEL_ACTIVATED)
        ok = tokens_append(&t->head, c->system.at, c->system.count, err);
    if (ok && asked >= 0) {
        const struct tokens *user = &c->opening[GUARD_USER];

        ok =
            tokenizer_encode(engine_tokenizer(c->engine), o->turns[asked].text,
                             &question, err) &&
            tokens_append(&t->head, user->at, user->count, err) &&
            tokens_append(&t->head, question.at,
                          question.count < most ? question.count : most, err) &&
            tokens_append(&t->head, c->closing.at, c->closing.count, err);
    }
    ok = ok && tokens_append(&t->head, open->at, open->count, err);
    tokens_free(&question);
    return ok;
}

struct classify_text *classify_text_new(struct classifier *c,
                                        const struct classify_text_options *o,
                                        struct err *err) {
    struct classify_text *t;
    int asked = last_user_turn(o->turns, o->turn_count);
    bool ok;

    if (!c->adapters[o->model].present) {
        (void)err_set(err, ERR_UNAVAILABLE,
                      "the policy's guard model (%s) is "
                      "not installed",
                      o->model == GUARD_MODEL_FULL ? "full" : "activated");
        return NULL;
    }
    t = xalloc(sizeof *t);
    t->c = c;
    t->model = o->model;
    t->answer = o->role == GUARD_ASSISTANT;
    t->adapter = &c->adapters[o->model];
    t->ngram = ngram_text_new(c->ngram);
    t->text.limit = CLASSIFY_TOKENS_MAX;
    t->ride.limit = CLASSIFY_TOKENS_MAX;
    t->rides = o->prompt_tokens && o->model == GUARD_MODEL_ACTIVATED;
    ok = head_build(t, o, err) &&
         (!t->rides || tokens_append(&t->ride, o->prompt_tokens,
                                     (size_t)o->prompt_token_count, err));
    t->ride_end = t->ride.count;
    if (!ok) {
        classify_text_free(t);
        return NULL;
    }
    if (o->role == GUARD_ASSISTANT && asked >= 0 &&
        ngram_with_prompt(c->ngram)) {
        ngram_text_add(t->ngram, o->turns[asked].text);
        ngram_text_add(t->ngram, span_of("\n"));
    }
    return t;
}

void classify_text_free(struct classify_text *t) {
    if (!t) return;
    tokens_free(&t->head);
    tokens_free(&t->text);
    tokens_free(&t->ride);
    bytes_free(&t->ahead);
    ngram_text_free(t->ngram);
    free(t);
}

/* Take the main model's tokens up to the end of `piece`, comparing bytes: what
 * is judged must be what is sent. Otherwise the text goes its own way. */
static void ride_follow(struct classify_text *t, struct span piece) {
    const struct tokenizer *tokenizer = engine_tokenizer(t->c->engine);

    while (t->ahead.size < piece.size && t->ride_end < t->ride.count)
        bytes_put(&t->ahead,
                  tokenizer_piece(tokenizer, t->ride.at[t->ride_end++]));
    if (t->ahead.size < piece.size ||
        !span_starts(span_bytes(&t->ahead), piece)) {
        t->rides = false;
        return;
    }
    bytes_drop(&t->ahead, piece.size);
}

bool classify_text_add(struct classify_text *t, struct span piece,
                       struct err *err) {
    ngram_text_add(t->ngram, piece);
    if (t->rides) ride_follow(t, piece);
    return tokenizer_encode(engine_tokenizer(t->c->engine), piece, &t->text,
                            err);
}

bool classify_text_ride(struct classify_text *t, const int *tokens, int count,
                        struct err *err) {
    if (!t->rides) return true;
    for (int i = 0; i < count; i++)
        if (tokens[i] < 0 ||
            tokens[i] >= tokenizer_vocab(engine_tokenizer(t->c->engine)))
            return err_set(err, ERR_INTERNAL, "a token outside the vocabulary");
    return tokens_append(&t->ride, tokens, (size_t)count, err);
}

/* The window that ends with the text. It begins anew when it is full, an
 * overlap before what was judged last, so that no piece goes unread. */
static bool window_move(struct classify_text *t, struct err *err) {
    size_t window = (size_t)t->adapter->window;
    size_t overlap = (size_t)t->adapter->overlap;

    if (t->text.count - t->end > window)
        return err_set(err, ERR_INTERNAL, "a piece past the guard's window");
    if (t->text.count - t->from > window)
        t->from = t->end > overlap ? t->end - overlap : 0;
    if (t->text.count - t->from > window) t->from = t->text.count - window;
    t->end = t->text.count;
    return true;
}

struct classify_job *classify_text_judge(struct classify_text *t,
                                         uint64_t client, uint64_t deadline_ms,
                                         classify_done *done, void *user,
                                         struct err *err) {
    struct classify_job *job = job_new(t, deadline_ms, 1, done, user);
    bool ok = window_move(t, err);

    /* The main model may fill the context to its end; the guard's question
     * would no longer fit behind it. */
    if (t->ride_end + (size_t)t->adapter->suffix_count >
        (size_t)engine_context(t->c->engine))
        t->rides = false;
    if (ok && t->rides)
        ok = submit_ride(job, t->ride.at, t->ride_end, client, err);
    else if (ok)
        ok = submit_window(job, t, t->from, t->text.count, client, err);
    if (ok) return job;
    classify_cancel(job);
    return NULL;
}

/* ---- a whole text ---- */

static bool encode_whole(struct classify_text *t, struct span text,
                         int tokens_max, struct err *err) {
    struct err why = {0};

    t->text.limit = tokens_max > 0 && tokens_max < CLASSIFY_TOKENS_MAX
                        ? (size_t)tokens_max
                        : CLASSIFY_TOKENS_MAX;
    /* Tokens first: past the limit the n-grams are not worth counting. */
    if (tokenizer_encode(engine_tokenizer(t->c->engine), text, &t->text,
                         &why)) {
        ngram_text_add(t->ngram, text);
        return true;
    }
    if (why.code != ERR_LIMIT) {
        if (err) *err = why;
        return false;
    }
    return err_set(err, ERR_LIMIT, "a text past %zu tokens", t->text.limit);
}

/* The windows of train/corral_train/tokens.py: the last ends with the text. */
static bool submit_windows(struct classify_job *job,
                           const struct classify_text *t, uint64_t client,
                           struct err *err) {
    size_t window = (size_t)t->adapter->window;
    size_t step = window - (size_t)t->adapter->overlap;
    size_t count = t->text.count;

    for (size_t from = 0;; from += step) {
        size_t end = count - from > window ? from + window : count;

        if (!submit_window(job, t, from, end, client, err)) return false;
        if (end == count) return true;
    }
}

static int window_count(const struct classify_text *t) {
    int step = t->adapter->window - t->adapter->overlap;

    return (int)t->text.count / step + 1;
}

struct classify_job *classify_start(struct classifier *c,
                                    const struct classify_request *r,
                                    classify_done *done, void *user,
                                    struct err *err) {
    struct classify_text_options o = {.model = r->model, .turns = r->turns};
    struct classify_text *t = NULL;
    struct classify_job *job = NULL;
    bool rides = r->tokens && r->model == GUARD_MODEL_ACTIVATED;
    bool ok = false;

    if (r->turn_count < 1) {
        (void)err_set(err, ERR_INPUT, "there is no text to judge");
        return NULL;
    }
    o.turn_count = r->turn_count - 1;
    o.role = r->turns[o.turn_count].role;
    t = classify_text_new(c, &o, err);
    if (!t) goto out;
    if (!encode_whole(t, r->turns[o.turn_count].text, r->tokens_max, err))
        goto out;
    job = job_new(t, r->deadline_ms, rides ? 1 : window_count(t), done, user);
    ok = rides ? submit_ride(job, r->tokens, (size_t)r->token_count, r->client,
                             err)
               : submit_windows(job, t, r->client, err);

out:
    classify_text_free(t);
    if (ok) return job;
    classify_cancel(job);
    return NULL;
}
