/* decisions_body.h - what a body of /v1/decisions asks. Pure functions over
 * memory. */
#ifndef CORRAL_PROXY_DECISIONS_BODY_H
#define CORRAL_PROXY_DECISIONS_BODY_H

#include "agent/chat.h"
#include "proxy/fields.h"

enum {
    DECISIONS_QUESTIONS_MAX = 400,
    DECISIONS_CHOICES_MAX = 255, /* of one question */
    DECISIONS_LEVELS_MAX = 10,
    DECISIONS_OPTIONS_MAX = 2000, /* of all questions together */
    DECISIONS_NAME_BYTES_MAX = 64
};

enum decision_kind { DECISION_PREDICATE, DECISION_CHOICE, DECISION_SCORE };

/* An answer that the model may give. */
struct decision_option {
    struct span label; /* what it would write; not empty */
    struct span description;
    bool boolean; /* the label stands for true or false */
};

struct asked_question {
    enum decision_kind kind;
    struct span name; /* at == NULL: it has none */
    struct span instructions;
    struct decision_option *options;
    int option_count;
};

struct decisions_body {
    struct chat_request request; /* model and input; room for one message more
                                  * behind the last */
    struct asked_question *questions;
    int question_count;
    int option_count; /* of all questions */
};

/* `out->request` was made by chat_request_init(). Changes `body`: JSON parts
 * become texts. ERR_INPUT, ERR_LIMIT or ERR_UNSUPPORTED with err->field. */
MUST_USE bool decisions_parse(cJSON *body, struct decisions_body *out,
                              struct err *err);

/* All texts that the model reads, and those that come back to the client, in
 * the request's arena; and what the classifier is to read of the questions, as
 * the request's extra_text. */
MUST_USE bool decisions_fields(struct decisions_body *d, struct field **out,
                               int *count, struct err *err);

/* One question as a user would put it, below the input. */
MUST_USE bool decisions_question(const struct asked_question *q,
                                 struct bytes *out, struct err *err);

#endif
