/* cmd_eval.c - how good the guard is on labelled rows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/command.h"
#include "cli/evaluation.h"
#include "cli/options.h"

enum { DRAWS = 1000, DRAWS_MAX = 100000 };

static const char about[] =
    "Judges labelled rows {\"prompt\",\"response\"?,\"label\","
    "\"categories\",\"injection\",\n\"lang\",\"source\",\"role\"} and "
    "prints precision, recall, F1, false-positive rate,\nareas under the "
    "curves, recall at 1 % false positives and calibration error,\noverall "
    "and by operating point, category, role, language and source.\nFor packed "
    "data: zcat DATA.jsonl.gz | corral eval -";

struct settings {
    bool json;
    const char *html;
    int draws;
    int limit;
};

static int report(struct evaluation *e, const struct settings *s,
                  struct err *err) {
    if (!e->rows) {
        (void)err_set(err, ERR_INPUT, "there are no rows to judge");
        return -1;
    }
    evaluation_finish(e, s->draws);
    if (s->html && !evaluation_write_html(e, s->html, err)) return -1;
    if (s->json && !evaluation_print_json(e, err)) return -1;
    if (!s->json) evaluation_print_table(e);
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
    struct settings settings = {.draws = DRAWS};
    const struct option list[] = {
        {"config", 'c', OPTION_TEXT, &judge_options.config, 0, 0, "FILE",
         "the server's configuration, for its models and its guard"},
        {"policy", 0, OPTION_TEXT, &judge_options.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"json", 0, OPTION_FLAG, &settings.json, 0, 0, NULL, "one JSON object"},
        {"html", 0, OPTION_TEXT, &settings.html, 0, 0, "FILE",
         "write a report with curves, too"},
        {"bootstrap", 0, OPTION_INT, &settings.draws, 0, DRAWS_MAX, "N",
         "samples for the 95 % intervals (1000); 0: none"},
        {"limit", 0, OPTION_INT, &settings.limit, 1, 1 << 30, "N",
         "only the first N rows"},
        {"model", 'm', OPTION_TEXT, &judge_options.model, 0, 0, "FILE",
         "the base model's GGUF"},
        {"guard-models", 0, OPTION_TEXT, &judge_options.guard_models, 0, 0,
         "DIR", "the guard's own models (guard/models)"},
        {"threads", 't', OPTION_INT, &judge_options.threads, 0, 1024, "N",
         "0: all cores"},
    };
    const struct options options = {
        "corral eval [OPTIONS] DATA.jsonl|-", about, list,
        sizeof list / sizeof list[0],         1,     1,
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
    e->progress = isatty(STDERR_FILENO);
    evaluation_read(e, in, strcmp(args[0], "-") ? args[0] : "standard input",
                    settings.limit);
    code = report(e, &settings, &err);

out:
    if (code < 0) code = options_fail(&err);
    if (e) evaluation_clear(e);
    free(e);
    judge_close(j);
    if (in && in != stdin) (void)fclose(in);
    return code;
}
