/* rows.h - labelled or bare texts from a JSON-lines stream, one object a line:
 * {"id","prompt","response"?} and, for eval, {"label","categories",
 * "injection","lang","source","role"}. A bad line is reported and passed over;
 * it does not end the stream. */
#ifndef CORRAL_CLI_ROWS_H
#define CORRAL_CLI_ROWS_H

#include <stdio.h>

#include "base/json.h"

enum { ROWS_LINE_BYTES_MAX = 8 << 20 };

struct rows {
    FILE *in;         /* borrowed */
    const char *name; /* for errors: the path, or "standard input" */
    int line;         /* the one read last, from 1 */
    bool failed;      /* reading did: nothing more comes */
    struct bytes text;
    cJSON *json;
};

/* Borrowed until the next rows_next(). */
struct row_text {
    const cJSON *id; /* a string or a number; NULL when absent */
    struct span prompt;
    struct span response; /* at == NULL: none */
    bool unsafe;          /* label */
    bool labelled;
    bool injection;
    uint32_t categories; /* bit n: S<n> */
    const char *lang;    /* "" when absent, as the next two */
    const char *source;
    const char *role;
};

enum rows_status { ROWS_ROW, ROWS_BAD, ROWS_END };

void rows_init(struct rows *r, FILE *in, const char *name);
void rows_clear(struct rows *r);

/* ROWS_BAD fills `err` ("name:line: reason"); a read error ends the stream
 * with ROWS_BAD and then ROWS_END. Empty lines are skipped. */
enum rows_status rows_next(struct rows *r, struct row_text *out,
                           struct err *err);

#endif
