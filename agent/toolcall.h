/* toolcall.h - tool calls in model text: the grammar that lets a model write
 * only valid ones, and the strict parser that reads them (never an evaluator).
 */
#ifndef CORRAL_AGENT_TOOLCALL_H
#define CORRAL_AGENT_TOOLCALL_H

#include "agent/template.h"
#include "engine/grammar.h"

/* The grammar of one call (or several, when r->parallel_calls) to the request's
 * tools, in the template's own form. NULL with `err`. */
MUST_USE struct grammar *toolcall_grammar(enum template_kind kind,
                                          const struct chat_request *r,
                                          struct err *err);
/* Only the arguments of one tool, an object, after `before`. */
MUST_USE struct grammar *toolcall_arguments(const struct chat_request *r,
                                            int tool, struct span before,
                                            struct err *err);
/* `arguments` as a whole call in the template's form. */
MUST_USE bool toolcall_print(enum template_kind kind, struct span name,
                             struct span arguments, struct bytes *out,
                             struct err *err);
/* The bytes by which a call begins in this template ("<tool_call>"); not for
 * Meta's forms, which have several. */
struct span toolcall_start(enum template_kind kind);

enum toolcall_look { TOOLCALL_NO, TOOLCALL_MAYBE, TOOLCALL_YES };
/* Whether an answer of which `text` is here so far is a call: for templates
 * where nothing stands before one. MAYBE at its end: see toolcall_parse(). */
enum toolcall_look toolcall_look(enum template_kind kind,
                                 const struct chat_request *r,
                                 struct span text);

/* Read every call in `text`, in order, into arena memory. ERR_INPUT when it is
 * not exactly a list of calls to declared tools. Ids are fresh. */
MUST_USE bool toolcall_parse(enum template_kind kind,
                             const struct chat_request *r, struct span text,
                             struct arena *arena, struct chat_tool_call *calls,
                             int max, int *count, struct err *err);
/* What a Llama 3 wrote after <|python_tag|> and is none of its calls: code.
 * ERR_INPUT when there is no code_interpreter. */
MUST_USE bool toolcall_code(const struct chat_request *r, struct span code,
                            struct arena *arena, struct chat_tool_call *out,
                            struct err *err);

#endif
