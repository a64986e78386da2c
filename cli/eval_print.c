/* eval_print.c - an evaluation as a table for the eye and as JSON. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/evaluation.h"

static void print_figure(double value) {
    if (isnan(value))
        (void)printf(" %7s", "-");
    else
        (void)printf(" %7.4f", value);
}

void evaluation_print_table(const struct evaluation *e) {
    int kind = -1;

    for (int i = 0; i < e->group_count; i++) {
        const struct group *g = &e->groups[i];
        const struct figures_result *r = &g->result;

        if ((int)g->kind != kind) {
            kind = (int)g->kind;
            (void)printf("%s%-22s %6s %6s %7s %7s %7s %7s %7s %7s %7s %7s"
                         "  AUPRC, 95 %%\n",
                         i ? "\n" : "", group_kind_names[g->kind], "rows",
                         "pos", "prec", "recall", "F1", "FPR", "AUPRC", "AUROC",
                         "rec@1%", "ECE");
        }
        (void)printf("%-22s %6zu %6zu", g->name, g->figures.count,
                     g->figures.positives);
        for (int j = 0; j < FIGURES; j++) print_figure(r->value[j]);
        if (!isnan(r->low[FIGURE_AUPRC]))
            (void)printf("  %.4f-%.4f", r->low[FIGURE_AUPRC],
                         r->high[FIGURE_AUPRC]);
        (void)putchar('\n');
    }
    if (e->languages)
        (void)printf("\nlanguage told right: %zu of %zu\n", e->languages_told,
                     e->languages);
    (void)fprintf(stderr, "corral: %zu rows in %.1f s\n", e->rows, e->seconds);
}

static void add_number(cJSON *object, const char *name, double value) {
    if (isnan(value))
        (void)cJSON_AddNullToObject(object, name);
    else
        (void)cJSON_AddNumberToObject(object, name, value);
}

static void add_group(cJSON *kind, const struct group *g) {
    cJSON *item = cJSON_AddObjectToObject(kind, g->name);
    cJSON *intervals;

    add_number(item, "rows", (double)g->figures.count);
    add_number(item, "positives", (double)g->figures.positives);
    for (int i = 0; i < FIGURES; i++)
        add_number(item, figure_names[i], g->result.value[i]);
    intervals = cJSON_AddObjectToObject(item, "intervals");
    for (int i = 0; i < FIGURES; i++) {
        double ends[] = {g->result.low[i], g->result.high[i]};

        if (isnan(ends[0])) continue;
        (void)cJSON_AddItemToObject(intervals, figure_names[i],
                                    cJSON_CreateDoubleArray(ends, 2));
    }
}

bool evaluation_print_json(const struct evaluation *e, struct err *err) {
    cJSON *root = cJSON_CreateObject(), *kinds[GROUP_KINDS] = {NULL};
    struct bytes out = {0};
    bool ok;

    add_number(root, "rows", (double)e->rows);
    add_number(root, "bad", (double)e->bad);
    add_number(root, "unscored", (double)e->unscored);
    add_number(root, "unavailable", (double)e->unavailable);
    add_number(root, "seconds", e->seconds);
    add_number(root, "languages", (double)e->languages);
    add_number(root, "languages_told", (double)e->languages_told);
    (void)cJSON_AddStringToObject(root, "revision",
                                  policy_revision(judge_policy(e->judge)));
    for (int i = 0; i < GROUP_KINDS; i++)
        kinds[i] = cJSON_AddObjectToObject(root, group_kind_names[i]);
    for (int i = 0; i < e->group_count; i++)
        add_group(kinds[e->groups[i].kind], &e->groups[i]);
    ok = json_print(root, &out, err);
    if (ok) (void)printf("%.*s\n", (int)out.size, out.at);
    bytes_free(&out);
    cJSON_Delete(root);
    return ok;
}
