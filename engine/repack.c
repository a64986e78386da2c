#include "engine/repack.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

/* Beside a busy pool the copies get a third of what a thread of it gets. */
enum { NICE = 5 };

struct entry {
    struct packed *at;
    const struct gguf_tensor *tensor;
    struct packed copy; /* the thread's until `done` is past it */
};

struct repack {
    struct entry *entries;
    size_t count, most;
    atomic_size_t done; /* copies, in order */
    size_t taken;       /* the owner's */
    atomic_bool stop;
    bool started;
    pthread_t thread;
};

struct repack *repack_new(size_t most) {
    struct repack *r = xalloc(sizeof *r);

    r->entries = xalloc_array(most, sizeof *r->entries);
    r->most = most;
    return r;
}

bool repack_add(struct repack *r, struct packed *p, const struct gguf_tensor *t,
                struct err *err) {
    struct entry *e = &r->entries[r->count];

    assert(!r->started && r->count < r->most && p->rows);
    if (!pack_reserve(&e->copy, p, err)) return false;
    e->at = p;
    e->tensor = t;
    r->count++;
    return true;
}

static void *copy_all(void *user) {
    struct repack *r = user;

    /* Of this thread only, on Linux, and beside the others'; a failure costs no
     * more than speed. */
    (void)!nice(NICE);
    for (size_t i = 0; i < r->count; i++) {
        struct entry *e = &r->entries[i];

        if (!pack_copy(&e->copy, e->tensor, &r->stop)) break;
        /* An idle model would hold it twice until its next pass. */
        gguf_tensor_forget(e->tensor);
        atomic_store(&r->done, i + 1);
    }
    return NULL;
}

bool repack_start(struct repack *r, struct err *err) {
    int failed = pthread_create(&r->thread, NULL, copy_all, r);

    if (failed)
        return err_set(err, ERR_IO, "cannot start the packing thread: %s",
                       strerror(failed));
    r->started = true;
    return true;
}

void repack_take(struct repack *r) {
    for (size_t done = atomic_load(&r->done); r->taken < done; r->taken++) {
        struct entry *e = &r->entries[r->taken];

        *e->at = e->copy;
        e->copy = (struct packed){0};
        gguf_tensor_forget(e->tensor);
    }
}

size_t repack_left(const struct repack *r) {
    return r->count - atomic_load(&r->done);
}

void repack_free(struct repack *r) {
    if (!r) return;
    atomic_store(&r->stop, true);
    if (r->started) pthread_join(r->thread, NULL);
    for (size_t i = 0; i < r->count; i++) pack_clear(&r->entries[i].copy);
    free(r->entries);
    free(r);
}
