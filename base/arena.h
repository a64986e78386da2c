/* arena.h - memory that goes in one call. A request's arena belongs to the
 * request and is freed when its exchange ends. One thread at a time. */
#ifndef CORRAL_BASE_ARENA_H
#define CORRAL_BASE_ARENA_H

#include "base/bytes.h"

struct arena;

/* `limit` bytes in all: past it arena_alloc() fails with ERR_LIMIT. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *arena);

/* Zeroed and aligned for any type; NULL and ERR_LIMIT past the limit. */
MUST_USE void *arena_alloc(struct arena *arena, size_t count, size_t size,
                           struct err *err);
/* A copy that is also NUL-terminated (the NUL is not counted). On failure
 * `out` is untouched. */
MUST_USE bool arena_copy(struct arena *arena, struct span s, struct span *out,
                         struct err *err);
size_t arena_used(const struct arena *arena);

#endif
