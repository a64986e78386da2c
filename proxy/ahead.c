#include "proxy/ahead.h"

#include <stdlib.h>
#include <string.h>

enum record_kind {
    RECORD_PROMPT,
    RECORD_ORIGIN,
    RECORD_TEXT,
    RECORD_CALL,
    RECORD_END
};
enum ahead_state { KEEPING, REPLAYING, PASSING, OVER };

/* One event. A call's three texts lie one behind the other. */
struct record {
    struct record *next;
    enum record_kind kind;
    struct bytes text;
    size_t id_size, name_size; /* of a call; the first of an origin, too */
    int64_t created;           /* of an origin */
    int *tokens;               /* NULL: none */
    int token_count;
    struct llm_end end;
};

struct ahead {
    struct llm llm; /* first, so that it can be cast back */
    struct llm *inner;
    const struct chat_request *request;
    uint64_t client;
    struct llm_call *call;    /* the inner one; NULL: over, or given up */
    struct llm_events events; /* of whoever has it */
    enum ahead_state state;
    bool taken; /* our llm's first call has begun */
    bool given_up;
    bool held; /* whoever has it wants no more for now */
    struct record *first, **last;
    size_t kept_bytes;
    uv_timer_t timer; /* to replay from the loop */
};

/* ---- keeping ---- */

static void record_free(struct record *r) {
    bytes_free(&r->text);
    free(r->tokens);
    free(r);
}

static void drop_records(struct ahead *a) {
    while (a->first) {
        struct record *r = a->first;

        a->first = r->next;
        record_free(r);
    }
    a->last = &a->first;
}

static void stop(struct ahead *a) {
    struct llm_call *call = a->call;

    a->call = NULL;
    if (call) a->inner->cancel(a->inner, call);
}

static struct record *keep(struct ahead *a, enum record_kind kind,
                           const int *tokens, int token_count) {
    struct record *r = xalloc(sizeof *r);

    r->kind = kind;
    if (tokens && token_count) {
        r->tokens = xalloc_array((size_t)token_count, sizeof *tokens);
        memcpy(r->tokens, tokens, (size_t)token_count * sizeof *tokens);
        r->token_count = token_count;
    }
    *a->last = r;
    a->last = &r->next;
    return r;
}

/* Too much to keep: the writer waits, or what it wrote is thrown away. */
static void count(struct ahead *a, size_t size) {
    bool before = a->kept_bytes > AHEAD_BYTES_MAX;

    a->kept_bytes += size;
    if (a->kept_bytes <= AHEAD_BYTES_MAX || a->state != KEEPING) return;
    if (!before && a->call && a->inner->throttle) {
        a->inner->throttle(a->inner, a->call, true);
    } else if (a->kept_bytes > 8 * (size_t)AHEAD_BYTES_MAX ||
               !a->inner->throttle) {
        stop(a);
        drop_records(a);
        a->given_up = true;
    }
}

/* ---- the inner call's events ---- */

static void on_prompt(void *user, const int *tokens, int token_count) {
    struct ahead *a = user;

    if (a->state == PASSING) {
        if (a->events.on_prompt)
            a->events.on_prompt(a->events.user, tokens, token_count);
        return;
    }
    (void)keep(a, RECORD_PROMPT, tokens, token_count);
    count(a, (size_t)token_count * sizeof *tokens);
}

static void on_origin(void *user, const struct llm_origin *origin) {
    struct ahead *a = user;
    struct record *r;

    if (a->state == PASSING) {
        if (a->events.on_origin) a->events.on_origin(a->events.user, origin);
        return;
    }
    r = keep(a, RECORD_ORIGIN, NULL, 0);
    r->id_size = origin->id.size;
    r->created = origin->created;
    bytes_put(&r->text, origin->id);
    bytes_put(&r->text, origin->fingerprint);
    count(a, r->text.size);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct ahead *a = user;

    if (a->state == PASSING) {
        if (a->events.on_text)
            a->events.on_text(a->events.user, text, tokens, token_count);
        return;
    }
    bytes_put(&keep(a, RECORD_TEXT, tokens, token_count)->text, text);
    count(a, text.size + (size_t)token_count * sizeof(int));
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct ahead *a = user;
    struct record *r;

    if (a->state == PASSING) {
        if (a->events.on_tool_call)
            a->events.on_tool_call(a->events.user, call);
        return;
    }
    r = keep(a, RECORD_CALL, NULL, 0);
    r->id_size = call->id.size;
    r->name_size = call->name.size;
    bytes_put(&r->text, call->id);
    bytes_put(&r->text, call->name);
    bytes_put(&r->text, call->arguments);
    count(a, r->text.size);
}

static void on_end(void *user, const struct llm_end *end) {
    struct ahead *a = user;

    a->call = NULL;
    if (a->state == PASSING) {
        a->state = OVER;
        a->events.on_end(a->events.user, end);
        return;
    }
    keep(a, RECORD_END, NULL, 0)->end = *end;
}

static bool begin(struct ahead *a, struct err *err) {
    const struct llm_events events = {.on_prompt = on_prompt,
                                      .on_origin = on_origin,
                                      .on_text = on_text,
                                      .on_tool_call = on_tool_call,
                                      .on_end = on_end,
                                      .user = a};

    a->call = a->inner->start(a->inner, a->request, a->client, &events, err);
    return a->call != NULL;
}

/* ---- handing over ---- */

/* The receiver may cancel us in any event: then the state is OVER. */
static void tell(struct ahead *a, const struct record *r) {
    const struct llm_events *e = &a->events;
    struct span text = span_bytes(&r->text);
    size_t name_end = r->id_size + r->name_size;
    struct chat_tool_call call = {span_slice(text, 0, r->id_size),
                                  span_slice(text, r->id_size, name_end),
                                  span_slice(text, name_end, text.size)};
    struct llm_origin origin = {span_slice(text, 0, r->id_size),
                                span_slice(text, r->id_size, text.size),
                                r->created};

    switch (r->kind) {
    case RECORD_PROMPT:
        if (e->on_prompt) e->on_prompt(e->user, r->tokens, r->token_count);
        break;
    case RECORD_ORIGIN:
        if (e->on_origin) e->on_origin(e->user, &origin);
        break;
    case RECORD_TEXT:
        if (e->on_text) e->on_text(e->user, text, r->tokens, r->token_count);
        break;
    case RECORD_CALL:
        if (e->on_tool_call) e->on_tool_call(e->user, &call);
        break;
    case RECORD_END:
        a->state = OVER;
        e->on_end(e->user, &r->end);
        break;
    }
}

static void on_timer(uv_timer_t *timer) {
    struct ahead *a = timer->data;

    while (a->state == REPLAYING && a->first) {
        struct record *r = a->first;

        a->first = r->next;
        if (!a->first) a->last = &a->first;
        tell(a, r); /* frees nothing of ours before the loop runs again */
        record_free(r);
    }
    if (a->state != REPLAYING) return;
    a->state = PASSING;
    if (a->kept_bytes > AHEAD_BYTES_MAX && !a->held && a->call &&
        a->inner->throttle)
        a->inner->throttle(a->inner, a->call, false);
}

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct ahead *a = (struct ahead *)llm;

    if (a->taken || a->given_up)
        return a->inner->start(a->inner, r, client, events, err);
    a->taken = true;
    a->events = *events;
    a->state = REPLAYING;
    (void)uv_timer_start(&a->timer, on_timer, 0, 0);
    return (struct llm_call *)(void *)a;
}

static bool is_ours(const struct ahead *a, const struct llm_call *call) {
    return (const void *)call == (const void *)a;
}

static void cancel(struct llm *llm, struct llm_call *call) {
    struct ahead *a = (struct ahead *)llm;

    if (!is_ours(a, call)) {
        a->inner->cancel(a->inner, call);
        return;
    }
    a->state = OVER;
    stop(a);
}

static bool count_tokens(struct llm *llm, const struct chat_request *r,
                         int *out, struct err *err) {
    struct ahead *a = (struct ahead *)llm;

    return a->inner->count(a->inner, r, out, err);
}

static void throttle(struct llm *llm, struct llm_call *call, bool on) {
    struct ahead *a = (struct ahead *)llm;

    if (is_ours(a, call)) {
        a->held = on;
        call = a->call;
    }
    if (call && a->inner->throttle) a->inner->throttle(a->inner, call, on);
}

/* ---- its life ---- */

struct ahead *ahead_start(uv_loop_t *loop, struct llm *llm,
                          const struct chat_request *r, uint64_t client) {
    struct ahead *a = xalloc(sizeof *a);
    struct err err = {0};

    a->llm = (struct llm){.name = llm->name,
                          .start = start,
                          .cancel = cancel,
                          .count = llm->count ? count_tokens : NULL,
                          .throttle = throttle};
    a->inner = llm;
    a->request = r;
    a->client = client;
    a->last = &a->first;
    (void)uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    /* Whoever needs the answer will hear why it cannot begin. */
    a->given_up = !begin(a, &err);
    return a;
}

struct llm *ahead_llm(struct ahead *a) {
    return &a->llm;
}

static void on_closed(uv_handle_t *handle) {
    struct ahead *a = handle->data;

    drop_records(a);
    free(a);
}

void ahead_free(struct ahead *a) {
    if (!a) return;
    a->state = OVER;
    stop(a);
    uv_close((uv_handle_t *)&a->timer, on_closed);
}
