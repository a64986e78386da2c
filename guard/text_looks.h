/* text_looks.h - letters of other scripts that a reader takes for Latin ones.
 * Data for text.c. */
#ifndef CORRAL_GUARD_TEXT_LOOKS_H
#define CORRAL_GUARD_TEXT_LOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lower-case letter of ASCII that `point` looks like. */
bool text_looks_latin(uint32_t point, char *letter, bool *close);

#endif
