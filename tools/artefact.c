#include "tools/artefact.h"

#include <stdlib.h>
#include <string.h>

struct artefact {
    char id[HASH_ID_SIZE];
    char owner[ARTEFACT_OWNER_MAX + 1];
    const char *type; /* static */
    struct bytes content;
};

/* A ring: `first` is the oldest. */
struct artefacts {
    struct artefact list[ARTEFACTS_MAX];
    int first;
    int count;
    size_t bytes;
};

struct artefacts *artefacts_new(void) {
    return xalloc(sizeof(struct artefacts));
}

static void drop_oldest(struct artefacts *a) {
    struct artefact *old = &a->list[a->first];

    a->bytes -= old->content.size;
    bytes_free(&old->content);
    a->first = (a->first + 1) % ARTEFACTS_MAX;
    a->count--;
}

void artefacts_free(struct artefacts *a) {
    if (!a) return;
    while (a->count) drop_oldest(a);
    free(a);
}

bool artefacts_put(struct artefacts *a, const char *type, struct span content,
                   struct span owner, char id[HASH_ID_SIZE], struct err *err) {
    struct artefact *slot;

    if (owner.size > ARTEFACT_OWNER_MAX)
        return err_set(err, ERR_LIMIT, "the owner's name is too long");
    if (content.size > ARTEFACT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "larger than %d bytes",
                       ARTEFACT_BYTES_MAX);
    while (a->count == ARTEFACTS_MAX ||
           a->bytes + content.size > ARTEFACTS_BYTES_MAX)
        drop_oldest(a);
    slot = &a->list[(a->first + a->count++) % ARTEFACTS_MAX];
    *slot = (struct artefact){.type = type};
    hash_random_id(slot->id);
    if (owner.size) memcpy(slot->owner, owner.at, owner.size);
    bytes_put(&slot->content, content);
    a->bytes += content.size;
    memcpy(id, slot->id, sizeof slot->id);
    return true;
}

bool artefacts_get(const struct artefacts *a, struct span id, struct span owner,
                   const char **type, struct span *content) {
    for (int i = 0; i < a->count; i++) {
        const struct artefact *one = &a->list[(a->first + i) % ARTEFACTS_MAX];

        if (!hash_equal_secret(id, span_of(one->id))) continue;
        if (!span_is(owner, one->owner)) return false;
        *type = one->type;
        *content = span_bytes(&one->content);
        return true;
    }
    return false;
}
