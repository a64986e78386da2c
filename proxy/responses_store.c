#include "proxy/responses_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/responses_file.h"

enum { DAY_S = 86400 };

struct entry {
    struct entry *next; /* the younger one */
    char *id;
    char *owner;
    int64_t created;   /* seconds since 1970 */
    struct bytes text; /* the response, the input, the context */
    size_t input_at, context_at;
};

struct responses_store {
    struct entry *oldest, *youngest;
    int count;
    size_t size;
    int days;
    struct responses_file *file; /* NULL: in memory alone */
};

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
    if (s->file) responses_file_remove(s->file, e->id);
    entry_free(e);
}

void responses_store_free(struct responses_store *s) {
    if (!s) return;
    responses_file_close(s->file);
    s->file = NULL; /* what goes now stays on the disk */
    while (s->oldest) take_out(s, &s->oldest, NULL);
    free(s);
}

static bool too_old(const struct responses_store *s, const struct entry *e) {
    return s->days && e->created < clock_wall_s() - (int64_t)s->days * DAY_S;
}

void responses_store_tick(struct responses_store *s) {
    while (s->oldest && too_old(s, s->oldest)) take_out(s, &s->oldest, NULL);
}

static bool fits(const struct response_stored *r) {
    return r->response.size <= RESPONSES_BYTES_MAX &&
           r->input.size <= RESPONSES_BYTES_MAX - r->response.size &&
           r->context.size <=
               RESPONSES_BYTES_MAX - r->response.size - r->input.size;
}

static void add(void *user, const struct responses_row *row) {
    struct responses_store *s = user;
    struct entry *e;

    if (!fits(&row->texts)) return;
    e = xalloc(sizeof *e);
    e->id = span_dup(row->id);
    e->owner = span_dup(row->owner);
    e->created = row->created;
    e->text.limit = RESPONSES_BYTES_MAX;
    bytes_put(&e->text, row->texts.response);
    e->input_at = e->text.size;
    bytes_put(&e->text, row->texts.input);
    e->context_at = e->text.size;
    bytes_put(&e->text, row->texts.context);
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

struct responses_store *responses_store_new(int days) {
    struct responses_store *s = xalloc(sizeof *s);

    s->days = days;
    return s;
}

struct responses_store *responses_store_open(uv_loop_t *loop,
                                             const char *folder, int days,
                                             struct err *err) {
    struct responses_store *s = responses_store_new(days);

    s->file = responses_file_open(loop, folder, days, RESPONSES_STORED_MAX, add,
                                  s, err);
    if (s->file) return s;
    responses_store_free(s);
    return NULL;
}

void responses_store_put(struct responses_store *s, const char *id,
                         const char *owner, const struct response_stored *r) {
    const struct responses_row row = {.id = span_of(id),
                                      .owner = span_of(owner),
                                      .created = clock_wall_s(),
                                      .texts = *r};

    if (!fits(r)) return;
    add(s, &row);
    if (s->file) responses_file_put(s->file, &row);
}

static bool is(const struct entry *e, struct span id, const char *owner) {
    return span_is(id, e->id) && !strcmp(e->owner, owner);
}

bool responses_store_find(const struct responses_store *s, struct span id,
                          const char *owner, struct response_stored *out) {
    for (const struct entry *e = s->oldest; e; e = e->next) {
        struct span all = span_bytes(&e->text);

        if (!is(e, id, owner) || too_old(s, e)) continue;
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
