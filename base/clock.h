/* clock.h - time. Deadlines use the monotonic clock, stamps the wall clock. */
#ifndef CORRAL_BASE_CLOCK_H
#define CORRAL_BASE_CLOCK_H

#include <stdint.h>

#include "base/bytes.h"

enum { CLOCK_MS_SIZE = BYTES_DIGITS_SIZE + 3 };

uint64_t clock_ns(void);    /* monotonic */
uint64_t clock_ms(void);    /* monotonic */
int64_t clock_wall_s(void); /* seconds since 1970 */
/* "2026-11-24T23:55:18.123Z" of now. */
void clock_stamp(char out[25]);
/* A time that something took, "12.3", rounded, as milliseconds. */
void clock_put_ms(uint64_t ns, char out[CLOCK_MS_SIZE]);
/* "2026-11-24" or "2026-11-24T23:55:18Z" as milliseconds since 1970. */
MUST_USE bool clock_parse(struct span text, int64_t *ms);

#endif
