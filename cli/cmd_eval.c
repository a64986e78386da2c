/* cmd_eval.c - how good the guard is on labelled rows. Three questions, kept
 * apart because their answers differ:
 *
 *   unsafe     is the hazard seen? P(unsafe) against the label, cut at the
 *              adapter's balanced threshold; by source, language and role
 *   S1..S14    the same for each category's own probability, and INJ for
 *              prompt injection against the row's injection flag
 *   policy     does the policy block what is unsafe or an injection, and
 *              nothing else? */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/figures.h"
#include "cli/judge.h"
#include "cli/options.h"
#include "cli/rows.h"

enum { GROUPS_MAX = 1024, GROUP_NAME_MAX = 64 };

enum group_kind {
    GROUP_OVERALL, /* "unsafe", "policy" */
    GROUP_CATEGORY,
    GROUP_ROLE,
    GROUP_LANGUAGE,
    GROUP_SOURCE,
    GROUP_KINDS
};

static const char *const kind_names[GROUP_KINDS] = {
    "overall", "category", "role", "language", "source"};

struct group {
    enum group_kind kind;
    char name[GROUP_NAME_MAX];
    struct figures figures;
};

struct evaluation {
    const struct judge *judge;
    struct group groups[GROUPS_MAX];
    int group_count;
    size_t rows;
    size_t bad;         /* lines that could not be read */
    size_t unscored;    /* the classifier failed */
    size_t unavailable; /* the guard failed: blocked, as it must be */
    bool overflow;      /* a group past GROUPS_MAX */
};

/* What is known of a row while it is judged. */
struct truth {
    struct evaluation *evaluation;
    int line;
    bool unsafe;
    bool injection;
    uint32_t categories;
    char lang[GROUP_NAME_MAX];
    char source[GROUP_NAME_MAX];
    char role[GROUP_NAME_MAX];
};

static struct figures *group(struct evaluation *e, enum group_kind kind,
                             const char *name) {
    struct group *g;

    for (int i = 0; i < e->group_count; i++)
        if (e->groups[i].kind == kind && !strcmp(e->groups[i].name, name))
            return &e->groups[i].figures;
    if (e->group_count == GROUPS_MAX) {
        e->overflow = true;
        return NULL;
    }
    g = &e->groups[e->group_count++];
    g->kind = kind;
    (void)snprintf(g->name, sizeof g->name, "%s", name);
    return &g->figures;
}

static void add(struct evaluation *e, enum group_kind kind, const char *name,
                float score, bool positive, bool judged) {
    struct figures *f = *name ? group(e, kind, name) : NULL;

    if (f) figures_add(f, score, positive, judged);
}

static bool counts(const struct evaluation *e, int label, float score) {
    return score >= classifier_threshold(judge_classifier(e->judge),
                                         GUARD_MODEL_FULL, LEVEL_BALANCED,
                                         label);
}

static void add_scores(struct evaluation *e, const struct truth *t,
                       const float *scores) {
    float score = scores[LABEL_UNSAFE];
    bool judged = counts(e, LABEL_UNSAFE, score);

    add(e, GROUP_OVERALL, "unsafe", score, t->unsafe, judged);
    add(e, GROUP_SOURCE, t->source, score, t->unsafe, judged);
    add(e, GROUP_LANGUAGE, t->lang, score, t->unsafe, judged);
    add(e, GROUP_ROLE, t->role, score, t->unsafe, judged);
    for (int i = LABEL_S1; i <= LABEL_S14; i++)
        add(e, GROUP_CATEGORY, label_name(i), scores[i],
            t->categories >> i & 1u, counts(e, i, scores[i]));
    add(e, GROUP_CATEGORY, label_name(LABEL_INJ), scores[LABEL_INJ],
        t->injection, counts(e, LABEL_INJ, scores[LABEL_INJ]));
}

static void on_result(void *user, const struct judge_result *r) {
    struct truth *t = user;
    struct evaluation *e = t->evaluation;
    bool blocked = r->verdict.action == VERDICT_BLOCK;

    e->rows++;
    e->unavailable += r->verdict.cause == VERDICT_CAUSE_UNAVAILABLE;
    if (r->scored) {
        add_scores(e, t, r->scores);
        /* The policy has no score of its own; the larger of the two
         * probabilities serves for the areas. */
        add(e, GROUP_OVERALL, "policy",
            fmaxf(r->scores[LABEL_UNSAFE], r->scores[LABEL_INJ]),
            t->unsafe || t->injection, blocked);
    } else {
        e->unscored++;
        (void)fprintf(stderr, "corral: line %d: %s\n", t->line, r->err.text);
    }
    free(t);
}

static void submit(struct evaluation *e, struct judge *j, int line,
                   const struct row_text *row) {
    struct truth *t = xalloc(sizeof *t);
    struct judge_text text = {.scored = true};

    t->evaluation = e;
    t->line = line;
    t->unsafe = row->unsafe;
    t->injection = row->injection;
    t->categories = row->categories;
    (void)snprintf(t->lang, sizeof t->lang, "%s", row->lang);
    (void)snprintf(t->source, sizeof t->source, "%s", row->source);
    (void)snprintf(t->role, sizeof t->role, "%s",
                   *row->role ? row->role
                              : (row->response.at ? "agent" : "user"));
    text.channel = row->response.at ? CHANNEL_OUTPUT : CHANNEL_INPUT;
    text.text = row->response.at ? row->response : row->prompt;
    if (row->response.at) text.prompt = row->prompt;
    judge_submit(j, &text, on_result, t);
}

static void read_rows(struct evaluation *e, struct judge *j, FILE *in,
                      const char *name) {
    struct rows rows;

    rows_init(&rows, in, name);
    for (;;) {
        struct row_text row;
        struct err err = {0};
        enum rows_status status = rows_next(&rows, &row, &err);

        if (status == ROWS_END) break;
        if (status == ROWS_ROW && !row.labelled) {
            (void)err_set(&err, ERR_INPUT, "%s:%d: label: missing", name,
                          rows.line);
            status = ROWS_BAD;
        }
        if (status == ROWS_BAD) {
            (void)fprintf(stderr, "corral: %s\n", err.text);
            e->bad++;
            continue;
        }
        submit(e, j, rows.line, &row);
    }
    judge_drain(j);
    rows_clear(&rows);
}

static int by_kind(const void *a, const void *b) {
    const struct group *x = a, *y = b;

    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    /* S2 before S10: shorter names first among the categories. */
    if (x->kind == GROUP_CATEGORY && strlen(x->name) != strlen(y->name) &&
        x->name[0] == 'S' && y->name[0] == 'S')
        return strlen(x->name) < strlen(y->name) ? -1 : 1;
    if (x->kind == GROUP_CATEGORY && x->name[0] != y->name[0])
        return x->name[0] == 'S' ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void print_figure(double value) {
    if (isnan(value))
        (void)printf(" %7s", "-");
    else
        (void)printf(" %7.4f", value);
}

static void print_table(struct evaluation *e) {
    int kind = -1;

    for (int i = 0; i < e->group_count; i++) {
        struct group *g = &e->groups[i];
        struct figures_result r = figures_compute(&g->figures);

        if ((int)g->kind != kind) {
            kind = (int)g->kind;
            (void)printf("%s%-22s %6s %6s %7s %7s %7s %7s %7s %7s\n",
                         i ? "\n" : "", kind_names[g->kind], "rows", "pos",
                         "prec", "recall", "F1", "FPR", "AUPRC", "AUROC");
        }
        (void)printf("%-22s %6zu %6zu", g->name, g->figures.count,
                     g->figures.positives);
        print_figure(r.precision);
        print_figure(r.recall);
        print_figure(r.f1);
        print_figure(r.fpr);
        print_figure(r.auprc);
        print_figure(r.auroc);
        (void)putchar('\n');
    }
}

static void add_number(cJSON *object, const char *name, double value) {
    if (isnan(value))
        (void)cJSON_AddNullToObject(object, name);
    else
        (void)cJSON_AddNumberToObject(object, name, value);
}

static bool print_json(struct evaluation *e, struct err *err) {
    cJSON *root = cJSON_CreateObject(), *kinds[GROUP_KINDS] = {NULL};
    struct bytes out = {0};
    bool ok;

    add_number(root, "rows", (double)e->rows);
    add_number(root, "bad", (double)e->bad);
    add_number(root, "unscored", (double)e->unscored);
    add_number(root, "unavailable", (double)e->unavailable);
    (void)cJSON_AddStringToObject(root, "revision",
                                  policy_revision(judge_policy(e->judge)));
    for (int i = 0; i < GROUP_KINDS; i++)
        kinds[i] = cJSON_AddObjectToObject(root, kind_names[i]);
    for (int i = 0; i < e->group_count; i++) {
        struct group *g = &e->groups[i];
        struct figures_result r = figures_compute(&g->figures);
        cJSON *item = cJSON_AddObjectToObject(kinds[g->kind], g->name);

        add_number(item, "rows", (double)g->figures.count);
        add_number(item, "positives", (double)g->figures.positives);
        add_number(item, "precision", r.precision);
        add_number(item, "recall", r.recall);
        add_number(item, "f1", r.f1);
        add_number(item, "fpr", r.fpr);
        add_number(item, "auprc", r.auprc);
        add_number(item, "auroc", r.auroc);
    }
    ok = json_print(root, &out, err);
    if (ok) (void)printf("%.*s\n", (int)out.size, out.at);
    bytes_free(&out);
    cJSON_Delete(root);
    return ok;
}

static int report(struct evaluation *e, bool json, struct err *err) {
    if (!e->rows) {
        (void)err_set(err, ERR_INPUT, "there are no rows to judge");
        return -1;
    }
    qsort(e->groups, (size_t)e->group_count, sizeof e->groups[0], by_kind);
    if (json && !print_json(e, err)) return -1;
    if (!json) print_table(e);
    if (e->bad)
        (void)fprintf(stderr, "corral: %zu lines could not be read\n", e->bad);
    if (e->overflow)
        (void)fprintf(stderr, "corral: more than %d groups, some left out\n",
                      GROUPS_MAX);
    return e->bad || e->unscored || e->overflow ? EXIT_TROUBLE : EXIT_FINE;
}

int cmd_eval(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct judge_options judge_options = {.scores = true};
    bool json = false;
    const struct option list[] = {
        {"policy", 0, OPTION_TEXT, &judge_options.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "one JSON object"},
        {"model", 'm', OPTION_TEXT, &judge_options.model, 0, 0, "FILE",
         "the base model's GGUF"},
        {"guard-models", 0, OPTION_TEXT, &judge_options.guard_models, 0, 0,
         "DIR", "the guard's own models (guard/models)"},
        {"threads", 't', OPTION_INT, &judge_options.threads, 0, 1024, "N",
         "0: all cores"},
    };
    const struct options options = {
        "corral eval [OPTIONS] DATA.jsonl|-",
        "Judges labelled rows {\"prompt\",\"response\"?,\"label\","
        "\"categories\",\"injection\",\n\"lang\",\"source\",\"role\"} and "
        "prints "
        "precision, recall, F1, false-positive rate\nand areas under the "
        "curves, "
        "overall and by category, role, language and source.\nFor packed data: "
        "zcat DATA.jsonl.gz | corral eval -",
        list,
        sizeof list / sizeof list[0],
        1,
        1,
    };
    struct evaluation *e = NULL;
    struct judge *j = NULL;
    struct err err = {0};
    FILE *in = NULL;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    in = strcmp(args[0], "-") ? fopen(args[0], "re") : stdin;
    if (!in) {
        (void)err_set(&err, ERR_NOT_FOUND, "%s: %s", args[0], strerror(errno));
        goto out;
    }
    j = judge_open(&judge_options, &err);
    if (!j) goto out;
    e = xalloc(sizeof *e);
    e->judge = j;
    read_rows(e, j, in, strcmp(args[0], "-") ? args[0] : "standard input");
    code = report(e, json, &err);

out:
    if (code < 0) code = options_fail(&err);
    for (int i = 0; e && i < e->group_count; i++)
        figures_clear(&e->groups[i].figures);
    free(e);
    judge_close(j);
    if (in && in != stdin) (void)fclose(in);
    return code;
}
