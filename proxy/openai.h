/* openai.h - what the OpenAI APIs have in common: the readers of a body's parts
 * for proxy/dialect_openai*.c. Pure functions over memory. Each fills a part of
 * `out`, copying texts into its arena, or fails with ERR_INPUT, ERR_LIMIT or
 * ERR_UNSUPPORTED and err->field. A part that is absent or null is left as it
 * is. */
#ifndef CORRAL_PROXY_OPENAI_H
#define CORRAL_PROXY_OPENAI_H

#include "agent/chat.h"

struct openai_reader {
    struct chat_request *out;
    struct err *err;
};

/* Fill the error of `p`: "field: reason". */
bool openai_bad(struct openai_reader *p, const char *field, const char *reason);

/* In openai_messages.c. Schemas are borrowed from `body`. */
MUST_USE bool openai_messages(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_tools(struct openai_reader *p, const cJSON *body);
/* After the tools. */
MUST_USE bool openai_tool_choice(struct openai_reader *p, const cJSON *body);

/* In openai_options.c. */
/* Of another API too: a string or a list of them, named `field`. */
MUST_USE bool openai_stop_list(struct openai_reader *p, const cJSON *json,
                               const char *field);
MUST_USE bool openai_stops(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_format(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_sampling(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_logit_bias(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_logprobs(struct openai_reader *p, const cJSON *body);

#endif
