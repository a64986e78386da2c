/* grammar_number.h - JSON numbers within limits, as automata. */
#ifndef CORRAL_ENGINE_GRAMMAR_NUMBER_H
#define CORRAL_ENGINE_GRAMMAR_NUMBER_H

#include "engine/grammar_dfa.h"

#define NUMBER_MAX 999999999999999.0 /* fifteen nines: exact in a double */

struct number_range {
    double low; /* -INFINITY: none */
    double high;
    bool low_open; /* `low` itself is not in */
    bool high_open;
    double step; /* multiples of it; 0: any */
    bool whole;
};

/* Decimals without an exponent, of at most fifteen digits, so that what a
 * reader's double says of the limits is what the digits say. Integers reach to
 * NUMBER_MAX; others have at most nine decimals, fewer where the limits are
 * large. No "-0". ERR_INPUT when no number fits, ERR_LIMIT when the step needs
 * too large an automaton, ERR_UNSUPPORTED for a step that is not a decimal. */
MUST_USE struct dfa *number_dfa(const struct number_range *range,
                                struct err *err);

#endif
