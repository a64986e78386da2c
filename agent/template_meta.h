/* template_meta.h - Meta's own three forms of tool calls for Llama 3, beside
 * the one of the Jinja template in the models' files (template_llama3.c).
 * What the templates and the parser of calls share. Only for them. */
#ifndef CORRAL_AGENT_TEMPLATE_META_H
#define CORRAL_AGENT_TEMPLATE_META_H

#include "agent/template_write.h"

bool template_is_meta(enum template_kind kind);
/* The name under which the models know a tool that they were trained with
 * (brave_search, wolfram_alpha, code_interpreter); NULL for all others. Our
 * web_search is what they call brave_search. */
const char *template_builtin(struct span name);
/* The member of its arguments that such a call is about. */
const char *template_builtin_argument(const char *builtin);

/* What the system turn, and a user turn before all others, say of the tools.
 * `user` stays empty where nothing is to be said there. */
MUST_USE bool template_meta_tools(const struct template_writer *w,
                                  enum template_kind kind, struct span system,
                                  bool has_system, struct bytes *system_out,
                                  struct bytes *user_out);

MUST_USE bool template_meta(struct template_writer *w, enum template_kind kind);

#endif
