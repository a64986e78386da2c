/* engine.h - the face of the inference engine: one base model, its adapters,
 * one scheduler thread that owns both, and a compute pool. Jobs of all kinds
 * are rows of one batch per step. Everything here is called from one thread,
 * the owner (the event loop, or a command's main thread), except where said.
 *
 *   engine_submit() -> inbox -> scheduler thread -> outbox -> engine_poll()
 *
 * Both queues are bounded. A job's callback runs inside engine_poll() on the
 * owner's thread, never elsewhere. */
#ifndef CORRAL_ENGINE_ENGINE_H
#define CORRAL_ENGINE_ENGINE_H

#include "base/bytes.h"
#include "engine/grammar.h"
#include "engine/model.h"
#include "engine/sampler.h"
#include "engine/tokenizer.h"

struct engine;

enum {
    ENGINE_STOPS_MAX = 16,
    ENGINE_STOP_BYTES_MAX = 256,
    ENGINE_ADAPTERS_MAX = 16
};

struct engine_options {
    const char *model_path;
    int threads;        /* compute threads; 0: all cores */
    int context_tokens; /* longest sequence; 0: the model's, at most 8192 */
    int kv_tokens;      /* positions of KV in all; 0: 2 * context */
    int batch_tokens;   /* rows in a step; 0: 512 */
    int queue_max;      /* jobs waiting or running; 0: 256 */
    bool exact;         /* f32 everywhere: the reference mode, slow */
    /* Called from the scheduler thread when events wait and none did before;
     * must only signal (uv_async_send). May be NULL: use engine_wait(). */
    void (*on_wakeup)(void *user);
    void *user;
};

enum job_kind { JOB_GENERATE, JOB_SCORE };

enum job_end {
    JOB_END_STOP,   /* an end token, or a stop string (not part of the text) */
    JOB_END_LENGTH, /* max_tokens or the context's end */
    JOB_END_ERROR   /* event.err says why */
};

enum job_event_kind { JOB_TEXT, JOB_SCORES, JOB_DONE };

struct job_usage {
    int prompt_tokens;
    int cached_tokens; /* of the prompt, taken from the prefix cache */
    int output_tokens;
};

/* Everything borrowed is valid during the callback only. */
struct job_event {
    enum job_event_kind kind;
    struct span text;       /* JOB_TEXT: whole UTF-8, held back while it could
                             * begin a stop string */
    const int *tokens;      /* JOB_TEXT: the tokens since the last JOB_TEXT */
    int token_count;
    const float *scores;    /* JOB_SCORES: raw logits, of labels or the head */
    int score_count;
    enum job_end end;       /* JOB_DONE: always the last event of a job */
    struct job_usage usage; /* JOB_DONE, JOB_SCORES */
    struct err err;         /* JOB_DONE with JOB_END_ERROR */
};

struct job {
    enum job_kind kind;
    const int *tokens; /* the prompt, copied */
    int token_count;
    int adapter;     /* from engine_adapter_add(), 0: the base model */
    int active_from; /* the adapter applies from this position on. 0: to the
                      * whole text (full); positions before an activated
                      * adapter's invocation share the base model's KV. In a
                      * generate job it also applies to what is generated. */
    uint64_t client; /* fairness: clients take turns; 0 is one of them */
    uint64_t deadline_ms; /* clock_ms() time; 0: none. Past it: ERR_TIMEOUT */

    const int *labels; /* JOB_SCORE: head rows wanted at the last position; */
    int label_count;   /* 0: the adapter's label head */

    struct sampling sampling; /* JOB_GENERATE from here on */
    int max_tokens;
    const struct span *stops; /* copied */
    int stop_count;
    struct grammar *grammar; /* the job takes a reference; may be NULL */

    void (*on_event)(void *user, const struct job_event *event);
    void *user;
};

struct engine_stats {
    uint64_t jobs_done;
    uint64_t prompt_tokens;
    uint64_t cached_tokens;
    uint64_t output_tokens;
    uint64_t steps;
    int jobs_waiting;
    int jobs_running;
    int kv_used; /* positions held by live sequences */
    int kv_total;
};

MUST_USE struct engine *engine_open(const struct engine_options *options,
                                    struct err *err);
/* Stops the scheduler; unfinished jobs get no more events. */
void engine_close(struct engine *e);

/* Load an adapter, before the first job. Its number is written to *out. */
MUST_USE bool engine_adapter_add(struct engine *e, const char *path, int *out,
                                 struct err *err);
int engine_adapter_labels(const struct engine *e, int adapter);

/* Borrowed until engine_close(), usable from any thread. */
const struct tokenizer *engine_tokenizer(const struct engine *e);
const struct gguf *engine_gguf(const struct engine *e);
const struct model_shape *engine_shape(const struct engine *e);
const char *engine_kernels(const struct engine *e);
int engine_context(const struct engine *e); /* longest sequence in tokens */

/* Queue a job; its id, or 0 with ERR_BUSY (queue full), ERR_LIMIT (prompt
 * longer than the context) or ERR_INPUT. Score jobs go before generation. */
MUST_USE uint64_t engine_submit(struct engine *e, const struct job *job,
                                struct err *err);
/* No event of the job is delivered after this returns; its rows leave the
 * batch within one step. Unknown and finished ids are fine. */
void engine_cancel(struct engine *e, uint64_t id);

/* Run the callbacks of all events that wait; how many there were. A callback
 * may submit and cancel. */
int engine_poll(struct engine *e);
/* Sleep until events wait or `timeout_ms` passed; true when events wait. For
 * commands without an event loop. */
bool engine_wait(struct engine *e, int timeout_ms);

void engine_stats(const struct engine *e, struct engine_stats *out);

#endif
