#include "guard/rules_scratch.h"

#include <pthread.h>
#include <stdlib.h>

#include <hs/hs.h>

/* More than this many threads at once give theirs back to the heap. */
enum { PLACES_MAX = 64 };

struct scratch_shelf {
    pthread_mutex_t lock;
    hs_scratch_t *model; /* only copied from, since that reads it */
    hs_scratch_t *places[PLACES_MAX];
    int count;
};

struct scratch_shelf *scratch_shelf_new(void) {
    struct scratch_shelf *s = xalloc(sizeof *s);

    (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

void scratch_shelf_free(struct scratch_shelf *s) {
    if (!s) return;
    while (s->count) (void)hs_free_scratch(s->places[--s->count]);
    (void)hs_free_scratch(s->model);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bool scratch_shelf_fit(struct scratch_shelf *s, const struct hs_database *db) {
    return hs_alloc_scratch(db, &s->model) == HS_SUCCESS;
}

struct hs_scratch *scratch_take(struct scratch_shelf *s) {
    hs_scratch_t *place = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->count) place = s->places[--s->count];
    pthread_mutex_unlock(&s->lock);
    if (!place && hs_clone_scratch(s->model, &place) != HS_SUCCESS) return NULL;
    return place;
}

void scratch_put(struct scratch_shelf *s, struct hs_scratch *scratch) {
    pthread_mutex_lock(&s->lock);
    if (s->count < PLACES_MAX) {
        s->places[s->count++] = scratch;
        scratch = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (scratch) (void)hs_free_scratch(scratch);
}
