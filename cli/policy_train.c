#include "cli/policy_train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "guard/examples.h"
#include "guard/head.h"

enum { MISTAKES_SHOWN = 10 };

/* Below this a head is more of a nuisance than a guard. */
static const double f1_least = 0.75;

struct training;

/* One example on its way to a row. */
struct task {
    struct training *training;
    const struct example *example;
    struct feature_job *job;
    struct head_row row; /* its arrays are ours */
};

struct training {
    struct judge *judge;
    const struct check *check;
    struct examples examples;
    int width;
    struct task *tasks;
    int waiting;
    bool failed;
    struct err err; /* the first one */
};

/* ---- features ---- */

static void training_fail(struct training *t, int line, const char *why) {
    if (!t->failed)
        (void)err_set(&t->err, ERR_INPUT, "%s:%d: %s", t->check->examples, line,
                      why);
    t->failed = true;
}

static void *copy(const void *at, size_t count, size_t size) {
    void *out = xalloc_array(count + 1, size);

    if (count) memcpy(out, at, count * size);
    return out;
}

static void on_features(void *user, const struct features *f,
                        const struct err *err) {
    struct task *task = user;
    struct training *t = task->training;

    task->job = NULL;
    t->waiting--;
    if (!f) {
        training_fail(t, task->example->line, err->text);
        return;
    }
    if (f->window_count > 1) {
        training_fail(t, task->example->line,
                      "longer than the guard reads at once: shorten it");
        return;
    }
    task->row = (struct head_row){
        .hidden = copy(f->windows, (size_t)f->width, sizeof *f->windows),
        .ngrams = copy(f->ngrams, (size_t)f->ngram_count, sizeof *f->ngrams),
        .ngram_count = f->ngram_count,
        .positive = task->example->positive};
}

static bool read_features(struct training *t) {
    struct classifier *c = judge_classifier(t->judge);
    int count = t->examples.count;

    t->width = feature_width(c);
    t->tasks = xalloc_array((size_t)count, sizeof *t->tasks);
    for (int i = 0; i < count && !t->failed; i++) {
        struct task *task = &t->tasks[i];
        const struct example *e = &t->examples.list[i];
        struct err err = {0};

        *task = (struct task){.training = t, .example = e};
        while (t->waiting == JUDGE_IN_FLIGHT) judge_wait(t->judge);
        task->job = feature_start(c, (struct span){e->text, e->size}, 0, 0, 0,
                                  on_features, task, &err);
        if (task->job)
            t->waiting++;
        else
            training_fail(t, e->line, err.text);
    }
    while (t->waiting) judge_wait(t->judge);
    return !t->failed;
}

/* ---- the result ---- */

/* Whole or not at all: a server may read it at any time. */
static bool write_file(const char *path, struct span data, struct err *err) {
    struct bytes name = {0};
    FILE *out;
    bool ok;

    bytes_puts(&name, path);
    bytes_put(&name, (struct span){".new", sizeof ".new"});
    out = fopen(name.at, "we");
    ok = out && fwrite(data.at, 1, data.size, out) == data.size &&
         !fflush(out) && !fsync(fileno(out));
    if (out && fclose(out)) ok = false;
    ok = ok && !rename(name.at, path);
    if (!ok) {
        (void)err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        if (out) (void)unlink(name.at);
    }
    bytes_free(&name);
    return ok;
}

static void print_plain(const struct training *t, const struct head_figures *f,
                        const float *held_out) {
    const struct examples *e = &t->examples;
    int mistakes = 0;

    (void)printf("%s: %d to block, %d to allow; held out in %d folds: "
                 "precision %.3f, recall %.3f, F1 %.3f\n",
                 t->check->id, e->positives, e->count - e->positives, f->folds,
                 f->precision, f->recall, f->f1);
    for (int i = 0; i < e->count; i++) {
        if ((held_out[i] >= 0.5f) == e->list[i].positive) continue;
        if (++mistakes > MISTAKES_SHOWN) continue;
        (void)printf("  %s:%d: %s, held to be %.3f\n", t->check->examples,
                     e->list[i].line,
                     e->list[i].positive ? "to block" : "to allow",
                     (double)held_out[i]);
    }
    if (mistakes > MISTAKES_SHOWN)
        (void)printf("  and %d more\n", mistakes - MISTAKES_SHOWN);
    if (f->f1 < f1_least)
        (void)printf("  that is poor: more examples are needed, or clearer "
                     "ones\n");
    (void)printf("  wrote %s\n", t->check->head_path);
}

static bool print_json(const struct training *t, const struct head_figures *f,
                       struct err *err) {
    cJSON *out = cJSON_CreateObject();
    struct bytes text = {0};
    bool ok;

    cJSON_AddStringToObject(out, "check", t->check->id);
    cJSON_AddStringToObject(out, "head", t->check->head_path);
    cJSON_AddNumberToObject(out, "block", t->examples.positives);
    cJSON_AddNumberToObject(out, "allow",
                            t->examples.count - t->examples.positives);
    cJSON_AddNumberToObject(out, "folds", f->folds);
    cJSON_AddNumberToObject(out, "precision", f->precision);
    cJSON_AddNumberToObject(out, "recall", f->recall);
    cJSON_AddNumberToObject(out, "f1", f->f1);
    ok = json_print(out, &text, err);
    if (ok) (void)printf("%.*s\n", (int)text.size, text.at);
    bytes_free(&text);
    cJSON_Delete(out);
    return ok;
}

static bool make_head(struct training *t, const struct head_row *rows,
                      bool json, struct err *err) {
    const char *model = feature_model(judge_classifier(t->judge));
    int count = t->examples.count;
    float *held_out = xalloc_array((size_t)count, sizeof *held_out);
    struct head_figures figures;
    struct bytes file = {0};
    struct head *head = NULL;
    bool ok;

    head_cross_validate(rows, count, t->width, held_out, &figures);
    head = head_fit(rows, count, t->width, t->examples.digest, model);
    head_print(head, &file);
    ok = write_file(t->check->head_path, span_bytes(&file), err);
    if (ok && json)
        ok = print_json(t, &figures, err);
    else if (ok)
        print_plain(t, &figures, held_out);
    head_free(head);
    bytes_free(&file);
    free(held_out);
    return ok;
}

static void training_clear(struct training *t) {
    for (int i = 0; t->tasks && i < t->examples.count; i++) {
        /* Ours; const only to those who read the rows. */
        free((void *)(uintptr_t)t->tasks[i].row.hidden);
        free((void *)(uintptr_t)t->tasks[i].row.ngrams);
    }
    free(t->tasks);
    examples_clear(&t->examples);
}

static bool train_check(struct judge *judge, const struct check *check,
                        bool json, struct err *err) {
    struct training t = {.judge = judge, .check = check};
    struct head_row *rows = NULL;
    bool ok = examples_read(&t.examples, check->examples, err);

    if (ok && !read_features(&t)) {
        *err = t.err;
        ok = false;
    }
    if (ok) {
        rows = xalloc_array((size_t)t.examples.count, sizeof *rows);
        for (int i = 0; i < t.examples.count; i++) rows[i] = t.tasks[i].row;
        ok = make_head(&t, rows, json, err);
    }
    free(rows);
    training_clear(&t);
    return ok;
}

int policy_train(const struct judge_options *options, bool json,
                 struct err *err) {
    struct judge_options untrained = *options;
    const struct policy *p;
    struct judge *j;
    int trained = 0;
    bool ok = true;

    untrained.untrained = true;
    j = judge_open(&untrained, err);
    if (!j) return -1;
    p = judge_policy(j);
    for (int i = 0; ok && i < policy_check_count(p); i++) {
        if (policy_check(p, i)->kind != CHECK_EXAMPLES) continue;
        ok = train_check(j, policy_check(p, i), json, err);
        trained++;
    }
    if (ok && !trained)
        ok = err_set(err, ERR_INPUT, "%s: no check of it has examples",
                     policy_path(p));
    judge_close(j);
    return ok ? EXIT_FINE : -1;
}
