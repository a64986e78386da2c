/* engine.h - the face of the inference engine: one base model, its adapters,
 * one scheduler thread that owns both, and a compute pool. Jobs of all kinds
 * are rows of one batch per step. Everything here is called from one thread,
 * the owner (the event loop, or a command's main thread), except where said.
 *
 *   engine_submit() -> inbox -> scheduler thread -> outbox -> engine_poll()
 *
 * Both queues are bounded. A job's callback runs inside engine_poll() on the
 * owner's thread, never elsewhere. More threads may each own a face of it, with
 * an outbox and jobs of its own (engine_share()).
 *
 * Same model file, same machine, same job with the same seed: the same tokens
 * and the same scores, bit for bit, whatever else is in the batch, in what
 * chunks the prompt is read, how much of it comes from the prefix cache and
 * whether tokens were guessed and checked. A row's arithmetic is that of its
 * own text alone; a random number depends on the seed and on the token's
 * index in the output. Two exceptions, where a library multiplies and its
 * last bit depends on the number of rows: F32 matrices, and `exact`, which
 * does not guess for that reason. */
#ifndef CORRAL_ENGINE_ENGINE_H
#define CORRAL_ENGINE_ENGINE_H

#include "engine/job.h"
#include "engine/model.h"
#include "engine/tokenizer.h"

struct engine;

struct engine_options {
    const char *model_path;
    int threads;         /* compute threads; 0: all cores */
    int context_tokens;  /* longest sequence; 0: the model's, at most 8192 */
    int kv_tokens;       /* positions of KV in all; 0: 2 * context */
    int batch_tokens;    /* rows in a step; 0: 512 */
    int queue_max;       /* jobs waiting or running; 0: 256 */
    bool exact;          /* f32 everywhere: the reference mode, slow */
    bool kv_q8;          /* the KV cache in Q8_0: half of 16 bits */
    bool no_speculation; /* for all jobs, as job.no_speculation for one */
    /* Called from the scheduler thread when events wait and none did before;
     * must only signal (uv_async_send). May be NULL: use engine_wait(). */
    void (*on_wakeup)(void *user);
    void *user;
};

MUST_USE struct engine *engine_open(const struct engine_options *options,
                                    struct err *err);
/* Stops the scheduler; unfinished jobs get no more events. Of a face: they are
 * cancelled, and the engine itself goes on. */
void engine_close(struct engine *e);

enum { ENGINE_FACES_MAX = 64 };

/* Another face of the same engine for another thread, with all that is loaded;
 * `on_wakeup` as in the options. Closed before the engine is. From its owner's
 * thread, and after the last engine_adapter_add(). ERR_LIMIT past
 * ENGINE_FACES_MAX, the engine's own among them. */
MUST_USE struct engine *engine_share(struct engine *e,
                                     void (*on_wakeup)(void *user), void *user,
                                     struct err *err);

/* Load an adapter, before the first job. Its number is written to *out. */
MUST_USE bool engine_adapter_add(struct engine *e, const char *path, int *out,
                                 struct err *err);
int engine_adapter_labels(const struct engine *e, int adapter);

/* Borrowed until engine_close(), usable from any thread. */
const struct tokenizer *engine_tokenizer(const struct engine *e);
const struct gguf *engine_gguf(const struct engine *e);
const struct model_shape *engine_shape(const struct engine *e);
const char *engine_kernels(const struct engine *e);
/* What a decode step reads of the weights, as they lie in memory packed. */
size_t engine_weight_bytes(const struct engine *e);
/* Matrices that are still to be packed: until then they are read as the file
 * has them, with the same results. Any thread. */
size_t engine_unpacked(const struct engine *e);
int engine_context(const struct engine *e); /* longest sequence in tokens */

/* Queue a job; its id, or 0 with ERR_BUSY (the queue is full, or the client
 * holds three quarters of it), ERR_LIMIT (prompt longer than the context) or
 * ERR_INPUT. Score jobs go before generation. */
MUST_USE uint64_t engine_submit(struct engine *e, const struct job *job,
                                struct err *err);
/* No event of the job is delivered after this returns; its rows leave the
 * batch within one step. Unknown and finished ids are fine. */
void engine_cancel(struct engine *e, uint64_t id);

/* Write no more of the job until told to go on: what it has is kept, what it
 * holds of the KV is for others meanwhile. Events of what is written already
 * still come. */
void engine_throttle(struct engine *e, uint64_t id, bool on);

/* Run the callbacks of all events that wait; how many there were. A callback
 * may submit and cancel. */
int engine_poll(struct engine *e);
/* Sleep until events wait or `timeout_ms` passed; true when events wait. For
 * commands without an event loop. */
bool engine_wait(struct engine *e, int timeout_ms);

void engine_stats(const struct engine *e, struct engine_stats *out);

#endif
