/* python_text.h - values in Python's notation, as Llama 3 was shown them and
 * writes them, and back. A strict reader of literals, never an evaluator. */
#ifndef CORRAL_AGENT_PYTHON_TEXT_H
#define CORRAL_AGENT_PYTHON_TEXT_H

#include "base/json.h"

/* JSON text that json_parse() took, as json.dumps() prints what json.loads()
 * makes of it: in ASCII, with ", " and ": ", numbers as Python has them. */
MUST_USE bool python_put_json(struct bytes *out, struct span json,
                              struct err *err);
/* The members of such an object as a call's arguments: a="x", b=[True]. The
 * models were shown strings without escapes, and so they are here. */
MUST_USE bool python_put_arguments(struct bytes *out, struct span json,
                                   struct err *err);
/* A string as json.dumps() has it. `html`: as Jinja's tojson has it. */
MUST_USE bool python_put_string(struct bytes *out, struct span s, bool html,
                                struct err *err);

/* Read the literal at the head of *s, and leave what follows it: a string, a
 * number, True, False, None, a list or a dict, to JSON_DEPTH_MAX levels. Its
 * JSON is appended. ERR_INPUT for all else; what was appended then is for
 * nobody. */
MUST_USE bool python_read(struct span *s, struct bytes *json, struct err *err);
/* An identifier in ASCII, empty when there is none. */
struct span python_read_name(struct span *s);
/* Blanks and line ends, as they may stand inside brackets. */
struct span python_skip(struct span s);

#endif
