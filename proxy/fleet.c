/* fleet.c - one call at a time is with one member:
 *
 *   (line) -> member -> (failed before a byte) -> another member ...
 *                                              -> fallback ... -> end
 *
 * It waits in the line while the upstream has `concurrency` calls; what comes
 * when the line is full, or waits too long, is refused as too much. */
#include "proxy/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/breaker.h"
#include "proxy/slots.h"
#include "proxy/upstream.h"
#include "proxy/vectors.h"

enum {
    KEY_BYTES_MAX = 4096,
    PROBE_MS = 5000,
    BUSY_REST_S = 1,
    TOLD_EVERY_MS = 10000
};

struct member {
    struct fleet *fleet;
    struct upstream *upstream;
    struct breaker breaker;
    int weight;
    int running;      /* calls */
    bool busy;        /* it rests because it said 429 */
    bool down;        /* as it was last logged */
    uint64_t told_ms; /* when a failed call was last logged; 0: never */
    int untold;       /* failed calls since then */
    uv_timer_t timer;
    struct http_call *probe;
    int probe_status;
};

struct fleet_model {
    struct llm llm; /* first, so that an llm can be cast back */
    struct fleet *fleet;
    const char *model; /* borrowed from the configuration; may be NULL */
};

struct fleet {
    uv_loop_t *loop;
    const struct config_upstream *config;
    struct member *members;
    int member_count;
    struct fleet_model *models;
    struct llm *fallbacks[UPSTREAM_FALLBACKS_MAX];
    int fallback_count;
    int turn;            /* who is looked at first, so that equals share */
    struct slots *slots; /* NULL: as many calls as come */
    uv_timer_t line;     /* somebody's turn may have come, or time be over */
    int handles;         /* open or closing */
};

struct llm_call {
    struct slot slot; /* first, so that one can be cast back */
    struct fleet_model *model;
    const struct chat_request *request;
    uint64_t client;
    struct llm_events events;
    uint32_t tried; /* one bit a member */
    int tries_left;
    int fallback_next;
    bool said; /* an event came from a fallback */
    struct err err;

    struct member *member; /* whom `upstream` is asked of */
    struct upstream_call *upstream;
    struct llm *other; /* or a fallback */
    struct llm_call *other_call;
};

/* ---- members ---- */

/* One line when a member goes, and one when it comes back. */
static void note_state(struct member *m, const char *why) {
    char quoted[ERR_TEXT_MAX];
    bool down = m->breaker.open_ms != 0;

    if (down == m->down) return;
    m->down = down;
    log_event(
        down ? LOG_WARN : LOG_INFO, down ? "upstream_down" : "upstream_up",
        "upstream=%s member=%d reason=%s", m->fleet->config->name,
        (int)(m - m->fleet->members), log_quote(why, quoted, sizeof quoted));
}

/* What clients are told of a failed call says nothing about the server: a key
 * that it does not take is the operator's business. One line in a while. */
static void note_failure(struct member *m, const char *why) {
    char quoted[ERR_TEXT_MAX];
    uint64_t now = clock_ms();

    if (m->told_ms && now - m->told_ms < TOLD_EVERY_MS) {
        m->untold++;
        return;
    }
    log_event(LOG_WARN, "upstream_failed",
              "upstream=%s member=%d reason=%s untold=%d",
              m->fleet->config->name, (int)(m - m->fleet->members),
              log_quote(why, quoted, sizeof quoted), m->untold);
    m->told_ms = now;
    m->untold = 0;
}

static void note_end(struct member *m, const struct upstream_end *end) {
    int rest_s = end->retry_after_s ? end->retry_after_s : BUSY_REST_S;

    m->busy = end->health == UPSTREAM_BUSY;
    if (end->health == UPSTREAM_WELL)
        breaker_succeed(&m->breaker);
    else if (m->busy)
        breaker_rest(&m->breaker, clock_ms(), (uint64_t)rest_s * 1000);
    else
        breaker_fail(&m->breaker, clock_ms());
    if (!end->llm.ok && !m->busy) note_failure(m, end->llm.err.text);
    note_state(m,
               end->health == UPSTREAM_WELL ? "answered" : end->llm.err.text);
}

/* Has `a` less to do for its weight than `b`, with one call more? */
static bool lighter(const struct member *a, const struct member *b) {
    return (int64_t)(a->running + 1) * b->weight <
           (int64_t)(b->running + 1) * a->weight;
}

static struct member *choose(struct fleet *f, uint32_t tried) {
    struct member *best = NULL;
    uint64_t now = clock_ms();

    f->turn = (f->turn + 1) % f->member_count;
    for (int i = 0; i < f->member_count; i++) {
        int at = (f->turn + i) % f->member_count;
        struct member *m = &f->members[at];

        if ((tried & (1u << at)) || !breaker_allows(&m->breaker, now)) continue;
        if (!best || lighter(m, best)) best = m;
    }
    return best;
}

int fleet_waiting(const struct fleet *f) {
    return f->slots ? slots_waiting(f->slots) : 0;
}

int fleet_members_up(const struct fleet *f) {
    uint64_t now = clock_ms();
    int count = 0;

    for (int i = 0; i < f->member_count; i++)
        count += breaker_allows(&f->members[i].breaker, now);
    return count;
}

/* ---- calls ---- */

static bool try_next(struct llm_call *call, struct err *err);

static void on_line(uv_timer_t *timer);

/* From the loop: who goes next may fail at once, and tell its owner. */
static void line_moves(struct fleet *f) {
    if (f->slots && slots_waiting(f->slots))
        (void)uv_timer_start(&f->line, on_line, 0, 0);
}

/* Room for the next one. */
static void leave_line(struct llm_call *call) {
    struct fleet *f = call->model->fleet;

    if (call->slot.state == SLOT_NONE) return;
    slots_leave(f->slots, &call->slot);
    line_moves(f);
}

static void call_over(struct llm_call *call, const struct llm_end *end) {
    struct llm_events events = call->events;

    leave_line(call);
    free(call);
    events.on_end(events.user, end);
}

/* Go on elsewhere, or tell that it is over. */
static void call_failed(struct llm_call *call, const struct llm_end *end,
                        bool retry) {
    struct llm_end last = *end;

    call->err = end->err;
    if (retry && try_next(call, &last.err)) return;
    call_over(call, &last);
}

static void on_member_end(void *user, const struct upstream_end *end) {
    struct llm_call *call = user;

    call->upstream = NULL;
    call->member->running--;
    note_end(call->member, end);
    if (end->llm.ok)
        call_over(call, &end->llm);
    else
        call_failed(call, &end->llm, end->retry);
}

/* NULL `m`: there is none. */
static bool try_member(struct llm_call *call, struct member *m,
                       struct err *err) {
    call->tried |= 1u << (m - m->fleet->members);
    call->tries_left--;
    call->upstream =
        upstream_start(m->upstream, call->request, call->model->model,
                       &call->events, on_member_end, call, err);
    if (!call->upstream) return false;
    call->member = m;
    m->running++;
    breaker_begin(&m->breaker);
    return true;
}

/* What a fallback says goes on as it is; only its failure before the first
 * event is ours. Nothing of the call may be touched after a callback. */
static void on_other_prompt(void *user, const int *tokens, int count) {
    struct llm_call *call = user;

    call->said = true;
    if (call->events.on_prompt)
        call->events.on_prompt(call->events.user, tokens, count);
}

static void on_other_origin(void *user, const struct llm_origin *origin) {
    struct llm_call *call = user;

    if (call->events.on_origin)
        call->events.on_origin(call->events.user, origin);
}

static void on_other_text(void *user, struct span text, const int *tokens,
                          int count) {
    struct llm_call *call = user;

    call->said = true;
    if (call->events.on_text)
        call->events.on_text(call->events.user, text, tokens, count);
}

static void on_other_logprobs(void *user, const struct llm_logprob *list,
                              int count) {
    struct llm_call *call = user;

    call->said = true;
    if (call->events.on_logprobs)
        call->events.on_logprobs(call->events.user, list, count);
}

static void on_other_call(void *user, const struct chat_tool_call *made) {
    struct llm_call *call = user;

    call->said = true;
    if (call->events.on_tool_call)
        call->events.on_tool_call(call->events.user, made);
}

static bool other_may_do(const struct err *err) {
    return err->code == ERR_UNAVAILABLE || err->code == ERR_BUSY ||
           err->code == ERR_IO;
}

static void on_other_end(void *user, const struct llm_end *end) {
    struct llm_call *call = user;

    call->other_call = NULL;
    if (end->ok)
        call_over(call, end);
    else
        call_failed(call, end, !call->said && other_may_do(&end->err));
}

static struct llm_call *begin(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              bool alone, struct err *err);
static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err);

static bool try_fallback(struct llm_call *call, struct llm *to,
                         struct err *err) {
    const struct llm_events events = {.on_prompt = on_other_prompt,
                                      .on_origin = on_other_origin,
                                      .on_text = on_other_text,
                                      .on_logprobs = on_other_logprobs,
                                      .on_tool_call = on_other_call,
                                      .on_end = on_other_end,
                                      .user = call};

    leave_line(call);
    call->other = to;
    call->other_call =
        to->start == start
            ? begin(to, call->request, call->client, &events, true, err)
            : to->start(to, call->request, call->client, &events, err);
    return call->other_call != NULL;
}

/* False with the last failure when nobody is left. */
static bool try_next(struct llm_call *call, struct err *err) {
    struct fleet *f = call->model->fleet;
    struct err last = call->err;
    struct member *m;

    while (call->tries_left && (m = choose(f, call->tried)))
        if (try_member(call, m, &last)) return true;
    while (call->fallback_next < f->fallback_count) {
        struct llm *to = f->fallbacks[call->fallback_next++];

        log_event(LOG_DEBUG, "upstream_fallback", "upstream=%s",
                  f->config->name);
        if (try_fallback(call, to, &last)) return true;
    }
    if (!last.code)
        (void)err_set(&last, ERR_UNAVAILABLE, "%s: no server is well",
                      f->config->name);
    *err = last;
    return false;
}

/* All members that are not well are so because they have too much to do. */
static bool all_busy(const struct fleet *f) {
    for (int i = 0; i < f->member_count; i++)
        if (!f->members[i].busy) return false;
    return true;
}

static void refuse_late(struct llm_call *call) {
    struct fleet *f = call->model->fleet;
    struct llm_end end = {.ok = false};

    call->tries_left = 0; /* but a fallback may have room */
    leave_line(call);
    (void)err_set(&end.err, ERR_BUSY, "%s: no turn within %d ms",
                  f->config->name, f->config->queue.wait_ms);
    call_failed(call, &end, true);
}

static void take_turn(struct llm_call *call) {
    struct llm_end end = {.ok = false};

    if (!try_next(call, &end.err)) call_over(call, &end);
}

/* Those whose time is over, then those whose turn it is. A callback may change
 * the line, so each look at it is a new one. */
static void on_line(uv_timer_t *timer) {
    struct fleet *f = timer->data;
    uint64_t wait_ms = (uint64_t)f->config->queue.wait_ms, now = clock_ms();
    struct slot *slot;

    while ((slot = slots_oldest(f->slots)) && slot->since_ms + wait_ms <= now)
        refuse_late((struct llm_call *)slot);
    while ((slot = slots_next(f->slots))) take_turn((struct llm_call *)slot);
    slot = slots_oldest(f->slots);
    if (slot)
        (void)uv_timer_start(timer, on_line, slot->since_ms + wait_ms - now, 0);
}

/* True when it may go on at once, to members or to a fallback. */
static bool enter_line(struct llm_call *call) {
    struct fleet *f = call->model->fleet;

    if (!f->slots) return true;
    switch (slots_enter(f->slots, &call->slot, call->client, clock_ms())) {
    case SLOT_HELD:
        return true;
    case SLOT_WAITING:
        if (slots_waiting(f->slots) == 1)
            (void)uv_timer_start(&f->line, on_line,
                                 (uint64_t)f->config->queue.wait_ms, 0);
        return false;
    case SLOT_NONE:
        break;
    }
    call->tries_left = 0;
    (void)err_set(&call->err, ERR_BUSY, "%s: %d calls wait already",
                  f->config->name, slots_waiting(f->slots));
    return true;
}

static struct llm_call *begin(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              bool alone, struct err *err) {
    struct llm_call *call = xalloc(sizeof *call);
    struct fleet *f;

    call->model = (struct fleet_model *)llm;
    f = call->model->fleet;
    call->request = r;
    call->client = client;
    call->events = *events;
    call->tries_left = 1 + f->config->retries;
    if (alone) call->fallback_next = f->fallback_count;
    if (all_busy(f))
        (void)err_set(&call->err, ERR_BUSY, "%s: every server is busy",
                      f->config->name);
    if (!enter_line(call) || try_next(call, err)) return call;
    leave_line(call);
    free(call);
    return NULL;
}

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    return begin(llm, r, client, events, false, err);
}

static void cancel(struct llm *llm, struct llm_call *call) {
    (void)llm;
    if (call->upstream) {
        call->member->running--;
        breaker_forget(&call->member->breaker);
        upstream_cancel(call->upstream);
    } else if (call->other_call) {
        call->other->cancel(call->other, call->other_call);
    }
    leave_line(call);
    free(call);
}

/* ---- vectors: one question to one member, or to the next ---- */

struct llm_vectors {
    struct fleet *fleet;
    llm_vectors_done *done;
    void *user;
    struct bytes body;
    struct bytes trace; /* a traceparent, or empty */
    int count;
    uint32_t tried;
    int tries_left;
    struct member *member;
    struct upstream_call *upstream;
    float *values; /* once they have come */
    int size;
    int prompt_tokens;
};

static void vectors_free(struct llm_vectors *v) {
    bytes_free(&v->body);
    bytes_free(&v->trace);
    free(v->values);
    free(v);
}

static bool take_vectors(void *user, const cJSON *json, struct err *err) {
    struct llm_vectors *v = user;

    return vectors_read(json, v->count, &v->values, &v->size, &v->prompt_tokens,
                        err);
}

static bool vectors_next(struct llm_vectors *v, struct err *err);

static void on_vectors_end(void *user, const struct upstream_end *end) {
    struct llm_vectors *v = user;
    struct err err = end->llm.err;

    v->upstream = NULL;
    v->member->running--;
    note_end(v->member, end);
    if (!end->llm.ok && end->retry && vectors_next(v, &err)) return;
    v->done(v->user, end->llm.ok ? v->values : NULL, v->size, v->prompt_tokens,
            end->llm.ok ? NULL : &err);
    vectors_free(v);
}

/* False with the last failure, which `err` may hold already. */
static bool vectors_next(struct llm_vectors *v, struct err *err) {
    struct member *m;

    if (!err->code)
        (void)err_set(err, ERR_UNAVAILABLE, "%s: no server is well",
                      v->fleet->config->name);
    while (v->tries_left-- > 0 && (m = choose(v->fleet, v->tried))) {
        v->tried |= 1u << (m - v->fleet->members);
        v->upstream = upstream_ask(m->upstream, "/embeddings",
                                   span_bytes(&v->body), span_bytes(&v->trace),
                                   take_vectors, on_vectors_end, v, err);
        if (!v->upstream) continue;
        v->member = m;
        m->running++;
        breaker_begin(&m->breaker);
        return true;
    }
    return false;
}

static struct llm_vectors *vectors(struct llm *llm,
                                   const struct llm_vectors_request *r,
                                   llm_vectors_done *done, void *user,
                                   struct err *err) {
    struct fleet_model *model = (struct fleet_model *)llm;
    struct llm_vectors *v = xalloc(sizeof *v);
    struct err last = {0};

    v->fleet = model->fleet;
    v->done = done;
    v->user = user;
    v->count = r->count;
    bytes_put(&v->trace, r->trace);
    v->tries_left = 1 + v->fleet->config->retries;
    if (vectors_body(r, model->model, &v->body, &last) &&
        vectors_next(v, &last))
        return v;
    *err = last;
    vectors_free(v);
    return NULL;
}

static void vectors_cancel(struct llm *llm, struct llm_vectors *v) {
    (void)llm;
    v->member->running--;
    breaker_forget(&v->member->breaker);
    upstream_cancel(v->upstream);
    vectors_free(v);
}

static void throttle(struct llm *llm, struct llm_call *call, bool on) {
    (void)llm;
    if (call->upstream)
        upstream_throttle(call->upstream, on);
    else if (call->other_call && call->other->throttle)
        call->other->throttle(call->other, call->other_call, on);
}

/* ---- questions about health ---- */

static void on_probe_head(void *user, int status,
                          const struct http_header *headers, int count) {
    struct member *m = user;

    (void)headers;
    (void)count;
    m->probe_status = status;
}

static void on_probe_body(void *user, struct span part) {
    (void)user;
    (void)part;
}

/* It is there, whatever it thinks of the question (501: does not know it). */
static bool alive(int status) {
    return (status > 0 && status < 500) || status == 501;
}

/* A server that is back gets its next call at once, which decides. */
static void on_probe_end(void *user, const struct err *err) {
    struct member *m = user;

    m->probe = NULL;
    if (!err && alive(m->probe_status)) {
        if (m->breaker.open_ms && !m->busy) m->breaker.open_ms = 1;
        return;
    }
    if (m->breaker.open_ms) return; /* known already */
    m->busy = false;
    breaker_fail(&m->breaker, clock_ms());
    note_state(m, err ? err->text : "health check refused");
}

static void on_timer(uv_timer_t *timer) {
    struct member *m = timer->data;
    struct http_call_events events = {on_probe_head, on_probe_body,
                                      on_probe_end, m};
    struct err err = {0};

    if (m->probe) return;
    m->probe_status = 0;
    m->probe = upstream_probe(m->upstream, m->fleet->config->health.path,
                              PROBE_MS, &events, &err);
}

/* ---- opening and closing ---- */

/* The key itself, into `out` with a NUL; stays empty when there is none. */
static bool read_key(const struct config_key *key, const char *who,
                     struct bytes *out, struct err *err) {
    const char *text;

    out->limit = KEY_BYTES_MAX;
    if (key->env) {
        text = getenv(key->env);
        if (!text || !*text)
            return err_set(err, ERR_INPUT, "%s: the variable %.64s is not set",
                           who, key->env);
        bytes_puts(out, text);
    } else if (key->file) {
        if (!bytes_read_file(out, key->file, err)) return false;
        while (out->size && (unsigned char)out->at[out->size - 1] <= ' ')
            out->size--;
        if (!out->size)
            return err_set(err, ERR_INPUT, "%s: %.200s holds no key", who,
                           key->file);
    } else {
        return true;
    }
    for (size_t i = 0; i < out->size; i++)
        if ((unsigned char)out->at[i] <= ' ' || out->at[i] == 127)
            return err_set(err, ERR_INPUT, "%s: the key holds a blank", who);
    return bytes_append(out, "", 1, err);
}

static bool open_member(struct fleet *f, int index, struct err *err) {
    const struct config_upstream *c = f->config;
    const struct config_member *from = &c->members[index];
    struct member *m = &f->members[index];
    struct upstream_options o = {.url = &from->url,
                                 .ca_file = c->ca_file,
                                 .connect_ms = c->connect_ms,
                                 .first_byte_ms = c->first_byte_ms,
                                 .idle_ms = c->idle_ms,
                                 .keep_connections = c->keep_alive.connections,
                                 .keep_ms = c->keep_alive.idle_ms};
    struct bytes key = {0};
    bool ok = read_key(&from->key, c->name, &key, err);

    o.key = key.size ? key.at : NULL;
    m->fleet = f;
    m->weight = from->weight;
    m->breaker.failures_max = c->health.failures;
    m->breaker.rest_ms = (uint64_t)c->health.rest_ms;
    if (ok) m->upstream = upstream_open(f->loop, &o, err);
    bytes_free(&key);
    if (!m->upstream) return false;
    (void)uv_timer_init(f->loop, &m->timer);
    uv_unref((uv_handle_t *)&m->timer);
    m->timer.data = m;
    f->member_count++;
    f->handles++;
    if (c->health.interval_ms)
        (void)uv_timer_start(&m->timer, on_timer, 0,
                             (uint64_t)c->health.interval_ms);
    return true;
}

struct fleet *fleet_open(uv_loop_t *loop, const struct config_upstream *c,
                         struct err *err) {
    struct fleet *f = xalloc(sizeof *f);

    f->loop = loop;
    f->config = c;
    f->handles = 2; /* ours, until fleet_close(), and the line's */
    if (c->concurrency)
        f->slots =
            slots_new(c->concurrency,
                      c->queue.calls >= 0 ? c->queue.calls : c->concurrency);
    (void)uv_timer_init(loop, &f->line);
    f->line.data = f;
    uv_unref((uv_handle_t *)&f->line);
    f->members = xalloc_array((size_t)c->member_count, sizeof *f->members);
    f->models = xalloc_array((size_t)c->model_count, sizeof *f->models);
    for (int i = 0; i < c->model_count; i++) {
        const struct config_model *m = &c->models[i];

        /* Behind "*" an answer bears the name that was asked for. */
        f->models[i] = (struct fleet_model){
            {.name = strcmp(m->name, "*") ? m->name : m->model,
             .start = start,
             .cancel = cancel,
             .vectors = vectors,
             .vectors_cancel = vectors_cancel,
             .throttle = throttle,
             .early = c->speculative},
            f,
            m->model};
    }
    for (int i = 0; i < c->member_count; i++)
        if (!open_member(f, i, err)) {
            fleet_close(f);
            return NULL;
        }
    return f;
}

static void release(struct fleet *f) {
    if (--f->handles) return;
    for (int i = 0; i < f->member_count; i++)
        upstream_close(f->members[i].upstream);
    slots_free(f->slots);
    free(f->members);
    free(f->models);
    free(f);
}

static void on_closed(uv_handle_t *handle) {
    release(((struct member *)handle->data)->fleet);
}

static void on_line_closed(uv_handle_t *handle) {
    release(handle->data);
}

void fleet_close(struct fleet *f) {
    if (!f) return;
    uv_close((uv_handle_t *)&f->line, on_line_closed);
    for (int i = 0; i < f->member_count; i++) {
        http_call_cancel(f->members[i].probe);
        uv_close((uv_handle_t *)&f->members[i].timer, on_closed);
    }
    release(f);
}

struct llm *fleet_llm(struct fleet *f, int index) {
    return &f->models[index].llm;
}

static int part_of(int whole, int index, int count) {
    return whole / count + (index < whole % count);
}

void fleet_divide(struct fleet *f, int index, int count) {
    const struct config_upstream *c = f->config;
    int waiting = c->queue.calls >= 0 ? c->queue.calls : c->concurrency;

    if (!c->concurrency) return;
    slots_free(f->slots);
    f->slots = slots_new(part_of(c->concurrency, index, count),
                         part_of(waiting, index, count));
}

void fleet_fall_back(struct fleet *f, struct llm *to) {
    if (f->fallback_count < UPSTREAM_FALLBACKS_MAX)
        f->fallbacks[f->fallback_count++] = to;
}
