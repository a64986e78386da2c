/* template.h - a chat_request as the tokens that a model was trained on.
 * Control tokens are put by id, text is encoded as text, so nothing that a
 * user, a tool or the model itself writes can become a control token. */
#ifndef CORRAL_AGENT_TEMPLATE_H
#define CORRAL_AGENT_TEMPLATE_H

#include "agent/chat.h"
#include "engine/tokenizer.h"

/* TEMPLATE_CHATML opens with the system turn of SmolLM2 when the conversation
 * has none, as the template in that model's file does; _BARE with none. */
enum template_kind {
    TEMPLATE_CHATML,
    TEMPLATE_LLAMA3, /* as the Jinja template in the models' files */
    TEMPLATE_CHATML_BARE,
    TEMPLATE_LLAMA2,
    /* Meta's own forms of Llama 3 (template_meta.h): calls as JSON (3.1), as
     * <function=NAME>{...}</function>, as a Python list (3.2 and 3.3). */
    TEMPLATE_LLAMA3_JSON,
    TEMPLATE_LLAMA3_TAG,
    TEMPLATE_LLAMA3_PYTHON
};

/* Which one a model wants, from its chat_template and its control tokens;
 * false (ERR_UNSUPPORTED) when it is neither. */
MUST_USE bool template_detect(const struct gguf *gguf,
                              const struct tokenizer *t,
                              enum template_kind *out, struct err *err);

/* The form of a Llama 3 that goes by a name of Meta's: json, function_tag,
 * python_list. ERR_UNSUPPORTED when *kind is not TEMPLATE_LLAMA3 or the
 * vocabulary lacks a control token of theirs, ERR_INPUT for another name. */
MUST_USE bool template_tool_prompt(const char *name, const struct tokenizer *t,
                                   enum template_kind *kind, struct err *err);

/* Tools are shown unless r->choice is CHOICE_NONE. What the conversation says
 * can be anything; ERR_INPUT only for calls in it whose arguments are not a
 * JSON object, ERR_LIMIT past out->limit. */
bool template_shows_tools(const struct chat_request *r);
/* The prompt up to where the assistant's text begins. `date` is the day that
 * a Llama 3 system turn states ("26 Jul 2024"), fixed for a session so that
 * midnight does not break prefix caching. A raw request is its first message's
 * text and nothing else. */
MUST_USE bool template_render(enum template_kind kind,
                              const struct tokenizer *t,
                              const struct chat_request *r, const char *date,
                              struct tokens *out, struct err *err);

#endif
