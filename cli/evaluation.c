#include "cli/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "guard/language.h"

static const uint64_t PROGRESS_NS = 1000000000;

const char *const group_kind_names[GROUP_KINDS] = {
    "overall", "level", "category", "role", "language", "source"};

static const char *const level_names[] = {
    [LEVEL_STRICT] = "strict",
    [LEVEL_BALANCED] = "balanced",
    [LEVEL_LOOSE] = "loose",
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
    g->order = e->group_count;
    (void)snprintf(g->name, sizeof g->name, "%s", name);
    return &g->figures;
}

static void add(struct evaluation *e, enum group_kind kind, const char *name,
                float score, bool positive, bool judged) {
    struct figures *f = *name ? group(e, kind, name) : NULL;

    if (f) figures_add(f, score, positive, judged);
}

static bool counts(const struct evaluation *e, enum level level, int label,
                   float score) {
    return score >= judge_threshold(e->judge, level, label);
}

static void add_levels(struct evaluation *e, int label, const char *name,
                       float score, bool positive) {
    for (int i = LEVEL_STRICT; i <= LEVEL_LOOSE; i++) {
        char text[GROUP_NAME_MAX];

        (void)snprintf(text, sizeof text, "%s %s", name, level_names[i]);
        add(e, GROUP_LEVEL, text, score, positive,
            counts(e, (enum level)i, label, score));
    }
}

static void add_scores(struct evaluation *e, const struct truth *t,
                       const float *scores) {
    float score = scores[LABEL_UNSAFE];
    bool judged = counts(e, LEVEL_BALANCED, LABEL_UNSAFE, score);

    add(e, GROUP_OVERALL, "unsafe", score, t->unsafe, judged);
    add_levels(e, LABEL_UNSAFE, "unsafe", score, t->unsafe);
    add_levels(e, LABEL_INJ, "INJ", scores[LABEL_INJ], t->injection);
    add(e, GROUP_SOURCE, t->source, score, t->unsafe, judged);
    add(e, GROUP_LANGUAGE, t->lang, score, t->unsafe, judged);
    add(e, GROUP_ROLE, t->role, score, t->unsafe, judged);
    for (int i = LABEL_S1; i <= LABEL_S14; i++)
        add(e, GROUP_CATEGORY, label_name(i), scores[i],
            t->categories >> i & 1u, counts(e, LEVEL_BALANCED, i, scores[i]));
    add(e, GROUP_CATEGORY, label_name(LABEL_INJ), scores[LABEL_INJ],
        t->injection, counts(e, LEVEL_BALANCED, LABEL_INJ, scores[LABEL_INJ]));
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

/* Would a refusal speak the row's language? */
static void note_language(struct evaluation *e, const struct row_text *row) {
    const char *told = language_of(row->prompt);

    if (!*row->lang || !row->prompt.size) return;
    e->languages++;
    e->languages_told += !strcmp(told ? told : "en", row->lang);
}

static void submit(struct evaluation *e, int line, const struct row_text *row) {
    struct truth *t = xalloc(sizeof *t);
    struct judge_text text = judge_row(row);

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
    text.scored = true;
    note_language(e, row);
    judge_submit(e->judge, &text, on_result, t);
}

static void show_progress(const struct evaluation *e, uint64_t start_ns,
                          uint64_t *shown_ns) {
    uint64_t now = clock_ns();

    if (!e->progress || now - *shown_ns < PROGRESS_NS) return;
    *shown_ns = now;
    (void)fprintf(stderr, "\r%zu rows, %.0f a second ", e->rows,
                  (double)e->rows * 1e9 / (double)(now - start_ns));
}

void evaluation_read(struct evaluation *e, FILE *in, const char *name,
                     int limit) {
    struct rows rows;
    uint64_t start_ns = clock_ns();
    uint64_t shown_ns = start_ns;
    int taken = 0;

    rows_init(&rows, in, name);
    while (!limit || taken < limit) {
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
        submit(e, rows.line, &row);
        taken++;
        show_progress(e, start_ns, &shown_ns);
    }
    judge_drain(e->judge);
    rows_clear(&rows);
    e->seconds = (double)(clock_ns() - start_ns) / 1e9;
    if (shown_ns != start_ns) (void)fputs("\r\033[K", stderr);
}

static int by_kind(const void *a, const void *b) {
    const struct group *x = a, *y = b;

    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    /* Levels as they came, strict first. */
    if (x->kind == GROUP_LEVEL) return x->order - y->order;
    /* S2 before S10: shorter names first among the categories. */
    if (x->kind == GROUP_CATEGORY && strlen(x->name) != strlen(y->name) &&
        x->name[0] == 'S' && y->name[0] == 'S')
        return strlen(x->name) < strlen(y->name) ? -1 : 1;
    if (x->kind == GROUP_CATEGORY && x->name[0] != y->name[0])
        return x->name[0] == 'S' ? -1 : 1;
    return strcmp(x->name, y->name);
}

void evaluation_finish(struct evaluation *e, int draws) {
    qsort(e->groups, (size_t)e->group_count, sizeof e->groups[0], by_kind);
    for (int i = 0; i < e->group_count; i++)
        figures_compute(&e->groups[i].figures, draws, &e->groups[i].result);
}

void evaluation_clear(struct evaluation *e) {
    for (int i = 0; i < e->group_count; i++)
        figures_clear(&e->groups[i].figures);
    e->group_count = 0;
}
