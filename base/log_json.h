/* log_json.h - the pairs of a log event, as we write them in logfmt, as members
 * of a JSON object. Any thread, nothing shared. */
#ifndef CORRAL_BASE_LOG_JSON_H
#define CORRAL_BASE_LOG_JSON_H

#include <stddef.h>

/* `pairs` is `a=1 b="x \"y\"" c=word`; `out` gets `{"a":1,"b":"x \"y\"",...}`,
 * at most `out_size` bytes with its NUL. A pair that does not fit is left out.
 * The size of the text. */
size_t log_json(const char *pairs, char *out, size_t out_size);

#endif
