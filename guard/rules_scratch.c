#include "guard/rules_scratch.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <hs/hs.h>

/* More threads than these share, and what does not fit goes back to the heap.
 */
enum { OWNERS_MAX = 32, EACH = 2 /* one scan may be within another */ };

/* A line of the processor's cache: threads do not take it from each other with
 * every scan, nor what they worked in last. */
struct owner {
    _Alignas(
        64) _Atomic(hs_scratch_t *) places[EACH]; /* NULL: taken, or none */
};

struct scratch_shelf {
    hs_scratch_t *model; /* only copied from, since that reads it */
    struct owner owners[OWNERS_MAX];
};

static struct owner *own(struct scratch_shelf *s) {
    static atomic_uint threads;
    static _Thread_local unsigned number; /* 0: none yet */

    if (!number) number = atomic_fetch_add(&threads, 1) % OWNERS_MAX + 1;
    return &s->owners[number - 1];
}

struct scratch_shelf *scratch_shelf_new(void) {
    struct scratch_shelf *s =
        aligned_alloc(_Alignof(struct scratch_shelf), sizeof *s);

    if (!s) abort();
    memset(s, 0, sizeof *s);
    return s;
}

void scratch_shelf_free(struct scratch_shelf *s) {
    if (!s) return;
    for (int i = 0; i < OWNERS_MAX; i++)
        for (int j = 0; j < EACH; j++)
            (void)hs_free_scratch(atomic_load(&s->owners[i].places[j]));
    (void)hs_free_scratch(s->model);
    free(s);
}

bool scratch_shelf_fit(struct scratch_shelf *s, const struct hs_database *db) {
    return hs_alloc_scratch(db, &s->model) == HS_SUCCESS;
}

struct hs_scratch *scratch_take(struct scratch_shelf *s) {
    struct owner *o = own(s);
    hs_scratch_t *found = NULL;

    for (int i = 0; i < EACH && !found; i++)
        found = atomic_exchange(&o->places[i], NULL);
    if (!found && hs_clone_scratch(s->model, &found) != HS_SUCCESS) return NULL;
    return found;
}

void scratch_put(struct scratch_shelf *s, struct hs_scratch *scratch) {
    struct owner *o = own(s);

    for (int i = 0; i < EACH; i++) {
        hs_scratch_t *none = NULL;

        if (atomic_compare_exchange_strong(&o->places[i], &none, scratch))
            return;
    }
    (void)hs_free_scratch(scratch);
}
