/* session.h - conversations that outlast the process: what was said, which
 * tools ran and what was decided, row by row in a SQLite file. Every call is
 * one step inside a transaction that the caller began, on the thread that has
 * the database.
 *
 * A turn is begun, added to and ended. A tool's call is written before the
 * tool runs and is open until its result is: a call that is open when its turn
 * is not under way was cut off, and is closed by telling the model so. It is
 * never made again by itself. */
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
    SESSION_RESULT,  /* the same, what the tool said: closes the open ones */
    SESSION_EVENT    /* for people: a verdict, an end */
};

struct session_entry {
    enum session_kind kind;
    struct span json; /* a message in OpenAI's shape, or an event */
    struct span call; /* SESSION_CALL: the call's id */
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
/* The oldest `messages` messages that session_load() gives are not given any
 * more; they stay in the record, and `event` says so. */
MUST_USE bool session_compact(struct db *db, struct span id, int64_t messages,
                              struct span event, int64_t now, struct err *err);
/* No turn is under way any more; `event` is told as its last entry. */
MUST_USE bool session_end(struct db *db, struct span id, struct span event,
                          int64_t now, struct err *err);
/* At the start of the server: end all turns that a crash cut off. */
MUST_USE bool session_recover(struct db *db, int64_t now, int64_t *count,
                              struct err *err);

#endif
