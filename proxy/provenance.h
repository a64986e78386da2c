/* provenance.h - where the texts of a conversation came from, in the guard's
 * words. A tool's result belongs to the tool whose call it answers. */
#ifndef CORRAL_PROXY_PROVENANCE_H
#define CORRAL_PROXY_PROVENANCE_H

#include "agent/chat.h"
#include "guard/tool_rules.h"

/* The sources of what the model has read, in `arena`; texts are borrowed. What
 * the declaration of the tool `name` lists as its possible values (`enum`)
 * counts as the system's. */
MUST_USE bool provenance_collect(const struct chat_request *r, struct span name,
                                 struct arena *arena, struct source_text **out,
                                 int *count, struct err *err);

/* Every result answers a call before it. ERR_INPUT naming the message: a result
 * out of nowhere has no source that a rule could know. */
MUST_USE bool provenance_check(const struct chat_request *r, struct err *err);

#endif
