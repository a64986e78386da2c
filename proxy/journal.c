#include "proxy/journal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "proxy/approvals.h"

enum { JOURNAL_TEXT_BYTES_MAX = 8 << 20, JOURNAL_ID_MAX = 2 * HASH_ID_SIZE };

struct journal {
    struct db_queue *queue;
    char session[JOURNAL_ID_MAX];
    int fresh;
    int dropped; /* messages that did not fit the window */
    const struct chat_message
        *summary;           /* of them, until it is begun; or NULL */
    const char *no_summary; /* why not; or NULL */
    void (*on_closed)(void *data, struct span session);
    void *data;

    /* Whose entry is in the file although it does not run: borrowed ids. */
    struct span known[CHAT_TOOL_CALLS_MAX];
    int known_count;
    bool asking;   /* a person, right now */
    bool outlives; /* see journal_outlive() */

    struct bytes text; /* cleared, and not in an entry yet */
    struct err err;    /* the first write that failed */
    int pending;       /* writes under way */
    bool begun;        /* the session was told that a turn runs */
    bool ended;        /* and that it is over */
    bool closed;
};

enum write_kind {
    WRITE_COMPACT,
    WRITE_BEGIN,
    WRITE_ADD,
    WRITE_ASK,
    WRITE_RUN,
    WRITE_END
};

/* One entry on its way to the file; owns its texts. */
struct write {
    struct db_job job; /* first: cast back */
    struct journal *journal;
    enum write_kind kind;
    enum session_kind entry;
    char session[JOURNAL_ID_MAX];
    struct bytes json;
    struct bytes call;
    int64_t now;
    int dropped; /* WRITE_COMPACT */
    /* WRITE_ASK */
    char question[HASH_ID_SIZE];
    struct bytes tool, arguments, checks;
    int64_t created, expires;
    journal_done *done; /* NULL: nobody waits */
    void *user;
};

void journal_fault(const struct err *why, struct err *out) {
    char quoted[ERR_TEXT_MAX];

    if (why->code == ERR_NOT_FOUND || why->code == ERR_LIMIT ||
        why->code == ERR_INPUT) {
        *out = *why;
        return;
    }
    log_event(LOG_ERROR, "sessions", "reason=%s",
              log_quote(why->text, quoted, sizeof quoted));
    if (why->code == ERR_BUSY)
        (void)err_set(out, ERR_BUSY, "the sessions' file is busy");
    else
        (void)err_set(out, ERR_UNAVAILABLE, "the sessions' file fails");
}

struct span journal_session(const struct journal *j) {
    return span_of(j->session);
}

/* ---- writes --------------------------------------------------------- */

static bool on_write(struct db_job *job, struct db *db, struct err *err) {
    const struct write *w = (const struct write *)job;
    const struct session_entry entry = {w->entry, span_bytes(&w->json),
                                        span_bytes(&w->call)};
    struct span id = span_of(w->session);

    switch (w->kind) {
    case WRITE_COMPACT:
        return session_compact(db, id, w->dropped, entry.call, entry.json,
                               w->now, err);
    case WRITE_BEGIN:
        return session_begin(db, id, err);
    case WRITE_ADD:
        return session_add(db, id, &entry, w->now, err);
    case WRITE_ASK:
        return session_ask(
            db, id, &entry,
            &(struct session_question){.id = span_of(w->question),
                                       .tool = span_bytes(&w->tool),
                                       .arguments = span_bytes(&w->arguments),
                                       .checks = span_bytes(&w->checks),
                                       .created = w->created,
                                       .expires = w->expires},
            w->now, err);
    case WRITE_RUN:
        return session_run(db, id, entry.call, w->entry == SESSION_AGAIN, err);
    case WRITE_END:
        return session_end(db, id, entry.json, w->now, err);
    }
    return false;
}

static void write_free(struct write *w) {
    bytes_free(&w->json);
    bytes_free(&w->call);
    bytes_free(&w->tool);
    bytes_free(&w->arguments);
    bytes_free(&w->checks);
    free(w);
}

static void journal_destroy(struct journal *j) {
    j->on_closed(j->data, span_of(j->session));
    bytes_free(&j->text);
    free(j);
}

static void on_written(struct db_job *job, bool ok, const struct err *err) {
    struct write *w = (struct write *)job;
    struct journal *j = w->journal;

    if (!ok && !j->err.code) journal_fault(err, &j->err);
    if (!ok && w->kind == WRITE_END) j->ended = false;
    /* A hole before this entry makes it as bad as missing. */
    if (w->done && !j->closed) w->done(w->user, !j->err.code, &j->err);
    write_free(w);
    if (--j->pending == 0 && j->closed) journal_destroy(j);
}

static struct write *write_new(struct journal *j, enum write_kind kind,
                               enum session_kind entry) {
    struct write *w = xalloc(sizeof *w);

    w->job = (struct db_job){.run = on_write, .on_done = on_written};
    w->journal = j;
    w->kind = kind;
    w->entry = entry;
    w->now = clock_wall_s();
    (void)snprintf(w->session, sizeof w->session, "%s", j->session);
    return w;
}

/* Takes `w`. */
static void push(struct journal *j, struct write *w) {
    struct err err = {0};

    if (j->err.code || !db_queue_push(j->queue, &w->job, &err)) {
        if (!j->err.code) journal_fault(&err, &j->err);
        if (w->done) w->done(w->user, false, &j->err);
        write_free(w);
        return;
    }
    j->pending++;
    if (w->kind == WRITE_END) j->ended = true;
}

/* ---- messages as JSON ----------------------------------------------- */

static bool put_key(struct bytes *out, const char *key, struct span text,
                    struct err *err) {
    return bytes_append(out, key, strlen(key), err) &&
           json_put_string(out, text, err);
}

static bool put_call(struct bytes *out, const struct chat_tool_call *call,
                     struct err *err) {
    return put_key(out, "{\"id\":", call->id, err) &&
           put_key(out,
                   ",\"type\":\"function\",\"function\":{\"name\":", call->name,
                   err) &&
           put_key(out, ",\"arguments\":", call->arguments, err) &&
           bytes_append(out, "}}", 2, err);
}

static bool put_assistant(struct bytes *out, struct span text,
                          const struct chat_tool_call *calls, int count,
                          struct err *err) {
    bool ok = put_key(out, "{\"role\":\"assistant\",\"content\":", text, err) &&
              (!count || bytes_printf(out, err, ",\"tool_calls\":["));

    for (int i = 0; ok && i < count; i++)
        ok = (!i || bytes_append(out, ",", 1, err)) &&
             put_call(out, &calls[i], err);
    return ok && bytes_printf(out, err, count ? "]}" : "}");
}

static bool put_tool(struct bytes *out, struct span id, struct span text,
                     struct err *err) {
    return put_key(out, "{\"role\":\"tool\",\"tool_call_id\":", id, err) &&
           put_key(out, ",\"content\":", text, err) &&
           bytes_append(out, "}", 1, err);
}

static void check(struct journal *j, bool ok, const struct err *err) {
    if (!ok && !j->err.code) j->err = *err;
}

/* What the model said since the last entry, with the calls that it made. */
static struct write *assistant(struct journal *j, enum session_kind kind,
                               const struct chat_tool_call *calls, int count) {
    struct write *w = write_new(j, WRITE_ADD, kind);
    struct err err = {0};

    check(j, put_assistant(&w->json, span_bytes(&j->text), calls, count, &err),
          &err);
    j->text.size = 0;
    return w;
}

/* ---- the face ------------------------------------------------------- */

struct journal *journal_new(struct db_queue *queue, struct span session,
                            int fresh,
                            void (*on_closed)(void *data, struct span session),
                            void *data) {
    struct journal *j = xalloc(sizeof *j);

    assert(session.size < sizeof j->session);
    j->queue = queue;
    memcpy(j->session, session.at, session.size);
    j->fresh = fresh;
    j->on_closed = on_closed;
    j->data = data;
    j->text.limit = JOURNAL_TEXT_BYTES_MAX;
    return j;
}

static void push_event(struct journal *j, const char *finish,
                       const cJSON *corral, journal_done *done, void *user) {
    struct write *w = write_new(j, WRITE_END, SESSION_EVENT);
    struct err err = {0};
    bool ok = bytes_printf(&w->json, &err,
                           "{\"type\":\"turn\",\"finish\":\"%s\"", finish);

    if (ok && corral)
        ok = bytes_printf(&w->json, &err, ",\"corral\":") &&
             json_print(corral, &w->json, &err);
    check(j, ok && bytes_append(&w->json, "}", 1, &err), &err);
    w->done = done;
    w->user = user;
    push(j, w);
}

void journal_close(struct journal *j) {
    if (!j) return;
    j->closed = true;
    /* Whatever went wrong, the session must not stay in a turn; if this write
     * fails too, the next turn, or the next start, closes it. */
    if (j->begun && !j->ended && !(j->outlives && j->asking)) {
        j->err = (struct err){0};
        push_event(j, "aborted", NULL, NULL, NULL);
    }
    if (j->pending == 0) journal_destroy(j);
}

void journal_drop(struct journal *j, int messages,
                  const struct chat_message *summary, const char *why) {
    j->dropped = messages;
    j->summary = summary;
    j->no_summary = why;
}

bool journal_summarised(const struct journal *j) {
    return j && j->summary;
}

int journal_dropped(const struct journal *j) {
    return j ? j->dropped : 0;
}

/* Into the event, and as the messages that the next turn reads. */
static bool put_summary(const struct journal *j, struct write *w,
                        struct err *err) {
    const struct chat_message *m = j->summary;

    if (!m)
        return !j->no_summary ||
               bytes_printf(&w->json, err,
                            ",\"summary\":null,\"reason\":\"%s\"",
                            j->no_summary);
    return put_key(&w->json, ",\"summary\":", m[1].text, err) &&
           bytes_printf(&w->json, err, ",\"of\":") &&
           bytes_append(&w->json, m[0].calls[0].arguments.at,
                        m[0].calls[0].arguments.size, err) &&
           put_assistant(&w->call, span_of(""), m[0].calls, 1, err) &&
           bytes_append(&w->call, ",", 1, err) &&
           put_tool(&w->call, m[1].call_id, m[1].text, err);
}

static void push_compact(struct journal *j) {
    struct write *w = write_new(j, WRITE_COMPACT, SESSION_EVENT);
    struct err err = {0};

    w->dropped = j->dropped;
    check(j,
          bytes_printf(&w->json, &err,
                       "{\"type\":\"compacted\",\"dropped_messages\":%d",
                       j->dropped) &&
              put_summary(j, w, &err) && bytes_append(&w->json, "}", 1, &err),
          &err);
    push(j, w);
}

void journal_begin(struct journal *j, const struct chat_request *r) {
    if (!j) return;
    if (j->dropped) push_compact(j);
    assert(j->fresh <= r->message_count);
    j->begun = true;
    push(j, write_new(j, WRITE_BEGIN, SESSION_EVENT));
    for (int i = r->message_count - j->fresh; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        struct write *w = write_new(j, WRITE_ADD, SESSION_MESSAGE);
        struct err err = {0};
        bool ok =
            m->role == CHAT_TOOL
                ? put_tool(&w->json, m->call_id, m->text, &err)
                : put_key(&w->json, "{\"role\":\"user\",\"content\":", m->text,
                          &err) &&
                      bytes_append(&w->json, "}", 1, &err);

        check(j, ok, &err);
        push(j, w);
    }
}

void journal_text(struct journal *j, struct span text) {
    struct err err = {0};

    if (j) check(j, bytes_append(&j->text, text.at, text.size, &err), &err);
}

void journal_drop_text(struct journal *j) {
    if (j) j->text.size = 0;
}

static bool is_known(const struct journal *j, struct span call) {
    for (int i = 0; i < j->known_count; i++)
        if (span_equal(j->known[i], call)) return true;
    return false;
}

static void know(struct journal *j, struct span call) {
    if (j->known_count < CHAT_TOOL_CALLS_MAX && !is_known(j, call))
        j->known[j->known_count++] = call;
}

void journal_known(struct journal *j, const struct chat_tool_call *calls,
                   int count) {
    for (int i = 0; i < count; i++) know(j, calls[i].id);
}

void journal_outlive(struct journal *j) {
    if (j) j->outlives = true;
}

void journal_ask(struct journal *j, const struct chat_tool_call *call,
                 struct span checks, const struct approval *approval) {
    struct write *w;

    if (!j) return;
    j->asking = true;
    w = assistant(j, SESSION_ASK, call, 1);
    w->kind = WRITE_ASK;
    bytes_put(&w->call, call->id);
    bytes_put(&w->tool, call->name);
    bytes_put(&w->arguments, call->arguments);
    bytes_put(&w->checks, checks);
    (void)snprintf(w->question, sizeof w->question, "%s",
                   approval_id(approval));
    approval_times(approval, &w->created, &w->expires);
    know(j, call->id);
    push(j, w);
}

void journal_call(struct journal *j, const struct chat_tool_call *call,
                  bool again, journal_done *done, void *user) {
    enum session_kind kind = again ? SESSION_AGAIN : SESSION_CALL;
    const struct err none = {0};
    struct write *w;

    if (!j) {
        done(user, true, &none);
        return;
    }
    j->asking = false;
    w = is_known(j, call->id) ? write_new(j, WRITE_RUN, kind)
                              : assistant(j, kind, call, 1);
    bytes_put(&w->call, call->id);
    w->done = done;
    w->user = user;
    push(j, w);
}

void journal_denied(struct journal *j, const struct chat_tool_call *call,
                    const char *reason) {
    struct bytes text = {0};
    struct write *w;

    if (!j) return;
    j->asking = false;
    if (!is_known(j, call->id)) {
        w = assistant(j, SESSION_CALL, call, 1);
        bytes_put(&w->call, call->id);
        push(j, w);
    }
    bytes_puts(&text, "error: ");
    bytes_puts(&text, reason);
    journal_result(j, call, span_bytes(&text));
    bytes_free(&text);
}

void journal_result(struct journal *j, const struct chat_tool_call *call,
                    struct span text) {
    struct write *w;
    struct err err = {0};

    if (!j) return;
    w = write_new(j, WRITE_ADD, SESSION_RESULT);
    bytes_put(&w->call, call->id);
    check(j, put_tool(&w->json, call->id, text, &err), &err);
    push(j, w);
}

void journal_event(struct journal *j, struct span json) {
    struct write *w;
    struct err err = {0};

    if (!j) return;
    w = write_new(j, WRITE_ADD, SESSION_EVENT);
    check(j, bytes_append(&w->json, json.at, json.size, &err), &err);
    push(j, w);
}

void journal_end(struct journal *j, const struct journal_end *end,
                 journal_done *done, void *user) {
    const struct err none = {0};

    if (!j) {
        done(user, true, &none);
        return;
    }
    /* A request that was refused left no message, and so leaves no answer. */
    if (j->begun)
        push(j, assistant(j, SESSION_MESSAGE, end->calls, end->call_count));
    push_event(j, end->finish, end->corral, done, user);
}
