/* grammar_format.h - the values of the keyword `format` that are enforced, as
 * regular expressions. Every text that they fit is valid; rare valid texts
 * are left out (a leap second, an address in quotes). */
#ifndef CORRAL_ENGINE_GRAMMAR_FORMAT_H
#define CORRAL_ENGINE_GRAMMAR_FORMAT_H

/* NULL for a format that is not among them: it is then an annotation only. */
const char *format_pattern(const char *name);

#endif
