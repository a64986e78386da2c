#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "corral: <before><what><after>", and how it should have been. */
static int wrong(const struct options *o, const char *before, const char *what,
                 const char *after) {
    (void)fprintf(stderr, "corral: %s%s%s\nusage: %s\n", before, what, after,
                  o->synopsis);
    return EXIT_WRONG_USE;
}

static int help(const struct options *o) {
    (void)printf("usage: %s\n\n%s\n\n", o->synopsis, o->about);
    for (int i = 0; i < o->count; i++) {
        const struct option *option = &o->list[i];
        char left[64];

        (void)snprintf(
            left, sizeof left, "%s%c%s--%s%s%s", option->letter ? "-" : " ",
            option->letter ? option->letter : ' ', option->letter ? ", " : "  ",
            option->name, option->value ? " " : "",
            option->value ? option->value : "");
        (void)printf("  %-26s %s\n", left, option->help);
    }
    (void)printf("  %-26s %s\n", "-h, --help", "show this");
    return EXIT_FINE;
}

/* The option that `text` names, with the value written behind its `=`, or
 * NULL. */
static const struct option *find(const struct options *o, const char *text,
                                 const char **value) {
    const char *equals = NULL;
    size_t size;

    *value = NULL;
    if (text[1] != '-') {
        for (int i = 0; i < o->count; i++)
            if (text[1] && o->list[i].letter == text[1] && !text[2])
                return &o->list[i];
        return NULL;
    }
    text += 2;
    equals = strchr(text, '=');
    size = equals ? (size_t)(equals - text) : strlen(text);
    for (int i = 0; i < o->count; i++) {
        const char *name = o->list[i].name;

        if (strlen(name) != size || memcmp(name, text, size) != 0) continue;
        if (equals) *value = equals + 1;
        return &o->list[i];
    }
    return NULL;
}

static bool number(const struct option *option, const char *text) {
    double value;
    char *end;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(value)) return false;
    if (value < option->least || value > option->most) return false;
    if (option->kind == OPTION_NUMBER) {
        *(double *)option->out = value;
        return true;
    }
    if (floor(value) != value) return false;
    *(int *)option->out = (int)value;
    return true;
}

/* -1 when fine. */
static int assign(const struct options *o, const struct option *option,
                  const char *text, const char *value) {
    char range[128];

    switch (option->kind) {
    case OPTION_FLAG:
        if (value) return wrong(o, "", text, " takes no value");
        *(bool *)option->out = true;
        return -1;
    case OPTION_TEXT:
        *(const char **)option->out = value;
        return -1;
    case OPTION_INT:
    case OPTION_NUMBER:
        if (number(option, value)) return -1;
        (void)snprintf(range, sizeof range, "--%s: expected a %s from %g to %g",
                       option->name,
                       option->kind == OPTION_INT ? "whole number" : "number",
                       option->least, option->most);
        return wrong(o, range, "", "");
    }
    return -1;
}

int options_parse(const struct options *o, int argc, char **argv,
                  const char *args[OPTION_ARGS_MAX], int *arg_count) {
    bool ended = false;

    *arg_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i], *value;
        const struct option *option;
        int code;

        if (ended || text[0] != '-' || !text[1]) {
            if (*arg_count == o->args_most || *arg_count == OPTION_ARGS_MAX)
                return wrong(o, "one argument too many: ", text, "");
            args[(*arg_count)++] = text;
            continue;
        }
        if (!strcmp(text, "--")) {
            ended = true;
            continue;
        }
        if (!strcmp(text, "--help") || !strcmp(text, "-h")) return help(o);
        option = find(o, text, &value);
        if (!option) return wrong(o, "unknown option ", text, "");
        if (option->kind != OPTION_FLAG && !value) {
            if (i + 1 == argc) return wrong(o, "", text, " needs a value");
            value = argv[++i];
        }
        code = assign(o, option, text, value);
        if (code >= 0) return code;
    }
    if (*arg_count < o->args_least)
        return wrong(o, "an argument is missing", "", "");
    return -1;
}

int options_fail(const struct err *err) {
    (void)fprintf(stderr, "corral: %s\n", err->text);
    switch (err->code) {
    case ERR_INPUT:
    case ERR_LIMIT:
    case ERR_NOT_FOUND:
    case ERR_UNSUPPORTED:
        return EXIT_WRONG_USE;
    case ERR_NONE:
    case ERR_DENIED:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return EXIT_TROUBLE;
}
