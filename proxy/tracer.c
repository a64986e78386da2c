/* tracer.c - spans as JSON until a call takes them to the collector, one call
 * at a time. */
#include "proxy/tracer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

enum {
    SEND_EVERY_MS = 1000,
    CALL_MS = 10 * 1000,
    LAST_CALL_MS = 1000, /* when we close */
    ANSWER_BYTES_MAX = 64 << 10,
    NS_DIGITS = 24
};

struct tracer {
    uv_timer_t timer;
    struct tracer_options o;
    struct http_header headers[TRACER_HEADERS_MAX + 1]; /* ours */
    struct tls_context *tls;                            /* for https */
    struct bytes waiting; /* spans with commas between them */
    int waiting_count;
    struct http_call *call;
    int in_call; /* spans that it carries */
    int status;
    bool failing;
    bool closing;
    uint64_t sent, dropped;
};

static const char head[] =
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
    "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"corral\"}},"
    "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"" CORRAL_VERSION
    "\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"corral\"},\"spans\":[";
static const char tail[] = "]}]}]}";

/* ---- to the collector ---- */

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    (void)headers;
    (void)header_count;
    ((struct tracer *)user)->status = status;
}

/* A partial success is the collector's business. */
static void on_body(void *user, struct span part) {
    (void)user;
    (void)part;
}

static void settle(struct tracer *t, bool ok, const char *why) {
    char quoted[ERR_TEXT_MAX];

    if (ok)
        t->sent += (uint64_t)t->in_call;
    else
        t->dropped += (uint64_t)t->in_call;
    t->in_call = 0;
    /* Once, not each second. */
    if (!ok && !t->failing && !t->closing)
        log_event(LOG_WARN, "traces_fail", "reason=%s",
                  log_quote(why, quoted, sizeof quoted));
    if (ok && t->failing) log_event(LOG_INFO, "traces_work_again", "ok=true");
    t->failing = !ok;
}

static void send_batch(struct tracer *t);
static void on_closed(uv_handle_t *handle);

/* Closing, it is over with the first answer to a call that was the last. */
static void finish(struct tracer *t) {
    if (t->waiting_count && !t->failing) send_batch(t);
    if (!t->call) uv_close((uv_handle_t *)&t->timer, on_closed);
}

static void on_end(void *user, const struct err *err) {
    struct tracer *t = user;
    char why[64];

    t->call = NULL;
    (void)snprintf(why, sizeof why, "the collector answered %d", t->status);
    settle(t, !err && t->status / 100 == 2, err ? err->text : why);
    if (t->closing) finish(t);
}

static void send_batch(struct tracer *t) {
    const struct http_call_events events = {on_head, on_body, on_end, t};
    int patience_ms = t->closing ? LAST_CALL_MS : CALL_MS;
    struct http_call_options o = {.host = t->o.url.host,
                                  .port = t->o.url.port,
                                  .tls = t->o.url.tls,
                                  .method = "POST",
                                  .path = t->o.url.path,
                                  .headers = t->headers,
                                  .header_count = t->o.header_count + 1,
                                  .connect_ms = patience_ms,
                                  .first_byte_ms = patience_ms,
                                  .idle_ms = patience_ms,
                                  .body_bytes_max = ANSWER_BYTES_MAX,
                                  .tls_context = t->tls};
    struct bytes body = {.limit = TRACER_BYTES_MAX + sizeof head + sizeof tail};
    struct err err = {0};

    bytes_puts(&body, head);
    bytes_put(&body, span_bytes(&t->waiting));
    bytes_puts(&body, tail);
    o.body = span_bytes(&body);
    t->in_call = t->waiting_count;
    t->waiting.size = 0;
    t->waiting_count = 0;
    t->status = 0;
    t->call = http_call_start(t->timer.loop, &o, &events, &err);
    if (!t->call) settle(t, false, err.text);
    bytes_free(&body);
}

static void on_tick(uv_timer_t *timer) {
    struct tracer *t = timer->data;

    if (!t->call && t->waiting_count) send_batch(t);
}

/* ---- spans ---- */

cJSON *tracer_attributes(void) {
    return cJSON_CreateArray();
}

static cJSON *value_of(cJSON *attributes, const char *key) {
    cJSON *item = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(item, "key", key);
    (void)cJSON_AddItemToArray(attributes, item);
    return cJSON_AddObjectToObject(item, "value");
}

void tracer_text(cJSON *attributes, const char *key, const char *value) {
    if (*value)
        (void)cJSON_AddStringToObject(value_of(attributes, key), "stringValue",
                                      value);
}

void tracer_texts(cJSON *attributes, const char *key, const char *value) {
    cJSON *array =
        cJSON_AddObjectToObject(value_of(attributes, key), "arrayValue");
    cJSON *item = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(item, "stringValue", value);
    (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(array, "values"), item);
}

/* 64-bit numbers are strings in protobuf's JSON. */
void tracer_number(cJSON *attributes, const char *key, int64_t value) {
    char text[NS_DIGITS];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    (void)cJSON_AddStringToObject(value_of(attributes, key), "intValue", text);
}

/* From monotonic time to time since 1970; not kept, since clocks are set. */
static int64_t wall_offset_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)clock_ns();
}

static void put_time(cJSON *json, const char *key, uint64_t ns,
                     int64_t offset) {
    char text[NS_DIGITS];

    (void)snprintf(text, sizeof text, "%" PRId64, (int64_t)ns + offset);
    (void)cJSON_AddStringToObject(json, key, text);
}

/* Takes the attributes. */
static cJSON *span_json(const struct tracer_span *s) {
    cJSON *json = cJSON_CreateObject();
    int64_t offset = wall_offset_ns();
    char id[TRACE_ID_SIZE + 1];

    (void)snprintf(id, sizeof id, "%.32s", s->trace + TRACE_ID_AT);
    (void)cJSON_AddStringToObject(json, "traceId", id);
    (void)snprintf(id, sizeof id, "%.16s", s->trace + TRACE_SPAN_AT);
    (void)cJSON_AddStringToObject(json, "spanId", id);
    if (*s->parent) {
        (void)snprintf(id, sizeof id, "%.16s", s->parent);
        (void)cJSON_AddStringToObject(json, "parentSpanId", id);
    }
    (void)cJSON_AddStringToObject(json, "name", s->name);
    (void)cJSON_AddNumberToObject(json, "kind", s->kind);
    put_time(json, "startTimeUnixNano", s->start_ns, offset);
    put_time(json, "endTimeUnixNano", s->end_ns, offset);
    if (s->attributes)
        (void)cJSON_AddItemToObject(json, "attributes", s->attributes);
    if (s->failed)
        (void)cJSON_AddNumberToObject(cJSON_AddObjectToObject(json, "status"),
                                      "code", 2);
    return json;
}

static bool keep(struct tracer *t, const cJSON *json) {
    size_t before = t->waiting.size;

    if (t->waiting_count == t->o.queue) return false;
    if ((!before || bytes_append(&t->waiting, ",", 1, NULL)) &&
        json_print(json, &t->waiting, NULL))
        return true;
    t->waiting.size = before;
    return false;
}

void tracer_span(struct tracer *t, const struct tracer_span *span) {
    cJSON *json;

    if (!t || t->closing) {
        cJSON_Delete(span->attributes);
        return;
    }
    json = span_json(span);
    if (keep(t, json))
        t->waiting_count++;
    else
        t->dropped++;
    cJSON_Delete(json);
    if (t->waiting_count >= TRACER_BATCH && !t->call) send_batch(t);
}

bool tracer_samples(const struct tracer *t) {
    return t && (double)(hash_random_u64() >> 11) <
                    t->o.sample * (double)(UINT64_C(1) << 53);
}

/* ---- its life ---- */

static struct span copy(struct span s) {
    return (struct span){span_dup(s), s.size};
}

static void copy_headers(struct tracer *t, const struct tracer_options *o) {
    t->headers[0] = (struct http_header){copy(span_of("content-type")),
                                         copy(span_of("application/json"))};
    for (int i = 0; i < o->header_count; i++)
        t->headers[i + 1] = (struct http_header){copy(o->headers[i].name),
                                                 copy(o->headers[i].value)};
}

static void release(struct tracer *t) {
    for (int i = 0; i <= t->o.header_count; i++) {
        free((void *)(uintptr_t)t->headers[i].name.at);
        free((void *)(uintptr_t)t->headers[i].value.at);
    }
    tls_context_close(t->tls);
    bytes_free(&t->waiting);
    free(t);
}

static void on_closed(uv_handle_t *handle) {
    release(handle->data);
}

struct tracer *tracer_open(uv_loop_t *loop, const struct tracer_options *o,
                           struct err *err) {
    struct tracer *t = xalloc(sizeof *t);

    t->o = *o;
    t->o.headers = NULL; /* the caller's */
    t->o.ca_file = NULL;
    t->waiting.limit = TRACER_BYTES_MAX;
    copy_headers(t, o);
    if (o->url.tls) {
        t->tls = tls_context_open(o->ca_file, err);
        if (!t->tls) {
            release(t);
            return NULL;
        }
    }
    (void)uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    (void)uv_timer_start(&t->timer, on_tick, SEND_EVERY_MS, SEND_EVERY_MS);
    uv_unref((uv_handle_t *)&t->timer);
    return t;
}

void tracer_close(struct tracer *t) {
    if (!t) return;
    t->closing = true;
    (void)uv_timer_stop(&t->timer);
    /* A collector that has not answered yet is waited for no longer. */
    if (t->call) settle(t, false, "");
    http_call_cancel(t->call);
    t->call = NULL;
    finish(t);
}

double tracer_sent(const struct tracer *t) {
    return t ? (double)t->sent : 0;
}

double tracer_dropped(const struct tracer *t) {
    return t ? (double)t->dropped : 0;
}

double tracer_waiting(const struct tracer *t) {
    return t ? t->waiting_count : 0;
}
