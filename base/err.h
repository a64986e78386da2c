/* err.h - why a call failed. Filled once, at the place that knows, and
 * returned unchanged by everybody above. `code` decides the HTTP status,
 * `text` is for a person, `field` names the place in the input, if any. */
#ifndef CORRAL_BASE_ERR_H
#define CORRAL_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

enum err_code {
    ERR_NONE,
    ERR_INPUT,       /* the bytes given are wrong: 400 */
    ERR_LIMIT,       /* a named limit was passed: 413 for bodies, else 400 */
    ERR_NOT_FOUND,   /* no such model, file, route: 404 */
    ERR_DENIED,      /* not allowed: 401 or 403 */
    ERR_BUSY,        /* the queue is full: 429 */
    ERR_CANCELLED,   /* the asker left */
    ERR_TIMEOUT,     /* a deadline passed: 503 or 504 */
    ERR_UNAVAILABLE, /* a part that is needed does not work: 503 */
    ERR_UNSUPPORTED, /* understood, but not done here: 400 */
    ERR_IO,          /* the operating system said no */
    ERR_INTERNAL     /* our own fault: 500 */
};

enum { ERR_TEXT_MAX = 384, ERR_FIELD_MAX = 96 };

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX];
    char field[ERR_FIELD_MAX]; /* "messages[2].content", or "" */
};

/* Fill `err` (which may be NULL) and return false, so that a failing function
 * can end with `return err_set(...)`. Long text is cut, never overrun. */
bool err_set(struct err *err, enum err_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The same, naming the field of the input that is at fault. */
bool err_set_field(struct err *err, enum err_code code, const char *field,
                   const char *format, ...) PRINTF_LIKE(4, 5);

/* "input", "limit", ...: a stable word for logs and metrics. */
const char *err_code_name(enum err_code code);

#endif
