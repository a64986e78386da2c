#include "engine/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    RUNNING_MAX = 64,     /* tasks in a step: bounds the logits buffer */
    OUTPUT_RESERVE = 128, /* output positions kept free for a generation */
    SHARED_LEAST = 2 * KV_PAGE, /* a common prefix that is worth waiting for */
    DECODE_SHARE = 4 /* while others decode, a prompt gets 1/4 of the rows */
};

struct scheduler {
    struct scheduler_parts parts;
    const struct model_shape *shape;
    int running_max;
    struct task **tasks; /* (task_count), in order of arrival */
    int task_count;
    uint64_t last_admitted; /* clients, for their turns */
    uint64_t last_prefilled;

    struct row *rows; /* (rows_max) of the step being made */
    int row_count;
    struct task **wanting; /* (running_max) tasks of the wanted rows */
    int wanting_count;
    float *hidden;  /* (running_max, embedding) */
    float *gather;  /* the same, of the generations only */
    float *logits;  /* (running_max, vocab) */
    uint64_t *mask; /* (vocab / 64 + 1) */
    struct sampler *sampler;
    struct engine_stats stats;
};

struct scheduler *scheduler_new(const struct scheduler_parts *parts) {
    struct scheduler *s = xalloc(sizeof *s);
    size_t running, width, vocab;

    s->parts = *parts;
    s->shape = model_shape(parts->model);
    s->running_max =
        parts->rows_max < RUNNING_MAX ? parts->rows_max : RUNNING_MAX;
    running = (size_t)s->running_max;
    width = (size_t)s->shape->embedding;
    vocab = (size_t)s->shape->vocab;
    s->tasks = xalloc_array((size_t)parts->tasks_max, sizeof(struct task *));
    s->rows = xalloc_array((size_t)parts->rows_max, sizeof *s->rows);
    s->wanting = xalloc_array(running, sizeof(struct task *));
    s->hidden = xalloc_array(running * width, sizeof(float));
    s->gather = xalloc_array(running * width, sizeof(float));
    s->logits = xalloc_array(running * vocab, sizeof(float));
    s->mask = xalloc_array(vocab / 64 + 1, sizeof *s->mask);
    s->sampler = sampler_new(s->shape->vocab);
    s->stats.kv_total = parts->kv_positions;
    return s;
}

void scheduler_free(struct scheduler *s) {
    if (!s) return;
    for (int i = 0; i < s->task_count; i++) {
        sequence_free(s->tasks[i]->sequence);
        s->tasks[i]->sequence = NULL;
        task_free(s->tasks[i]);
    }
    sampler_free(s->sampler);
    free(s->mask);
    free(s->logits);
    free(s->gather);
    free(s->hidden);
    free(s->wanting);
    free(s->rows);
    free(s->tasks);
    free(s);
}

void scheduler_add(struct scheduler *s, struct task *task) {
    assert(s->task_count < s->parts.tasks_max);
    s->tasks[s->task_count++] = task;
}

/* ---- events ---- */

static struct scheduler_event *
event_new(const struct task *t, enum job_event_kind kind, size_t extra) {
    struct scheduler_event *e = xalloc(sizeof *e + extra);

    e->id = t->id;
    e->event.kind = kind;
    e->event.usage = (struct job_usage){
        t->prompt_count, t->cached > 0 ? t->cached : 0, task_output_count(t)};
    return e;
}

/* The text that can leave, with its tokens. `last`: even when it is empty, if
 * tokens without a text still wait. */
static void emit_text(struct scheduler *s, struct task *t, bool last) {
    struct scheduler_event *e;
    size_t count, size = hold_ready(&t->hold, &count);
    size_t token_bytes = count * sizeof(int);
    size_t row = (1 + (size_t)t->rival_count) * sizeof *e->event.logprobs;
    size_t logprob_bytes = t->logprobs ? count * row : 0;
    struct token_logprob *logprobs;
    char *room;

    if (size == 0 && !(last && count > 0)) return;
    e = event_new(t, JOB_TEXT, logprob_bytes + token_bytes + size);
    if (t->logprobs) {
        logprobs = (struct token_logprob *)(void *)(e + 1);
        task_take_logprobs(t, count, logprobs);
        e->event.logprobs = logprobs;
        e->event.rival_count = t->rival_count;
    }
    room = (char *)(e + 1) + logprob_bytes;
    if (count) memcpy(room, t->hold.tokens, token_bytes);
    if (size) memcpy(room + token_bytes, t->hold.text.at, size);
    e->event.tokens = (const int *)(const void *)room;
    e->event.token_count = (int)count;
    e->event.text = (struct span){room + token_bytes, size};
    hold_drop(&t->hold, size, count);
    s->parts.emit(s->parts.user, e);
}

/* Take the task off the list; its rows leave with its sequence. */
static void task_leave(struct scheduler *s, struct task *t) {
    int at = 0;

    while (s->tasks[at] != t) at++;
    s->task_count--;
    memmove(s->tasks + at, s->tasks + at + 1,
            (size_t)(s->task_count - at) * sizeof *s->tasks);
    sequence_free(t->sequence);
    t->sequence = NULL;
    task_free(t);
}

static void count_done(struct scheduler *s, const struct task *t) {
    s->stats.jobs_done++;
    s->stats.output_tokens += (uint64_t)task_output_count(t);
}

/* The task is done: its last text, its last event. */
static void finish(struct scheduler *s, struct task *t, enum job_end end) {
    struct scheduler_event *e;

    if (t->kind == JOB_GENERATE) {
        hold_finish(&t->hold);
        emit_text(s, t, true);
    }
    e = event_new(t, JOB_DONE, 0);
    e->event.end = end;
    count_done(s, t);
    s->parts.emit(s->parts.user, e);
    task_leave(s, t);
}

/* The task has failed: nothing that was held back leaves. */
static void fail_task(struct scheduler *s, struct task *t, enum err_code code,
                      const char *text) {
    struct scheduler_event *e = event_new(t, JOB_DONE, 0);

    e->event.end = JOB_END_ERROR;
    err_set(&e->event.err, code, "%s", text);
    count_done(s, t);
    s->parts.emit(s->parts.user, e);
    task_leave(s, t);
}

/* ---- who is in ---- */

static void sweep(struct scheduler *s) {
    uint64_t now = clock_ms();

    for (int i = s->task_count - 1; i >= 0; i--) {
        struct task *t = s->tasks[i];

        if (atomic_load(&t->cancelled)) {
            count_done(s, t);
            task_leave(s, t);
        } else if (t->deadline_ms && now >= t->deadline_ms) {
            fail_task(s, t, ERR_TIMEOUT, "the job's deadline passed");
        }
    }
}

static int running_count(const struct scheduler *s) {
    int count = 0;

    for (int i = 0; i < s->task_count; i++) count += !!s->tasks[i]->sequence;
    return count;
}

static void preempt(struct task *t) {
    sequence_free(t->sequence);
    t->sequence = NULL;
    t->computed = 0;
    t->planned = 0;
}

/* The youngest running generation. */
static struct task *youngest(const struct scheduler *s) {
    for (int i = s->task_count - 1; i >= 0; i--)
        if (s->tasks[i]->sequence && s->tasks[i]->kind == JOB_GENERATE)
            return s->tasks[i];
    return NULL;
}

static int common_prefix(const struct task *a, const struct task *b) {
    int count = 0, most = a->known < b->known ? a->known : b->known;

    while (count < most && a->keys[count].token == b->keys[count].token &&
           a->keys[count].adapter == b->keys[count].adapter)
        count++;
    return count;
}

/* Somebody is computing a prefix of this one: better wait and share it. A
 * score job does not wait for a generation, whose prompt may have to wait. */
static bool prefix_is_coming(const struct scheduler *s, const struct task *t) {
    for (int i = 0; i < s->task_count; i++) {
        const struct task *other = s->tasks[i];
        int common;

        if (!other->sequence || other->computed + 1 >= other->known) continue;
        if (t->kind == JOB_SCORE && other->kind == JOB_GENERATE) continue;
        common = common_prefix(t, other);
        if (common >= SHARED_LEAST && common > other->computed + 1) return true;
    }
    return false;
}

/* Score jobs first, then whose client's turn it is, then by arrival. */
static bool goes_before(const struct task *a, const struct task *b,
                        uint64_t last_client) {
    if (a->kind != b->kind) return a->kind == JOB_SCORE;
    if (a->client != b->client)
        return a->client - last_client - 1 < b->client - last_client - 1;
    return a->id < b->id;
}

static struct task *next_waiting(const struct scheduler *s) {
    struct task *best = NULL;

    for (int i = 0; i < s->task_count; i++) {
        struct task *t = s->tasks[i];

        if (t->sequence || (best && !goes_before(t, best, s->last_admitted)))
            continue;
        if (!prefix_is_coming(s, t)) best = t;
    }
    return best;
}

/* Positions that running generations will soon want. */
static int outstanding(const struct scheduler *s) {
    int count = 0;

    for (int i = 0; i < s->task_count; i++) {
        const struct task *t = s->tasks[i];
        int left = t->output_max - task_output_count(t);

        if (!t->sequence || t->kind != JOB_GENERATE) continue;
        count += (left < OUTPUT_RESERVE ? left : OUTPUT_RESERVE) + KV_PAGE;
    }
    return count;
}

/* Give the task a sequence with room for all its keys. */
static bool begin(struct scheduler *s, struct task *t) {
    int matched = 0, used;

    t->sequence = sequence_new(s->parts.kv, t->keys, t->known, &matched);
    if (!sequence_extend(t->sequence, t->keys + matched, t->known - matched,
                         NULL)) {
        preempt(t);
        return false;
    }
    used = kv_positions_used(s->parts.kv);
    if (t->kind == JOB_GENERATE && running_count(s) > 1 &&
        outstanding(s) > s->parts.kv_positions - used) {
        preempt(t);
        return false;
    }
    t->computed = matched;
    if (t->cached < 0) {
        t->cached = matched < t->prompt_count ? matched : t->prompt_count;
        s->stats.prompt_tokens += (uint64_t)t->prompt_count;
        s->stats.cached_tokens += (uint64_t)t->cached;
    }
    return true;
}

/* Make room for a score job: it must not wait for a long answer. */
static bool begin_urgent(struct scheduler *s, struct task *t) {
    while (!begin(s, t)) {
        struct task *victim = t->kind == JOB_SCORE ? youngest(s) : NULL;

        if (!victim) return false;
        preempt(victim);
    }
    return true;
}

static void admit(struct scheduler *s) {
    int running = running_count(s);

    while (running < s->running_max) {
        struct task *t = next_waiting(s);

        if (!t) break;
        if (begin_urgent(s, t)) {
            s->last_admitted = t->client;
            running = running_count(s);
            continue;
        }
        if (running_count(s) > 0) break; /* wait until somebody leaves */
        fail_task(s, t, ERR_LIMIT, "the text does not fit the KV cache");
    }
}

/* ---- the step's rows ---- */

static int room(const struct scheduler *s) {
    return s->parts.rows_max - s->row_count;
}

/* `count` more rows of the task, its keys from computed on. */
static void plan(struct scheduler *s, struct task *t, int count) {
    for (int i = 0; i < count; i++) {
        int position = t->computed + i;
        int adapter = t->keys[position].adapter;

        s->rows[s->row_count++] = (struct row){
            .token = t->keys[position].token,
            .position = position,
            .sequence = t->sequence,
            .adapter = adapter ? s->parts.adapters[adapter - 1] : NULL,
            .want = position == t->known - 1,
        };
    }
    t->planned = count;
    if (t->computed + count == t->known) s->wanting[s->wanting_count++] = t;
}

static bool decodes(const struct task *t) {
    return t->sequence && t->kind == JOB_GENERATE &&
           t->computed == t->known - 1 && task_output_count(t) > 0;
}

/* Room for the position of the token that came last. Who finds none sends
 * the youngest away, which may be itself. False: it is not running now. */
static bool make_room(struct scheduler *s, struct task *t) {
    while (sequence_length(t->sequence) < t->known) {
        int have = sequence_length(t->sequence);
        struct task *victim;

        if (sequence_extend(t->sequence, t->keys + have, t->known - have, NULL))
            break;
        victim = youngest(s);
        if (victim == t && running_count(s) == 1) {
            fail_task(s, t, ERR_LIMIT, "the text does not fit the KV cache");
            return false;
        }
        preempt(victim);
        if (victim == t) return false;
    }
    return true;
}

/* From the oldest on, so that whoever is sent away has no rows yet. */
static void plan_decodes(struct scheduler *s) {
    for (int i = 0; i < s->task_count; i++) {
        int before = s->task_count;

        if (!decodes(s->tasks[i])) continue;
        if (make_room(s, s->tasks[i])) plan(s, s->tasks[i], 1);
        i -= before - s->task_count; /* one that failed left the list */
    }
}

static struct task *next_prefill(const struct scheduler *s,
                                 enum job_kind kind) {
    struct task *best = NULL;

    for (int i = 0; i < s->task_count; i++) {
        struct task *t = s->tasks[i];

        if (!t->sequence || t->planned || t->kind != kind) continue;
        if (!best || goes_before(t, best, s->last_prefilled)) best = t;
    }
    return best;
}

static void plan_prefills(struct scheduler *s, enum job_kind kind, int most) {
    struct task *t;

    while (most > 0 && room(s) > 0 && (t = next_prefill(s, kind))) {
        int count = t->known - t->computed;

        if (count > most) count = most;
        if (count > room(s)) count = room(s);
        plan(s, t, count);
        most -= count;
        s->last_prefilled = t->client;
    }
}

static void plan_step(struct scheduler *s) {
    int share = s->parts.rows_max;

    s->row_count = 0;
    s->wanting_count = 0;
    for (int i = 0; i < s->task_count; i++) s->tasks[i]->planned = 0;
    plan_decodes(s);
    if (s->row_count > 0) share = share / DECODE_SHARE + 1;
    plan_prefills(s, JOB_SCORE, s->parts.rows_max);
    plan_prefills(s, JOB_GENERATE, share);
}

/* ---- what came out ---- */

static void score(struct scheduler *s, struct task *t, const float *hidden) {
    const struct adapter *adapter =
        t->adapter ? s->parts.adapters[t->adapter - 1] : NULL;
    int count = t->label_count ? t->label_count : adapter_labels(adapter);
    struct scheduler_event *e =
        event_new(t, JOB_SCORES, (size_t)count * sizeof(float));
    float *scores = (float *)(void *)(e + 1);

    if (t->label_count)
        model_label_logits(s->parts.model, hidden, t->labels, count, scores);
    else
        adapter_head(adapter, hidden, scores);
    e->event.scores = scores;
    e->event.score_count = count;
    s->parts.emit(s->parts.user, e);
    finish(s, t, JOB_END_STOP);
}

static void generated(struct scheduler *s, struct task *t, float *logits) {
    const struct tokenizer *tokenizer = s->parts.tokenizer;
    struct sampler_past past = {t->tokens, t->known, t->prompt_count};
    struct sampler_report report = {.top_count = t->rival_count};
    struct span piece;
    bool stop;
    int token;

    if (t->grammar)
        grammar_state_mask(t->grammar, tokenizer,
                           t->output_max - task_output_count(t), s->mask);
    token = sampler_pick(s->sampler, &t->sampling, logits,
                         t->grammar ? s->mask : NULL, &past,
                         t->logprobs ? &report : NULL);
    if (token < 0) {
        fail_task(s, t, ERR_INTERNAL, "no token may follow");
        return;
    }
    task_push(t, token);
    if (tokenizer_is_end(tokenizer, token)) {
        finish(s, t, JOB_END_STOP);
        return;
    }
    piece = tokenizer_piece(tokenizer, token);
    if (t->grammar && !grammar_state_feed(t->grammar, piece)) {
        fail_task(s, t, ERR_INTERNAL, "the grammar and its mask disagree");
        return;
    }
    if (t->logprobs) task_hold_report(t, &report);
    stop = hold_push(&t->hold, token, piece);
    if (stop || (t->grammar && grammar_state_final(t->grammar)))
        finish(s, t, JOB_END_STOP);
    else if (task_output_count(t) >= t->output_max)
        finish(s, t, JOB_END_LENGTH);
    else
        emit_text(s, t, false);
}

/* Hidden states of the generations side by side, so that the head reads its
 * weights once for all of them. */
static void deliver(struct scheduler *s) {
    size_t width = (size_t)s->shape->embedding;
    size_t vocab = (size_t)s->shape->vocab;
    int count = 0, index = 0;

    for (int i = 0; i < s->wanting_count; i++)
        if (s->wanting[i]->kind == JOB_GENERATE)
            memcpy(s->gather + width * (size_t)count++,
                   s->hidden + width * (size_t)i, width * sizeof(float));
    if (count > 0) model_logits(s->parts.model, s->gather, count, s->logits);
    for (int i = 0; i < s->wanting_count; i++) {
        struct task *t = s->wanting[i];

        if (t->kind == JOB_GENERATE)
            generated(s, t, s->logits + vocab * (size_t)index++);
        else
            score(s, t, s->hidden + width * (size_t)i);
    }
}

int scheduler_step(struct scheduler *s) {
    sweep(s);
    admit(s);
    plan_step(s);
    if (s->row_count == 0) return s->task_count;
    model_forward(s->parts.model, s->rows, s->row_count, s->hidden);
    for (int i = 0; i < s->task_count; i++) {
        struct task *t = s->tasks[i];

        if (!t->planned) continue;
        t->computed += t->planned;
        sequence_commit(t->sequence, t->computed);
    }
    deliver(s);
    s->stats.steps++;
    return s->task_count;
}

void scheduler_stats(const struct scheduler *s, struct engine_stats *out) {
    *out = s->stats;
    out->jobs_running = running_count(s);
    out->jobs_waiting = s->task_count - out->jobs_running;
    out->kv_used = kv_positions_used(s->parts.kv);
}
