/* options.h - what the configuration says about one tool, and how a tool that
 * has a choice is opened. Event-loop thread, at start.
 *
 * Such a tool is one function in one file, named in registry.c's table:
 *
 *     struct tool *sql_query_open(const struct tool_options *o,
 *                                 struct err *err);
 *
 * It refuses keys that it does not know, and every error it sets names the
 * place in the file (option_fail, and the readers below). NULL with `err`.
 * Handles that outlive a run are uv_unref()ed: they must not keep the loop. */
#ifndef CORRAL_TOOLS_OPTIONS_H
#define CORRAL_TOOLS_OPTIONS_H

#include <uv.h>

#include "base/yaml.h"
#include "tools/tool.h"

struct artefacts; /* tools/artefact.h */

struct tool_options {
    const char *name;        /* as listed: "sql_query" */
    const cJSON *map;        /* its options; NULL: none were given */
    const cJSON *place;      /* the list item; NULL: from no file */
    const struct yaml *yaml; /* whose node `place` is; NULL: from no file */
    uv_loop_t *loop;
    const char *folder; /* relative paths begin here; NULL: where we are */
    const char *data;   /* a folder for what the tool keeps; NULL: none */
    struct artefacts *artefacts; /* for files that a tool makes; NULL: none */
};

typedef struct tool *tool_open(const struct tool_options *o, struct err *err);

/* Fill `err` with the place of `node` (NULL: of the tool) and the reason;
 * returns false. */
bool option_fail(const struct tool_options *o, const cJSON *node,
                 struct err *err, const char *format, ...) PRINTF_LIKE(4, 5);

/* Refuse any key that is not in the NULL-terminated list. */
MUST_USE bool option_only(const struct tool_options *o, const char *const *keys,
                          struct err *err);
/* The value of a key; NULL when it is not there or null. */
const cJSON *option_get(const struct tool_options *o, const char *key);

/* An option that is not there leaves `out` untouched and is true. */
MUST_USE bool option_int(const struct tool_options *o, const char *key,
                         int least, int most, int *out, struct err *err);
MUST_USE bool option_bool(const struct tool_options *o, const char *key,
                          bool *out, struct err *err);
/* Not empty. Borrowed from the options. */
MUST_USE bool option_text(const struct tool_options *o, const char *key,
                          const char **out, struct err *err);
/* A path, resolved against the folder. The caller frees. */
MUST_USE bool option_path(const struct tool_options *o, const char *key,
                          char **out, struct err *err);

#endif
