/* config_read.h - single values out of a configuration's tree, checked, with
 * an error that names their place. Null stands for "as by default": then `out`
 * is left as it is. */
#ifndef CORRAL_PROXY_CONFIG_READ_H
#define CORRAL_PROXY_CONFIG_READ_H

#include "base/yaml.h"

/* What every reading function needs: where we are, and where to complain. */
struct config_source {
    const struct yaml *yaml;
    const char *name; /* the file's path */
    struct err *err;
};

bool config_unset(const cJSON *node);
const cJSON *config_get(const cJSON *object, const char *key);

MUST_USE bool config_read_int(const struct config_source *s,
                              const cJSON *object, const char *key,
                              int64_t least, int64_t most, int64_t *out);
MUST_USE bool config_read_small(const struct config_source *s,
                                const cJSON *object, const char *key, int least,
                                int most, int *out);
MUST_USE bool config_read_bool(const struct config_source *s,
                               const cJSON *object, const char *key, bool *out);
/* A text that is not empty. */
MUST_USE bool config_check_text(const struct config_source *s,
                                const cJSON *node, const char *key);
MUST_USE bool config_read_text(const struct config_source *s,
                               const cJSON *object, const char *key,
                               char **out);
/* A path; relative to the folder of the configuration file. */
MUST_USE bool config_read_path(const struct config_source *s,
                               const cJSON *object, const char *key,
                               char **out);
/* Texts, each once; `out` has room for `max`. */
MUST_USE bool config_read_list(const struct config_source *s,
                               const cJSON *object, const char *key, char **out,
                               int max, int *count);
void config_clear_list(char **list, int *count);
/* A nested map with its keys; *out is NULL when it is not there. */
MUST_USE bool config_read_map(const struct config_source *s,
                              const cJSON *object, const char *key,
                              const char *const *keys, const cJSON **out);

#endif
