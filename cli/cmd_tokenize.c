/* cmd_tokenize.c - text to token ids: one text, or one of each line. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/tokenizer.h"

enum { INPUT_BYTES_MAX = 64 << 20, BENCH_MS = 2000, BENCH_ROUNDS_MIN = 3 };

static bool put_ids(struct bytes *out, const struct tokens *tokens,
                    struct err *err) {
    bool ok =
        bytes_printf(out, err, "{\"count\":%zu,\"tokens\":[", tokens->count);

    for (size_t i = 0; ok && i < tokens->count; i++)
        ok = bytes_printf(out, err, "%s%d", i ? "," : "", tokens->at[i]);
    return ok && bytes_append(out, "]", 1, err);
}

static bool print_json(const struct tokenizer *t, const struct tokens *tokens,
                       struct err *err) {
    /* Ids and pieces of the largest input fit: about 30 bytes a token. */
    struct bytes out = {.limit = (size_t)4 << 30};
    bool ok;

    ok = put_ids(&out, tokens, err) && bytes_printf(&out, err, ",\"pieces\":[");
    for (size_t i = 0; ok && i < tokens->count; i++)
        ok = (!i || bytes_append(&out, ",", 1, err)) &&
             json_put_string(&out, tokenizer_piece(t, tokens->at[i]), err);
    ok = ok && bytes_printf(&out, err, "]}\n");
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok;
}

static bool print_one(const struct tokenizer *t, struct span text, bool json,
                      struct err *err) {
    struct tokens tokens = {0};
    bool ok = tokenizer_encode_first(t, text, &tokens, err);

    if (ok && json) {
        ok = print_json(t, &tokens, err);
    } else if (ok) {
        for (size_t i = 0; i < tokens.count; i++)
            (void)printf("%s%d", i ? " " : "", tokens.at[i]);
        (void)putchar('\n');
    }
    tokens_free(&tokens);
    return ok;
}

/* ---- lines ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool put_hex(struct bytes *out, const char *hex, struct err *err) {
    for (; *hex; hex += 2) {
        int high = hex_digit(hex[0]);
        int low = high < 0 ? -1 : hex_digit(hex[1]);
        char byte = (char)(high << 4 | low);

        if (low < 0) return err_set(err, ERR_INPUT, "hex: no pairs of digits");
        if (!bytes_append(out, &byte, 1, err)) return false;
    }
    return true;
}

/* The text of one line, replacing what `out` had. */
static bool line_text(struct span line, struct bytes *out, struct err *err) {
    static const char *const keys[] = {"text", "hex", NULL};
    const char *text = NULL, *hex = NULL;
    cJSON *json = json_parse(line, err);
    bool ok = json && json_only_keys(json, "", keys, err) &&
              json_get_string(json, "", "text", &text, err) &&
              json_get_string(json, "", "hex", &hex, err);

    out->size = 0;
    if (ok && !text == !hex)
        ok = err_set(err, ERR_INPUT, "one of text and hex is needed");
    if (ok && text)
        ok = bytes_append(out, text, span_of(text).size, err);
    else if (ok)
        ok = put_hex(out, hex, err);
    cJSON_Delete(json);
    return ok;
}

static bool put_line(const struct tokenizer *t, struct span line,
                     struct bytes *text, struct bytes *out, struct err *err) {
    struct tokens tokens = {0};
    bool ok = line_text(line, text, err) &&
              tokenizer_encode_first(t, span_bytes(text), &tokens, err) &&
              put_ids(out, &tokens, err);

    tokens_free(&tokens);
    return ok;
}

/* One object a line, in and out. A bad line is answered with an error and
 * passed over. */
static int print_lines(const struct tokenizer *t, FILE *in) {
    struct bytes text = {.limit = INPUT_BYTES_MAX};
    struct bytes out = {.limit = (size_t)1 << 30};
    int code = EXIT_FINE;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;

    while ((size = getline(&line, &capacity, in)) >= 0) {
        struct err err = {0};

        if (size > 0 && line[size - 1] == '\n') size--;
        out.size = 0;
        if (!put_line(t, (struct span){line, (size_t)size}, &text, &out,
                      &err)) {
            code = EXIT_TROUBLE;
            out.size = 0;
            bytes_puts(&out, "{\"error\":");
            (void)!json_put_string(&out, span_of(err.text), NULL);
        }
        bytes_puts(&out, "}\n");
        (void)fwrite(out.at, 1, out.size, stdout);
    }
    free(line);
    bytes_free(&out);
    bytes_free(&text);
    return code;
}

/* ---- speed ---- */

/* The fastest of many rounds: the text stays the same, so whatever makes a
 * round slower came from outside. */
static bool bench(const struct tokenizer *t, struct span text,
                  struct err *err) {
    uint64_t start = clock_ns(), best = UINT64_MAX, end;
    struct tokens tokens = {0};
    bool ok = true;

    for (int round = 0;
         ok && (round < BENCH_ROUNDS_MIN ||
                clock_ns() - start < BENCH_MS * (uint64_t)1000000);
         round++) {
        uint64_t begin = clock_ns();

        tokens.count = 0;
        ok = tokenizer_encode_first(t, text, &tokens, err);
        end = clock_ns();
        if (end - begin < best) best = end - begin;
    }
    if (ok)
        (void)printf("{\"bytes\":%zu,\"tokens\":%zu,\"mb_per_s\":%.1f,"
                     "\"tokens_per_s\":%.0f}\n",
                     text.size, tokens.count,
                     (double)text.size * 1e3 / (double)best,
                     (double)tokens.count * 1e9 / (double)best);
    tokens_free(&tokens);
    return ok;
}

int cmd_tokenize(int argc, char **argv) {
    const char *model = NULL, *args[OPTION_ARGS_MAX];
    bool json = false, lines = false, speed = false, ok;
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE",
         "the GGUF whose vocabulary is used"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL,
         "one JSON object with count, tokens and pieces"},
        {"jsonl", 0, OPTION_FLAG, &lines, 0, 0, NULL,
         "{\"text\":...} or {\"hex\":...} a line in, count and tokens out"},
        {"bench", 0, OPTION_FLAG, &speed, 0, 0, NULL,
         "how fast the text becomes tokens, on one core"},
    };
    const struct options options = {
        "corral tokenize [-m MODEL] [--json|--jsonl|--bench] [TEXT]",
        "Prints the token ids of TEXT, or of standard input. Text that spells "
        "a control\ntoken is text.",
        list,
        sizeof list / sizeof list[0],
        0,
        1,
    };
    struct bytes text = {.limit = INPUT_BYTES_MAX};
    struct tokenizer *tokenizer = NULL;
    struct gguf *gguf = NULL;
    struct err err = {0};
    char *path = NULL;
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    path = places_model(model);
    gguf = gguf_open(path, &err);
    if (!gguf) goto out;
    tokenizer = tokenizer_new(gguf, &err);
    if (!tokenizer) {
        places_blame(&err, path);
        goto out;
    }
    if (lines) {
        code = print_lines(tokenizer, stdin);
        goto out;
    }
    if (count)
        bytes_puts(&text, args[0]);
    else if (!bytes_read_fd(&text, STDIN_FILENO, "standard input", &err))
        goto out;
    ok = speed ? bench(tokenizer, span_bytes(&text), &err)
               : print_one(tokenizer, span_bytes(&text), json, &err);
    if (ok) code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    tokenizer_free(tokenizer);
    gguf_close(gguf);
    bytes_free(&text);
    free(path);
    return code;
}
