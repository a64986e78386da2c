/* openai.h - what the OpenAI APIs have in common, for their dialects: readers
 * of a body's parts and writers of an answer's. Pure functions over memory.
 *
 * A reader fills a part of `out`, copying texts into its arena, or fails with
 * ERR_INPUT, ERR_LIMIT or ERR_UNSUPPORTED and err->field. A part that is absent
 * or null is left as it is. A writer fails only when `out` is full. */
#ifndef CORRAL_PROXY_OPENAI_H
#define CORRAL_PROXY_OPENAI_H

#include "proxy/dialect.h"

struct openai_reader {
    struct chat_request *out;
    struct err *err;
};

/* Fill the error of `p`: "field: reason". */
bool openai_bad(struct openai_reader *p, const char *field, const char *reason);

/* A string, null, or parts of text, which are joined by blank lines. */
MUST_USE bool openai_content(struct openai_reader *p, const cJSON *json,
                             const char *path, struct span *out);
/* {"name", "arguments"}, the arguments being a JSON text; the id is left. */
MUST_USE bool openai_call(struct openai_reader *p, const cJSON *json,
                          const char *path, struct chat_tool_call *out);
MUST_USE bool openai_role(const char *name, enum chat_role *out);
/* In openai_messages.c, as those above. Schemas are borrowed from `body`. */
MUST_USE bool openai_messages(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_tools(struct openai_reader *p, const cJSON *body);
/* One function, {"name", "description", "parameters"}, with room for it. */
MUST_USE bool openai_tool(struct openai_reader *p, const cJSON *json,
                          const char *path);
/* Each element of `list` by `read`, which adds one tool. */
MUST_USE bool openai_tool_list(
    struct openai_reader *p, const cJSON *list, const char *path,
    bool (*read)(struct openai_reader *p, const cJSON *json, const char *path));
/* After the tools. */
MUST_USE bool openai_tool_named(struct openai_reader *p, const cJSON *name,
                                const char *path);
MUST_USE bool openai_tool_choice(struct openai_reader *p, const cJSON *body);

/* In openai_options.c. */
/* Of another API too: a string or a list of them, named `field`. */
MUST_USE bool openai_stop_list(struct openai_reader *p, const cJSON *json,
                               const char *field);
MUST_USE bool openai_stops(struct openai_reader *p, const cJSON *body);
/* `json` is the format, `holder` the object that has its "schema". */
MUST_USE bool openai_format(struct openai_reader *p, const cJSON *json,
                            const cJSON *holder, const char *path);
MUST_USE bool openai_sampling(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_logit_bias(struct openai_reader *p, const cJSON *body);
MUST_USE bool openai_logprobs(struct openai_reader *p, const cJSON *body);

/* In openai_answer.c. */
MUST_USE bool openai_put_usage(const struct llm_usage *u, struct bytes *out,
                               struct err *err);
/* `,"corral":{...}` for a choice that was refused, else nothing. */
MUST_USE bool openai_put_corral(const struct reply_choice *c, struct bytes *out,
                                struct err *err);
/* An error after the head is out, and the stream's end. */
MUST_USE bool openai_stream_fail(const struct err *why, struct bytes *out,
                                 struct err *err);

#endif
