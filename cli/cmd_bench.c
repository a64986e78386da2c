/* cmd_bench.c - the figures of one machine and one model, measured now. */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"

static const struct part {
    const char *name;
    bool (*run)(struct bench *b, struct err *err);
} parts[] = {
    {"prefill", bench_prefill},
    {"decode", bench_decode},
    {"guard", bench_guard},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

/* The names in `only`, or all. */
static bool choose(const char *only, bool chosen[PARTS], struct err *err) {
    for (int i = 0; i < PARTS; i++) chosen[i] = !only;
    while (only && *only) {
        size_t size = strcspn(only, ",");
        int i = 0;

        while (i < PARTS && (strlen(parts[i].name) != size ||
                             memcmp(parts[i].name, only, size) != 0))
            i++;
        if (i == PARTS)
            return err_set(err, ERR_INPUT, "--only: there is no part %.*s",
                           (int)size, only);
        chosen[i] = true;
        only += size + (only[size] == ',');
    }
    return true;
}

/* The guard belongs to one base model; on another there is none to measure. */
static void add_guard(struct bench *b, const char *folder) {
    struct err err = {0};
    char *place = places_guard(folder, &err), *path = NULL;

    if (place && asprintf(&path, "%s/guard.gguf", place) > 0 &&
        !engine_adapter_add(b->engine, path, &b->adapter, &err))
        b->adapter = 0;
    if (!b->adapter)
        (void)fprintf(stderr, "corral: no guard in this bench: %s\n", err.text);
    free(path);
    free(place);
}

/* Those that this process may use, as the engine counts them. */
static int processors(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set);
}

static double rss_mb(void) {
    long pages = 0, skipped;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f) return NAN;
    if (fscanf(f, "%ld %ld", &skipped, &pages) != 2) pages = 0;
    (void)fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* The first steps fault pages in and wake the threads up. */
static bool warm_up(struct bench *b, struct err *err) {
    int tokens[64], label = 0;
    struct job job = {.kind = JOB_SCORE,
                      .tokens = tokens,
                      .token_count = 64,
                      .labels = &label,
                      .label_count = 1};
    double ms;

    bench_tokens(b, tokens, 64);
    return bench_job_ms(b, &job, &ms, err);
}

static bool print_json(const struct bench *b, const char *model, int threads,
                       struct err *err) {
    struct bytes out = {0};
    bool ok = bytes_printf(&out, err, "{\"model\":") &&
              json_put_string(&out, span_of(model), err) &&
              bytes_printf(&out, err, ",\"threads\":%d,\"kernels\":\"%s\"",
                           threads, engine_kernels(b->engine));

    for (int i = 0; ok && i < b->figure_count; i++)
        ok = isfinite(b->figures[i].value)
                 ? bytes_printf(&out, err, ",\"%s\":%.6g", b->figures[i].key,
                                b->figures[i].value)
                 : bytes_printf(&out, err, ",\"%s\":null", b->figures[i].key);
    ok = ok && bytes_printf(&out, err, "}\n");
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok;
}

static void print_table(const struct bench *b, const char *model, int threads) {
    (void)printf("%s, %d threads, %s\n", model, threads,
                 engine_kernels(b->engine));
    for (int i = 0; i < b->figure_count; i++)
        (void)printf("%-20s %10.5g %-6s  %s\n", b->figures[i].key,
                     b->figures[i].value, b->figures[i].unit,
                     b->figures[i].about);
}

static bool run_parts(struct bench *b, const bool chosen[PARTS],
                      struct err *err) {
    if (!warm_up(b, err)) return false;
    for (int i = 0; i < PARTS; i++)
        if (chosen[i] && !parts[i].run(b, err)) return false;
    bench_put(b, "rss_mb", "MB", "resident memory at the end", rss_mb());
    return true;
}

int cmd_bench(int argc, char **argv) {
    const char *model = NULL, *guard = NULL, *only = NULL;
    const char *args[OPTION_ARGS_MAX];
    int threads = 0;
    bool json = false, chosen[PARTS];
    struct bench bench = {0};
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE", "the GGUF"},
        {"guard", 0, OPTION_TEXT, &guard, 0, 0, "DIR", "the guard's models"},
        {"threads", 't', OPTION_INT, &threads, 0, 1024, "N", "0: all cores"},
        {"only", 0, OPTION_TEXT, &only, 0, 0, "PARTS",
         "prefill,decode,guard: some of them"},
        {"quick", 0, OPTION_FLAG, &bench.quick, 0, 0, NULL,
         "each figure once: rough"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "one JSON object"},
    };
    const struct options options = {
        "corral bench [-m MODEL] [-t N] [--only PARTS] [--json]",
        "How fast this machine runs a model, and the guard on it. Medians of "
        "short runs.",
        list,
        sizeof list / sizeof list[0],
        0,
        0,
    };
    struct engine_options engine_options = {0};
    struct err err = {0};
    char *path = NULL;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    path = places_model(model);
    if (!choose(only, chosen, &err)) goto out;
    if (threads == 0) threads = processors();
    engine_options.model_path = path;
    engine_options.threads = threads;
    bench.engine = engine_open(&engine_options, &err);
    if (!bench.engine) {
        places_blame(&err, path);
        goto out;
    }
    add_guard(&bench, guard);
    if (!run_parts(&bench, chosen, &err)) goto out;
    if (!json)
        print_table(&bench, path, threads);
    else if (!print_json(&bench, path, threads, &err))
        goto out;
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    engine_close(bench.engine);
    free(path);
    return code;
}
