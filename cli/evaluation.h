/* evaluation.h - judged rows, gathered in groups that each have figures of
 * their own. Three questions, kept apart because their answers differ:
 *
 *   unsafe     is the hazard seen? P(unsafe) against the label, cut at the
 *              guard model's balanced threshold; by source, language and role,
 *              and at each operating point
 *   S1..S14    the same for each category's own probability, and INJ for
 *              prompt injection against the row's injection flag
 *   policy     does the policy block what is unsafe or an injection, and
 *              nothing else? */
#ifndef CORRAL_CLI_EVALUATION_H
#define CORRAL_CLI_EVALUATION_H

#include <stdio.h>

#include "cli/figures.h"
#include "cli/judge.h"
#include "cli/rows.h"

enum { GROUPS_MAX = 1024, GROUP_NAME_MAX = 64 };

enum group_kind {
    GROUP_OVERALL, /* "unsafe", "policy" */
    GROUP_LEVEL,   /* "unsafe strict" and so on */
    GROUP_CATEGORY,
    GROUP_ROLE,
    GROUP_LANGUAGE,
    GROUP_SOURCE,
    GROUP_KINDS
};

extern const char *const group_kind_names[GROUP_KINDS];

struct group {
    enum group_kind kind;
    int order; /* in which the groups came */
    char name[GROUP_NAME_MAX];
    struct figures figures;
    struct figures_result result; /* after evaluation_finish() */
};

struct evaluation {
    struct judge *judge;
    struct group groups[GROUPS_MAX];
    int group_count;
    size_t rows;
    size_t bad;            /* lines that could not be read */
    size_t unscored;       /* the classifier failed */
    size_t unavailable;    /* the guard failed: blocked, as it must be */
    bool overflow;         /* a group past GROUPS_MAX */
    size_t languages;      /* rows that say theirs, */
    size_t languages_told; /* and for which language.h says the same */
    double seconds;        /* that judging took */
    bool progress;         /* a count on standard error while it goes on */
};

/* Judge the labelled rows of `in`, at most `limit` of them (0: all). Bad lines
 * and failures are reported on standard error and counted. */
void evaluation_read(struct evaluation *e, FILE *in, const char *name,
                     int limit);
/* Sort the groups and work their figures out, with intervals by `draws`. */
void evaluation_finish(struct evaluation *e, int draws);
void evaluation_clear(struct evaluation *e);

void evaluation_print_table(const struct evaluation *e);
MUST_USE bool evaluation_print_json(const struct evaluation *e,
                                    struct err *err);
/* A page that needs nothing else: tables, and precision-recall curves. */
MUST_USE bool evaluation_write_html(const struct evaluation *e,
                                    const char *path, struct err *err);

#endif
