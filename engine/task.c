#include "engine/task.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int task_adapter_at(const struct task *t, int position) {
    return position >= t->active_from ? t->adapter : 0;
}

static void put_key(struct task *t, int token) {
    t->keys[t->known] = (struct kv_key){token, task_adapter_at(t, t->known)};
    t->known++;
}

struct task *task_new(uint64_t id, const struct job *job, int output_max) {
    struct task *t = xalloc(sizeof *t);

    atomic_init(&t->references, 1);
    atomic_init(&t->cancelled, false);
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
    for (int i = 0; i < job->token_count; i++) put_key(t, job->tokens[i]);
    if (job->kind == JOB_SCORE) {
        t->label_count = job->label_count;
        t->labels = xalloc_array((size_t)job->label_count, sizeof(int));
        if (job->label_count)
            memcpy(t->labels, job->labels,
                   (size_t)job->label_count * sizeof(int));
        return t;
    }
    t->sampling = job->sampling;
    t->output_max = output_max;
    t->output = xalloc_array((size_t)output_max, sizeof(int));
    if (job->grammar) t->grammar = grammar_state_new(job->grammar);
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
    free(t->output);
    free(t->labels);
    free(t->keys);
    free(t);
}

int task_output_count(const struct task *t) {
    return t->known - t->prompt_count;
}

void task_push(struct task *t, int token) {
    t->output[task_output_count(t)] = token;
    put_key(t, token);
}
