/* yaml.h - one YAML document as a cJSON tree, with the place of every node,
 * so that what is wrong in a policy or a configuration can be pointed at. */
#ifndef CORRAL_BASE_YAML_H
#define CORRAL_BASE_YAML_H

#include "base/json.h"

enum { YAML_BYTES_MAX = 4 << 20, YAML_NODES_MAX = 200000 };

struct yaml; /* opaque; one thread at a time */

/* Read and parse. Errors are "path:line:column: reason". Aliases, tags, more
 * than one document, duplicate keys and depth past JSON_DEPTH_MAX are refused.
 * Plain scalars become null, booleans (true, false) and numbers as in YAML 1.2
 * core; everything else is a string. */
MUST_USE struct yaml *yaml_open(const char *path, struct err *err);
MUST_USE struct yaml *yaml_parse(struct span text, const char *name,
                                 struct err *err);
/* The same with variables of the environment put into values (env.h), never
 * into keys. What they hold is text, or as a plain scalar a number or a switch;
 * it cannot become a list or a map. */
MUST_USE struct yaml *yaml_open_env(const char *path, struct err *err);
MUST_USE struct yaml *yaml_parse_env(struct span text, const char *name,
                                     struct err *err);
void yaml_close(struct yaml *yaml);

/* Borrowed until yaml_close(). Never NULL; an empty document is null. */
const cJSON *yaml_root(const struct yaml *yaml);

/* Line and column of a node, from 1. */
void yaml_place(const struct yaml *yaml, const cJSON *node, int *line,
                int *column);

/* Fill `err` with "path:line:column: " and the reason; returns false. */
bool yaml_fail(const struct yaml *yaml, const cJSON *node, struct err *err,
               const char *format, ...) PRINTF_LIKE(4, 5);

/* Refuse any key that is not in the NULL-terminated list, with its place. */
MUST_USE bool yaml_only_keys(const struct yaml *yaml, const cJSON *object,
                             const char *const *keys, struct err *err);

#endif
