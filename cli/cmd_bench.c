/* cmd_bench.c - the figures of one machine and one model, measured now. */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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
    {"decode8", bench_decode8},
    {"memory", bench_memory},
    {"guard", bench_guard},
    {"activated", bench_activated},
    {"stream", bench_stream},
    {"turns", bench_turns},
    {"latency", bench_latency},
    {"grammar", bench_grammar},
    {"speculation", bench_speculation},
    {"rules", bench_rules},
};

#define PART_NAMES                                                             \
    "some of prefill,decode,decode8,memory,guard,activated,stream,turns,"      \
    "latency,grammar,speculation,rules"

enum { PARTS = sizeof parts / sizeof parts[0], WARM_UP = 64 };

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

/* Those that this process may use, as the engine counts them. */
static int processors(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set);
}

/* The guard belongs to one base model; on another there is none to measure,
 * and one line says so. */
static void open_guard(struct bench *b, const char *given) {
    struct err err = {0};
    char *folder = places_guard(given, &err);
    struct guard_options options = {.engine = b->engine,
                                    .model_folder = folder};

    if (folder) b->guard = guard_open(&options, &err);
    if (!b->guard)
        (void)fprintf(stderr, "corral: no guard in this bench: %s\n", err.text);
    free(folder);
}

/* The first steps fault pages in and wake the threads up. */
static bool warm_up(struct bench *b, struct err *err) {
    int tokens[WARM_UP];
    struct job job;
    double ms;

    bench_tokens(b, tokens, WARM_UP);
    job = bench_decode_job(b, tokens, WARM_UP, b->quick ? 1 : 8);
    return bench_job_ms(b, &job, &ms, err);
}

static bool run_parts(struct bench *b, const bool chosen[PARTS],
                      struct err *err) {
    bench_start(b);
    if (!warm_up(b, err)) return false;
    for (int i = 0; i < PARTS; i++)
        if (chosen[i] && !parts[i].run(b, err)) return false;
    bench_resident(b);
    return true;
}

static bool print_json(const struct bench *b, const char *model,
                       struct err *err) {
    struct bytes out = {0};
    bool ok = bytes_printf(&out, err, "{\"model\":") &&
              json_put_string(&out, span_of(model), err) &&
              bytes_printf(&out, err,
                           ",\"threads\":%d,\"kernels\":\"%s\","
                           "\"prompt_tokens\":%d,\"decode_tokens\":%d",
                           b->threads, engine_kernels(b->engine), b->prompt,
                           b->decode);

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

static bool print_table(const struct bench *b, const char *model) {
    (void)printf("%s, %d threads, %s\n", model, b->threads,
                 engine_kernels(b->engine));
    for (int i = 0; i < b->figure_count; i++)
        (void)printf("%-20s %10.5g %-6s %s\n", b->figures[i].key,
                     b->figures[i].value, b->figures[i].unit,
                     b->figures[i].about);
    return true;
}

int cmd_bench(int argc, char **argv) {
    const char *model = NULL, *guard = NULL, *only = NULL;
    const char *args[OPTION_ARGS_MAX];
    bool json = false, chosen[PARTS];
    struct bench b = {.prompt = 512, .decode = 128, .began_ns = clock_ns()};
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE", "the GGUF"},
        {"guard-models", 0, OPTION_TEXT, &guard, 0, 0, "DIR",
         "where the guard's own models are"},
        {"threads", 't', OPTION_INT, &b.threads, 0, 1024, "N", "0: all cores"},
        {"only", 0, OPTION_TEXT, &only, 0, 0, "PARTS", PART_NAMES},
        {"prompt", 0, OPTION_INT, &b.prompt, 1, BENCH_PROMPT_MAX, "N",
         "tokens of a prefill (512)"},
        {"tokens", 'n', OPTION_INT, &b.decode, 1, BENCH_PROMPT_MAX, "N",
         "tokens of a decode (128)"},
        {"quick", 0, OPTION_FLAG, &b.quick, 0, 0, NULL,
         "each figure once, the long ones not at all"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "one JSON object"},
    };
    const struct options options = {
        "corral bench [-m MODEL] [-t N] [--only PARTS] [--quick] [--json]",
        "How fast this machine runs a model, and the guard on it. Medians of "
        "short runs;\ndocs/performance.md explains the figures.",
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
    if (b.threads == 0) b.threads = processors();
    engine_options.model_path = path;
    engine_options.threads = b.threads;
    b.engine = engine_open(&engine_options, &err);
    if (!b.engine) {
        places_blame(&err, path);
        goto out;
    }
    bench_init(&b);
    open_guard(&b, guard);
    if (!run_parts(&b, chosen, &err)) goto out;
    if (!(json ? print_json(&b, path, &err) : print_table(&b, path))) goto out;
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    guard_close(b.guard);
    engine_close(b.engine);
    free(path);
    return code;
}
