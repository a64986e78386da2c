/* rules_whole.h - one pattern against the whole of a short text, byte for byte:
 * unlike rules.h it neither searches nor folds, so that what a rule allows is
 * exactly what it says. Any number of threads. */
#ifndef CORRAL_GUARD_RULES_WHOLE_H
#define CORRAL_GUARD_RULES_WHOLE_H

#include "base/bytes.h"

struct rules_whole;

/* In Hyperscan's syntax. ERR_INPUT. */
MUST_USE struct rules_whole *rules_whole_new(const char *pattern,
                                             struct err *err);
void rules_whole_free(struct rules_whole *w);
/* ERR_INTERNAL when it cannot be told. */
MUST_USE bool rules_whole_match(const struct rules_whole *w, struct span text,
                                bool *matches, struct err *err);

#endif
