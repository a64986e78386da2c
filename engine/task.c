#include "engine/task.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int task_adapter_at(const struct task *t, int position) {
    return position >= t->active_from ? t->adapter : 0;
}

static void set_key(struct task *t, int at, int token) {
    t->keys[at] = (struct kv_key){token, task_adapter_at(t, at)};
    t->tokens[at] = token;
}

static void copy_sampling(struct task *t, const struct job *job) {
    size_t count = (size_t)job->sampling.bias_count;

    t->sampling = job->sampling;
    t->biases = xalloc_array(count, sizeof *t->biases);
    if (count)
        memcpy(t->biases, job->sampling.biases, count * sizeof *t->biases);
    t->sampling.biases = t->biases;
    t->logprobs = job->logprobs;
    t->rival_count = job->logprobs ? job->rival_count : 0;
}

struct task *task_new(uint64_t id, const struct job *job, int output_max) {
    struct task *t = xalloc(sizeof *t);

    atomic_init(&t->references, 1);
    atomic_init(&t->cancelled, false);
    atomic_init(&t->paused, false);
    t->id = id;
    t->kind = job->kind;
    t->client = job->client;
    t->deadline_ms = job->deadline_ms;
    t->adapter = job->adapter;
    t->active_from = job->active_from;
    t->cached = -1;
    t->prompt_count = job->token_count;
    t->keys =
        xalloc_array((size_t)(job->token_count + output_max), sizeof *t->keys);
    t->tokens = xalloc_array((size_t)(job->token_count + output_max),
                             sizeof *t->tokens);
    for (int i = 0; i < job->token_count; i++) set_key(t, i, job->tokens[i]);
    t->known = job->token_count;
    if (job->kind == JOB_SCORE) {
        t->embed = job->embed;
        t->label_count = job->label_count;
        t->labels = xalloc_array((size_t)job->label_count, sizeof(int));
        if (job->label_count)
            memcpy(t->labels, job->labels,
                   (size_t)job->label_count * sizeof(int));
        return t;
    }
    copy_sampling(t, job);
    t->output_max = output_max;
    t->cut_by_context = output_max < job->max_tokens;
    t->speculates = !job->no_speculation;
    draft_init(&t->draft);
    if (job->grammar) t->grammar = grammar_state_new(job->grammar);
    t->may_be_cut = job->may_be_cut;
    hold_init(&t->hold, job->stops, job->stop_count);
    return t;
}

struct task *task_ref(struct task *t) {
    atomic_fetch_add(&t->references, 1);
    return t;
}

void task_free(struct task *t) {
    if (!t || atomic_fetch_sub(&t->references, 1) > 1) return;
    assert(!t->sequence); /* the scheduler thread's, and freed there */
    grammar_state_free(t->grammar);
    hold_clear(&t->hold);
    free(t->held_logprobs);
    free(t->biases);
    free(t->tokens);
    free(t->labels);
    free(t->keys);
    free(t);
}

bool task_rests(const struct task *t) {
    return t->kind == JOB_GENERATE && atomic_load(&t->paused);
}

int task_output_count(const struct task *t) {
    return t->known - t->prompt_count;
}

void task_push(struct task *t, int token) {
    set_key(t, t->known++, token);
}

void task_guess(struct task *t, int most, int rows) {
    /* The token that follows the guess is the job's last at most. */
    int left = t->output_max - task_output_count(t) - 1;

    t->guess.count = 0;
    if (!t->speculates) return;
    if (most > left) most = left;
    draft_guess(&t->draft, t->tokens, t->known, most, rows, &t->guess);
    for (int i = 0; i < t->guess.count; i++)
        set_key(t, t->known + i, t->guess.tokens[i]);
}

void task_hold_report(struct task *t, const struct sampler_report *report) {
    size_t width = 1 + (size_t)t->rival_count;
    struct token_logprob *row;

    if (t->held_count == t->held_capacity) {
        t->held_capacity = t->held_capacity ? t->held_capacity * 2 : 8;
        t->held_logprobs =
            xrealloc_array(t->held_logprobs, t->held_capacity * width,
                           sizeof *t->held_logprobs);
    }
    row = t->held_logprobs + width * t->held_count++;
    row[0] = report->picked;
    for (int i = 0; i < t->rival_count; i++)
        row[1 + i] = i < report->top_count
                         ? report->top[i]
                         : (struct token_logprob){-1, LOGPROB_LEAST};
}

void task_take_logprobs(struct task *t, size_t count,
                        struct token_logprob *out) {
    size_t width = 1 + (size_t)t->rival_count;

    if (count == 0) return;
    assert(count <= t->held_count);
    memcpy(out, t->held_logprobs, count * width * sizeof *out);
    t->held_count -= count;
    memmove(t->held_logprobs, t->held_logprobs + count * width,
            t->held_count * width * sizeof *out);
}
