/* json.h - cJSON behind checks. Text from outside is parsed with a limit on its
 * depth and on its number of values; fields are fetched with errors that name
 * their place. */
#ifndef CORRAL_BASE_JSON_H
#define CORRAL_BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

enum {
    JSON_DEPTH_MAX = 64,
    /* 16 MiB of nodes, however short the values are. A chat of 80,000 messages
     * and a list of 128k tokens have fewer. */
    JSON_VALUES_MAX = 1 << 18
};

/* Read one whole JSON text (trailing bytes other than blanks are an error, and
 * so are duplicate keys, a NUL in a string, a number that no double holds,
 * depth past JSON_DEPTH_MAX and more than JSON_VALUES_MAX values). The tree is
 * in few pieces of memory: it goes with json_free() alone, and nothing may be
 * added to it or taken out. NULL with ERR_INPUT, or ERR_LIMIT for the depth and
 * the values. */
MUST_USE const cJSON *json_read(struct span text, struct err *err);
/* The same with another limit, at least 1, on the number of values. */
MUST_USE const cJSON *json_read_up_to(struct span text, size_t values_max,
                                      struct err *err);
void json_free(const cJSON *json);

/* The same as a tree that may be changed, at several times the cost. The caller
 * owns it and gives it back with cJSON_Delete(). */
MUST_USE cJSON *json_parse(struct span text, struct err *err);

/* Compact text appended to `out`. */
MUST_USE bool json_print(const cJSON *json, struct bytes *out, struct err *err);

/* Append `s` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD;
 * `<`, `>` and `&` stay as they are. */
MUST_USE bool json_put_string(struct bytes *out, struct span s,
                              struct err *err);

/* The value of a key, or NULL: cJSON_GetObjectItemCaseSensitive() at a part of
 * its cost. NULL for what is no object. */
const cJSON *json_field(const cJSON *object, const char *key);

/* Fields of an object. `path` names the object ("messages[2]" or ""), for the
 * error's field. Absent or null leaves `out` untouched and is true. */
MUST_USE bool json_get_bool(const cJSON *object, const char *path,
                            const char *key, bool *out, struct err *err);
MUST_USE bool json_get_int(const cJSON *object, const char *path,
                           const char *key, int64_t least, int64_t most,
                           int64_t *out, struct err *err);
MUST_USE bool json_get_number(const cJSON *object, const char *path,
                              const char *key, double least, double most,
                              double *out, struct err *err);
/* Borrowed from the tree. */
MUST_USE bool json_get_string(const cJSON *object, const char *path,
                              const char *key, const char **out,
                              struct err *err);
/* Refuse any key that is not in the NULL-terminated list, and what is no object
 * but NULL. */
MUST_USE bool json_only_keys(const cJSON *object, const char *path,
                             const char *const *keys, struct err *err);

#endif
