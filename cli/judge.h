/* judge.h - many texts judged by the guard without a server: the models, the
 * guard and a policy behind one face, several texts in flight at once. For
 * `check`, `eval` and `policy test`. Everything runs on the caller's thread. */
#ifndef CORRAL_CLI_JUDGE_H
#define CORRAL_CLI_JUDGE_H

#include "cli/rows.h"
#include "guard/guard.h"

enum { JUDGE_IN_FLIGHT = 32 };

struct judge;

struct judge_options {
    /* What the server is told, for the models, a Llama Guard and the policy
     * where they are not given here; NULL: none. */
    const char *config;
    const char *policy; /* each NULL for the default place */
    const char *other;  /* a second policy, to compare; NULL: none */
    const char *model;
    const char *guard_models;
    int threads;    /* 0: all cores */
    bool untrained; /* heads of examples checks are left out */
    /* Load the model although no check of the policy asks the classifier:
     * judge_text.scored needs it. */
    bool scores;
};

/* One text. `prompt` may be NULL; with a channel other than input it is the
 * user's turn before `text`. */
struct judge_text {
    enum channel channel;
    struct span prompt;
    struct span text;
    bool other; /* judge under the second policy */
    /* The scores are wanted whatever the policy's checks are, and whatever
     * they find. */
    bool scored;
};

struct judge_result {
    struct verdict verdict;
    bool scored; /* scores are set */
    float scores[LABEL_COUNT];
    struct err err; /* why there are no scores although they were asked for */
};

/* Once for each text, from judge_submit() or judge_drain(), in any order. */
typedef void judge_done(void *user, const struct judge_result *result);

MUST_USE struct judge *judge_open(const struct judge_options *options,
                                  struct err *err);
void judge_close(struct judge *j); /* after judge_drain(); NULL is fine */
const struct policy *judge_policy(const struct judge *j);
const struct policy *judge_other(const struct judge *j); /* NULL: none */
/* NULL when no model was needed. */
struct classifier *judge_classifier(const struct judge *j);
/* From where on a score of whoever answers for the label counts. The judge has
 * a model. */
float judge_threshold(const struct judge *j, enum level level, int label);

/* What of a row is judged: its response, after its prompt, or its prompt
 * alone. Borrows from the row. */
struct judge_text judge_row(const struct row_text *row);
/* Everything is copied. Waits for a place when JUDGE_IN_FLIGHT are taken. */
void judge_submit(struct judge *j, const struct judge_text *text,
                  judge_done *done, void *user);
/* Sleep until a model has something to say, and let it: for whoever asks
 * the classifier for more than verdicts. */
void judge_wait(struct judge *j);
/* Until all are done. */
void judge_drain(struct judge *j);

#endif
