/* session_rows.h - what the parts of a session's file share; for session*.c
 * alone. Sessions go by their number in the file. */
#ifndef CORRAL_AGENT_SESSION_ROWS_H
#define CORRAL_AGENT_SESSION_ROWS_H

#include "agent/session.h"

MUST_USE bool session_find(struct db *db, struct span id, int64_t *number,
                           struct err *err);
/* A statement whose one parameter is a session's number. */
MUST_USE bool session_run_on(struct db *db, const char *sql, int64_t number,
                             struct err *err);
/* The same with a call's id as the second. */
MUST_USE bool session_run_on_call(struct db *db, const char *sql,
                                  int64_t number, struct span call,
                                  struct err *err);
MUST_USE bool session_forget_question(struct db *db, int64_t number,
                                      struct span call, struct err *err);
/* One more entry; closes nothing. */
MUST_USE bool session_put(struct db *db, int64_t number,
                          const struct session_entry *e, int64_t now,
                          struct err *err);
/* The end of a turn that nobody goes on with. */
MUST_USE bool session_end_cut_off(struct db *db, int64_t number, int64_t now,
                                  struct err *err);
/* Model and system text; ERR_LIMIT when the session takes no more turns. */
MUST_USE bool session_load_row(struct db *db, int64_t number, bool *running,
                               struct session_view *out, struct err *err);
/* The messages that the model reads, but for those of open calls. */
MUST_USE bool session_load_messages(struct db *db, int64_t number,
                                    struct bytes *out, struct err *err);
/* Those of a statement's rows (json), after one another, with commas. */
MUST_USE bool session_put_messages(struct db_statement *s, struct bytes *out,
                                   struct err *err);

#endif
