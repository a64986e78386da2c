/* journal.h - the record that a session keeps of one turn while it runs. What
 * the exchange and its choice let pass is told here and goes to the session's
 * file in that order; a tool runs only after its call is on the disk, and a
 * client hears the end only after all of it is. Event-loop thread. */
#ifndef CORRAL_PROXY_JOURNAL_H
#define CORRAL_PROXY_JOURNAL_H

#include "agent/chat.h"
#include "proxy/db_queue.h"

struct journal;

/* What was waited for is on the disk, or `err` says why it is not. */
typedef void journal_done(void *user, bool ok, const struct err *err);

/* `fresh`: how many messages, the last ones of the request, the turn brings.
 * on_closed(data, id) comes once, after journal_close() and the last write. */
struct journal *journal_new(struct db_queue *queue, struct span session,
                            int fresh,
                            void (*on_closed)(void *data, struct span session),
                            void *data);
/* The turn is over, or given up: what is still under way is written, what was
 * waited for is not told any more. NULL is fine. */
void journal_close(struct journal *j);
/* The id of its session; borrowed until it is closed. */
struct span journal_session(const struct journal *j);

/* So many of the oldest messages were left out, so that the rest fits;
 * `summary` (SUMMARY_MESSAGES of them, or NULL) stands in their place from now
 * on. With NULL, `why` may say why there is none, in a word of ours. */
void journal_drop(struct journal *j, int messages,
                  const struct chat_message *summary, const char *why);
bool journal_summarised(const struct journal *j); /* of NULL: false */
int journal_dropped(const struct journal *j);     /* of NULL: 0 */

/* All of these do nothing when `j` is NULL: a turn that no session keeps. */

/* The request was judged: its last messages, as redacted, are kept. */
void journal_begin(struct journal *j, const struct chat_request *request);
/* Text that may go to the client. */
void journal_text(struct journal *j, struct span text);
/* It is withdrawn: a refusal takes the place of all that was not sent. */
void journal_drop_text(struct journal *j);
/* A call that may be made, and its result, as the model will read it. `again`:
 * after a crash it may be made once more. Of a call that a person was asked
 * about, or that an earlier process wrote, only that it runs is written. */
void journal_call(struct journal *j, const struct chat_tool_call *call,
                  bool again, journal_done *done, void *user);
/* A person is asked about the call; it was not made yet. */
struct approval;
void journal_ask(struct journal *j, const struct chat_tool_call *call,
                 struct span checks, const struct approval *approval);
/* Calls that the session's file has already, by an earlier process. */
void journal_known(struct journal *j, const struct chat_tool_call *calls,
                   int count);
/* From now on the turn's end is not written when it is given up while a person
 * is asked: the next process goes on with it. */
void journal_outlive(struct journal *j);
void journal_result(struct journal *j, const struct chat_tool_call *call,
                    struct span text);

/* A call that a person, or nobody in time, said no to: never made. */
void journal_denied(struct journal *j, const struct chat_tool_call *call,
                    const char *reason);

/* What people may want to know of the turn: `json` is an object of a `type`. */
void journal_event(struct journal *j, struct span json);

struct journal_end {
    const char *finish;                 /* "stop", "length", ... */
    const struct chat_tool_call *calls; /* handed over to the client */
    int call_count;
    const cJSON *corral; /* of a refusal, or NULL */
};

/* The answer is whole. With `j` NULL, `done` comes inside. */
void journal_end(struct journal *j, const struct journal_end *end,
                 journal_done *done, void *user);

/* What a client may be told of an error of the sessions' file; the rest of it
 * goes to the log. */
void journal_fault(const struct err *why, struct err *out);

#endif
