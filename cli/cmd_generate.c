/* cmd_generate.c - raw completion: no template, no guard, the model's own
 * words. For trying a model file, and for comparing engines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/engine.h"

struct settings {
    const char *model, *prompt, *stop, *bias;
    int max_tokens, top_k, repeat_window, threads;
    int rivals; /* -1: no logprobs */
    double temperature, top_p, min_p, repeat, presence, frequency, seed;
    bool json, exact, plain;
    struct token_bias biases[SAMPLING_BIASES_MAX];
    int bias_count;
};

struct generation {
    bool json;
    bool ended;
    struct bytes text; /* with --json; otherwise it is printed as it comes */
    struct tokens tokens;
    struct token_logprob *logprobs; /* (tokens.count, 1 + rivals) or NULL */
    int rivals;
    struct job_event end;
};

static void keep_logprobs(struct generation *g, const struct job_event *event) {
    size_t width = 1 + (size_t)event->rival_count;
    size_t before = g->tokens.count * width;
    size_t count = (size_t)event->token_count * width;

    if (!event->logprobs || count == 0) return;
    g->rivals = event->rival_count;
    g->logprobs =
        xrealloc_array(g->logprobs, before + count, sizeof *g->logprobs);
    for (size_t i = 0; i < count; i++)
        g->logprobs[before + i] = event->logprobs[i];
}

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
    keep_logprobs(g, event);
    /* Cannot fail: the list has no limit. */
    if (!tokens_append(&g->tokens, event->tokens, (size_t)event->token_count,
                       NULL))
        abort();
}

/* ---- the answer as JSON ---- */

/* `{"id":1,"token":"a","logprob":-0.1,"bytes":[97]`, still open. */
static bool put_logprob(const struct tokenizer *t,
                        const struct token_logprob *entry, struct bytes *out,
                        struct err *err) {
    struct span piece = tokenizer_piece(t, entry->token);
    bool ok = bytes_printf(out, err, "{\"id\":%d,\"token\":", entry->token) &&
              json_put_string(out, piece, err) &&
              bytes_printf(out, err, ",\"logprob\":%.6f,\"bytes\":[",
                           (double)entry->logprob);

    for (size_t i = 0; ok && i < piece.size; i++)
        ok = bytes_printf(out, err, "%s%d", i ? "," : "",
                          (unsigned char)piece.at[i]);
    return ok && bytes_printf(out, err, "]");
}

static bool put_logprobs(const struct generation *g, const struct tokenizer *t,
                         struct bytes *out, struct err *err) {
    size_t width = 1 + (size_t)g->rivals;

    if (!g->logprobs) return true;
    if (!bytes_printf(out, err, ",\"logprobs\":[")) return false;
    for (size_t i = 0; i < g->tokens.count; i++) {
        const struct token_logprob *row = g->logprobs + i * width;

        if (!bytes_printf(out, err, i ? "," : "") ||
            !put_logprob(t, row, out, err) ||
            !bytes_printf(out, err, ",\"top_logprobs\":["))
            return false;
        for (size_t r = 1; r < width && row[r].token >= 0; r++)
            if (!bytes_printf(out, err, r > 1 ? "," : "") ||
                !put_logprob(t, &row[r], out, err) ||
                !bytes_printf(out, err, "}"))
                return false;
        if (!bytes_printf(out, err, "]}")) return false;
    }
    return bytes_printf(out, err, "]");
}

static bool print_json(const struct generation *g, const struct tokenizer *t,
                       double seconds, struct err *err) {
    const struct job_usage *u = &g->end.usage;
    struct bytes out = {0};
    bool ok = bytes_printf(&out, err, "{\"text\":") &&
              json_put_string(&out, span_bytes(&g->text), err) &&
              bytes_printf(&out, err, ",\"tokens\":[");

    for (size_t i = 0; ok && i < g->tokens.count; i++)
        ok = bytes_printf(&out, err, "%s%d", i ? "," : "", g->tokens.at[i]);
    ok = ok && bytes_printf(&out, err, "]") && put_logprobs(g, t, &out, err) &&
         bytes_printf(&out, err,
                      ",\"finish\":\"%s\",\"usage\":{\"prompt_tokens\":%d,"
                      "\"cached_tokens\":%d,\"output_tokens\":%d,"
                      "\"drafted_tokens\":%d,\"accepted_tokens\":%d},"
                      "\"context_full\":%s,\"seconds\":%.6f}\n",
                      g->end.end == JOB_END_STOP ? "stop" : "length",
                      u->prompt_tokens, u->cached_tokens, u->output_tokens,
                      u->drafted_tokens, u->accepted_tokens,
                      g->end.context_full ? "true" : "false", seconds);
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok;
}

/* ---- the question ---- */

/* The prompt as tokens, begun as the model file says texts begin. */
static bool encode(const struct engine *e, const char *text,
                   struct tokens *tokens, struct err *err) {
    const struct tokenizer *t = engine_tokenizer(e);
    int opening = tokenizer_opening(t);

    if (opening >= 0 && !tokens_push(tokens, opening, err)) return false;
    if (!tokenizer_encode_first(t, span_of(text), tokens, err)) return false;
    if (!tokens->count) return err_set(err, ERR_INPUT, "the prompt is empty");
    return true;
}

/* "ID:BIAS,ID:BIAS"; the engine checks the values. */
static bool read_biases(struct settings *s, struct err *err) {
    const char *at = s->bias;

    while (at && *at) {
        struct token_bias *b = &s->biases[s->bias_count];
        char *end;
        long token;

        if (s->bias_count == SAMPLING_BIASES_MAX)
            return err_set(err, ERR_LIMIT, "--logit-bias: more than %d tokens",
                           SAMPLING_BIASES_MAX);
        errno = 0;
        token = strtol(at, &end, 10);
        if (end == at || *end != ':' || errno || token < 0 || token > INT32_MAX)
            break;
        at = end + 1;
        *b = (struct token_bias){(int)token, strtof(at, &end)};
        if (end == at || (*end && *end != ',')) break;
        s->bias_count++;
        at = *end ? end + 1 : end;
    }
    if (!at || !*at) return true;
    return err_set(err, ERR_INPUT,
                   "--logit-bias: expected ID:BIAS,... at "
                   "\"%.20s\"",
                   at);
}

static int parse(int argc, char **argv, struct settings *s) {
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &s->model, 0, 0, "FILE", "the GGUF"},
        {"prompt", 'p', OPTION_TEXT, &s->prompt, 0, 0, "TEXT", "what to go on"},
        {"tokens", 'n', OPTION_INT, &s->max_tokens, 1, 1 << 20, "N",
         "at most so many tokens (128)"},
        {"temp", 0, OPTION_NUMBER, &s->temperature, 0, 100, "T",
         "temperature; 0, the default, is greedy"},
        {"top-k", 0, OPTION_INT, &s->top_k, 0, 1 << 20, "K", "0: off"},
        {"top-p", 0, OPTION_NUMBER, &s->top_p, 0, 1, "P", "1: off"},
        {"min-p", 0, OPTION_NUMBER, &s->min_p, 0, 1, "P", "0: off"},
        {"repeat-penalty", 0, OPTION_NUMBER, &s->repeat, 0.1, 10, "R",
         "of the last tokens, prompt included; 1: off"},
        {"repeat-last-n", 0, OPTION_INT, &s->repeat_window, -1, 1 << 20, "N",
         "how many tokens (64); -1: all"},
        {"presence-penalty", 0, OPTION_NUMBER, &s->presence, -2, 2, "P",
         "of what was written, once; 0: off"},
        {"frequency-penalty", 0, OPTION_NUMBER, &s->frequency, -2, 2, "P",
         "the same, for each time; 0: off"},
        {"logit-bias", 0, OPTION_TEXT, &s->bias, 0, 0, "ID:BIAS,...",
         "added to the logits of tokens, -100 to 100"},
        {"seed", 0, OPTION_NUMBER, &s->seed, 0, 9007199254740992.0, "N",
         "the same seed gives the same text (0)"},
        {"stop", 0, OPTION_TEXT, &s->stop, 0, 0, "TEXT",
         "end before this text"},
        {"threads", 't', OPTION_INT, &s->threads, 0, 1024, "N", "0: all cores"},
        {"exact", 0, OPTION_FLAG, &s->exact, 0, 0, NULL,
         "32-bit floats everywhere: the reference, slow"},
        {"logprobs", 0, OPTION_INT, &s->rivals, 0, LOGPROBS_TOP_MAX, "N",
         "with --json: each token's log probability, and N rivals"},
        {"no-speculation", 0, OPTION_FLAG, &s->plain, 0, 0, NULL,
         "one token a step: the same text, slower where it quotes"},
        {"json", 0, OPTION_FLAG, &s->json, 0, 0, NULL,
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
    const char *args[OPTION_ARGS_MAX];
    int count;

    return options_parse(&options, argc, argv, args, &count);
}

static bool check(struct settings *s, struct err *err) {
    if (!s->prompt)
        return err_set(err, ERR_INPUT, "a prompt is missing: -p TEXT");
    if (s->rivals >= 0 && !s->json)
        return err_set(err, ERR_INPUT, "--logprobs needs --json");
    return read_biases(s, err);
}

static bool generate(struct engine *engine, const struct settings *s,
                     const struct tokens *tokens, struct generation *g,
                     struct err *err) {
    struct span stop = span_of(s->stop);
    struct job job = {
        .kind = JOB_GENERATE,
        .tokens = tokens->at,
        .token_count = (int)tokens->count,
        .sampling = {.temperature = (float)s->temperature,
                     .top_k = s->top_k,
                     .top_p = (float)s->top_p,
                     .min_p = (float)s->min_p,
                     .repeat_penalty = (float)s->repeat,
                     .repeat_window = s->repeat_window,
                     .presence_penalty = (float)s->presence,
                     .frequency_penalty = (float)s->frequency,
                     .biases = s->biases,
                     .bias_count = s->bias_count,
                     .seed = (uint64_t)s->seed},
        .logprobs = s->rivals >= 0,
        .rival_count = s->rivals >= 0 ? s->rivals : 0,
        .max_tokens = s->max_tokens,
        .no_speculation = s->plain,
        .stops = &stop,
        .stop_count = s->stop ? 1 : 0,
        .on_event = on_event,
        .user = g,
    };

    if (!engine_submit(engine, &job, err)) return false;
    while (!g->ended) {
        (void)engine_wait(engine, 1000);
        (void)engine_poll(engine);
    }
    if (g->end.end != JOB_END_ERROR) return true;
    *err = g->end.err;
    return false;
}

int cmd_generate(int argc, char **argv) {
    struct settings s = {.max_tokens = 128,
                         .repeat_window = 64,
                         .rivals = -1,
                         .top_p = 1,
                         .repeat = 1};
    struct generation g = {0};
    struct engine_options engine_options = {0};
    struct engine *engine = NULL;
    struct tokens tokens = {0};
    struct err err = {0};
    char *path = NULL;
    uint64_t start;
    int code = parse(argc, argv, &s);

    if (code >= 0) return code;
    path = places_model(s.model);
    if (!check(&s, &err)) goto out;
    engine_options.model_path = path;
    engine_options.threads = s.threads;
    engine_options.exact = s.exact;
    engine = engine_open(&engine_options, &err);
    if (!engine) {
        places_blame(&err, path);
        goto out;
    }
    if (!encode(engine, s.prompt, &tokens, &err)) goto out;
    g.json = s.json;
    start = clock_ms();
    if (!generate(engine, &s, &tokens, &g, &err)) goto out;
    if (!s.json)
        (void)putchar('\n');
    else if (!print_json(&g, engine_tokenizer(engine),
                         (double)(clock_ms() - start) / 1000, &err))
        goto out;
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    engine_close(engine);
    free(g.logprobs);
    tokens_free(&g.tokens);
    tokens_free(&tokens);
    bytes_free(&g.text);
    free(path);
    return code;
}
