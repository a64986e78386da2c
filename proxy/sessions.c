/* sessions.c - each request becomes one job on the file's queue and, for a
 * turn, an exchange afterwards. The connection's user is the job's struct until
 * then and the exchange from then on. */
#include "proxy/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/session.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "proxy/http_error.h"
#include "proxy/auth.h"
#include "proxy/journal.h"
#include "proxy/keys.h"
#include "proxy/router.h"
#include "proxy/suspended.h"

enum { FRESH_MAX = 64, SESSION_ID_MAX = 2 * HASH_ID_SIZE, PAGE_DEFAULT = 20 };

static const char root[] = "/v1/sessions";

enum call_kind { CREATE, LIST, SHOW, DELETE_IT, FORK, TURN };

/* A session that a turn is under way in. */
struct busy {
    struct busy *next;
    char id[SESSION_ID_MAX];
};

/* One request until its answer, or until its exchange begins. */
struct call {
    struct db_job job; /* first: cast back */
    struct sessions *sessions;
    struct exchange_context *context;
    struct call *next, *prev; /* in sessions->calls, while conn is not NULL */
    struct conn *conn;        /* NULL: the client left */
    enum call_kind kind;
    char owner[KEY_ID_SIZE];
    char id[SESSION_ID_MAX]; /* LIST: the page begins after it, or "" */
    char fresh_id[SESSION_ID_MAX];
    char *model, *system; /* CREATE; ours */
    struct bytes metadata;
    int64_t messages; /* FORK */
    int count;        /* LIST */
    int64_t now;
    struct bytes out; /* the answer */

    /* TURN: the messages that it brings, and its other keys, as JSON. */
    struct bytes fresh;
    int fresh_count;
    struct bytes rest;
    bool names_model;
    struct session_view view;
};

struct sessions {
    int lock; /* a descriptor: no second server ends our turns at its start */
    struct db_queue *queue;
    struct busy *busy;
    struct call *calls;
    struct suspended_turn
        *turns; /* that the last process left; until resumed */
    int turn_count;
    struct suspended *suspended;
};

/* ---- busy ----------------------------------------------------------- */

static struct busy **busy_find(struct sessions *s, struct span id) {
    struct busy **at = &s->busy;

    while (*at && !span_is(id, (*at)->id)) at = &(*at)->next;
    return at;
}

static void busy_add(struct sessions *s, const char *id) {
    struct busy *b = xalloc(sizeof *b);

    (void)snprintf(b->id, sizeof b->id, "%s", id);
    b->next = s->busy;
    s->busy = b;
}

static void busy_drop(struct sessions *s, struct span id) {
    struct busy **at = busy_find(s, id), *b = *at;

    if (!b) return;
    *at = b->next;
    free(b);
}

/* ---- calls ---------------------------------------------------------- */

static void call_unlink(struct call *k) {
    if (!k->conn) return;
    if (k->prev)
        k->prev->next = k->next;
    else
        k->sessions->calls = k->next;
    if (k->next) k->next->prev = k->prev;
    k->conn = NULL;
}

static void call_free(struct call *k) {
    call_unlink(k);
    free(k->model);
    free(k->system);
    bytes_free(&k->metadata);
    bytes_free(&k->out);
    bytes_free(&k->fresh);
    bytes_free(&k->rest);
    bytes_free(&k->view.model);
    bytes_free(&k->view.messages);
    free(k);
}

/* Turns and deletions are not to come between each other. */
static bool call_is_alone(const struct call *k) {
    return k->kind == TURN || k->kind == DELETE_IT;
}

static void call_end_busy(struct call *k) {
    if (call_is_alone(k)) busy_drop(k->sessions, span_of(k->id));
}

static bool run_call(struct call *k, struct db *db, struct err *err) {
    const struct session_fresh fresh = {.id = span_of(k->id),
                                        .owner = span_of(k->owner),
                                        .model = span_of(k->model),
                                        .system = span_of(k->system),
                                        .metadata = span_bytes(&k->metadata),
                                        .now = k->now};
    struct span id = span_of(k->id), fresh_id = span_of(k->fresh_id);
    struct span owner = span_of(k->owner);

    if (id.size && k->kind != CREATE && !session_owned(db, id, owner, err))
        return false;
    switch (k->kind) {
    case CREATE:
        return session_create(db, &fresh, err) &&
               session_describe(db, id, &k->out, err);
    case LIST:
        return session_list(db, owner, id, k->count, &k->out, err);
    case SHOW:
        return session_show(db, id, &k->out, err);
    case DELETE_IT:
        return session_delete(db, id, err) &&
               bytes_printf(&k->out, err,
                            "{\"object\":\"session.deleted\",\"id\":\"%s\","
                            "\"deleted\":true}",
                            k->id);
    case FORK:
        return session_fork(db, id, fresh_id, k->messages, k->now, err) &&
               session_describe(db, fresh_id, &k->out, err);
    case TURN:
        return session_load(db, id, k->now, &k->view, err) &&
               session_note(db, id, span_bytes(&k->rest), err);
    }
    return false;
}

static bool on_run(struct db_job *job, struct db *db, struct err *err) {
    return run_call((struct call *)job, db, err);
}

static void answer(struct call *k, int status) {
    metrics_request(k->context->metrics, ROUTE_SESSIONS, status);
    conn_respond(k->conn, status, "application/json", NULL, 0,
                 span_bytes(&k->out));
}

static void refuse(struct exchange_context *context, struct conn *c,
                   const struct err *why) {
    metrics_request(context->metrics, ROUTE_SESSIONS,
                    http_error_of(why->code)->status);
    conn_fail(c, why);
}

static void refuse_status(struct exchange_context *context, struct conn *c,
                          int status, const char *message) {
    metrics_request(context->metrics, ROUTE_SESSIONS, status);
    conn_fail_status(c, status, message);
}

static void start_turn(struct call *k, struct conn *c);

static void on_done(struct db_job *job, bool ok, const struct err *err) {
    struct call *k = (struct call *)job;
    struct conn *c = k->conn;
    struct err told = {0};

    if (!ok) journal_fault(err, &told);
    if (ok && c && k->kind == TURN) {
        start_turn(k, c);
        return;
    }
    call_end_busy(k);
    if (c && ok) answer(k, 200);
    if (c && !ok) refuse(k->context, c, &told);
    call_free(k);
}

/* Takes `k`. */
static void push(struct call *k, struct conn *c) {
    struct sessions *s = k->sessions;
    struct err err = {0}, told = {0};

    k->job = (struct db_job){.run = on_run, .on_done = on_done};
    k->now = clock_wall_s();
    if (!db_queue_push(s->queue, &k->job, &err)) {
        journal_fault(&err, &told);
        call_end_busy(k);
        refuse(k->context, c, &told);
        call_free(k);
        return;
    }
    k->conn = c;
    k->next = s->calls;
    if (k->next) k->next->prev = k;
    s->calls = k;
    conn_set_user(c, k);
}

/* ---- bodies --------------------------------------------------------- */

static bool bad(struct err *err, const char *field, const char *what) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, what);
}

static bool read_text(const cJSON *body, const char *key, char **out,
                      struct err *err) {
    const char *text = NULL;

    if (!json_get_string(body, "", key, &text, err)) return false;
    if (text && strlen(text) > SESSION_TEXT_MAX)
        return err_set_field(err, ERR_LIMIT, key, "%s: more than %d bytes", key,
                             SESSION_TEXT_MAX);
    if (text) *out = xstrdup(text);
    return true;
}

static bool read_create(struct call *k, const cJSON *body, struct err *err) {
    static const char *const keys[] = {"model", "system", "metadata", NULL};
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(body, "metadata");

    k->metadata.limit = SESSION_TEXT_MAX;
    if (!json_only_keys(body, "", keys, err) ||
        !read_text(body, "model", &k->model, err) ||
        !read_text(body, "system", &k->system, err))
        return false;
    if (k->model && !router_find(k->context->router, span_of(k->model)))
        return err_set_field(err, ERR_NOT_FOUND, "model",
                             "there is no model of this name");
    if (!metadata || cJSON_IsNull(metadata))
        return bytes_append(&k->metadata, "{}", 2, err);
    if (!cJSON_IsObject(metadata)) return bad(err, "metadata", "not an object");
    return json_print(metadata, &k->metadata, err);
}

static bool read_fork(struct call *k, const cJSON *body, struct err *err) {
    static const char *const keys[] = {"at", NULL};

    k->messages = -1;
    return json_only_keys(body, "", keys, err) &&
           json_get_int(body, "", "at", 0, SESSION_ENTRIES_MAX, &k->messages,
                        err);
}

/* A turn brings what a user says, or what the client's tools answered. What
 * the assistant or the system says is the session's own matter. */
static bool check_fresh(const cJSON *message, struct err *err) {
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(message, "role");

    if (cJSON_IsString(role) && (!strcmp(role->valuestring, "user") ||
                                 !strcmp(role->valuestring, "tool")))
        return true;
    return bad(err, "messages", "only of the roles user and tool");
}

static bool read_messages(struct call *k, const cJSON *list, struct err *err) {
    const cJSON *message;

    if (!cJSON_IsArray(list) || !list->child)
        return bad(err, "messages", "not a list with messages");
    cJSON_ArrayForEach(message, list) {
        if (++k->fresh_count > FRESH_MAX)
            return bad(err, "messages", "too many for one turn");
        if (!check_fresh(message, err) ||
            (k->fresh.size && !bytes_append(&k->fresh, ",", 1, err)) ||
            !json_print(message, &k->fresh, err))
            return false;
    }
    return true;
}

static bool read_content(struct call *k, const cJSON *content,
                         struct err *err) {
    if (!content) return bad(err, "content", "missing, and so is messages");
    if (!cJSON_IsString(content)) return bad(err, "content", "not a text");
    k->fresh_count = 1;
    return bytes_printf(&k->fresh, err, "{\"role\":\"user\",\"content\":") &&
           json_put_string(&k->fresh, span_of(content->valuestring), err) &&
           bytes_append(&k->fresh, "}", 1, err);
}

/* Everything else goes to the chat completion that the turn is. */
static bool read_turn(struct call *k, cJSON *body, struct err *err) {
    cJSON *content = cJSON_DetachItemFromObjectCaseSensitive(body, "content");
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(body, "messages");
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(body, "n");
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(body, "model");
    bool ok = false;

    if (cJSON_IsNull(model)) {
        cJSON_DeleteItemFromObjectCaseSensitive(body, "model");
        model = NULL;
    }
    k->names_model = model != NULL;
    if (n && !cJSON_IsNull(n) && !(cJSON_IsNumber(n) && n->valueint == 1))
        (void)bad(err, "n", "a session goes on with one answer");
    else if (content && list)
        (void)bad(err, "content", "not together with messages");
    else if (list)
        ok = read_messages(k, list, err);
    else
        ok = read_content(k, content, err);
    ok = ok && json_print(body, &k->rest, err);
    cJSON_Delete(content);
    cJSON_Delete(list);
    return ok;
}

/* ---- a turn --------------------------------------------------------- */

static void on_journal_closed(void *data, struct span id) {
    busy_drop(data, id);
}

static bool put_model(struct call *k, struct bytes *out, struct err *err) {
    struct span model = span_bytes(&k->view.model);

    if (k->names_model) return true; /* in the rest, for this turn */
    if (!model.size) model = span_of(router_name(k->context->router, 0));
    return bytes_printf(out, err, "\"model\":") &&
           json_put_string(out, model, err) && bytes_append(out, ",", 1, err);
}

/* The chat completion's body: the session's messages, then the fresh ones. */
static bool put_body(struct call *k, struct bytes *out, struct err *err) {
    const struct bytes *old = &k->view.messages;
    struct span rest = span_slice(span_bytes(&k->rest), 1, SIZE_MAX);

    return bytes_append(out, "{", 1, err) && put_model(k, out, err) &&
           bytes_printf(out, err, "\"messages\":[") &&
           bytes_append(out, old->at, old->size, err) &&
           (!old->size || bytes_append(out, ",", 1, err)) &&
           bytes_append(out, k->fresh.at, k->fresh.size, err) &&
           bytes_append(out, "]", 1, err) &&
           (rest.size == 1 || bytes_append(out, ",", 1, err)) &&
           bytes_append(out, rest.at, rest.size, err);
}

static void start_turn(struct call *k, struct conn *c) {
    struct sessions *s = k->sessions;
    struct bytes body = {0};
    struct journal *journal;
    struct err err = {0};

    call_unlink(k);
    if (!put_body(k, &body, &err)) {
        busy_drop(s, span_of(k->id));
        refuse(k->context, c, &err);
    } else {
        journal = journal_new(s->queue, span_of(k->id), k->fresh_count,
                              on_journal_closed, s);
        conn_set_user(c, NULL);
        exchange_start_turn(k->context, c, span_bytes(&body), journal);
    }
    bytes_free(&body);
    call_free(k);
}

/* ---- requests ------------------------------------------------------- */

/* The value of a key in "a=1&b=2"; empty when it is not there. Our values need
 * no escapes, so none are undone. */
static struct span query_value(struct span query, const char *key) {
    while (query.size) {
        size_t end = span_find(query, span_of("&"));
        struct span pair = span_slice(query, 0, end);
        size_t equals = span_find(pair, span_of("="));

        if (equals != SIZE_MAX && span_is(span_slice(pair, 0, equals), key))
            return span_slice(pair, equals + 1, pair.size);
        if (end == SIZE_MAX) break;
        query = span_slice(query, end + 1, query.size);
    }
    return (struct span){"", 0};
}

static bool read_page(struct call *k, struct span query, struct err *err) {
    struct span limit = query_value(query, "limit");
    struct span after = query_value(query, "after");

    k->count = PAGE_DEFAULT;
    if (limit.size) k->count = 0;
    for (size_t i = 0; i < limit.size; i++) {
        if (limit.at[i] < '0' || limit.at[i] > '9' ||
            k->count > SESSION_PAGE_MAX)
            break;
        k->count = 10 * k->count + (limit.at[i] - '0');
        if (i + 1 == limit.size && k->count && k->count <= SESSION_PAGE_MAX)
            limit.size = 0;
    }
    if (limit.size)
        return err_set_field(err, ERR_INPUT, "limit",
                             "limit: a number from 1 to %d", SESSION_PAGE_MAX);
    if (after.size >= sizeof k->id)
        return err_set_field(err, ERR_NOT_FOUND, "after",
                             "there is no session of this id");
    memcpy(k->id, after.at, after.size);
    return true;
}

static void fresh_id(char out[SESSION_ID_MAX]) {
    char id[HASH_ID_SIZE];

    hash_random_id(id);
    (void)snprintf(out, SESSION_ID_MAX, "sess_%s", id);
}

/* Which kind a path and a method are; false when there is no such route, or,
 * with *allow, no such method. The id goes to `k`. */
static bool find_kind(struct call *k, struct span path, struct span method,
                      const char **allow) {
    struct span rest = span_slice(path, strlen(root), path.size), tail;
    bool get = span_is(method, "GET") || span_is(method, "HEAD");
    bool post = span_is(method, "POST");
    size_t slash;

    *allow = "GET, HEAD, POST";
    k->kind = post ? CREATE : LIST;
    if (!rest.size) return get || post;
    *allow = NULL;
    rest = span_slice(rest, 1, rest.size);
    slash = span_find(rest, span_of("/"));
    tail = slash == SIZE_MAX ? (struct span){"", 0}
                             : span_slice(rest, slash, rest.size);
    rest = span_slice(rest, 0, slash);
    if (!rest.size || rest.size >= sizeof k->id) return false;
    memcpy(k->id, rest.at, rest.size);
    if (!tail.size) {
        *allow = "GET, HEAD, DELETE";
        k->kind = get ? SHOW : DELETE_IT;
        return get || span_is(method, "DELETE");
    }
    k->kind = span_is(tail, "/fork") ? FORK : TURN;
    if (span_is(tail, "/fork") || span_is(tail, "/messages")) *allow = "POST";
    return *allow && post;
}

static bool read_request(struct call *k, const struct http_request *r,
                         struct err *err) {
    cJSON *body;
    bool ok;

    if (k->kind == LIST) return read_page(k, r->query, err);
    if (k->kind == SHOW || k->kind == DELETE_IT) return true;
    body = json_parse(r->body, err);
    if (!body) return false;
    if (!cJSON_IsObject(body))
        ok = err_set(err, ERR_INPUT, "the body is not an object");
    else if (k->kind == CREATE)
        ok = read_create(k, body, err);
    else if (k->kind == FORK)
        ok = read_fork(k, body, err);
    else
        ok = read_turn(k, body, err);
    cJSON_Delete(body);
    return ok;
}

void sessions_request(struct sessions *s, struct exchange_context *context,
                      struct conn *c, const struct http_request *r) {
    struct call *k = xalloc(sizeof *k);
    struct err err = {0};
    const char *allow = NULL;

    k->sessions = s;
    k->context = context;
    (void)snprintf(k->owner, sizeof k->owner, "%s",
                   caller_id(conn_pass(c)->caller));
    if (!find_kind(k, r->path, r->method, &allow)) {
        if (allow) {
            metrics_request(context->metrics, ROUTE_SESSIONS, 405);
            conn_fail_method(c, allow);
        } else {
            refuse_status(context, c, 404, "there is no such route");
        }
    } else if (!read_request(k, r, &err)) {
        refuse(context, c, &err);
    } else if (k->id[0] && k->kind != LIST && k->kind != SHOW &&
               *busy_find(s, span_of(k->id))) {
        refuse_status(context, c, 409, "a turn of this session is under way");
    } else {
        if (k->kind == CREATE) fresh_id(k->id);
        if (k->kind == FORK) fresh_id(k->fresh_id);
        if (call_is_alone(k)) busy_add(s, k->id);
        push(k, c);
        return;
    }
    call_free(k);
}

void sessions_gone(struct sessions *s, void *user) {
    struct call *k = s->calls;

    while (k && k != user) k = k->next;
    if (!k) {
        exchange_gone(user);
        return;
    }
    metrics_request(k->context->metrics, ROUTE_SESSIONS, 499);
    call_unlink(k);
}

/* ---- its life ------------------------------------------------------- */

/* `path` ends in '\0'. -1 with `err`. */
static int take_lock(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        err_set(err, ERR_BUSY, "%s: another server keeps its sessions here",
                path);
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static char *path_in(const char *folder, const char *name) {
    struct bytes path = {0};

    bytes_puts(&path, folder);
    bytes_puts(&path, name);
    bytes_put(&path, (struct span){"", 1});
    return path.at;
}

static void note_turn(void *user, const struct session_question *q) {
    struct sessions *s = user;

    s->turns =
        xrealloc_array(s->turns, (size_t)s->turn_count + 1, sizeof *s->turns);
    suspended_turn_take(&s->turns[s->turn_count++], q);
}

static void drop_turns(struct sessions *s) {
    while (s->turn_count > 0) suspended_turn_clear(&s->turns[--s->turn_count]);
    free(s->turns);
    s->turns = NULL;
}

static bool recover(struct sessions *s, struct db *db, struct err *err) {
    int64_t count = 0;

    if (!db_begin(db, err)) return false;
    if (!session_recover(db, clock_wall_s(), &count, err) ||
        !session_each_open(db, note_turn, s, err)) {
        db_rollback(db);
        return false;
    }
    if (count)
        log_event(LOG_WARN, "sessions_recovered", "turns=%lld",
                  (long long)count);
    return db_commit(db, err);
}

struct sessions *sessions_open(uv_loop_t *loop, const char *folder,
                               struct err *err) {
    char *path = path_in(folder, "/sessions.db");
    char *lock_path = path_in(folder, "/sessions.lock");
    struct sessions *s = xalloc(sizeof *s);
    struct db *db = NULL;
    int lock = take_lock(lock_path, err);

    if (lock >= 0) db = db_open(path, &session_schema, err);
    if (db && recover(s, db, err)) {
        s->lock = lock;
        s->queue = db_queue_open(loop, db, SESSIONS_JOBS_MAX);
    } else {
        db_close(db);
        if (lock >= 0) (void)close(lock);
        drop_turns(s);
        free(s);
        s = NULL;
    }
    free(lock_path);
    free(path);
    return s;
}

static void on_closed(void *data) {
    struct sessions *s = data;

    (void)close(s->lock);
    free(s); /* every journal has been told, so nothing is busy */
}

void sessions_resume(struct sessions *s, struct exchange_context *context,
                     const struct auth *auth) {
    const struct suspended_options o = {.queue = s->queue,
                                        .context = context,
                                        .auth = auth,
                                        .on_over = on_journal_closed,
                                        .data = s};

    for (int i = 0; i < s->turn_count; i++) busy_add(s, s->turns[i].session);
    s->suspended = suspended_open(&o, s->turns, s->turn_count);
    drop_turns(s);
}

void sessions_close(struct sessions *s) {
    if (!s) return;
    suspended_close(s->suspended);
    drop_turns(s);
    db_queue_close(s->queue, on_closed, s);
}
