/* judging.h - what a client sent, judged to its end, for routes that have no
 * conversation to answer (exchange.c judges those): every field by rules and
 * entities, what is redacted put in its place, then each question by the
 * classifier. Told to audit and metrics as it goes. Event-loop thread. */
#ifndef CORRAL_PROXY_JUDGING_H
#define CORRAL_PROXY_JUDGING_H

#include "guard/guard.h"
#include "proxy/fields.h"
#include "proxy/questions.h"

struct audit;
struct conn;
struct metrics;

/* Borrowed until one of the callbacks, of which exactly one comes, perhaps
 * inside judging_start(), and which may free the struct judging. */
struct judging_options {
    struct guard *guard;
    const struct policy *policy;
    struct metrics *metrics;
    struct audit *audit; /* may be NULL */
    struct conn *conn;
    const char *route; /* for the audit */
    uint64_t client;
    struct arena *arena; /* where redacted texts go */
    struct field *fields;
    int field_count;
    const struct question *questions;
    int question_count;
    void (*on_passed)(void *user);
    /* The policy said no, or the guard could not judge: v->cause tells. */
    void (*on_blocked)(void *user, enum channel channel,
                       const struct verdict *v);
    void (*on_failed)(void *user, const struct err *why);
    void *user;
};

/* All zero is one that does nothing. */
struct judging {
    struct judging_options o;
    struct guard_check *check;
    enum channel channel;
    int asked;
    int decisions; /* verdicts that came, for the audit's last row */
    uint64_t asked_ns;
    uint64_t guard_ns; /* spent on verdicts so far */
};

void judging_start(struct judging *j, const struct judging_options *o);
void judging_cancel(struct judging *j);

/* What every check of a request is made of, here, in the exchange and in an
 * inquiry. */

/* Have `request` bring all fields before rules and entities. */
MUST_USE bool judging_fields(struct guard_request *request,
                             const struct field *fields, int count,
                             struct arena *arena, struct err *err);
/* Have it ask the classifier. */
void judging_question(struct guard_request *request, const struct question *q);
/* The audit's hash of what a check was about: the last turn of `asked`, or NULL
 * for the first check, which is about all fields. */
void judging_hash(const struct audit *audit, const struct field *fields,
                  int count, const struct question *asked,
                  char out[HASH_HEX_SIZE]);

#endif
