#include "proxy/logprob_queue.h"

#include <stdlib.h>
#include <string.h>

/* One piece of memory: the entry, its rivals, and behind them their texts. */
struct logprob_entry {
    struct logprob_entry *next;
    size_t bytes;
    struct llm_logprob own;
    struct llm_logprob top[];
};

static size_t text_size(const struct llm_logprob *p) {
    return p->text.size + p->name.size;
}

/* Copy a span to *room and move that on. */
static struct span put(char **room, struct span s) {
    struct span copy = {*room, s.size};

    if (s.size) memcpy(*room, s.at, s.size);
    *room += s.size;
    return copy;
}

static struct llm_logprob put_logprob(char **room,
                                      const struct llm_logprob *p) {
    return (struct llm_logprob){.text = put(room, p->text),
                                .name = put(room, p->name),
                                .logprob = p->logprob};
}

static struct logprob_entry *entry_new(const struct llm_logprob *p) {
    size_t size = sizeof(struct logprob_entry) +
                  (size_t)p->top_count * sizeof *p + text_size(p);
    struct logprob_entry *e;
    char *room;

    for (int i = 0; i < p->top_count; i++) size += text_size(&p->top[i]);
    e = xalloc(size);
    e->bytes = size;
    room = (char *)(e->top + p->top_count);
    e->own = put_logprob(&room, p);
    for (int i = 0; i < p->top_count; i++)
        e->top[i] = put_logprob(&room, &p->top[i]);
    e->own.top = e->top;
    e->own.top_count = p->top_count;
    return e;
}

static void drop_first(struct logprob_queue *q) {
    struct logprob_entry *e = q->first;

    q->held_bytes -= e->bytes;
    q->first = e->next;
    if (!q->first) q->last = NULL;
    free(e);
}

void logprob_queue_restart(struct logprob_queue *q) {
    while (q->first) drop_first(q);
    q->loose.size = 0;
}

static void break_off(struct logprob_queue *q) {
    logprob_queue_restart(q);
    q->broken = true;
}

void logprob_queue_clear(struct logprob_queue *q) {
    logprob_queue_restart(q);
    bytes_free(&q->loose);
    bytes_free(&q->before);
}

static void keep_before(struct logprob_queue *q, struct span text) {
    bytes_put(&q->before, text);
    if (q->before.size > LOGPROB_BEFORE_MAX)
        bytes_drop(&q->before, q->before.size - LOGPROB_BEFORE_MAX);
}

/* Let everything go whose text has been released. */
static void match(struct logprob_queue *q) {
    while (q->first) {
        struct span text = q->first->own.text;
        struct span loose = span_bytes(&q->loose);
        size_t have = text.size < loose.size ? text.size : loose.size;

        if (!span_equal(span_slice(text, 0, have), span_slice(loose, 0, have)))
            break_off(q);
        if (!q->first || have < text.size) return;
        q->on_entry(q->user, &q->first->own, span_bytes(&q->before));
        keep_before(q, text);
        bytes_drop(&q->loose, have);
        drop_first(q);
    }
}

void logprob_queue_push(struct logprob_queue *q, const struct llm_logprob *list,
                        int count) {
    for (int i = 0; i < count && !q->broken; i++) {
        struct logprob_entry *e = entry_new(&list[i]);

        if (q->last)
            *q->last = e;
        else
            q->first = e;
        q->last = &e->next;
        q->held_bytes += e->bytes;
        if (q->held_bytes > LOGPROB_QUEUE_BYTES_MAX) break_off(q);
    }
    match(q);
}

void logprob_queue_release(struct logprob_queue *q, struct span text) {
    if (q->broken) return;
    if (text.size > LOGPROB_QUEUE_BYTES_MAX - q->loose.size) {
        break_off(q);
        return;
    }
    bytes_put(&q->loose, text);
    match(q);
}
