#include "base/env.h"

#include <stdlib.h>
#include <string.h>

static bool is_name(struct span s) {
    if (!s.size || s.size > ENV_NAME_MAX) return false;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

/* `inside` is what stands between the braces. */
static bool put_variable(struct span inside, struct bytes *out,
                         struct err *err) {
    size_t mark = span_find(inside, span_of(":-"));
    struct span name = span_slice(inside, 0, mark);
    const char *value;
    char *text;

    if (!is_name(name))
        return err_set(err, ERR_INPUT,
                       "\"${%.*s}\" is not ${NAME} or ${NAME:-default}; a "
                       "plain $ is written $$",
                       inside.size > 64 ? 64 : (int)inside.size, inside.at);
    text = span_dup(name);
    value = getenv(text);
    free(text);
    if (value && *value) {
        if (strlen(value) > ENV_VALUE_BYTES_MAX)
            return err_set(err, ERR_LIMIT,
                           "the variable %.*s is longer than %d bytes",
                           (int)name.size, name.at, ENV_VALUE_BYTES_MAX);
        return bytes_append(out, value, strlen(value), err);
    }
    if (mark == SIZE_MAX)
        return err_set(err, ERR_INPUT, "the variable %.*s is not set",
                       (int)name.size, name.at);
    inside = span_slice(inside, mark + 2, inside.size);
    return bytes_append(out, inside.at, inside.size, err);
}

bool env_fill(struct span text, struct bytes *out, bool *filled,
              struct err *err) {
    *filled = false;
    while (text.size) {
        size_t dollar = span_find(text, span_of("$")), end;

        if (dollar == SIZE_MAX || dollar + 1 == text.size) break;
        if (text.at[dollar + 1] != '{') {
            /* "$$" is one, "$5" is as it stands. */
            if (!bytes_append(out, text.at, dollar + 1, err)) return false;
            dollar += text.at[dollar + 1] == '$' ? 2 : 1;
            text = span_slice(text, dollar, text.size);
            continue;
        }
        if (!bytes_append(out, text.at, dollar, err)) return false;
        text = span_slice(text, dollar + 2, text.size);
        end = span_find(text, span_of("}"));
        if (end == SIZE_MAX)
            return err_set(err, ERR_INPUT,
                           "a ${ without its }; a plain $ is written $$");
        *filled = true;
        if (!put_variable(span_slice(text, 0, end), out, err)) return false;
        text = span_slice(text, end + 1, text.size);
    }
    return bytes_append(out, text.at, text.size, err);
}
