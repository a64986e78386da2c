/* cmd_model.c - what a model file holds, and whether it is sound. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/model.h"
#include "engine/tokenizer.h"

enum { TYPES = 64 };

struct summary {
    size_t tensors[TYPES]; /* of each type */
    uint64_t bytes[TYPES];
    uint64_t elements;
};

static void summarize(const struct gguf *gguf, struct summary *out) {
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);
        uint64_t elements = 1;

        for (int d = 0; d < GGUF_DIMS_MAX; d++) elements *= t->size[d];
        out->elements += elements;
        out->tensors[(unsigned)t->type % TYPES]++;
        out->bytes[(unsigned)t->type % TYPES] += t->bytes;
    }
}

/* Text of the file's own goes to a terminal: no control characters. */
static void put_visible(struct span s) {
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if (c < 0x20 || c == 0x7F)
            (void)printf("\\x%02x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('\n');
}

static int info(const struct gguf *gguf) {
    struct summary sum = {0};

    summarize(gguf, &sum);
    (void)printf("file         %s\n", gguf_path(gguf));
    (void)printf("size         %.1f MB\n", (double)gguf_file_bytes(gguf) / 1e6);
    (void)printf("tensors      %zu, %.1f M values\n", gguf_tensor_count(gguf),
                 (double)sum.elements / 1e6);
    for (int i = 0; i < TYPES; i++)
        if (sum.tensors[i])
            (void)printf("  %-10s %zu tensors, %.1f MB\n",
                         gguf_type_name((enum gguf_type)i), sum.tensors[i],
                         (double)sum.bytes[i] / 1e6);
    for (size_t i = 0;; i++) {
        struct bytes line = {0};
        bool more = gguf_describe(gguf, i, &line);

        if (more) put_visible(span_bytes(&line));
        bytes_free(&line);
        if (!more) break;
    }
    return EXIT_FINE;
}

static bool put_keys(const struct gguf *gguf, struct bytes *out,
                     struct err *err) {
    for (size_t i = 0;; i++) {
        struct bytes line = {0};
        bool more = gguf_describe(gguf, i, &line), ok = true;

        if (more)
            ok = (!i || bytes_append(out, ",", 1, err)) &&
                 json_put_string(out, span_bytes(&line), err);
        bytes_free(&line);
        if (!ok) return false;
        if (!more) return true;
    }
}

static int info_json(const struct gguf *gguf, struct err *err) {
    struct summary sum = {0};
    struct bytes out = {0};
    const char *comma = "";
    bool ok;

    summarize(gguf, &sum);
    ok = bytes_printf(&out, err, "{\"file\":") &&
         json_put_string(&out, span_of(gguf_path(gguf)), err) &&
         bytes_printf(&out, err,
                      ",\"bytes\":%zu,\"tensors\":%zu,\"values\":%llu,"
                      "\"types\":{",
                      gguf_file_bytes(gguf), gguf_tensor_count(gguf),
                      (unsigned long long)sum.elements);
    for (int i = 0; ok && i < TYPES; i++) {
        if (!sum.tensors[i]) continue;
        ok =
            bytes_printf(&out, err, "%s\"%s\":{\"tensors\":%zu,\"bytes\":%llu}",
                         comma, gguf_type_name((enum gguf_type)i),
                         sum.tensors[i], (unsigned long long)sum.bytes[i]);
        comma = ",";
    }
    ok = ok && bytes_printf(&out, err, "},\"keys\":[") &&
         put_keys(gguf, &out, err) && bytes_printf(&out, err, "]}\n");
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok ? EXIT_FINE : -1;
}

/* Opening a file proves its structure; a model is also loaded, and run for
 * one token, whose result must be a number. */
static int verify(const struct gguf *gguf, struct err *err) {
    const struct model_options options = {.rows_max = 1};
    const struct kv_key key = {0, 0};
    struct sequence *sequence = NULL;
    struct tokenizer *tokenizer = NULL;
    struct model *model = NULL;
    struct kv *kv = NULL;
    float *hidden = NULL;
    int code = -1, matched;
    struct row row = {.want = true};

    tokenizer = tokenizer_new(gguf, err);
    if (!tokenizer) goto out;
    model = model_open(gguf, &options, err);
    if (!model) goto out;
    kv = kv_new(&(struct kv_shape){.blocks = model_shape(model)->blocks,
                                   .kv_heads = model_shape(model)->kv_heads,
                                   .head_size = model_shape(model)->head_size,
                                   .positions = 64,
                                   .type = KV_I16},
                err);
    if (!kv) goto out;
    sequence = sequence_new(kv, &key, 1, &matched);
    if (!sequence_extend(sequence, &key, 1, err)) goto out;
    hidden = xalloc_array((size_t)model_shape(model)->embedding, sizeof(float));
    row.sequence = sequence;
    model_forward(model, &row, 1, hidden);
    for (int i = 0; i < model_shape(model)->embedding; i++) {
        if (isfinite(hidden[i])) continue;
        (void)err_set(err, ERR_INPUT,
                      "%s: the weights give no number for token 0",
                      gguf_path(gguf));
        goto out;
    }
    (void)printf("%s: fine: %zu tensors, %d blocks, vocabulary %d, %.1f MB "
                 "resident\n",
                 gguf_path(gguf), gguf_tensor_count(gguf),
                 model_shape(model)->blocks, model_shape(model)->vocab,
                 (double)model_bytes(model) / 1e6);
    code = EXIT_FINE;

out:
    free(hidden);
    if (sequence) sequence_free(sequence);
    kv_free(kv);
    model_close(model);
    tokenizer_free(tokenizer);
    return code;
}

int cmd_model(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    bool json = false;
    const struct option list[] = {
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, "info as one JSON object"},
    };
    const struct options options = {
        "corral model info|verify [FILE]",
        "info    prints what a GGUF file holds.\n"
        "verify  proves its structure, loads it as a model and runs one "
        "token.\nWithout FILE: the default model.",
        list,
        1,
        1,
        2,
    };
    struct gguf *gguf = NULL;
    struct err err = {0};
    char *path = NULL;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (strcmp(args[0], "info") != 0 && strcmp(args[0], "verify") != 0) {
        (void)err_set(&err, ERR_INPUT, "model %s: expected info or verify",
                      args[0]);
        return options_fail(&err);
    }
    path = places_model(count > 1 ? args[1] : NULL);
    gguf = gguf_open(path, &err);
    if (gguf) {
        if (args[0][0] == 'v')
            code = verify(gguf, &err);
        else
            code = json ? info_json(gguf, &err) : info(gguf);
    }
    if (code < 0) {
        places_blame(&err, path);
        code = options_fail(&err);
    }
    gguf_close(gguf);
    free(path);
    return code;
}
