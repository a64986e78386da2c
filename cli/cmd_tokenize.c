/* cmd_tokenize.c - text to token ids. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "engine/tokenizer.h"

enum { INPUT_BYTES_MAX = 64 << 20 };

static bool print_json(const struct tokenizer *t, const struct tokens *tokens,
                       struct err *err) {
    /* Ids and pieces of the largest input fit: about 30 bytes a token. */
    struct bytes out = {.limit = (size_t)4 << 30};
    bool ok;

    ok = bytes_printf(&out, err, "{\"count\":%zu,\"tokens\":[", tokens->count);
    for (size_t i = 0; ok && i < tokens->count; i++)
        ok = bytes_printf(&out, err, "%s%d", i ? "," : "", tokens->at[i]);
    ok = ok && bytes_printf(&out, err, "],\"pieces\":[");
    for (size_t i = 0; ok && i < tokens->count; i++)
        ok = (!i || bytes_append(&out, ",", 1, err)) &&
             json_put_string(&out, tokenizer_piece(t, tokens->at[i]), err);
    ok = ok && bytes_printf(&out, err, "]}\n");
    if (ok) (void)fwrite(out.at, 1, out.size, stdout);
    bytes_free(&out);
    return ok;
}

int cmd_tokenize(int argc, char **argv) {
    const char *model = NULL, *args[OPTION_ARGS_MAX];
    bool json = false;
    const struct option list[] = {
        {"model", 'm', OPTION_TEXT, &model, 0, 0, "FILE",
         "the GGUF whose vocabulary is used"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL,
         "one JSON object with count, tokens and pieces"},
    };
    const struct options options = {
        "corral tokenize [-m MODEL] [--json] [TEXT]",
        "Prints the token ids of TEXT, or of standard input. Text that spells "
        "a control\ntoken is text.",
        list,
        2,
        0,
        1,
    };
    struct bytes text = {.limit = INPUT_BYTES_MAX};
    struct tokenizer *tokenizer = NULL;
    struct tokens tokens = {0};
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
    if (count)
        bytes_puts(&text, args[0]);
    else if (!bytes_read_fd(&text, STDIN_FILENO, "standard input", &err))
        goto out;
    if (!tokenizer_encode(tokenizer, span_bytes(&text), &tokens, &err))
        goto out;
    if (json) {
        if (!print_json(tokenizer, &tokens, &err)) goto out;
    } else {
        for (size_t i = 0; i < tokens.count; i++)
            (void)printf("%s%d", i ? " " : "", tokens.at[i]);
        (void)putchar('\n');
    }
    code = EXIT_FINE;

out:
    if (code < 0) code = options_fail(&err);
    tokens_free(&tokens);
    tokenizer_free(tokenizer);
    gguf_close(gguf);
    bytes_free(&text);
    free(path);
    return code;
}
