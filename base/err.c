#include "base/err.h"

#include <stdio.h>

static void fill(struct err *err, enum err_code code, const char *field,
                 const char *format, va_list args) PRINTF_LIKE(4, 0);

static void fill(struct err *err, enum err_code code, const char *field,
                 const char *format, va_list args) {
    if (!err) return;
    err->code = code;
    (void)snprintf(err->field, sizeof err->field, "%s", field);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
}

bool err_set(struct err *err, enum err_code code, const char *format, ...) {
    va_list args;

    va_start(args, format);
    fill(err, code, "", format, args);
    va_end(args);
    return false;
}

bool err_set_field(struct err *err, enum err_code code, const char *field,
                   const char *format, ...) {
    va_list args;

    va_start(args, format);
    fill(err, code, field, format, args);
    va_end(args);
    return false;
}

const char *err_code_name(enum err_code code) {
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INPUT:
        return "input";
    case ERR_LIMIT:
        return "limit";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_DENIED:
        return "denied";
    case ERR_BUSY:
        return "busy";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_IO:
        return "io";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
