/* audit.c - rows in memory until libuv's pool has them in the database:
 *
 *   IDLE -> WRITING -> IDLE        WRITING -> WAITING -> WRITING
 *
 * One job is under way at a time, with all rows that waited when it began; a
 * job that fails is tried again as it is, since its rows come before all
 * others. */
#include "proxy/audit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "proxy/audit_chain.h"
#include "proxy/auth.h"
#include "proxy/conn.h"
#include "proxy/db_queue.h"

enum { RETRY_MS = 1000, TRIM_ROWS = 2000, TRIM_EVERY_MS = 60 * 1000, JOBS = 4 };

enum audit_state { IDLE, WRITING, WAITING };

/* Rows, one after the other, each with a NUL. */
struct batch {
    struct bytes text;
    int count;
};

struct audit_job {
    struct db_job job; /* first, so that the callbacks can cast back */
    struct audit *audit;
    struct batch rows;
    /* Copies, since the loop's side may not be looked at from the pool. */
    struct audit_key key;
    int64_t trim_ms; /* rows from before go; 0: none */
};

/* Rows come from any loop; what is written is the business of the loop that
 * opened it. */
struct audit {
    enum audit_state state;
    pthread_t owner;
    int handles;          /* open or closing */
    uv_async_t bell;      /* rows wait that another loop brought */
    pthread_mutex_t lock; /* of what waits, and of what is counted */
    bool closing;
    struct audit_options o;
    struct audit_key key;
    struct db_queue *queue; /* NULL once it is closed */
    uv_timer_t timer;
    struct batch waiting;
    struct audit_job *failed; /* to be tried again */
    int in_hand;              /* rows of the job under way */
    uint64_t written, lost, lost_told;
    atomic_bool failing;
    uint64_t trimmed_ms;
};

/* ---- to the database ---- */

static bool job_run(struct db_job *job, struct db *db, struct err *err) {
    struct audit_job *j = (struct audit_job *)job;
    struct span rest = span_bytes(&j->rows.text);

    while (rest.size) {
        size_t end = span_find(rest, (struct span){"", 1});

        if (!audit_chain_add(db, &j->key, span_slice(rest, 0, end), err))
            return false;
        rest = span_slice(rest, end + 1, rest.size);
    }
    return !j->trim_ms ||
           audit_chain_trim(db, &j->key, j->trim_ms, TRIM_ROWS, err);
}

static void job_free(struct audit_job *j) {
    if (!j) return;
    bytes_free(&j->rows.text);
    free(j);
}

static void next(struct audit *a);

static void on_closed(uv_handle_t *handle) {
    struct audit *a = handle->data;

    if (--a->handles) return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void on_queue_closed(void *data) {
    struct audit *a = data;

    uv_close((uv_handle_t *)&a->timer, on_closed);
    uv_close((uv_handle_t *)&a->bell, on_closed);
}

/* Nothing is under way any more, and nothing will be. */
static void finish(struct audit *a) {
    uint64_t left = (uint64_t)a->waiting.count +
                    (uint64_t)(a->failed ? a->failed->rows.count : 0);

    if (left || a->lost > a->lost_told)
        log_event(LOG_ERROR, "audit_lost", "rows=%" PRIu64,
                  left + a->lost - a->lost_told);
    job_free(a->failed);
    a->failed = NULL;
    bytes_free(&a->waiting.text);
    db_queue_close(a->queue, on_queue_closed, a);
    a->queue = NULL;
}

static void on_written(struct db_job *job, bool ok, const struct err *err) {
    struct audit_job *j = (struct audit_job *)job;
    struct audit *a = j->audit;
    char quoted[ERR_TEXT_MAX];

    pthread_mutex_lock(&a->lock);
    a->in_hand = 0;
    if (ok) a->written += (uint64_t)j->rows.count;
    pthread_mutex_unlock(&a->lock);
    if (ok) {
        if (a->failing) log_event(LOG_INFO, "audit_works_again", "ok=true");
        a->failing = false;
        job_free(j);
        a->state = IDLE;
        next(a);
        return;
    }
    if (!a->failing)
        log_event(LOG_ERROR, "audit_fails", "reason=%s",
                  log_quote(err->text, quoted, sizeof quoted));
    a->failing = true;
    a->failed = j;
    a->state = WAITING;
    if (a->closing) finish(a);
}

static void start(struct audit *a, struct audit_job *j) {
    struct err err = {0};

    a->state = WRITING;
    pthread_mutex_lock(&a->lock);
    a->in_hand = j->rows.count;
    pthread_mutex_unlock(&a->lock);
    j->job = (struct db_job){.run = job_run, .on_done = on_written};
    if (!db_queue_push(a->queue, &j->job, &err))
        on_written(&j->job, false, &err);
}

/* Trimming goes with rows that are written anyway. */
static int64_t trim_from(struct audit *a) {
    if (!a->o.days ||
        (a->trimmed_ms && clock_ms() - a->trimmed_ms < TRIM_EVERY_MS))
        return 0;
    a->trimmed_ms = clock_ms();
    return (clock_wall_s() - (int64_t)a->o.days * 86400) * 1000;
}

/* Where they would have been: behind what is written now. */
static void tell_lost(struct audit *a) {
    char detail[32];
    uint64_t lost;

    pthread_mutex_lock(&a->lock);
    lost = a->lost - a->lost_told;
    a->lost_told = a->lost;
    pthread_mutex_unlock(&a->lock);
    if (!lost) return;
    (void)snprintf(detail, sizeof detail, "%" PRIu64, lost);
    audit_event(a, "lost", detail);
}

/* All that waits; false when nothing does. */
static bool take_waiting(struct audit *a, struct batch *out) {
    pthread_mutex_lock(&a->lock);
    *out = a->waiting;
    a->in_hand = out->count;
    a->waiting = (struct batch){.text = {.limit = AUDIT_BYTES_MAX}};
    pthread_mutex_unlock(&a->lock);
    return out->count > 0;
}

static void next(struct audit *a) {
    struct audit_job *j;
    struct batch rows;

    if (a->state != IDLE) return;
    if (!take_waiting(a, &rows)) {
        if (a->closing) finish(a);
        return;
    }
    j = xalloc(sizeof *j);
    j->audit = a;
    j->key = a->key;
    j->rows = rows;
    j->trim_ms = trim_from(a);
    start(a, j);
    tell_lost(a);
}

static void on_tick(uv_timer_t *timer) {
    struct audit *a = timer->data;
    struct audit_job *j = a->failed;

    if (a->state != WAITING || !j) return;
    a->failed = NULL;
    start(a, j);
}

/* ---- rows ---- */

static int64_t wall_ms(void) {
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static cJSON *row_new(const char *kind) {
    cJSON *row = cJSON_CreateObject();

    (void)cJSON_AddNumberToObject(row, "at", (double)wall_ms());
    (void)cJSON_AddStringToObject(row, "kind", kind);
    return row;
}

static bool keep(struct audit *a, const struct bytes *text) {
    struct batch *w = &a->waiting;

    /* Without its opening brace: the number comes before, once it is known. */
    if (a->closing || text->size < 2 ||
        w->count + a->in_hand >= AUDIT_ROWS_MAX ||
        !bytes_reserve(&w->text, text->size, NULL) ||
        !bytes_append(&w->text, text->at + 1, text->size - 1, NULL) ||
        !bytes_append(&w->text, "", 1, NULL))
        return false;
    w->count++;
    return true;
}

/* Takes the row. The loop that opened the audit writes it; another one's rings
 * for it. */
static void put(struct audit *a, cJSON *row) {
    struct bytes text = {0};

    if (!json_print(row, &text, NULL)) text.size = 0;
    cJSON_Delete(row);
    pthread_mutex_lock(&a->lock);
    if (!keep(a, &text)) a->lost++;
    pthread_mutex_unlock(&a->lock);
    bytes_free(&text);
    if (pthread_equal(a->owner, pthread_self()))
        next(a);
    else
        (void)uv_async_send(&a->bell);
}

static void on_bell(uv_async_t *bell) {
    struct audit *a = bell->data;

    if (!a->closing) next(a);
}

static void add_subject(const struct audit *a, cJSON *row,
                        const struct audit_subject *s) {
    (void)cJSON_AddStringToObject(row, "request", s->request_id);
    (void)cJSON_AddStringToObject(row, "route", s->route);
    (void)cJSON_AddStringToObject(row, "key", s->key_id);
    if (*s->peer && !a->o.no_addresses)
        (void)cJSON_AddStringToObject(row, "peer", s->peer);
}

static cJSON *finding_json(const struct finding *f) {
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(json, "check", f->check);
    if (*f->category)
        (void)cJSON_AddStringToObject(json, "category", f->category);
    (void)cJSON_AddStringToObject(json, "action",
                                  verdict_action_name(f->action));
    (void)cJSON_AddNumberToObject(json, "score",
                                  (double)(int)(f->score * 1e4f) / 1e4);
    if (f->item >= 0) (void)cJSON_AddNumberToObject(json, "item", f->item);
    if (f->end > f->from) {
        (void)cJSON_AddNumberToObject(json, "from", (double)f->from);
        (void)cJSON_AddNumberToObject(json, "end", (double)f->end);
    }
    if (f->shadow) (void)cJSON_AddTrueToObject(json, "shadow");
    return json;
}

static void add_verdict(cJSON *row, const struct verdict *v) {
    cJSON *findings = cJSON_AddArrayToObject(row, "findings");
    cJSON *stages;

    for (int i = 0; i < v->finding_count; i++)
        (void)cJSON_AddItemToArray(findings, finding_json(&v->findings[i]));
    if (v->classified) {
        cJSON *scores = cJSON_AddObjectToObject(row, "scores");

        for (int i = 0; i < LABEL_COUNT; i++)
            (void)cJSON_AddNumberToObject(
                scores, label_name(i), (double)(int)(v->score[i] * 1e4f) / 1e4);
    }
    stages = cJSON_AddObjectToObject(row, "stage_us");
    for (int i = 0; i < STAGE_COUNT; i++)
        if (v->stage_us[i])
            (void)cJSON_AddNumberToObject(stages, stage_name((enum stage)i),
                                          v->stage_us[i]);
}

static void add_ms(cJSON *row, uint64_t ns) {
    (void)cJSON_AddNumberToObject(row, "ms", (double)(ns / 1000) / 1e3);
}

void audit_decision(struct audit *a, const struct audit_subject *s,
                    enum channel channel, const struct verdict *v, uint64_t ns,
                    const char *hash) {
    bool policy = v->cause == VERDICT_CAUSE_POLICY;
    cJSON *row;

    if (!a) return;
    row = row_new("decision");
    (void)cJSON_AddStringToObject(row, "id", v->id);
    add_subject(a, row, s);
    (void)cJSON_AddStringToObject(row, "channel", channel_name(channel));
    (void)cJSON_AddStringToObject(row, "action",
                                  verdict_action_name(v->action));
    (void)cJSON_AddStringToObject(row, "cause",
                                  policy ? "policy" : "guard_unavailable");
    if (!policy)
        (void)cJSON_AddStringToObject(row, "error", err_code_name(v->err.code));
    (void)cJSON_AddStringToObject(row, "policy", v->revision);
    if (*hash) (void)cJSON_AddStringToObject(row, "text", hash);
    add_verdict(row, v);
    add_ms(row, ns);
    put(a, row);
}

void audit_request(struct audit *a, const struct audit_subject *s,
                   const struct audit_end *end) {
    cJSON *row;

    if (!a) return;
    row = row_new("request");
    add_subject(a, row, s);
    (void)cJSON_AddNumberToObject(row, "status", end->status);
    (void)cJSON_AddStringToObject(row, "policy", end->policy);
    (void)cJSON_AddNumberToObject(row, "decisions", end->decisions);
    (void)cJSON_AddNumberToObject(row, "prompt_tokens", end->prompt_tokens);
    (void)cJSON_AddNumberToObject(row, "completion_tokens",
                                  end->completion_tokens);
    add_ms(row, end->ns);
    put(a, row);
}

void audit_approval(struct audit *a, const struct audit_approval *p) {
    cJSON *row;

    if (!a) return;
    row = row_new("approval");
    (void)cJSON_AddStringToObject(row, "id", p->id);
    if (*p->decision)
        (void)cJSON_AddStringToObject(row, "decision", p->decision);
    (void)cJSON_AddStringToObject(row, "checks", p->checks);
    (void)cJSON_AddStringToObject(row, "answer", p->answer);
    (void)cJSON_AddStringToObject(row, "key", p->key_id);
    (void)cJSON_AddNumberToObject(row, "waited_s", (double)p->waited_s);
    put(a, row);
}

void audit_event(struct audit *a, const char *event, const char *detail) {
    cJSON *row;

    if (!a) return;
    row = row_new("event");
    (void)cJSON_AddStringToObject(row, "event", event);
    if (*detail) (void)cJSON_AddStringToObject(row, "detail", detail);
    put(a, row);
}

struct hash_stream *audit_hash_new(const struct audit *a) {
    return a ? audit_text_hash_new(&a->key) : NULL;
}

void audit_hash_end(struct hash_stream *h, char out[HASH_HEX_SIZE]) {
    *out = '\0';
    if (h) hash_stream_hex(h, out);
    hash_stream_free(h);
}

struct audit_subject audit_subject_of(struct conn *c, const char *route) {
    const struct pass *pass = conn_pass(c);

    return (struct audit_subject){pass->request_id, route,
                                  caller_id(pass->caller), conn_peer(c)};
}

/* ---- its life ---- */

struct audit *audit_open(uv_loop_t *loop, const struct audit_options *o,
                         struct err *err) {
    struct audit *a = xalloc(sizeof *a);
    char *path = audit_db_path(o->folder);
    struct db *db = NULL;

    if (audit_key_open(&a->key, o->folder, err))
        db = audit_db_open(path, o->bytes_max, false, err);
    free(path);
    if (!db) {
        free(a);
        return NULL;
    }
    a->o = *o;
    a->o.folder = NULL; /* the caller's */
    a->queue = db_queue_open(loop, db, JOBS);
    a->waiting.text.limit = AUDIT_BYTES_MAX;
    a->owner = pthread_self();
    a->handles = 2;
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)uv_async_init(loop, &a->bell, on_bell);
    a->bell.data = a;
    uv_unref((uv_handle_t *)&a->bell);
    (void)uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    (void)uv_timer_start(&a->timer, on_tick, RETRY_MS, RETRY_MS);
    uv_unref((uv_handle_t *)&a->timer);
    return a;
}

void audit_close(struct audit *a) {
    if (!a || a->closing) return;
    a->closing = true;
    if (a->state == WAITING && a->failed) on_tick(&a->timer); /* once more */
    next(a);
}

void audit_set(struct audit *a, bool closed, int days) {
    if (!a) return;
    a->o.closed = closed;
    a->o.days = days;
}

bool audit_failing(const struct audit *a) {
    return a && a->failing;
}

bool audit_refuses(const struct audit *a) {
    return a && a->o.closed && a->failing;
}

double audit_rows_written(const struct audit *a) {
    return (double)a->written;
}

double audit_rows_waiting(struct audit *a) {
    int count;

    pthread_mutex_lock(&a->lock);
    count = a->waiting.count + a->in_hand;
    pthread_mutex_unlock(&a->lock);
    return (double)(count + (a->failed ? a->failed->rows.count : 0));
}

double audit_rows_lost(struct audit *a) {
    uint64_t lost;

    pthread_mutex_lock(&a->lock);
    lost = a->lost;
    pthread_mutex_unlock(&a->lock);
    return (double)lost;
}
