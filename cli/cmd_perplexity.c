/* cmd_perplexity.c - how well a model foresees a text. The text is cut into
 * windows of `context` tokens that do not overlap; in each, the tokens of the
 * second half are scored, so that every one of them had at least half a window
 * before it. A text shorter than a window is scored from its second token on.
 * This is how llama.cpp counts, so the figures can be compared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/model.h"
#include "engine/tokenizer.h"

enum { ROWS = 64, TEXT_BYTES_MAX = 256 << 20 };

struct scorer {
    struct model *model;
    struct kv *kv;
    float *hidden; /* ROWS x embedding */
    float *logits; /* ROWS x vocab */
    double nll;    /* sum of -ln p over the scored tokens */
    double nll2;   /* sum of its squares */
    size_t scored;
};

/* -ln p(token), from logits. Double sums: a vocabulary is long. */
static double surprise(const float *logits, int vocab, int token) {
    double most = logits[0], sum = 0;

    for (int i = 1; i < vocab; i++)
        if (logits[i] > most) most = logits[i];
    for (int i = 0; i < vocab; i++) sum += exp(logits[i] - most);
    return log(sum) - (logits[token] - most);
}

/* Score tokens[from + 1 .. count) of one window. */
static bool score_window(struct scorer *s, const int *tokens, int count,
                         int from, struct err *err) {
    const struct model_shape *shape = model_shape(s->model);
    struct kv_key *keys = xalloc_array((size_t)count, sizeof *keys);
    struct sequence *sequence;
    struct row rows[ROWS];
    bool ok;
    int matched;

    for (int i = 0; i < count; i++) keys[i] = (struct kv_key){tokens[i], 0};
    /* Nothing is ever committed, and one key matches nothing: no prefix may be
     * reused, its hidden states would be missing. */
    sequence = sequence_new(s->kv, keys, 1, &matched);
    ok = sequence_extend(sequence, keys, count, err);
    for (int at = 0; ok && at < count; at += ROWS) {
        int size = count - at < ROWS ? count - at : ROWS, wanted = 0;

        for (int i = 0; i < size; i++) {
            rows[i] =
                (struct row){.token = tokens[at + i],
                             .position = at + i,
                             .sequence = sequence,
                             .want = at + i >= from && at + i + 1 < count};
            wanted += rows[i].want;
        }
        model_forward(s->model, rows, size, s->hidden);
        if (wanted) model_logits(s->model, s->hidden, wanted, s->logits);
        for (int i = 0, w = 0; i < size; i++) {
            double nll;

            if (!rows[i].want) continue;
            nll = surprise(s->logits + (size_t)w++ * (size_t)shape->vocab,
                           shape->vocab, tokens[at + i + 1]);
            s->nll += nll;
            s->nll2 += nll * nll;
            s->scored++;
        }
    }
    sequence_free(sequence);
    free(keys);
    return ok;
}

static bool scorer_open(struct scorer *s, const struct gguf *gguf, int context,
                        int threads, bool exact, bool kv_q8, struct err *err) {
    const struct model_options options = {
        .threads = threads, .rows_max = ROWS, .exact = exact};
    const struct model_shape *shape;

    s->model = model_open(gguf, &options, err);
    if (!s->model) return false;
    shape = model_shape(s->model);
    s->kv = kv_new(&(struct kv_shape){.blocks = shape->blocks,
                                      .kv_heads = shape->kv_heads,
                                      .head_size = shape->head_size,
                                      .positions = 2 * context,
                                      .type = kv_q8   ? KV_Q8
                                              : exact ? KV_F32
                                                      : KV_I16},
                   err);
    if (!s->kv) return false;
    s->hidden = xalloc_array(ROWS, (size_t)shape->embedding * sizeof(float));
    s->logits = xalloc_array(ROWS, (size_t)shape->vocab * sizeof(float));
    return true;
}

static bool run(struct scorer *s, struct tokens *tokens, int context, int bos,
                struct err *err) {
    size_t total = tokens->count;

    if (total < 2)
        return err_set(err, ERR_INPUT, "the text has fewer than two tokens");
    if (total < (size_t)context)
        return score_window(s, tokens->at, (int)total, 0, err);
    for (size_t at = 0; total - at >= (size_t)context; at += (size_t)context) {
        if (bos >= 0) tokens->at[at] = bos;
        if (!score_window(s, tokens->at + at, context, context / 2, err))
            return false;
    }
    return true;
}

static void report(const struct scorer *s, bool json, double seconds) {
    double n = (double)s->scored, mean = s->nll / n;
    double variance = s->nll2 / n - mean * mean;
    double error =
        n > 1 && variance > 0 ? exp(mean) * sqrt(variance / (n - 1)) : 0;

    if (json)
        (void)printf("{\"perplexity\":%.6f,\"error\":%.6f,\"nll\":%.6f,"
                     "\"tokens\":%zu,\"seconds\":%.3f}\n",
                     exp(mean), error, mean, s->scored, seconds);
    else
        (void)printf("perplexity %.4f +/- %.4f over %zu tokens, %.1f s\n",
                     exp(mean), error, s->scored, seconds);
}

int cmd_perplexity(int argc, char **argv) {
    const char *model = NULL, *file = NULL, *args[OPTION_ARGS_MAX];
    const char *kv = "f16";
    int context = 512, threads = 0;
    bool json = false, exact = false;
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE", "the GGUF"},
        {"file", 'f', OPTION_TEXT, &file, 0, 0, "FILE", "the text"},
        {"context", 'c', OPTION_INT, &context, 8, 1 << 20, "N",
         "tokens in a window (512)"},
        {"threads", 't', OPTION_INT, &threads, 0, 1024, "N", "0: all cores"},
        {"exact", 0, OPTION_FLAG, &exact, 0, 0, NULL,
         "32-bit floats everywhere: the reference, slow"},
        {"kv", 0, OPTION_TEXT, &kv, 0, 0, "TYPE",
         "the KV cache: f16 (default) or q8_0"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "one JSON object"},
    };
    const struct options options = {
        "corral perplexity [-m MODEL] -f FILE [OPTIONS]",
        "Perplexity of a model on a text, in windows; the second half of each "
        "window\nis scored, as llama.cpp does.",
        list,
        sizeof list / sizeof list[0],
        0,
        0,
    };
    struct bytes text = {.limit = TEXT_BYTES_MAX};
    struct tokenizer *tokenizer = NULL;
    struct tokens tokens = {0};
    struct scorer scorer = {0};
    struct gguf *gguf = NULL;
    struct err err = {0};
    char *path = NULL;
    uint64_t start;
    int code, count, bos = -1;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    path = places_model(model);
    if (strcmp(kv, "f16") && strcmp(kv, "q8_0")) {
        (void)err_set(&err, ERR_INPUT, "--kv: expected f16 or q8_0");
        goto out;
    }
    if (!file) {
        (void)err_set(&err, ERR_INPUT, "a text is missing: -f FILE");
        goto out;
    }
    if (!bytes_read_file(&text, file, &err)) goto out;
    gguf = gguf_open(path, &err);
    if (!gguf) goto out;
    tokenizer = tokenizer_new(gguf, &err);
    if (!tokenizer) {
        places_blame(&err, path);
        goto out;
    }
    bos = tokenizer_opening(tokenizer);
    if (bos >= 0 && !tokens_push(&tokens, bos, &err)) goto out;
    if (!tokenizer_encode_first(tokenizer, span_bytes(&text), &tokens, &err))
        goto out;
    if (!scorer_open(&scorer, gguf, context, threads, exact,
                     !strcmp(kv, "q8_0"), &err)) {
        places_blame(&err, path);
        goto out;
    }
    if (context > model_shape(scorer.model)->context_max) {
        (void)err_set(&err, ERR_INPUT, "--context: the model has at most %d",
                      model_shape(scorer.model)->context_max);
        goto out;
    }
    start = clock_ms();
    if (!run(&scorer, &tokens, context, bos, &err)) goto out;
    report(&scorer, json, (double)(clock_ms() - start) / 1000);
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    free(scorer.hidden);
    free(scorer.logits);
    kv_free(scorer.kv);
    model_close(scorer.model);
    tokens_free(&tokens);
    tokenizer_free(tokenizer);
    gguf_close(gguf);
    bytes_free(&text);
    free(path);
    return code;
}
