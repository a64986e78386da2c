/* log.h - one line an event on standard error, in logfmt or as JSON. Values are
 * escaped, so that no text from outside can forge a line. Never waits: a line
 * that nobody takes is lost and counted. Safe from any thread. */
#ifndef CORRAL_BASE_LOG_H
#define CORRAL_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

enum log_format { LOG_LOGFMT, LOG_JSON };

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
bool log_wants(enum log_level level);
unsigned long long log_lost(void); /* lines, since the start */
MUST_USE bool log_format_from_name(const char *name, enum log_format *out);
const char *log_level_name(enum log_level level);
MUST_USE bool log_level_from_name(const char *name, enum log_level *out);

/* log_event(LOG_INFO, "listening", "host=%s port=%d", host, port): the pairs
 * are logfmt written by us (log_json.h makes JSON of it); put text from outside
 * through log_quote(). */
void log_event(enum log_level level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Lines of this thread that are less than a warning wait for log_flush(), for
 * as many as a pipe takes in one piece, or for a warning: a loop that answers
 * many requests at a time writes them together. */
void log_gather(bool on);
void log_flush(void);

/* `text` as a quoted logfmt value in `out` (cut to fit); returns `out`. */
const char *log_quote(const char *text, char *out, size_t out_size);

#endif
