/* language.h - which of the eight languages of Llama 3.1 a text is in, to choose
 * the message that a refusal says. By script where that tells (Thai,
 * Devanagari), else by the little words that every sentence has. Any thread. */
#ifndef CORRAL_GUARD_LANGUAGE_H
#define CORRAL_GUARD_LANGUAGE_H

#include "base/bytes.h"

enum { LANGUAGE_BYTES = 4096 /* of a text, that are looked at */ };

/* "en", "de", "fr", "it", "pt", "hi", "es" or "th"; NULL when there is nothing
 * to tell it by. */
const char *language_of(struct span text);

#endif
