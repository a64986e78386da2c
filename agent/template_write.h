/* template_write.h - what the templates have in common: control tokens by id
 * and text as text, after one another. Only for template_*.c. */
#ifndef CORRAL_AGENT_TEMPLATE_WRITE_H
#define CORRAL_AGENT_TEMPLATE_WRITE_H

#include "agent/template.h"

struct template_writer {
    const struct tokenizer *tokenizer;
    const struct chat_request *request;
    const char *date;
    struct tokens *out;
    struct err *err;
};

/* ERR_UNSUPPORTED when the vocabulary lacks it. */
MUST_USE bool write_control(struct template_writer *w, const char *name);
MUST_USE bool write_text(struct template_writer *w, struct span text);

/* `json` as Python's json.dumps(ensure_ascii=False) prints it, which is what
 * the models were shown: on one line with ", " and ": ", or with `indent`
 * blanks for every level when it is not 0. */
MUST_USE bool template_put_json(struct bytes *out, const cJSON *json,
                                int indent, struct err *err);
/* {"type": "function", "function": {...}} in the same style. */
MUST_USE bool template_put_tool(struct bytes *out, const struct chat_tool *tool,
                                int indent, struct err *err);
/* {"name": ..., KEY: {...}}, on one line. */
MUST_USE bool template_put_call(struct bytes *out,
                                const struct chat_tool_call *call,
                                const char *key, struct err *err);

/* The declarations of all tools, as Hermes and Qwen 2.5 were taught them. */
MUST_USE bool template_put_tools(const struct chat_request *r,
                                 struct bytes *out, struct err *err);
/* Without the blanks at both ends, as Python's strip(). */
struct span template_trim(struct span s);

MUST_USE bool template_chatml(struct template_writer *w, bool default_system);
MUST_USE bool template_llama2(struct template_writer *w);
MUST_USE bool template_llama3(struct template_writer *w);

extern const char template_smollm_system[];

#endif
