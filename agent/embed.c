#include "agent/embed.h"

#include <math.h>
#include <stdlib.h>

#include "engine/engine.h"

struct embed {
    struct engine *engine;
    uint64_t job;
    embed_done *done;
    void *user;
    float *vector; /* shape.embedding of them, once they have come */
    int size;
};

static void embed_free(struct embed *e) {
    free(e->vector);
    free(e);
}

/* A vector of no length stays as it is. */
static void keep(struct embed *e, const float *scores, int size) {
    double sum = 0;
    float scale;

    for (int i = 0; i < size; i++) sum += (double)scores[i] * (double)scores[i];
    scale = sum > 0 ? (float)(1 / sqrt(sum)) : 1;
    free(e->vector);
    e->vector = xalloc_array((size_t)size, sizeof *e->vector);
    e->size = size;
    for (int i = 0; i < size; i++) e->vector[i] = scores[i] * scale;
}

static void on_event(void *user, const struct job_event *event) {
    struct embed *e = user;
    struct err err = {0};
    bool ok;

    if (event->kind == JOB_SCORES) keep(e, event->scores, event->score_count);
    if (event->kind != JOB_DONE) return;
    ok = event->end != JOB_END_ERROR && e->vector;
    if (event->end == JOB_END_ERROR)
        err = event->err;
    else if (!ok)
        (void)err_set(&err, ERR_INTERNAL, "the model gave no vector");
    e->done(e->user, ok ? e->vector : NULL, e->size, event->usage.prompt_tokens,
            ok ? NULL : &err);
    embed_free(e);
}

struct embed *embed_start(struct engine *engine, struct span text,
                          uint64_t client, embed_done *done, void *user,
                          struct err *err) {
    const struct tokenizer *t = engine_tokenizer(engine);
    struct embed *e = xalloc(sizeof *e);
    struct tokens tokens = {0};
    struct job job = {.kind = JOB_SCORE,
                      .embed = true,
                      .client = client,
                      .on_event = on_event,
                      .user = e};
    int first = tokenizer_opening(t);

    *e = (struct embed){.engine = engine, .done = done, .user = user};
    if ((first < 0 || tokens_push(&tokens, first, err)) &&
        tokenizer_encode(t, text, &tokens, err)) {
        job.tokens = tokens.at;
        job.token_count = (int)tokens.count;
        e->job = engine_submit(engine, &job, err);
    }
    tokens_free(&tokens);
    if (e->job) return e;
    embed_free(e);
    return NULL;
}

void embed_cancel(struct embed *e) {
    if (!e) return;
    engine_cancel(e->engine, e->job);
    embed_free(e);
}
