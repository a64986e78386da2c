/* utf8.h - code points in and out of hostile bytes. */
#ifndef CORRAL_BASE_UTF8_H
#define CORRAL_BASE_UTF8_H

#include "base/bytes.h"

enum { UTF8_REPLACEMENT = 0xFFFD, UTF8_MAX = 4 };

/* Decode one code point at the head of `s` (which is not empty). Returns the
 * bytes it took, 1 to 4. A byte that begins no valid, shortest-form sequence
 * takes one byte and gives UTF8_REPLACEMENT with *valid false; `valid` may be
 * NULL. */
size_t utf8_decode(struct span s, uint32_t *point, bool *valid);

/* Write `point` (at most 0x10FFFF, no surrogate; others become U+FFFD). */
size_t utf8_encode(uint32_t point, char out[UTF8_MAX]);

bool utf8_valid(struct span s);

/* How many bytes of a text that is still arriving can be taken now: all but
 * an incomplete sequence at the very end (0 to 3 bytes held back). Bytes that
 * can no longer become valid are not held back. */
size_t utf8_complete(struct span s);
/* Is s.at[at] inside a sequence, not its first byte; false past the end. */
bool utf8_inside(struct span s, size_t at);
/* Where the sequence begins that s.at[at] is inside of, at most 3 bytes before;
 * `at` when it is inside of none. */
size_t utf8_back(struct span s, size_t at);
/* As much of the head of `s` as fits into `most` bytes, no character of it cut.
 */
struct span utf8_head(struct span s, size_t most);

#endif
