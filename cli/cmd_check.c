/* cmd_check.c - one verdict, or one for each row of a JSON-lines stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/judge.h"
#include "cli/options.h"
#include "cli/rows.h"

enum { WAITING_MAX = 1024 };

/* --- one text ----------------------------------------------------------- */

static void on_single(void *user, const struct judge_result *result) {
    *(struct judge_result *)user = *result;
}

static bool print_json(const struct verdict *v, enum channel channel,
                       struct err *err) {
    cJSON *json = verdict_to_json(v, channel);
    struct bytes out = {0};
    bool ok = json_print(json, &out, err);

    if (ok) (void)printf("%.*s\n", (int)out.size, out.at);
    bytes_free(&out);
    cJSON_Delete(json);
    return ok;
}

static bool print_plain(const struct verdict *v, struct span text,
                        struct err *err) {
    struct bytes out = {0};
    bool ok = true;

    (void)printf("%s", verdict_action_name(v->action));
    if (v->classified)
        (void)printf("  unsafe %.3f", (double)v->score[LABEL_UNSAFE]);
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        (void)printf("\n  %s%s%s  %s%s", f->check, *f->category ? " " : "",
                     f->category, verdict_action_name(f->action),
                     f->shadow ? " (shadow)" : "");
        if (f->score < 1) (void)printf("  %.3f", (double)f->score);
    }
    (void)putchar('\n');
    if (v->action == VERDICT_REDACT) {
        ok = verdict_redact(v, 0, text, &out, err);
        if (ok) (void)printf("%.*s\n", (int)out.size, out.at);
    }
    bytes_free(&out);
    return ok;
}

static int check_text(struct judge *j, enum channel channel, const char *prompt,
                      struct span text, bool json, struct err *err) {
    struct judge_result result = {0};
    const struct judge_text job = {
        .channel = channel, .prompt = span_of(prompt), .text = text};
    const struct verdict *v = &result.verdict;

    judge_submit(j, &job, on_single, &result);
    judge_drain(j);
    if (json ? !print_json(v, channel, err) : !print_plain(v, text, err))
        return -1;
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) {
        (void)fprintf(stderr, "corral: the guard could not judge: %s\n",
                      v->err.text);
        return EXIT_TROUBLE;
    }
    return v->action == VERDICT_BLOCK || v->action == VERDICT_ASK ? EXIT_NO
                                                                  : EXIT_FINE;
}

/* --- many rows ------------------------------------------------------------ */

/* Results come in any order and leave in the order of the rows. */
struct queue {
    struct waiting {
        struct queue *queue;
        bool done;
        bool failed;
        int line;
        cJSON *id;
        struct bytes out;
    } at[WAITING_MAX];
    size_t head; /* numbers of rows, taken modulo WAITING_MAX */
    size_t end;
    int failures;
};

static bool put_row(struct bytes *out, const cJSON *id,
                    const struct judge_result *r, struct err *err) {
    bool ok = bytes_printf(out, err, "{\"id\":");

    ok = ok && (id ? json_print(id, out, err) : bytes_printf(out, err, "null"));
    ok = ok && bytes_printf(out, err, ",\"action\":\"%s\"",
                            verdict_action_name(r->verdict.action));
    if (!r->scored)
        return ok && bytes_printf(out, err, ",\"score\":null,\"error\":") &&
               json_put_string(out, span_of(r->err.text), err) &&
               bytes_printf(out, err, "}\n");
    ok = ok && bytes_printf(out, err, ",\"score\":%.6g,\"categories\":{",
                            (double)r->scores[LABEL_UNSAFE]);
    for (int i = LABEL_S1; ok && i < LABEL_COUNT; i++)
        ok = bytes_printf(out, err, "%s\"%s\":%.6g", i > LABEL_S1 ? "," : "",
                          label_name(i), (double)r->scores[i]);
    return ok && bytes_printf(out, err, "},\"checks\":\"") &&
           (verdict_checks(&r->verdict, out), true) &&
           bytes_printf(out, err, "\"}\n");
}

static void flush_head(struct queue *q) {
    while (q->head != q->end && q->at[q->head % WAITING_MAX].done) {
        struct waiting *w = &q->at[q->head++ % WAITING_MAX];

        (void)fwrite(w->out.at, 1, w->out.size, stdout);
        bytes_free(&w->out);
    }
}

static void on_row(void *user, const struct judge_result *result) {
    struct waiting *w = user;
    struct err err = {0};

    if (!put_row(&w->out, w->id, result, &err)) abort();
    if (!result->scored) {
        (void)fprintf(stderr, "corral: line %d: %s\n", w->line,
                      result->err.text);
        w->queue->failures++;
    }
    cJSON_Delete(w->id);
    w->id = NULL;
    w->done = true;
    flush_head(w->queue);
}

static int check_rows(struct judge *j) {
    struct queue *q = xalloc(sizeof *q);
    enum rows_status status;
    struct row_text row;
    struct rows rows;
    int failures;

    rows_init(&rows, stdin, "standard input");
    for (;;) {
        struct judge_text text;
        struct err err = {0};
        struct waiting *w;

        status = rows_next(&rows, &row, &err);
        if (status == ROWS_END) break;
        if (status == ROWS_BAD) {
            (void)fprintf(stderr, "corral: %s\n", err.text);
            q->failures++;
            continue;
        }
        if (q->end - q->head == WAITING_MAX) judge_drain(j);
        w = &q->at[q->end++ % WAITING_MAX];
        *w = (struct waiting){
            .queue = q, .line = rows.line, .id = cJSON_Duplicate(row.id, true)};
        text = judge_row(&row);
        text.scored = true;
        judge_submit(j, &text, on_row, w);
    }
    judge_drain(j);
    flush_head(q);
    rows_clear(&rows);
    failures = q->failures;
    free(q);
    return failures ? EXIT_TROUBLE : EXIT_FINE;
}

int cmd_check(int argc, char **argv) {
    const char *on = "input", *prompt = NULL, *args[OPTION_ARGS_MAX];
    struct judge_options judge_options = {0};
    bool json = false, jsonl = false;
    const struct option list[] = {
        {"config", 'c', OPTION_TEXT, &judge_options.config, 0, 0, "FILE",
         "the server's configuration, for its models and its guard"},
        {"policy", 0, OPTION_TEXT, &judge_options.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"on", 0, OPTION_TEXT, &on, 0, 0, "CHANNEL",
         "input, output, tool_call, tool_result, document or tool_definition"},
        {"prompt", 0, OPTION_TEXT, &prompt, 0, 0, "TEXT",
         "what TEXT answers, with --on output"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "the verdict as JSON"},
        {"jsonl", 0, OPTION_FLAG, &jsonl, 0, 0, NULL,
         "rows from standard input, verdicts to standard output"},
        {"model", 'm', OPTION_TEXT, &judge_options.model, 0, 0, "FILE",
         "the base model's GGUF"},
        {"guard-models", 0, OPTION_TEXT, &judge_options.guard_models, 0, 0,
         "DIR", "the guard's own models (guard/models)"},
        {"threads", 't', OPTION_INT, &judge_options.threads, 0, 1024, "N",
         "0: all cores"},
    };
    const struct options options = {
        "corral check [OPTIONS] TEXT|-\n       corral check --jsonl < ROWS > "
        "VERDICTS",
        "Judges TEXT (or standard input with -) and prints the verdict. With "
        "--jsonl,\neach line in is {\"id\",\"prompt\",\"response\"?} (with a "
        "response, that is judged)\nand each line out {\"id\",\"action\","
        "\"score\",\"categories\",\"checks\"}, in the same order.\nExit code "
        "1: "
        "blocked.",
        list,
        sizeof list / sizeof list[0],
        0,
        1,
    };
    struct bytes text = {0};
    struct judge *j = NULL;
    struct err err = {0};
    enum channel channel;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (jsonl == (count > 0)) {
        (void)err_set(&err, ERR_INPUT,
                      "check: expected either a text or --jsonl");
        goto out;
    }
    if (!channel_from_name(on, &channel)) {
        (void)err_set(&err, ERR_INPUT, "--on %s: no such channel", on);
        goto out;
    }
    if (count && !strcmp(args[0], "-")) {
        if (!bytes_read_fd(&text, STDIN_FILENO, "standard input", &err))
            goto out;
    } else if (count) {
        bytes_puts(&text, args[0]);
    }
    judge_options.scores = jsonl;
    j = judge_open(&judge_options, &err);
    if (!j) goto out;
    code = jsonl
               ? check_rows(j)
               : check_text(j, channel, prompt, span_bytes(&text), json, &err);

out:
    if (code < 0) code = options_fail(&err);
    judge_close(j);
    bytes_free(&text);
    return code;
}
