#include "proxy/responses_store.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry *next; /* the younger one */
    char *id;
    char *owner;
    struct bytes text; /* the response, the input, the context */
    size_t input_at, context_at;
};

struct responses_store {
    struct entry *oldest, *youngest;
    int count;
    size_t size;
};

struct responses_store *responses_store_new(void) {
    return xalloc(sizeof(struct responses_store));
}

static void entry_free(struct entry *e) {
    bytes_free(&e->text);
    free(e->id);
    free(e->owner);
    free(e);
}

/* Take out what `link` points to; `before` is the older neighbour, if any. */
static void take_out(struct responses_store *s, struct entry **link,
                     struct entry *before) {
    struct entry *e = *link;

    *link = e->next;
    if (s->youngest == e) s->youngest = before;
    s->count--;
    s->size -= e->text.size;
    entry_free(e);
}

void responses_store_free(struct responses_store *s) {
    if (!s) return;
    while (s->oldest) take_out(s, &s->oldest, NULL);
    free(s);
}

void responses_store_put(struct responses_store *s, const char *id,
                         const char *owner, const struct response_stored *r) {
    struct entry *e;

    if (r->response.size > RESPONSES_BYTES_MAX ||
        r->input.size > RESPONSES_BYTES_MAX - r->response.size ||
        r->context.size >
            RESPONSES_BYTES_MAX - r->response.size - r->input.size)
        return;
    e = xalloc(sizeof *e);
    e->id = xstrdup(id);
    e->owner = xstrdup(owner);
    e->text.limit = RESPONSES_BYTES_MAX;
    bytes_put(&e->text, r->response);
    e->input_at = e->text.size;
    bytes_put(&e->text, r->input);
    e->context_at = e->text.size;
    bytes_put(&e->text, r->context);
    while (s->oldest && (s->count >= RESPONSES_STORED_MAX ||
                         s->size > RESPONSES_BYTES_MAX - e->text.size))
        take_out(s, &s->oldest, NULL);
    if (s->youngest)
        s->youngest->next = e;
    else
        s->oldest = e;
    s->youngest = e;
    s->count++;
    s->size += e->text.size;
}

static bool is(const struct entry *e, struct span id, const char *owner) {
    return span_is(id, e->id) && !strcmp(e->owner, owner);
}

bool responses_store_find(const struct responses_store *s, struct span id,
                          const char *owner, struct response_stored *out) {
    for (const struct entry *e = s->oldest; e; e = e->next) {
        struct span all = span_bytes(&e->text);

        if (!is(e, id, owner)) continue;
        out->response = span_slice(all, 0, e->input_at);
        out->input = span_slice(all, e->input_at, e->context_at);
        out->context = span_slice(all, e->context_at, all.size);
        return true;
    }
    return false;
}

bool responses_store_remove(struct responses_store *s, struct span id,
                            const char *owner) {
    struct entry **link = &s->oldest, *before = NULL;

    for (; *link; before = *link, link = &(*link)->next) {
        if (!is(*link, id, owner)) continue;
        take_out(s, link, before);
        return true;
    }
    return false;
}
