/* grammar_regex.h - the regular expressions of JSON Schema (ECMA-262, without
 * what is not regular) as automata. */
#ifndef CORRAL_ENGINE_GRAMMAR_REGEX_H
#define CORRAL_ENGINE_GRAMMAR_REGEX_H

#include "engine/grammar_dfa.h"

enum {
    REGEX_BYTES_MAX = 1 << 12,
    REGEX_REPEATS_MAX = 1 << 12, /* in {n,m} */
    REGEX_DEPTH_MAX = 64         /* of groups */
};

/* The JSON strings, from after their first quote to their last quote, in which
 * the expression is found (anywhere, unless it has anchors). A character has
 * one spelling: UTF-8, or the shortest escape where JSON asks for one.
 * Literals, ., classes, \d \w \s and their opposites, \b-like control escapes,
 * \xHH, \uHHHH, \u{H}, groups (capturing or not), |, * + ? {n,m} (lazy ones
 * too: the texts are the same), ^ and $. ERR_UNSUPPORTED for backreferences,
 * lookaround, word boundaries, \p and inline flags; ERR_INPUT for what is not
 * an expression; ERR_LIMIT when it would become too large, or `work` is spent
 * (see nfa_dfa()). */
MUST_USE struct dfa *regex_string(struct span pattern, long *work,
                                  struct err *err);
/* The texts that it fits from end to end, without quotes and escapes. */
MUST_USE struct dfa *regex_text(struct span pattern, long *work,
                                struct err *err);

#endif
