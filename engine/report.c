#include "engine/report.h"

#include <string.h>

static struct scheduler_event *
event_new(const struct task *t, enum job_event_kind kind, size_t extra) {
    struct scheduler_event *e = xalloc(sizeof *e + extra);

    e->id = t->id;
    e->event.kind = kind;
    e->event.usage = (struct job_usage){
        .prompt_tokens = t->prompt_count,
        .cached_tokens = t->cached > 0 ? t->cached : 0,
        .output_tokens = task_output_count(t),
        .drafted_tokens = t->draft.drafted,
        .accepted_tokens = t->draft.accepted,
    };
    return e;
}

/* The piece ends in the text: what wants to be aligned comes first. */
struct scheduler_event *report_text(struct task *t, bool last) {
    struct scheduler_event *e;
    size_t count, size = hold_ready(&t->hold, &count);
    size_t token_bytes = count * sizeof(int);
    size_t row = (1 + (size_t)t->rival_count) * sizeof *e->event.logprobs;
    size_t logprob_bytes = t->logprobs ? count * row : 0;
    char *room;

    if (size == 0 && !(last && count > 0)) return NULL;
    e = event_new(t, JOB_TEXT, logprob_bytes + token_bytes + size);
    room = (char *)(e + 1);
    if (t->logprobs) {
        e->event.logprobs = (struct token_logprob *)(void *)room;
        e->event.rival_count = t->rival_count;
        task_take_logprobs(t, count, (struct token_logprob *)(void *)room);
        room += logprob_bytes;
    }
    if (count) memcpy(room, t->hold.tokens, token_bytes);
    if (size) memcpy(room + token_bytes, t->hold.text.at, size);
    e->event.tokens = (const int *)(const void *)room;
    e->event.token_count = (int)count;
    e->event.text = (struct span){room + token_bytes, size};
    hold_drop(&t->hold, size, count);
    return e;
}

struct scheduler_event *report_scores(const struct task *t, int count,
                                      float **scores) {
    struct scheduler_event *e =
        event_new(t, JOB_SCORES, (size_t)count * sizeof(float));

    *scores = (float *)(void *)(e + 1);
    e->event.scores = *scores;
    e->event.score_count = count;
    return e;
}

struct scheduler_event *report_done(const struct task *t, enum job_end end) {
    struct scheduler_event *e = event_new(t, JOB_DONE, 0);

    e->event.end = end;
    if (end == JOB_END_STOP) e->event.stop = t->hold.met;
    e->event.context_full = end == JOB_END_LENGTH && t->cut_by_context;
    return e;
}

struct scheduler_event *report_error(const struct task *t,
                                     const struct err *err) {
    struct scheduler_event *e = report_done(t, JOB_END_ERROR);

    e->event.err = *err;
    return e;
}
