/* grammar_string.h - the inside of a JSON string, byte by byte: valid UTF-8,
 * no control characters, escapes that give a character (no lone surrogates, no
 * NUL, which a parser here would refuse). One table for the automaton and for
 * the list of tokens that lie wholly within a string. */
#ifndef CORRAL_ENGINE_GRAMMAR_STRING_H
#define CORRAL_ENGINE_GRAMMAR_STRING_H

#include "base/bytes.h"

enum string_state {
    STRING_NEXT, /* between characters */
    STRING_LAST, /* one continuation byte missing */
    STRING_TWO,  /* two */
    STRING_THREE,
    STRING_E0, /* the second byte has a range of its own */
    STRING_ED,
    STRING_F0,
    STRING_F4,
    STRING_ESCAPE, /* after a backslash */
    STRING_U,      /* hexadecimal digits of \u */
    STRING_U2,
    STRING_U3,
    STRING_U4,
    STRING_UD,  /* after d: a surrogate is not allowed */
    STRING_UZ2, /* after 0, 00, 000: not all may be 0 */
    STRING_UZ3,
    STRING_UZ4,
    STRING_STATES
};

enum { STRING_NEED_MAX = 4 };

/* Bytes that are missing until the next character may come. */
int string_need(enum string_state state);
/* The state after `byte`, or -1. The closing quote is not part of it. */
int string_step(enum string_state state, unsigned char byte);

#endif
