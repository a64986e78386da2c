#include "cli/policy_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/rows.h"

enum {
    BATCH = 256,      /* rows judged before their outcomes are printed */
    EXCERPT_MAX = 60, /* bytes of a row's text that are shown */
    ACTIONS = VERDICT_ALLOW + 1
};

/* What one policy makes of one row. */
struct outcome {
    struct compared *row;
    enum verdict_action action;
    bool failed;         /* the guard could not judge */
    struct bytes checks; /* that acted */
    struct bytes left;   /* VERDICT_REDACT: what passes */
    struct err err;
};

struct compared {
    int line;
    char *id; /* JSON, or NULL */
    char *text;
    size_t size;
    struct outcome sides[2];
};

struct diff {
    struct judge *judge;
    bool json;
    struct compared *rows; /* BATCH of them */
    int row_count;
    int judged, changed, failures;
    int moves[ACTIONS][ACTIONS];
};

static void on_result(void *user, const struct judge_result *result) {
    struct outcome *o = user;
    const struct verdict *v = &result->verdict;
    struct span text = {o->row->text, o->row->size};

    o->action = v->action;
    o->failed = v->cause == VERDICT_CAUSE_UNAVAILABLE;
    o->err = v->err;
    verdict_checks(v, &o->checks);
    if (v->action == VERDICT_REDACT && !o->failed)
        o->failed = !verdict_redact(v, 0, text, &o->left, &o->err);
}

static bool differs(const struct compared *row) {
    const struct outcome *a = &row->sides[0], *b = &row->sides[1];

    return a->action != b->action ||
           !span_equal(span_bytes(&a->left), span_bytes(&b->left));
}

static void row_clear(struct compared *row) {
    for (int s = 0; s < 2; s++) {
        bytes_free(&row->sides[s].checks);
        bytes_free(&row->sides[s].left);
    }
    free(row->id);
    free(row->text);
    *row = (struct compared){0};
}

/* The beginning of the row's text as a JSON string, so that it stays one line
 * whatever is in it. */
static void put_excerpt(struct bytes *out, const struct compared *row) {
    struct span text = {row->text, row->size};
    struct span head = span_slice(text, 0, EXCERPT_MAX);

    while (head.size < text.size && head.size &&
           ((unsigned char)text.at[head.size] & 0xc0) == 0x80)
        head.size--;
    if (!json_put_string(out, head, NULL)) abort();
}

static void print_plain(const struct compared *row) {
    const struct outcome *a = &row->sides[0], *b = &row->sides[1];
    struct bytes out = {0};

    put_excerpt(&out, row);
    (void)printf("line %d%s%s: %s%s%.*s%s -> %s%s%.*s%s  %.*s\n", row->line,
                 row->id ? " " : "", row->id ? row->id : "",
                 verdict_action_name(a->action), a->checks.size ? " (" : "",
                 (int)a->checks.size, a->checks.at ? a->checks.at : "",
                 a->checks.size ? ")" : "", verdict_action_name(b->action),
                 b->checks.size ? " (" : "", (int)b->checks.size,
                 b->checks.at ? b->checks.at : "", b->checks.size ? ")" : "",
                 (int)out.size, out.at);
    bytes_free(&out);
}

static void put_side(struct bytes *out, const char *key,
                     const struct outcome *o) {
    bytes_puts(out, ",\"");
    bytes_puts(out, key);
    bytes_puts(out, "\":{\"action\":\"");
    bytes_puts(out, verdict_action_name(o->action));
    bytes_puts(out, "\",\"checks\":\"");
    bytes_put(out, span_bytes(&o->checks));
    bytes_puts(out, "\"}");
}

static void print_json(const struct diff *d, const struct compared *row) {
    struct bytes out = {0};

    bytes_puts(&out, d->changed > 1 ? ",\n" : "\n");
    if (!bytes_printf(&out, NULL, "{\"line\":%d,\"id\":%s", row->line,
                      row->id ? row->id : "null"))
        abort();
    put_side(&out, "from", &row->sides[0]);
    put_side(&out, "to", &row->sides[1]);
    bytes_puts(&out, "}");
    (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
}

static void report(struct diff *d, const struct compared *row) {
    const struct outcome *a = &row->sides[0], *b = &row->sides[1];

    if (a->failed || b->failed) {
        (void)fprintf(stderr, "corral: line %d: %s\n", row->line,
                      a->failed ? a->err.text : b->err.text);
        d->failures++;
        return;
    }
    d->judged++;
    if (!differs(row)) return;
    d->changed++;
    d->moves[a->action][b->action]++;
    if (d->json)
        print_json(d, row);
    else
        print_plain(row);
}

/* The batch's outcomes, in the order of the rows. */
static void flush(struct diff *d) {
    judge_drain(d->judge);
    for (int i = 0; i < d->row_count; i++) {
        report(d, &d->rows[i]);
        row_clear(&d->rows[i]);
    }
    d->row_count = 0;
}

static char *id_text(const cJSON *id) {
    struct bytes out = {0};
    char *text;

    if (!id) return NULL;
    if (!json_print(id, &out, NULL)) abort();
    text = span_dup(span_bytes(&out));
    bytes_free(&out);
    return text;
}

static void submit(struct diff *d, const struct rows *rows,
                   const struct row_text *in) {
    struct judge_text text = judge_row(in);
    struct compared *row;

    if (d->row_count == BATCH) flush(d);
    row = &d->rows[d->row_count++];
    row->line = rows->line;
    row->id = id_text(in->id);
    row->text = span_dup(text.text);
    row->size = text.text.size;
    for (int s = 0; s < 2; s++) {
        row->sides[s].row = row;
        text.other = s == 1;
        judge_submit(d->judge, &text, on_result, &row->sides[s]);
    }
}

static void read_rows(struct diff *d, FILE *in, const char *name) {
    enum rows_status status;
    struct row_text row;
    struct rows rows;

    rows_init(&rows, in, name);
    for (;;) {
        struct err err = {0};

        status = rows_next(&rows, &row, &err);
        if (status == ROWS_END) break;
        if (status == ROWS_ROW) {
            submit(d, &rows, &row);
            continue;
        }
        (void)fprintf(stderr, "corral: %s\n", err.text);
        d->failures++;
    }
    flush(d);
    rows_clear(&rows);
}

static void begin(const struct diff *d) {
    const struct policy *from = judge_policy(d->judge);
    const struct policy *to = judge_other(d->judge);

    /* Names and revisions need no quoting: letters, digits, - and _. */
    if (d->json)
        (void)printf("{\"from\":{\"policy\":\"%s\",\"revision\":\"%s\"},"
                     "\"to\":{\"policy\":\"%s\",\"revision\":\"%s\"},"
                     "\"changes\":[",
                     policy_name(from), policy_revision(from), policy_name(to),
                     policy_revision(to));
}

static void end(const struct diff *d) {
    if (d->json) {
        (void)printf("],\"rows\":%d,\"changed\":%d,\"failed\":%d}\n", d->judged,
                     d->changed, d->failures);
        return;
    }
    for (int a = 0; a < ACTIONS; a++)
        for (int b = 0; b < ACTIONS; b++)
            if (d->moves[a][b])
                (void)printf("%s -> %s: %d\n",
                             verdict_action_name((enum verdict_action)a),
                             verdict_action_name((enum verdict_action)b),
                             d->moves[a][b]);
    (void)printf("%d rows, %d changed\n", d->judged, d->changed);
}

int policy_diff(const struct judge_options *options, const char *data,
                bool json, struct err *err) {
    bool standard = !strcmp(data, "-");
    const char *name = standard ? "standard input" : data;
    FILE *in = standard ? stdin : fopen(data, "re");
    struct diff d = {.json = json};
    bool any = false;

    if (!in) {
        (void)err_set(err, ERR_NOT_FOUND, "%s: %s", data, strerror(errno));
        return -1;
    }
    d.judge = judge_open(options, err);
    if (d.judge) {
        d.rows = xalloc_array(BATCH, sizeof *d.rows);
        begin(&d);
        read_rows(&d, in, name);
        any = d.judged || d.failures;
        if (any || json) end(&d);
        judge_close(d.judge);
        free(d.rows);
    }
    if (!standard) (void)fclose(in);
    if (!d.judge) return -1;
    /* Nobody compares nothing: it is a wrong file, or an empty pipe. */
    if (!any) {
        (void)err_set(err, ERR_INPUT, "%s: there are no rows to compare", name);
        return -1;
    }
    if (d.failures) return EXIT_TROUBLE;
    return d.changed ? EXIT_NO : EXIT_FINE;
}
