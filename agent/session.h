/* session.h - conversations that outlast the process: what was said, which
 * tools ran and what was decided, row by row in a SQLite file. Every call is
 * one step inside a transaction that the caller began, on the thread that has
 * the database.
 *
 * A turn is begun, added to and ended. A tool's call is written before the
 * tool runs and is open until its result is. A call that is open when its turn
 * is not under way was cut off: it is closed by telling the model so, unless it
 * waits for a person, or may be made again (session_recover()). */
#ifndef CORRAL_AGENT_SESSION_H
#define CORRAL_AGENT_SESSION_H

#include "base/db.h"

enum {
    SESSIONS_MAX = 100000,
    SESSION_ENTRIES_MAX = 1500, /* below CHAT_MESSAGES_MAX */
    SESSION_BYTES_MAX = 4 << 20,
    SESSION_TEXT_MAX = 64 << 10, /* of a system text, and of metadata */
    SESSION_PAGE_MAX = 100
};

extern const struct db_schema session_schema;

struct session_fresh {
    struct span id;
    struct span owner;    /* the API key's id; empty: nobody's */
    struct span model;    /* empty: the server's first */
    struct span system;   /* empty: none */
    struct span metadata; /* a JSON object, as text */
    int64_t now;          /* seconds since 1970 */
};

/* What a turn starts from. */
struct session_view {
    struct bytes model;
    struct bytes messages; /* JSON objects in OpenAI's shape, with commas */
};

enum session_kind {
    SESSION_MESSAGE, /* one that the model reads */
    SESSION_CALL,    /* the same, of a tool that is about to run: open */
    SESSION_AGAIN,   /* the same, and running it twice does no harm */
    SESSION_ASK,     /* the same, but a person is asked first */
    SESSION_RESULT,  /* the same, what the tool said: closes its call */
    SESSION_EVENT    /* for people: a verdict, an end */
};

struct session_entry {
    enum session_kind kind;
    struct span json; /* a message in OpenAI's shape, or an event */
    struct span call; /* of a call and a result: the call's id */
};

/* What a person is asked about a call. */
struct session_question {
    struct span id; /* of the approval */
    struct span session;
    struct span tool;
    struct span arguments;
    struct span checks;
    int64_t created, expires; /* seconds since 1970 */
};

/* ERR_NOT_FOUND: no session of this id; ERR_LIMIT: past a number above. */
MUST_USE bool session_create(struct db *db, const struct session_fresh *s,
                             struct err *err);
/* ERR_NOT_FOUND also when it is another's. The calls below do not look. */
MUST_USE bool session_owned(struct db *db, struct span id, struct span owner,
                            struct err *err);
/* Append the session without its entries, as JSON. */
MUST_USE bool session_describe(struct db *db, struct span id, struct bytes *out,
                               struct err *err);
/* The same with them. */
MUST_USE bool session_show(struct db *db, struct span id, struct bytes *out,
                           struct err *err);
/* A page of an owner's list, the latest made first: those made before `after`,
 * or the first page when that is empty. */
MUST_USE bool session_list(struct db *db, struct span owner, struct span after,
                           int count, struct bytes *out, struct err *err);
MUST_USE bool session_delete(struct db *db, struct span id, struct err *err);
/* A new session with the first `messages` messages of another, and what lies
 * between them; negative: all. Between a call and its result there is no
 * place to fork: ERR_INPUT. */
MUST_USE bool session_fork(struct db *db, struct span id, struct span fresh_id,
                           int64_t messages, int64_t now, struct err *err);

/* For a turn that is to begin: closes what an earlier one left open. The
 * bytes are the caller's to free, also on failure. */
MUST_USE bool session_load(struct db *db, struct span id, int64_t now,
                           struct session_view *out, struct err *err);
/* A turn is under way from here on. */
MUST_USE bool session_begin(struct db *db, struct span id, struct err *err);
MUST_USE bool session_add(struct db *db, struct span id,
                          const struct session_entry *entry, int64_t now,
                          struct err *err);
/* An entry of the kind SESSION_ASK, and the question. */
MUST_USE bool session_ask(struct db *db, struct span id,
                          const struct session_entry *entry,
                          const struct session_question *q, int64_t now,
                          struct err *err);
/* The person said yes: the call is about to run, as SESSION_CALL, or with
 * `again` as SESSION_AGAIN. */
MUST_USE bool session_run(struct db *db, struct span id, struct span call,
                          bool again, struct err *err);
/* What a turn was asked for beside its messages, a JSON object, for the case
 * that it must be taken up again; forgotten at its end. */
MUST_USE bool session_note(struct db *db, struct span id, struct span rest,
                           struct err *err);
/* The oldest `messages` messages that session_load() gives are not given any
 * more; they stay in the record, and `event` says so. `summary` is given in
 * their place (messages with commas, or empty), and in that of an earlier one.
 */
MUST_USE bool session_compact(struct db *db, struct span id, int64_t messages,
                              struct span summary, struct span event,
                              int64_t now, struct err *err);
/* No turn is under way any more; `event` is told as its last entry. */
MUST_USE bool session_end(struct db *db, struct span id, struct span event,
                          int64_t now, struct err *err);
/* At the start of the server: end all turns that a crash cut off, but for two
 * kinds that can go on: those in which a person may still answer, and those of
 * whose tools all may run again. These only once, lest a tool that brings the
 * server down does so for ever. */
MUST_USE bool session_recover(struct db *db, int64_t now, int64_t *count,
                              struct err *err);
/* The turns that session_recover() left, one after another: with the question
 * that is open in it, or an empty one but for its session. Borrowed during the
 * callback, which may not use the database. */
MUST_USE bool session_each_open(struct db *db,
                                void (*each)(void *user,
                                             const struct session_question *q),
                                void *user, struct err *err);

/* What such a turn goes on from. The bytes are the caller's to free. */
struct session_cut {
    struct session_view view; /* without the messages of the open calls */
    struct bytes owner;
    struct bytes rest;  /* see session_note() */
    struct bytes calls; /* the messages of the open calls, with commas */
    struct bytes asked; /* the id of the call a person was asked about, or "" */
};
MUST_USE bool session_take_up(struct db *db, struct span id,
                              struct session_cut *out, struct err *err);

#endif
