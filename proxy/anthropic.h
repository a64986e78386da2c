/* anthropic.h - the readers of a body in Anthropic's shape, for
 * dialect_anthropic.c. Pure functions over memory. Each fills a part of `out`,
 * copying texts into its arena, or fails with ERR_INPUT, ERR_LIMIT or
 * ERR_UNSUPPORTED and err->field. */
#ifndef CORRAL_PROXY_ANTHROPIC_H
#define CORRAL_PROXY_ANTHROPIC_H

#include "agent/chat.h"

/* `system` and `messages`. A turn with tool results becomes one message for
 * each of them and one for the text around them. */
MUST_USE bool anthropic_messages(struct chat_request *out, const cJSON *body,
                                 struct err *err);

/* In anthropic_tools.c: `tools` and `tool_choice`. Schemas are borrowed from
 * `body`. */
MUST_USE bool anthropic_tools(struct chat_request *out, const cJSON *body,
                              struct err *err);

#endif
