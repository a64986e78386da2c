#include "guard/seen.h"

#include <stdlib.h>
#include <string.h>

/* 1 MB in all: the turns of a few hundred long conversations. */
enum { SETS = 16384, WAYS = 4, KEY_SIZE = 32 };

/* In each set the one that was used last stands first. */
struct seen {
    char key[KEY_SIZE];
    struct seen_mark marks[SETS][WAYS];
};

struct seen *seen_new(void) {
    struct seen *s = xalloc(sizeof *s);

    for (size_t i = 0; i < KEY_SIZE; i += sizeof(uint64_t)) {
        uint64_t random = hash_random_u64();

        memcpy(s->key + i, &random, sizeof random);
    }
    return s;
}

void seen_free(struct seen *s) {
    free(s);
}

/* The tag's size does not depend on what it says, so that no text can stand in
 * for another one's tag. */
struct seen_mark seen_mark(const struct seen *s, const char *revision,
                           enum channel channel, struct span text) {
    char tag[VERDICT_REVISION_SIZE + 1] = {0};
    struct seen_mark mark;

    memcpy(tag, revision, strnlen(revision, VERDICT_REVISION_SIZE));
    tag[VERDICT_REVISION_SIZE] = (char)channel;
    hash_keyed_short((struct span){s->key, KEY_SIZE},
                     (struct span){tag, sizeof tag}, text, mark.at);
    return mark;
}

static struct seen_mark *set_of(struct seen *s, const struct seen_mark *mark) {
    uint32_t number;

    memcpy(&number, mark->at, sizeof number);
    return s->marks[number % SETS];
}

static void put_first(struct seen_mark *set, int way,
                      const struct seen_mark *mark) {
    struct seen_mark first = *mark; /* it may stand in the set itself */

    memmove(set + 1, set, (size_t)way * sizeof *set);
    set[0] = first;
}

bool seen_has(struct seen *s, const struct seen_mark *mark) {
    struct seen_mark *set = set_of(s, mark);

    for (int way = 0; way < WAYS; way++) {
        if (memcmp(&set[way], mark, sizeof *mark) != 0) continue;
        put_first(set, way, mark);
        return true;
    }
    return false;
}

void seen_add(struct seen *s, const struct seen_mark *mark) {
    put_first(set_of(s, mark), WAYS - 1, mark);
}
