#include "cli/places.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

static const char model_name[] = "SmolLM2-135M-Instruct.Q4_1.gguf";

static char *format(const char *a, const char *b, const char *c)
    __attribute__((returns_nonnull));

static char *format(const char *a, const char *b, const char *c) {
    struct bytes out = {0};

    bytes_puts(&out, a);
    bytes_puts(&out, b);
    bytes_puts(&out, c);
    bytes_put(&out, (struct span){"", 1});
    return out.at;
}

char *places_model(const char *given) {
    const char *home = getenv("CORRAL_HOME");

    if (given && *given && strcmp(given, "default") != 0) return xstrdup(given);
    if (home && *home) return format(home, "/", model_name);
    home = getenv("HOME");
    return format(home && *home ? home : ".", "/.cache/corral/", model_name);
}

/* The folder of the running program, with a slash; "" when unknown. */
static void program_folder(char out[PATH_MAX]) {
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1);
    char *slash;

    out[size > 0 ? size : 0] = '\0';
    slash = strrchr(out, '/');
    if (slash)
        slash[1] = '\0';
    else
        out[0] = '\0';
}

static char *look_up(const char *given, const char *what, struct err *err) {
    char folder[PATH_MAX];
    char *place;

    if (given && *given) return xstrdup(given);
    if (!access(what, R_OK)) return xstrdup(what);
    program_folder(folder);
    place = format(folder, "../", what);
    if (!access(place, R_OK)) return place;
    free(place);
    place = format(folder, "../share/corral/", what);
    if (!access(place, R_OK)) return place;
    free(place);
    (void)err_set(err, ERR_NOT_FOUND,
                  "%s: not here, nor in %s.. or %s../share/corral", what,
                  folder, folder);
    return NULL;
}

char *places_policy(const char *given, struct err *err) {
    return look_up(given, "policies/default.yaml", err);
}

char *places_guard(const char *given, struct err *err) {
    return look_up(given, "guard/models", err);
}

void places_blame(struct err *err, const char *path) {
    struct err old = *err;

    if (strstr(old.text, path)) return;
    (void)err_set_field(err, old.code, old.field, "%s: %s", path, old.text);
}
