#include "engine/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/pace.h"
#include "engine/queue.h"

enum {
    RUNNING_MAX = 64,     /* tasks with a sequence, if half the rows allow */
    OUTPUT_RESERVE = 128, /* output positions kept free for a generation */
    GUESS_ROWS_MAX = 64,  /* rows of all guesses in a step */
    HEAD_ROWS = 32,       /* rows of logits at once: bounds their buffer */
    PROMPT_SHARE = 4      /* while scores wait, generation prompts get 1/4 */
};

/* The rows of a task whose output is wanted: rows [row, row + count) of
 * `hidden`. More than one where a guess is checked. */
struct wanted {
    struct task *task;
    int row;
    int count;
};

struct scheduler {
    struct scheduler_parts parts;
    const struct model_shape *shape;
    int running_max;
    int guess_rows_max;
    struct queue queue;
    struct pace pace;

    struct row *rows; /* (rows_max) of the step being made */
    int row_count;
    int decode_count; /* generations that get their next token */
    struct wanted *wanted;
    int wanted_count;
    int wanted_rows;
    float *hidden;  /* (running_max + guess_rows_max, embedding) */
    float *gather;  /* (HEAD_ROWS, embedding) */
    float *logits;  /* (HEAD_ROWS, vocab) */
    uint64_t *mask; /* (vocab / 64 + 1) */
    struct sampler *sampler;
    struct engine_stats stats;
};

static int least(int a, int b) {
    return a < b ? a : b;
}

struct scheduler *scheduler_new(const struct scheduler_parts *parts) {
    struct scheduler *s = xalloc(sizeof *s);
    size_t running, width, vocab;
    int half = parts->rows_max > 1 ? parts->rows_max / 2 : 1;

    s->parts = *parts;
    if (!s->parts.clock_ns) s->parts.clock_ns = clock_ns;
    s->shape = model_shape(parts->model);
    /* The other half is for prompts: a score job always finds rows. */
    s->running_max = least(RUNNING_MAX, half);
    s->guess_rows_max = least(GUESS_ROWS_MAX, parts->rows_max / 4);
    running = (size_t)s->running_max;
    width = (size_t)s->shape->embedding;
    vocab = (size_t)s->shape->vocab;
    queue_init(&s->queue, parts->tasks_max);
    s->rows = xalloc_array((size_t)parts->rows_max, sizeof *s->rows);
    s->wanted = xalloc_array(running, sizeof *s->wanted);
    s->hidden = xalloc_array((running + (size_t)s->guess_rows_max) * width,
                             sizeof(float));
    s->gather = xalloc_array(HEAD_ROWS * width, sizeof(float));
    s->logits = xalloc_array(HEAD_ROWS * vocab, sizeof(float));
    s->mask = xalloc_array(vocab / 64 + 1, sizeof *s->mask);
    s->sampler = sampler_new(s->shape->vocab);
    s->stats.kv_total = parts->kv_positions;
    return s;
}

void scheduler_free(struct scheduler *s) {
    if (!s) return;
    queue_clear(&s->queue);
    sampler_free(s->sampler);
    free(s->mask);
    free(s->logits);
    free(s->gather);
    free(s->hidden);
    free(s->wanted);
    free(s->rows);
    free(s);
}

void scheduler_add(struct scheduler *s, struct task *task) {
    if (s->parts.no_speculation) task->speculates = false;
    queue_add(&s->queue, task);
}

/* ---- how a task ends ---- */

static void emit(struct scheduler *s, struct scheduler_event *e) {
    if (e) s->parts.emit(s->parts.user, e);
}

/* Nobody will read its text from here on. */
static void leave(struct scheduler *s, struct task *t,
                  struct scheduler_event *last) {
    s->stats.jobs_done++;
    s->stats.output_tokens += (uint64_t)task_output_count(t);
    s->stats.drafted_tokens += (uint64_t)t->draft.drafted;
    s->stats.accepted_tokens += (uint64_t)t->draft.accepted;
    emit(s, last);
    queue_remove(&s->queue, t);
}

/* The task is done: its last text, its last event. */
static void finish(struct scheduler *s, struct task *t, enum job_end end) {
    if (t->kind == JOB_GENERATE) {
        hold_finish(&t->hold);
        emit(s, report_text(t, true));
    }
    leave(s, t, report_done(t, end));
}

/* The task has failed: nothing that was held back leaves. */
static void fail(struct scheduler *s, struct task *t, enum err_code code,
                 const char *text) {
    struct err err;

    err_set(&err, code, "%s", text);
    leave(s, t, report_error(t, &err));
}

static void fail_for_room(struct scheduler *s, struct task *t) {
    struct err err;

    err_set(&err, ERR_LIMIT,
            "a text of %d tokens does not fit the KV cache of %d", t->known,
            s->parts.kv_positions);
    leave(s, t, report_error(t, &err));
}

/* ---- who is in ---- */

static void preempt(struct task *t) {
    sequence_free(t->sequence);
    t->sequence = NULL;
    t->computed = 0;
    t->planned = 0;
}

static void sweep(struct scheduler *s) {
    uint64_t now_ms = s->parts.clock_ns() / 1000000;

    for (int i = s->queue.count - 1; i >= 0; i--) {
        struct task *t = s->queue.tasks[i];

        if (atomic_load(&t->cancelled))
            leave(s, t, NULL);
        else if (t->deadline_ms && now_ms >= t->deadline_ms)
            fail(s, t, ERR_TIMEOUT, "the job's deadline passed");
        else if (t->sequence && task_rests(t))
            preempt(t); /* whoever reads slowly takes no room from others */
    }
}

/* Positions that running generations will soon want. */
static int outstanding(const struct scheduler *s) {
    int count = 0;

    for (int i = 0; i < s->queue.count; i++) {
        const struct task *t = s->queue.tasks[i];

        if (!t->sequence || t->kind != JOB_GENERATE) continue;
        count += least(t->output_max - task_output_count(t), OUTPUT_RESERVE) +
                 KV_PAGE;
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
    if (t->kind == JOB_GENERATE && queue_running(&s->queue) > 1 &&
        outstanding(s) > s->parts.kv_positions - used) {
        preempt(t);
        return false;
    }
    t->computed = matched;
    if (t->cached < 0) {
        t->cached = least(matched, t->prompt_count);
        s->stats.prompt_tokens += (uint64_t)t->prompt_count;
        s->stats.cached_tokens += (uint64_t)t->cached;
    }
    return true;
}

/* A place among the running and room for the text; others are sent away for
 * it where the queue allows. */
static bool begin_somehow(struct scheduler *s, struct task *t) {
    for (;;) {
        struct task *victim;

        if (queue_running(&s->queue) < s->running_max && begin(s, t))
            return true;
        victim = queue_victim_for(&s->queue, t);
        if (!victim) return false;
        preempt(victim);
    }
}

static void admit(struct scheduler *s) {
    struct task *t;

    while ((t = queue_next_waiting(&s->queue))) {
        if (begin_somehow(s, t))
            s->queue.last_admitted = t->client;
        else if (queue_running(&s->queue) > 0)
            break; /* wait until somebody leaves */
        else
            fail_for_room(s, t);
    }
}

/* ---- the step's rows ---- */

static int room(const struct scheduler *s) {
    return s->parts.rows_max - s->row_count;
}

/* `count` more rows of the task, its keys from computed on. */
static void plan(struct scheduler *s, struct task *t, int count) {
    int first = t->known - 1; /* of those whose output is wanted */

    for (int i = 0; i < count; i++) {
        int position = t->computed + i;
        int adapter = t->keys[position].adapter;

        s->rows[s->row_count++] = (struct row){
            .token = t->keys[position].token,
            .position = position,
            .sequence = t->sequence,
            .adapter = adapter ? s->parts.adapters[adapter - 1] : NULL,
            .want = position >= first,
        };
    }
    t->planned = count;
    if (t->computed + count <= first) return;
    count = t->computed + count - first;
    s->wanted[s->wanted_count++] = (struct wanted){t, s->wanted_rows, count};
    s->wanted_rows += count;
}

static bool decodes(const struct task *t) {
    return t->sequence && t->kind == JOB_GENERATE &&
           t->computed == t->known - 1 && task_output_count(t) > 0;
}

/* Room for the position of the token that came last; others are sent away
 * for it, and at last the task itself. */
static void make_room(struct scheduler *s, struct task *t) {
    while (t->sequence && sequence_length(t->sequence) < t->known) {
        int have = sequence_length(t->sequence);
        struct task *victim;

        if (sequence_extend(t->sequence, t->keys + have, t->known - have, NULL))
            return;
        victim = queue_victim(&s->queue);
        if (victim == t && queue_running(&s->queue) == 1) {
            fail_for_room(s, t);
            return;
        }
        preempt(victim);
    }
}

/* Before anybody has rows, since whoever is sent away must have none. */
static void make_all_room(struct scheduler *s) {
    for (int i = 0; i < s->queue.count; i++) {
        int before = s->queue.count;

        if (decodes(s->queue.tasks[i])) make_room(s, s->queue.tasks[i]);
        i -= before - s->queue.count; /* one that failed left the list */
    }
    s->decode_count = 0;
    for (int i = 0; i < s->queue.count; i++)
        s->decode_count += decodes(s->queue.tasks[i]);
}

/* The next row of each generation, and those of its guess if there is room
 * for it. Nobody is sent away for a guess. */
static void plan_decodes(struct scheduler *s) {
    int left = s->guess_rows_max;

    for (int i = 0; i < s->queue.count; i++) {
        struct task *t = s->queue.tasks[i];

        if (!decodes(t)) continue;
        task_guess(t, left, s->decode_count);
        if (!sequence_extend(t->sequence, t->keys + t->known, t->guess.count,
                             NULL))
            t->guess.count = 0;
        left -= t->guess.count;
        plan(s, t, 1 + t->guess.count);
    }
}

/* At most `most` rows of prompts; how many it came to. */
static int plan_prompts(struct scheduler *s, enum job_kind kind, int most) {
    int before = s->row_count;
    struct task *t;

    most = least(most, room(s));
    while (most > 0 && (t = queue_next_prefill(&s->queue, kind))) {
        int count = least(t->known - t->computed, most);

        plan(s, t, count);
        most -= count;
        s->queue.last_prefilled = t->client;
    }
    return s->row_count - before;
}

/* Score prompts go first, but never take all of a step from the others. */
static void plan_all_prompts(struct scheduler *s) {
    int most = pace_rows(&s->pace, s->decode_count, s->parts.rows_max);
    bool others = queue_next_prefill(&s->queue, JOB_GENERATE) != NULL;

    most = least(most, room(s));
    most -=
        plan_prompts(s, JOB_SCORE, others ? most - most / PROMPT_SHARE : most);
    (void)plan_prompts(s, JOB_GENERATE, most);
}

static void plan_step(struct scheduler *s) {
    s->row_count = 0;
    s->wanted_count = 0;
    s->wanted_rows = 0;
    for (int i = 0; i < s->queue.count; i++) {
        s->queue.tasks[i]->planned = 0;
        s->queue.tasks[i]->guess.count = 0;
    }
    make_all_room(s);
    plan_decodes(s);
    plan_all_prompts(s);
}

/* ---- what came out ---- */

static void score(struct scheduler *s, struct task *t, const float *hidden) {
    const struct adapter *adapter =
        t->adapter ? s->parts.adapters[t->adapter - 1] : NULL;
    int count = t->embed         ? s->shape->embedding
                : t->label_count ? t->label_count
                                 : adapter_labels(adapter);
    float *scores;
    struct scheduler_event *e = report_scores(t, count, &scores);

    if (t->embed)
        memcpy(scores, hidden, (size_t)count * sizeof *scores);
    else if (t->label_count)
        model_label_logits(s->parts.model, hidden, t->labels, count, scores);
    else
        adapter_head(adapter, hidden, scores);
    emit(s, e);
    finish(s, t, JOB_END_STOP);
}

/* The tokens that are left, as grammar_state_mask() counts them. */
static int reckoned_left(const struct task *t) {
    int left = t->output_max - task_output_count(t);

    return t->may_be_cut ? left * 3 : left;
}

/* Pick the next token and say what becomes of it. False: the task has left. */
static bool generated(struct scheduler *s, struct task *t, float *logits) {
    const struct tokenizer *tokenizer = s->parts.tokenizer;
    struct sampler_past past = {t->tokens, t->known, t->prompt_count};
    struct sampler_report report = {.top_count = t->rival_count};
    struct span piece;
    bool stop;
    int token;

    if (t->grammar)
        grammar_state_mask(t->grammar, tokenizer, reckoned_left(t), s->mask);
    token = sampler_pick(s->sampler, &t->sampling, logits,
                         t->grammar ? s->mask : NULL, &past,
                         t->logprobs ? &report : NULL);
    if (token < 0) {
        fail(s, t, ERR_INTERNAL, "no token may follow");
        return false;
    }
    task_push(t, token);
    if (tokenizer_is_end(tokenizer, token)) {
        finish(s, t, JOB_END_STOP);
        return false;
    }
    piece = tokenizer_piece(tokenizer, token);
    if (t->grammar && !grammar_state_feed(t->grammar, piece)) {
        fail(s, t, ERR_INTERNAL, "the grammar and its mask disagree");
        return false;
    }
    if (t->logprobs) task_hold_report(t, &report);
    stop = hold_push(&t->hold, token, piece);
    if (stop || (t->grammar && grammar_state_final(t->grammar)))
        finish(s, t, JOB_END_STOP);
    else if (task_output_count(t) >= t->output_max)
        finish(s, t, JOB_END_LENGTH);
    else
        return true;
    return false;
}

/* The token after the known ones, then those after each token of the guess
 * for as long as the guess says what is picked anyhow. */
static void take_tokens(struct scheduler *s, struct task *t, float *logits) {
    const struct draft_guess guess = t->guess;
    size_t vocab = (size_t)s->shape->vocab;

    draft_count(&t->draft, &guess);
    for (int i = 0; generated(s, t, logits + vocab * (size_t)i); i++) {
        if (i < guess.count && t->tokens[t->known - 1] == guess.tokens[i]) {
            draft_right(&t->draft, &guess);
            sequence_commit(t->sequence, ++t->computed);
            continue;
        }
        if (i < guess.count) draft_wrong(&t->draft, &guess);
        sequence_truncate(t->sequence, t->computed);
        emit(s, report_text(t, false));
        return;
    }
}

/* Generations wanted[from..end): their hidden states side by side, so that
 * the head reads its weights once for all of them. */
static void deliver_some(struct scheduler *s, int from, int end) {
    size_t width = (size_t)s->shape->embedding;
    size_t vocab = (size_t)s->shape->vocab;
    int rows = 0;

    for (int i = from; i < end; i++) {
        const struct wanted *w = &s->wanted[i];

        memcpy(s->gather + width * (size_t)rows,
               s->hidden + width * (size_t)w->row,
               width * (size_t)w->count * sizeof(float));
        rows += w->count;
    }
    model_logits(s->parts.model, s->gather, rows, s->logits);
    rows = 0;
    for (int i = from; i < end; i++) {
        float *logits = s->logits + vocab * (size_t)rows;

        rows += s->wanted[i].count;
        take_tokens(s, s->wanted[i].task, logits);
    }
}

/* Scores first: they are quick, and somebody holds a text back for them. */
static void deliver(struct scheduler *s) {
    size_t width = (size_t)s->shape->embedding;
    int count = 0, from = 0, rows = 0;

    for (int i = 0; i < s->wanted_count; i++) {
        struct wanted w = s->wanted[i];

        if (w.task->kind == JOB_SCORE)
            score(s, w.task, s->hidden + width * (size_t)w.row);
        else
            s->wanted[count++] = w;
    }
    for (int i = 0; i < count; i++) {
        if (rows + s->wanted[i].count > HEAD_ROWS) {
            deliver_some(s, from, i);
            from = i;
            rows = 0;
        }
        rows += s->wanted[i].count;
    }
    if (rows > 0) deliver_some(s, from, count);
}

/* What was certain before the step is computed now; a guess is not. */
static void compute(struct scheduler *s) {
    int prompt_rows = s->row_count;
    uint64_t start = s->parts.clock_ns();

    model_forward(s->parts.model, s->rows, s->row_count, s->hidden);
    for (int i = 0; i < s->queue.count; i++) {
        struct task *t = s->queue.tasks[i];

        if (!t->planned) continue;
        if (decodes(t)) prompt_rows -= t->planned;
        t->computed += t->planned - t->guess.count;
        sequence_commit(t->sequence, t->computed);
    }
    pace_learn(&s->pace, prompt_rows, s->decode_count,
               (s->parts.clock_ns() - start) / 1000);
}

int scheduler_step(struct scheduler *s) {
    sweep(s);
    admit(s);
    plan_step(s);
    if (s->row_count == 0) return s->queue.count;
    compute(s);
    deliver(s);
    s->stats.steps++;
    return s->queue.count;
}

bool scheduler_rests(const struct scheduler *s) {
    for (int i = 0; i < s->queue.count; i++)
        if (s->queue.tasks[i]->sequence || !task_rests(s->queue.tasks[i]))
            return false;
    return s->queue.count > 0;
}

void scheduler_stats(const struct scheduler *s, struct engine_stats *out) {
    *out = s->stats;
    out->jobs_running = queue_running(&s->queue);
    out->jobs_waiting = s->queue.count - out->jobs_running;
    out->kv_used = kv_positions_used(s->parts.kv);
}
