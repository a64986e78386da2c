#include "engine/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "engine/scheduler.h"

enum {
    CONTEXT_DEFAULT = 8192,
    BATCH_DEFAULT = 512,
    QUEUE_DEFAULT = 256,
    QUEUE_MAX = 1 << 16,
    OUTBOX_MAX = 1024, /* events that wait for the owner */
    REST_MS = 20       /* between looks at jobs that are paused */
};

/* What the owner knows of a job; free when `task` is NULL. */
struct slot {
    struct task *task;
    void (*on_event)(void *user, const struct job_event *event);
    void *user;
    uint64_t id;
    uint64_t client;
};

/* Events that wait for the owner of one face. */
struct outbox {
    struct scheduler_event *first; /* the oldest */
    struct scheduler_event **end;
    int count;
    void (*on_wakeup)(void *user); /* as in engine_options */
    void *user;
};

/* All that the threads share, and the lock that guards every field. */
struct shared {
    pthread_mutex_t lock;
    pthread_cond_t work; /* for the scheduler: inbox, room, closing */
    pthread_cond_t news; /* for an owner: his outbox */
    struct task **inbox; /* (queue_max), in order of arrival */
    int inbox_count;
    int inside; /* jobs in the inbox and in the scheduler */
    /* By the number of the face, which every job's id has in it; NULL: there is
     * no such face. */
    struct outbox *outboxes[ENGINE_FACES_MAX];
    int faces;
    uint64_t serial; /* jobs so far */
    bool closing;
    struct engine_stats stats;
};

struct engine {
    struct engine_options options;
    struct gguf *gguf;
    struct tokenizer *tokenizer;
    struct model *model;
    struct kv *kv;
    const struct adapter *adapters[ENGINE_ADAPTERS_MAX];
    struct adapter *owned_adapters[ENGINE_ADAPTERS_MAX];
    int adapter_count;
    int context;
    struct scheduler *scheduler; /* its thread's, once that runs */
    pthread_t thread;
    bool has_thread;
    struct shared *shared;
    bool borrows; /* all above: another face of the engine that has it */

    int face;
    struct outbox outbox; /* under shared.lock */
    struct slot *slots;   /* the owner's */
    int slot_count;
    int *free_slots;
    int free_count;
};

/* ---- the scheduler's thread ---- */

/* Under the lock: whose job it is; NULL: his face is closed. */
static struct outbox *outbox_of(const struct engine *e, uint64_t id) {
    uint64_t face = id / (uint64_t)e->slot_count % ENGINE_FACES_MAX;

    return e->shared->outboxes[face];
}

static void emit(void *user, struct scheduler_event *event) {
    struct engine *e = user;
    struct shared *sh = e->shared;
    struct outbox *out;
    bool first;

    event->next = NULL;
    pthread_mutex_lock(&sh->lock);
    while ((out = outbox_of(e, event->id)) && out->count >= OUTBOX_MAX &&
           !sh->closing)
        pthread_cond_wait(&sh->work, &sh->lock);
    /* Its place is free when its end is known, so that a callback of the end
     * may use it; run() counts anew after the step. */
    if (event->event.kind == JOB_DONE) sh->inside--;
    if (sh->closing || !out) {
        pthread_mutex_unlock(&sh->lock);
        free(event);
        return;
    }
    first = out->count++ == 0;
    *out->end = event;
    out->end = &event->next;
    if (first) pthread_cond_broadcast(&sh->news);
    /* Within the lock: a face that closes takes it before its owner's bell
     * goes. */
    if (first && out->on_wakeup) out->on_wakeup(out->user);
    pthread_mutex_unlock(&sh->lock);
}

static struct timespec in_ms(int ms) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}

/* Move the inbox into the scheduler; sleep while nobody has anything to do,
 * and no longer than REST_MS where somebody may be cancelled. False when the
 * engine closes. */
static bool take_work(struct engine *e, int *left) {
    struct shared *sh = e->shared;
    bool open;

    pthread_mutex_lock(&sh->lock);
    while (*left == 0 && sh->inbox_count == 0 && !sh->closing)
        pthread_cond_wait(&sh->work, &sh->lock);
    if (sh->inbox_count == 0 && !sh->closing && scheduler_rests(e->scheduler)) {
        struct timespec until = in_ms(REST_MS);

        (void)pthread_cond_timedwait(&sh->work, &sh->lock, &until);
    }
    for (int i = 0; i < sh->inbox_count; i++)
        scheduler_add(e->scheduler, sh->inbox[i]);
    *left += sh->inbox_count;
    sh->inbox_count = 0;
    open = !sh->closing;
    pthread_mutex_unlock(&sh->lock);
    return open;
}

static void *run(void *user) {
    struct engine *e = user;
    struct shared *sh = e->shared;
    int left = 0;

    while (take_work(e, &left)) {
        left = scheduler_step(e->scheduler);
        pthread_mutex_lock(&sh->lock);
        scheduler_stats(e->scheduler, &sh->stats);
        sh->inside = left + sh->inbox_count;
        pthread_mutex_unlock(&sh->lock);
    }
    return NULL;
}

/* ---- open and close ---- */

static struct shared *shared_new(int queue_max) {
    struct shared *sh = xalloc(sizeof *sh);
    pthread_condattr_t attributes;

    pthread_mutex_init(&sh->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sh->work, &attributes);
    pthread_cond_init(&sh->news, &attributes);
    pthread_condattr_destroy(&attributes);
    sh->inbox = xalloc_array((size_t)queue_max, sizeof(struct task *));
    return sh;
}

static void shared_free(struct shared *sh) {
    if (!sh) return;
    for (int i = 0; i < sh->inbox_count; i++) task_free(sh->inbox[i]);
    free(sh->inbox);
    pthread_cond_destroy(&sh->news);
    pthread_cond_destroy(&sh->work);
    pthread_mutex_destroy(&sh->lock);
    free(sh);
}

static bool check_range(const char *name, int value, int most,
                        struct err *err) {
    if (value >= 0 && value <= most) return true;
    return err_set_field(err, ERR_INPUT, name, "%s must be from 0 to %d", name,
                         most);
}

static bool check_options(const struct engine_options *o, struct err *err) {
    return check_range("threads", o->threads, 1024, err) &&
           check_range("context_tokens", o->context_tokens, 1 << 20, err) &&
           check_range("kv_tokens", o->kv_tokens, 1 << 24, err) &&
           check_range("batch_tokens", o->batch_tokens, 1 << 14, err) &&
           check_range("queue_max", o->queue_max, QUEUE_MAX, err);
}

/* The limits that were left open, from the model's own. */
static void complete_options(struct engine *e) {
    struct engine_options *o = &e->options;
    int most = model_shape(e->model)->context_max;

    e->context = o->context_tokens;
    if (e->context == 0)
        e->context = most < CONTEXT_DEFAULT ? most : CONTEXT_DEFAULT;
    if (e->context > most) e->context = most;
    if (o->kv_tokens == 0) o->kv_tokens = 2 * e->context;
    if (e->context > o->kv_tokens) e->context = o->kv_tokens;
}

static bool open_model(struct engine *e, struct err *err) {
    struct model_options model_options = {.threads = e->options.threads,
                                          .rows_max = e->options.batch_tokens,
                                          .exact = e->options.exact};
    const struct model_shape *shape;
    struct kv_shape kv_shape;

    e->gguf = gguf_open(e->options.model_path, err);
    if (!e->gguf) return false;
    e->tokenizer = tokenizer_new(e->gguf, err);
    if (!e->tokenizer) return false;
    e->model = model_open(e->gguf, &model_options, err);
    if (!e->model) return false;
    shape = model_shape(e->model);
    if (shape->vocab < tokenizer_vocab(e->tokenizer))
        return err_set(err, ERR_INPUT,
                       "%s: the tokenizer has more tokens "
                       "than the model",
                       e->options.model_path);
    complete_options(e);
    kv_shape = (struct kv_shape){
        .blocks = shape->blocks,
        .kv_heads = shape->kv_heads,
        .head_size = shape->head_size,
        .positions = e->options.kv_tokens,
        .type = e->options.kv_q8   ? KV_Q8
                : e->options.exact ? KV_F32
                                   : KV_I16,
    };
    /* The tokenizer has made its own of the vocabulary; of the tensors, which
     * are packed, the ends are left on pages that they share. */
    if (model_unpacked(e->model) == 0) gguf_forget(e->gguf);
    e->kv = kv_new(&kv_shape, err);
    return e->kv != NULL;
}

/* Slots and an outbox of its own; false when there are too many. */
static bool face_begin(struct engine *e, void (*on_wakeup)(void *user),
                       void *user) {
    struct shared *sh = e->shared;
    int face = 0;

    /* A slot for each job inside and for each whose last event waits. */
    e->slot_count = e->options.queue_max + OUTBOX_MAX;
    e->slots = xalloc_array((size_t)e->slot_count, sizeof *e->slots);
    e->free_slots = xalloc_array((size_t)e->slot_count, sizeof(int));
    while (e->free_count < e->slot_count) {
        e->free_slots[e->free_count] = e->slot_count - 1 - e->free_count;
        e->free_count++;
    }
    e->outbox = (struct outbox){.on_wakeup = on_wakeup, .user = user};
    e->outbox.end = &e->outbox.first;
    pthread_mutex_lock(&sh->lock);
    while (face < ENGINE_FACES_MAX && sh->outboxes[face]) face++;
    e->face = face;
    if (face < ENGINE_FACES_MAX) {
        sh->outboxes[face] = &e->outbox;
        sh->faces++;
    }
    pthread_mutex_unlock(&sh->lock);
    return face < ENGINE_FACES_MAX;
}

/* No event comes any more; its jobs, if any run, have nobody. */
static void face_end(struct engine *e) {
    struct shared *sh = e->shared;
    struct scheduler_event *next;

    pthread_mutex_lock(&sh->lock);
    if (e->slots && e->face < ENGINE_FACES_MAX) {
        sh->outboxes[e->face] = NULL;
        sh->faces--;
    }
    pthread_cond_broadcast(&sh->work); /* it may wait for room in the outbox */
    pthread_mutex_unlock(&sh->lock);
    for (; e->outbox.first; e->outbox.first = next) {
        next = e->outbox.first->next;
        free(e->outbox.first);
    }
    for (int i = 0; i < e->slot_count; i++) {
        if (!e->slots[i].task) continue;
        atomic_store(&e->slots[i].task->cancelled, true);
        task_free(e->slots[i].task);
    }
    free(e->free_slots);
    free(e->slots);
}

struct engine *engine_share(struct engine *e, void (*on_wakeup)(void *user),
                            void *user, struct err *err) {
    struct engine *face = xalloc(sizeof *face);

    face->options = e->options;
    face->gguf = e->gguf;
    face->tokenizer = e->tokenizer;
    face->model = e->model;
    face->kv = e->kv;
    memcpy(face->adapters, e->adapters, sizeof face->adapters);
    face->adapter_count = e->adapter_count;
    face->context = e->context;
    face->shared = e->shared;
    face->borrows = true;
    if (face_begin(face, on_wakeup, user)) return face;
    engine_close(face);
    (void)err_set(err, ERR_LIMIT, "past %d faces of an engine",
                  ENGINE_FACES_MAX);
    return NULL;
}

static bool start(struct engine *e, struct err *err) {
    struct scheduler_parts parts = {
        .model = e->model,
        .tokenizer = e->tokenizer,
        .kv = e->kv,
        .kv_positions = e->options.kv_tokens,
        .adapters = e->adapters,
        .rows_max = e->options.batch_tokens,
        .tasks_max = e->options.queue_max,
        .no_speculation = e->options.no_speculation || e->options.exact,
        .emit = emit,
        .user = e,
    };

    (void)face_begin(e, e->options.on_wakeup, e->options.user);
    e->scheduler = scheduler_new(&parts);
    scheduler_stats(e->scheduler, &e->shared->stats);
    if (pthread_create(&e->thread, NULL, run, e) != 0)
        return err_set(err, ERR_IO, "no thread for the scheduler");
    e->has_thread = true;
    return true;
}

struct engine *engine_open(const struct engine_options *options,
                           struct err *err) {
    struct engine *e;

    if (!check_options(options, err)) return NULL;
    e = xalloc(sizeof *e);
    e->options = *options;
    e->options.model_path = xstrdup(options->model_path);
    if (e->options.batch_tokens == 0) e->options.batch_tokens = BATCH_DEFAULT;
    if (e->options.queue_max == 0) e->options.queue_max = QUEUE_DEFAULT;
    e->shared = shared_new(e->options.queue_max);
    if (open_model(e, err) && start(e, err)) return e;
    engine_close(e);
    return NULL;
}

static void stop(struct engine *e) {
    struct shared *sh = e->shared;

    if (!e->has_thread) return;
    pthread_mutex_lock(&sh->lock);
    sh->closing = true;
    pthread_cond_broadcast(&sh->work);
    pthread_mutex_unlock(&sh->lock);
    pthread_join(e->thread, NULL);
}

void engine_close(struct engine *e) {
    char *path;

    if (!e) return;
    if (e->borrows) {
        face_end(e);
        free(e);
        return;
    }
    stop(e);
    face_end(e);
    scheduler_free(e->scheduler);
    shared_free(e->shared);
    for (int i = 0; i < e->adapter_count; i++)
        adapter_close(e->owned_adapters[i]);
    kv_free(e->kv);
    model_close(e->model);
    tokenizer_free(e->tokenizer);
    gguf_close(e->gguf);
    memcpy(&path, &e->options.model_path, sizeof path); /* our own copy */
    free(path);
    free(e);
}

/* ---- adapters ---- */

/* Written before the first job; the scheduler reads it only for a job, which
 * comes to it under the lock. Until then the model's pool is idle, too. */
bool engine_adapter_add(struct engine *e, const char *path, int *out,
                        struct err *err) {
    struct adapter *a;
    bool late;

    pthread_mutex_lock(&e->shared->lock);
    late = e->shared->serial > 0 || e->shared->faces > 1;
    pthread_mutex_unlock(&e->shared->lock);
    if (late)
        return err_set(err, ERR_INPUT, "adapters are added before any job");
    if (e->adapter_count == ENGINE_ADAPTERS_MAX)
        return err_set(err, ERR_LIMIT, "past %d adapters", ENGINE_ADAPTERS_MAX);
    a = adapter_open(path, e->model, e->adapter_count + 1, err);
    if (!a) return false;
    e->adapters[e->adapter_count] = a;
    e->owned_adapters[e->adapter_count] = a;
    *out = ++e->adapter_count;
    return true;
}

int engine_adapter_labels(const struct engine *e, int adapter) {
    if (adapter < 1 || adapter > e->adapter_count) return 0;
    return adapter_labels(e->adapters[adapter - 1]);
}

/* ---- submit and cancel ---- */

static bool check_ids(const struct engine *e, const int *ids, int count,
                      const char *what, struct err *err) {
    int vocab = model_shape(e->model)->vocab;

    for (int i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return err_set(err, ERR_INPUT, "%s %d is not in the vocabulary",
                           what, ids[i]);
    return true;
}

static bool check_score(const struct engine *e, const struct job *job,
                        struct err *err) {
    if (job->label_count < 0 || job->label_count > ENGINE_LABELS_MAX)
        return err_set(err, ERR_LIMIT, "past %d labels", ENGINE_LABELS_MAX);
    if (job->embed)
        return job->label_count == 0 ||
               err_set(err, ERR_INPUT, "a hidden state has no labels");
    if (job->label_count == 0 &&
        (job->adapter == 0 || engine_adapter_labels(e, job->adapter) == 0))
        return err_set(err, ERR_INPUT, "no labels, and no adapter with a head");
    if (job->label_count == 0 && job->active_from >= job->token_count)
        return err_set(err, ERR_INPUT, "the adapter applies to no position");
    return check_ids(e, job->labels, job->label_count, "label", err);
}

static bool check_generate(const struct engine *e, const struct job *job,
                           struct err *err) {
    int vocab = model_shape(e->model)->vocab;

    if (!sampling_check(&job->sampling, vocab, err)) return false;
    if (job->logprobs &&
        (job->rival_count < 0 || job->rival_count > LOGPROBS_TOP_MAX))
        return err_set_field(err, ERR_INPUT, "top_logprobs",
                             "must be from 0 to %d", LOGPROBS_TOP_MAX);
    if (job->max_tokens < 1)
        return err_set_field(err, ERR_INPUT, "max_tokens",
                             "must be at least 1");
    if (job->stop_count < 0 || job->stop_count > ENGINE_STOPS_MAX)
        return err_set_field(err, ERR_LIMIT, "stop", "past %d stop strings",
                             ENGINE_STOPS_MAX);
    for (int i = 0; i < job->stop_count; i++) {
        if (job->stops[i].size == 0 ||
            job->stops[i].size > ENGINE_STOP_BYTES_MAX)
            return err_set_field(err, ERR_LIMIT, "stop",
                                 "a stop string has 1 to %d bytes",
                                 ENGINE_STOP_BYTES_MAX);
        /* One that is not would cut the text within a character. */
        if (!utf8_valid(job->stops[i]))
            return err_set_field(err, ERR_INPUT, "stop",
                                 "a stop string is not UTF-8");
    }
    if (job->token_count >= e->context)
        return err_set(err, ERR_LIMIT,
                       "a prompt of %d tokens leaves no room "
                       "in a context of %d",
                       job->token_count, e->context);
    return true;
}

static bool check_job(const struct engine *e, const struct job *job,
                      struct err *err) {
    if (job->token_count < 1)
        return err_set(err, ERR_INPUT, "the prompt is empty");
    if (job->token_count > e->context)
        return err_set(err, ERR_LIMIT,
                       "a prompt of %d tokens is longer than "
                       "the context of %d",
                       job->token_count, e->context);
    if (job->adapter < 0 || job->adapter > e->adapter_count)
        return err_set(err, ERR_INPUT, "there is no adapter %d", job->adapter);
    if (job->active_from < 0)
        return err_set(err, ERR_INPUT, "active_from is negative");
    if (!check_ids(e, job->tokens, job->token_count, "token", err))
        return false;
    return job->kind == JOB_SCORE ? check_score(e, job, err)
                                  : check_generate(e, job, err);
}

static int output_max(const struct engine *e, const struct job *job) {
    int room = e->context - job->token_count;

    if (job->kind == JOB_SCORE) return 0;
    return job->max_tokens < room ? job->max_tokens : room;
}

/* Its id grows with every job, in the order of the inbox, and says which face
 * it is of and where its slot is. */
static bool inbox_put(const struct engine *e, struct task *t, int slot) {
    struct shared *sh = e->shared;
    bool ok;

    pthread_mutex_lock(&sh->lock);
    ok = sh->inside < e->options.queue_max;
    if (ok) {
        t->id = (++sh->serial * ENGINE_FACES_MAX + (uint64_t)e->face) *
                    (uint64_t)e->slot_count +
                (uint64_t)slot;
        sh->inbox[sh->inbox_count++] = t;
        sh->inside++;
        pthread_cond_signal(&sh->work);
    }
    pthread_mutex_unlock(&sh->lock);
    return ok;
}

/* The last quarter of the queue is kept for other clients. A face knows its own
 * jobs only, so that each lets a client have its part of that. */
static bool check_share(const struct engine *e, uint64_t client,
                        struct err *err) {
    int most = e->options.queue_max - e->options.queue_max / 4, count = 0;

    pthread_mutex_lock(&e->shared->lock);
    most = (most + e->shared->faces - 1) / e->shared->faces;
    pthread_mutex_unlock(&e->shared->lock);
    for (int i = 0; i < e->slot_count; i++)
        count += e->slots[i].task && e->slots[i].client == client;
    return count < most ||
           err_set(err, ERR_BUSY, "past %d jobs of one client", most);
}

uint64_t engine_submit(struct engine *e, const struct job *job,
                       struct err *err) {
    struct slot *slot;
    struct task *t;
    int index;

    if (!check_job(e, job, err) || !check_share(e, job->client, err)) return 0;
    if (e->free_count == 0) {
        err_set(err, ERR_BUSY, "past %d jobs", e->options.queue_max);
        return 0;
    }
    index = e->free_slots[e->free_count - 1];
    slot = &e->slots[index];
    t = task_new(0, job, output_max(e, job));
    *slot = (struct slot){.task = task_ref(t),
                          .on_event = job->on_event,
                          .user = job->user,
                          .client = job->client};
    if (!inbox_put(e, t, index)) {
        slot->task = NULL;
        task_free(t);
        task_free(t);
        err_set(err, ERR_BUSY, "past %d jobs", e->options.queue_max);
        return 0;
    }
    /* Ours to read: the reference that the slot has keeps it. */
    slot->id = slot->task->id;
    e->free_count--;
    return slot->id;
}

/* NULL when the job is over or was never there. */
static struct slot *slot_of(struct engine *e, uint64_t id) {
    struct slot *slot = &e->slots[id % (uint64_t)e->slot_count];

    return slot->task && slot->id == id ? slot : NULL;
}

static void slot_free(struct engine *e, struct slot *slot) {
    task_free(slot->task);
    slot->task = NULL;
    e->free_slots[e->free_count++] = (int)(slot - e->slots);
}

void engine_cancel(struct engine *e, uint64_t id) {
    struct slot *slot = slot_of(e, id);

    if (!slot) return;
    atomic_store(&slot->task->cancelled, true);
    slot_free(e, slot);
}

void engine_throttle(struct engine *e, uint64_t id, bool on) {
    struct slot *slot = slot_of(e, id);

    if (!slot) return;
    atomic_store(&slot->task->paused, on);
    if (on) return;
    pthread_mutex_lock(&e->shared->lock);
    pthread_cond_broadcast(&e->shared->work);
    pthread_mutex_unlock(&e->shared->lock);
}

/* ---- events ---- */

static struct scheduler_event *outbox_take(struct engine *e) {
    struct shared *sh = e->shared;
    struct outbox *out = &e->outbox;
    struct scheduler_event *event;

    pthread_mutex_lock(&sh->lock);
    event = out->first;
    if (event) {
        out->first = event->next;
        if (!out->first) out->end = &out->first;
        if (out->count-- == OUTBOX_MAX) pthread_cond_signal(&sh->work);
    }
    pthread_mutex_unlock(&sh->lock);
    return event;
}

int engine_poll(struct engine *e) {
    struct scheduler_event *event;
    int count = 0;

    while ((event = outbox_take(e))) {
        struct slot *slot = slot_of(e, event->id);

        if (slot) {
            struct slot copy = *slot;

            /* Before the callback, which may want the slot for a new job. */
            if (event->event.kind == JOB_DONE) slot_free(e, slot);
            if (copy.on_event) copy.on_event(copy.user, &event->event);
            count++;
        }
        free(event);
    }
    return count;
}

bool engine_wait(struct engine *e, int timeout_ms) {
    struct shared *sh = e->shared;
    struct timespec until = in_ms(timeout_ms);
    bool waits;

    pthread_mutex_lock(&sh->lock);
    while (e->outbox.count == 0)
        if (pthread_cond_timedwait(&sh->news, &sh->lock, &until) != 0) break;
    waits = e->outbox.count > 0;
    pthread_mutex_unlock(&sh->lock);
    return waits;
}

/* ---- looking ---- */

const struct tokenizer *engine_tokenizer(const struct engine *e) {
    return e->tokenizer;
}

const struct gguf *engine_gguf(const struct engine *e) {
    return e->gguf;
}

const struct model_shape *engine_shape(const struct engine *e) {
    return model_shape(e->model);
}

const char *engine_kernels(const struct engine *e) {
    return model_kernels(e->model);
}

size_t engine_weight_bytes(const struct engine *e) {
    return model_weight_bytes(e->model);
}

size_t engine_unpacked(const struct engine *e) {
    return model_unpacked(e->model);
}

int engine_context(const struct engine *e) {
    return e->context;
}

void engine_stats(const struct engine *e, struct engine_stats *out) {
    struct shared *sh = e->shared;

    pthread_mutex_lock(&sh->lock);
    *out = sh->stats;
    out->jobs_waiting += sh->inbox_count;
    pthread_mutex_unlock(&sh->lock);
}
