/* cmd_generate.c - raw completion: no template, no guard, the model's own
 * words. For trying a model file, and for comparing engines. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/engine.h"

struct generation {
    bool json;
    bool ended;
    struct bytes text; /* with --json; otherwise it is printed as it comes */
    struct tokens tokens;
    struct job_event end;
};

static void on_event(void *user, const struct job_event *event) {
    struct generation *g = user;

    if (event->kind == JOB_DONE) {
        g->end = *event;
        g->ended = true;
        return;
    }
    if (event->kind != JOB_TEXT) return;
    if (!g->json) {
        (void)fwrite(event->text.at, 1, event->text.size, stdout);
        (void)fflush(stdout);
        return;
    }
    bytes_put(&g->text, event->text);
    /* Cannot fail: the list has no limit. */
    if (!tokens_append(&g->tokens, event->tokens, (size_t)event->token_count,
                       NULL))
        abort();
}

static bool print_json(const struct generation *g, double seconds,
                       struct err *err) {
    const struct job_usage *u = &g->end.usage;
    struct bytes out = {0};
    bool ok = bytes_printf(&out, err, "{\"text\":") &&
              json_put_string(&out, span_bytes(&g->text), err) &&
              bytes_printf(&out, err, ",\"tokens\":[");

    for (size_t i = 0; ok && i < g->tokens.count; i++)
        ok = bytes_printf(&out, err, "%s%d", i ? "," : "", g->tokens.at[i]);
    ok = ok &&
         bytes_printf(&out, err,
                      "],\"finish\":\"%s\",\"usage\":{\"prompt_tokens\":%d,"
                      "\"cached_tokens\":%d,\"output_tokens\":%d},"
                      "\"seconds\":%.6f}\n",
                      g->end.end == JOB_END_STOP ? "stop" : "length",
                      u->prompt_tokens, u->cached_tokens, u->output_tokens,
                      seconds);
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok;
}

/* The prompt as tokens, begun as the model file says texts begin. */
static bool encode(const struct engine *e, const char *text,
                   struct tokens *tokens, struct err *err) {
    const struct tokenizer *t = engine_tokenizer(e);
    bool begin = false;

    (void)gguf_bool(engine_gguf(e), "tokenizer.ggml.add_bos_token", &begin);
    if (begin && tokenizer_bos(t) >= 0 &&
        !tokens_push(tokens, tokenizer_bos(t), err))
        return false;
    if (!tokenizer_encode(t, span_of(text), tokens, err)) return false;
    if (!tokens->count) return err_set(err, ERR_INPUT, "the prompt is empty");
    return true;
}

int cmd_generate(int argc, char **argv) {
    const char *model = NULL, *prompt = NULL, *stop = NULL;
    const char *args[OPTION_ARGS_MAX];
    int max_tokens = 128, top_k = 0, threads = 0;
    double temperature = 0, top_p = 1, min_p = 0, seed = 0;
    bool json = false, exact = false;
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE", "the GGUF"},
        {"prompt", 'p', OPTION_TEXT, &prompt, 0, 0, "TEXT", "what to go on"},
        {"tokens", 'n', OPTION_INT, &max_tokens, 1, 1 << 20, "N",
         "at most so many tokens (128)"},
        {"temp", 0, OPTION_NUMBER, &temperature, 0, 2, "T",
         "temperature; 0, the default, is greedy"},
        {"top-k", 0, OPTION_INT, &top_k, 0, 1 << 20, "K", "0: off"},
        {"top-p", 0, OPTION_NUMBER, &top_p, 0, 1, "P", "1: off"},
        {"min-p", 0, OPTION_NUMBER, &min_p, 0, 1, "P", "0: off"},
        {"seed", 0, OPTION_NUMBER, &seed, 0, 9007199254740992.0, "N",
         "the same seed gives the same text (0)"},
        {"stop", 0, OPTION_TEXT, &stop, 0, 0, "TEXT", "end before this text"},
        {"threads", 't', OPTION_INT, &threads, 0, 1024, "N", "0: all cores"},
        {"exact", 0, OPTION_FLAG, &exact, 0, 0, NULL,
         "32-bit floats everywhere: the reference, slow"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL,
         "one JSON object with text, tokens, finish and usage"},
    };
    const struct options options = {
        "corral generate [-m MODEL] -p TEXT [-n N] [OPTIONS]",
        "Completes a prompt: no chat template, no guard.",
        list,
        sizeof list / sizeof list[0],
        0,
        0,
    };
    struct generation g = {0};
    struct engine_options engine_options = {0};
    struct engine *engine = NULL;
    struct tokens tokens = {0};
    struct job job = {.kind = JOB_GENERATE};
    struct span stop_span;
    struct err err = {0};
    char *path = NULL;
    uint64_t start;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    path = places_model(model);
    if (!prompt) {
        (void)err_set(&err, ERR_INPUT, "a prompt is missing: -p TEXT");
        goto out;
    }
    engine_options.model_path = path;
    engine_options.threads = threads;
    engine_options.exact = exact;
    engine = engine_open(&engine_options, &err);
    if (!engine) {
        places_blame(&err, path);
        goto out;
    }
    if (!encode(engine, prompt, &tokens, &err)) goto out;

    job.tokens = tokens.at;
    job.token_count = (int)tokens.count;
    job.sampling = (struct sampling){.temperature = (float)temperature,
                                     .top_k = top_k,
                                     .top_p = (float)top_p,
                                     .min_p = (float)min_p,
                                     .seed = (uint64_t)seed};
    job.max_tokens = max_tokens;
    stop_span = span_of(stop);
    job.stops = &stop_span;
    job.stop_count = stop ? 1 : 0;
    job.on_event = on_event;
    job.user = &g;
    g.json = json;
    start = clock_ms();
    if (!engine_submit(engine, &job, &err)) goto out;
    while (!g.ended) {
        (void)engine_wait(engine, 1000);
        (void)engine_poll(engine);
    }
    if (g.end.end == JOB_END_ERROR) {
        err = g.end.err;
        goto out;
    }
    if (!json)
        (void)putchar('\n');
    else if (!print_json(&g, (double)(clock_ms() - start) / 1000, &err))
        goto out;
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    engine_close(engine);
    tokens_free(&g.tokens);
    tokens_free(&tokens);
    bytes_free(&g.text);
    free(path);
    return code;
}
