#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Small requests are the most, and a block is held as long as its request. */
enum { ARENA_BLOCK_FIRST = 2 << 10, ARENA_BLOCK = 16 << 10 };

struct block {
    struct block *next;
    size_t used;
    size_t size;
    alignas(max_align_t) char at[];
};

struct arena {
    struct block *blocks; /* newest first */
    size_t used;
    size_t limit;
};

struct arena *arena_new(size_t limit) {
    struct arena *arena = xalloc(sizeof *arena);

    /* So that rounding up and a block's head never overflow. */
    arena->limit = limit < PTRDIFF_MAX / 2 ? limit : PTRDIFF_MAX / 2;
    return arena;
}

void arena_free(struct arena *arena) {
    struct block *block = arena ? arena->blocks : NULL;

    while (block) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
    free(arena);
}

void *arena_alloc(struct arena *arena, size_t count, size_t size,
                  struct err *err) {
    struct block *block = arena->blocks;
    size_t need;
    void *at;

    if (size && count > (arena->limit - arena->used) / size) goto full;
    need =
        (count * size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (need > arena->limit - arena->used) goto full;
    if (!block || need > block->size - block->used) {
        size_t room = block ? 2 * block->size : ARENA_BLOCK_FIRST;

        if (room > ARENA_BLOCK) room = ARENA_BLOCK;
        if (room < need) room = need;

        block = xrealloc_array(NULL, 1, sizeof *block + room);
        block->used = 0;
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    at = block->at + block->used;
    block->used += need;
    arena->used += need;
    memset(at, 0, need); /* most blocks are not used up */
    return at;

full:
    (void)err_set(err, ERR_LIMIT, "request needs more than %zu bytes",
                  arena->limit);
    return NULL;
}

bool arena_copy(struct arena *arena, struct span s, struct span *out,
                struct err *err) {
    char *copy = arena_alloc(arena, s.size + 1, 1, err);

    if (!copy) return false;
    if (s.size) memcpy(copy, s.at, s.size);
    *out = (struct span){copy, s.size};
    return true;
}

size_t arena_used(const struct arena *arena) {
    return arena->used;
}
