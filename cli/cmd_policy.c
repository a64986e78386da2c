/* cmd_policy.c - policies treated like code: lint them, run their tests,
 * train their heads, compare them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/judge.h"
#include "cli/options.h"
#include "cli/policy_diff.h"
#include "cli/policy_train.h"

struct test_run {
    const struct policy_test *test;
    struct judge_result result;
};

static void on_result(void *user, const struct judge_result *result) {
    ((struct test_run *)user)->result = *result;
}

static void print_findings(const struct verdict *v) {
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        (void)printf(": guard unavailable: %s\n", v->err.text);
        return;
    }
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        (void)printf("%s%s%s%s %.3f", i ? ", " : " (", f->check,
                     *f->category ? " " : "", f->category, (double)f->score);
    }
    (void)puts(v->finding_count ? ")" : "");
}

/* 1 when it failed. */
static int print_test(const struct policy *p, const struct test_run *run) {
    const struct policy_test *t = run->test;
    const struct verdict *v = &run->result.verdict;

    if (v->action == t->expect && v->cause == VERDICT_CAUSE_POLICY) return 0;
    (void)printf("%s:%d: %s: expected %s, got %s", policy_path(p), t->line,
                 channel_name(t->on), verdict_action_name(t->expect),
                 verdict_action_name(v->action));
    print_findings(v);
    return 1;
}

static int test(const struct judge_options *options, struct err *err) {
    struct judge *j = judge_open(options, err);
    const struct policy *p;
    struct test_run *runs;
    int count, failures = 0;

    if (!j) return -1;
    p = judge_policy(j);
    count = policy_test_count(p);
    runs = xalloc_array((size_t)count, sizeof *runs);
    for (int i = 0; i < count; i++) {
        const struct policy_test *t = policy_test(p, i);
        const struct judge_text text = {.channel = t->on,
                                        .prompt = span_of(t->prompt),
                                        .text = span_of(t->text)};

        runs[i].test = t;
        judge_submit(j, &text, on_result, &runs[i]);
    }
    judge_drain(j);
    for (int i = 0; i < count; i++) failures += print_test(p, &runs[i]);
    (void)printf("%s: %d tests, %d failed\n", policy_path(p), count, failures);
    free(runs);
    judge_close(j);
    return failures ? EXIT_NO : EXIT_FINE;
}

static int lint(const char *path, struct err *err) {
    struct policy *p = policy_open(path, err);

    if (!p) return -1;
    (void)printf("%s: fine: policy %s, revision %s, %d checks, %d tests\n",
                 path, policy_name(p), policy_revision(p),
                 policy_check_count(p), policy_test_count(p));
    policy_free(p);
    return EXIT_FINE;
}

/* Each file alone; the worst result counts. */
static int each_file(const char *what, struct judge_options *judge,
                     const char *const *files, int count, bool json) {
    int worst = EXIT_FINE;

    for (int i = 0; i < count; i++) {
        struct err err = {0};
        int code;

        judge->policy = files[i];
        if (!strcmp(what, "lint"))
            code = lint(files[i], &err);
        else if (!strcmp(what, "test"))
            code = test(judge, &err);
        else
            code = policy_train(judge, json, &err);
        if (code < 0) code = options_fail(&err);
        if (code > worst) worst = code;
    }
    return worst;
}

static int diff(struct judge_options *judge, const char *const *args, int count,
                bool json, struct err *err) {
    if (count != 3) {
        (void)err_set(err, ERR_INPUT,
                      "policy diff: expected two policies and a file of rows");
        return -1;
    }
    judge->policy = args[0];
    judge->other = args[1];
    return policy_diff(judge, args[2], json, err);
}

int cmd_policy(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct judge_options judge = {0};
    bool json = false;
    const struct option list[] = {
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "train, diff: as JSON"},
        {"config", 'c', OPTION_TEXT, &judge.config, 0, 0, "FILE",
         "the server's configuration, for its models and its guard"},
        {"model", 'm', OPTION_TEXT, &judge.model, 0, 0, "FILE",
         "the base model's GGUF"},
        {"guard-models", 0, OPTION_TEXT, &judge.guard_models, 0, 0, "DIR",
         "the guard's own models (guard/models)"},
        {"threads", 't', OPTION_INT, &judge.threads, 0, 1024, "N",
         "0 for all cores"},
    };
    const struct options options = {
        "corral policy lint|test|train FILE...\n       corral policy diff A B "
        "DATA.jsonl",
        "lint  reads and compiles policies; what is wrong is shown with line "
        "and column.\ntest  runs the tests that stand in them. Exit code 1: a "
        "test failed.\ntrain fits the heads of `use: examples` checks and "
        "says how well they do.\ndiff  judges each row of DATA.jsonl (- is "
        "standard "
        "input) under two policies and\n      shows the rows that fare "
        "otherwise under B. Exit code 1: there are some.",
        list,
        sizeof list / sizeof list[0],
        2,
        OPTION_ARGS_MAX,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (!strcmp(args[0], "lint") || !strcmp(args[0], "test") ||
        !strcmp(args[0], "train"))
        return each_file(args[0], &judge, args + 1, count - 1, json);
    if (!strcmp(args[0], "diff"))
        code = diff(&judge, args + 1, count - 1, json, &err);
    else
        (void)err_set(&err, ERR_INPUT,
                      "policy %s: expected lint, test, train or diff", args[0]);
    return code < 0 ? options_fail(&err) : code;
}
