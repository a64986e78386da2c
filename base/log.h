/* log.h - one logfmt line an event on standard error. Values are escaped, so
 * that no text from outside can forge a line. Safe from any thread. */
#ifndef CORRAL_BASE_LOG_H
#define CORRAL_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);
MUST_USE bool log_level_from_name(const char *name, enum log_level *out);

/* log_event(LOG_INFO, "listening", "host=%s port=%d", host, port): the pairs
 * are logfmt written by us; put text from outside through log_quote(). */
void log_event(enum log_level level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* `text` as a quoted logfmt value in `out` (cut to fit); returns `out`. */
const char *log_quote(const char *text, char *out, size_t out_size);

#endif
