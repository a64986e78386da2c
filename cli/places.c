#include "cli/places.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* What lies in Corral's own folder. */
static char *at_home(const char *name) {
    const char *home = getenv("CORRAL_HOME");

    if (home && *home) return format(home, "/", name);
    home = getenv("HOME");
    return format(home && *home ? home : ".", "/.cache/corral/", name);
}

char *places_model(const char *given) {
    if (given && *given && strcmp(given, "default") != 0) return xstrdup(given);
    return at_home(model_name);
}

char *places_data(const char *given, struct err *err) {
    char *folder = given && *given ? xstrdup(given) : at_home("data");

    /* Every part of the path: the first start may be on an empty machine. */
    for (char *at = strchr(folder + 1, '/');; at = strchr(at + 1, '/')) {
        if (at) *at = '\0';
        if (mkdir(folder, 0700) && errno != EEXIST) {
            (void)err_set(err, ERR_IO, "%s: cannot make the folder: %s", folder,
                          strerror(errno));
            free(folder);
            return NULL;
        }
        if (!at) return folder;
        *at = '/';
    }
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

char *places_calls(const char *model, struct err *err) {
    if (model && *model && strcmp(model, "default") != 0) return NULL;
    return look_up(NULL, "agent/models/tools.gguf", err);
}

void places_blame(struct err *err, const char *path) {
    struct err old = *err;

    if (strstr(old.text, path)) return;
    (void)err_set_field(err, old.code, old.field, "%s: %s", path, old.text);
}
