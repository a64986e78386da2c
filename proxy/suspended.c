/* suspended.c - each turn is read again from the session's file when it may go
 * on, and becomes an exchange that has no connection. */
#include "proxy/suspended.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/approvals.h"
#include "proxy/auth.h"
#include "proxy/journal.h"
#include "proxy/router.h"

/* One turn, until its exchange begins. */
struct waiting {
    struct db_job job; /* first: cast back */
    struct suspended *all;
    struct waiting *next, *prev; /* in all->first, while it asks a person */
    char *session;
    struct approval *approval;
    const char *denied;
    struct session_cut cut;
};

struct suspended {
    struct suspended_options o;
    struct waiting *first;
    int jobs; /* under way */
    bool closed;
};

void suspended_turn_take(struct suspended_turn *out,
                         const struct session_question *q) {
    *out = (struct suspended_turn){.session = span_dup(q->session),
                                   .question = span_dup(q->id),
                                   .tool = span_dup(q->tool),
                                   .arguments = span_dup(q->arguments),
                                   .checks = span_dup(q->checks),
                                   .created = q->created,
                                   .expires = q->expires};
}

void suspended_turn_clear(struct suspended_turn *t) {
    free(t->session);
    free(t->question);
    free(t->tool);
    free(t->arguments);
    free(t->checks);
}

static void link_first(struct waiting *w) {
    w->next = w->all->first;
    if (w->next) w->next->prev = w;
    w->all->first = w;
}

static void unlink_it(struct waiting *w) {
    if (w->prev)
        w->prev->next = w->next;
    else
        w->all->first = w->next;
    if (w->next) w->next->prev = w->prev;
}

static void waiting_free(struct waiting *w) {
    bytes_free(&w->cut.view.model);
    bytes_free(&w->cut.view.messages);
    bytes_free(&w->cut.owner);
    bytes_free(&w->cut.rest);
    bytes_free(&w->cut.calls);
    bytes_free(&w->cut.asked);
    free(w->session);
    free(w);
}

static void give_up(struct waiting *w, const struct err *why) {
    char quoted[ERR_TEXT_MAX];

    log_event(LOG_WARN, "turn_not_resumed", "session=%s reason=%s", w->session,
              log_quote(why->text, quoted, sizeof quoted));
    w->all->o.on_over(w->all->o.data, span_of(w->session));
}

/* ---- the turn begins ------------------------------------------------ */

/* Nobody reads a stream of it. */
static cJSON *read_rest(const struct waiting *w, struct err *err) {
    cJSON *rest = json_parse(span_bytes(&w->cut.rest), err);

    cJSON_DeleteItemFromObjectCaseSensitive(rest, "stream");
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "stream_options");
    return rest;
}

static bool put_body(const struct waiting *w, struct bytes *out,
                     struct err *err) {
    const struct bytes *messages = &w->cut.view.messages;
    struct span model = span_bytes(&w->cut.view.model);
    cJSON *rest = read_rest(w, err);
    struct bytes text = {0};
    bool ok = rest && bytes_append(out, "{", 1, err);

    if (!model.size) model = span_of(router_name(w->all->o.context->router, 0));
    if (ok && !cJSON_GetObjectItemCaseSensitive(rest, "model"))
        ok = bytes_printf(out, err, "\"model\":") &&
             json_put_string(out, model, err) && bytes_append(out, ",", 1, err);
    ok = ok && bytes_printf(out, err, "\"messages\":[") &&
         bytes_append(out, messages->at, messages->size, err) &&
         bytes_append(out, "]", 1, err) && json_print(rest, &text, err) &&
         (text.size == 2 || bytes_append(out, ",", 1, err)) &&
         bytes_append(out, text.at + 1, text.size - 1, err);
    bytes_free(&text);
    cJSON_Delete(rest);
    return ok;
}

static bool begin(struct waiting *w, struct err *err) {
    const struct suspended_options *o = &w->all->o;
    struct span owner = span_bytes(&w->cut.owner);
    struct bytes body = {0};
    struct exchange_resume resume = {.calls = span_bytes(&w->cut.calls),
                                     .asked = span_bytes(&w->cut.asked),
                                     .denied = w->denied};
    struct journal *journal;
    bool ok;

    resume.caller = auth_caller(o->auth, owner);
    if (owner.size && !resume.caller)
        return err_set(err, ERR_DENIED, "the key of the session is not good");
    ok = put_body(w, &body, err);
    if (ok) {
        resume.body = span_bytes(&body);
        journal =
            journal_new(o->queue, span_of(w->session), 0, o->on_over, o->data);
        exchange_resume_turn(o->context, &resume, journal);
    }
    bytes_free(&body);
    return ok;
}

static bool on_run(struct db_job *job, struct db *db, struct err *err) {
    struct waiting *w = (struct waiting *)job;

    return session_take_up(db, span_of(w->session), &w->cut, err);
}

static void on_done(struct db_job *job, bool ok, const struct err *why) {
    struct waiting *w = (struct waiting *)job;
    struct suspended *s = w->all;
    struct err err = {0};

    if (!ok) err = *why;
    if (!s->closed && (!ok || !begin(w, &err))) give_up(w, &err);
    waiting_free(w);
    if (--s->jobs == 0 && s->closed) free(s);
}

static void take_up(struct waiting *w) {
    struct err err = {0};

    w->job = (struct db_job){.run = on_run, .on_done = on_done};
    if (db_queue_push(w->all->o.queue, &w->job, &err)) {
        w->all->jobs++;
        return;
    }
    give_up(w, &err);
    waiting_free(w);
}

static void on_answer(void *user, enum approval_answer answer) {
    struct waiting *w = user;

    w->approval = NULL;
    if (answer == APPROVAL_DENIED) w->denied = "denied by a person";
    if (answer == APPROVAL_EXPIRED)
        w->denied = "denied: nobody approved it in time";
    unlink_it(w);
    take_up(w);
}

/* ---- its life ------------------------------------------------------- */

static void ask_again(struct waiting *w, const struct suspended_turn *t) {
    const struct approval_question q = {.tool = span_of(t->tool),
                                        .arguments = span_of(t->arguments),
                                        .checks = span_of(t->checks)};

    link_first(w);
    w->approval =
        approvals_restore(w->all->o.context->approvals, span_of(t->question),
                          t->created, t->expires, &q, on_answer, w);
}

struct suspended *suspended_open(const struct suspended_options *o,
                                 const struct suspended_turn *list, int count) {
    struct suspended *s = xalloc(sizeof *s);

    s->o = *o;
    for (int i = 0; i < count; i++) {
        struct waiting *w = xalloc(sizeof *w);

        w->all = s;
        w->session = xstrdup(list[i].session);
        if (*list[i].question)
            ask_again(w, &list[i]);
        else
            take_up(w);
    }
    return s;
}

void suspended_close(struct suspended *s) {
    if (!s) return;
    while (s->first) {
        struct waiting *w = s->first;

        approval_cancel(w->approval);
        s->o.on_over(s->o.data, span_of(w->session));
        unlink_it(w);
        waiting_free(w);
    }
    s->closed = true;
    if (!s->jobs) free(s);
}
