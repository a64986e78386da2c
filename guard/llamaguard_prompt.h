/* llamaguard_prompt.h - what Llama Guard models are asked, in Meta's words: the
 * task, the categories, the conversation, the form of the answer. Pure text;
 * guard/llamaguard.h asks it of a model. Any thread. */
#ifndef CORRAL_GUARD_LLAMAGUARD_PROMPT_H
#define CORRAL_GUARD_LLAMAGUARD_PROMPT_H

#include "engine/tokenizer.h"
#include "guard/classify.h"

/* Each with the wrapping and the categories that it was trained with. 3 is the
 * 8B model, which knows S14; its 1B sister does not. */
enum llamaguard_format {
    LLAMAGUARD_1,
    LLAMAGUARD_2,
    LLAMAGUARD_3,
    LLAMAGUARD_3_1B,
    LLAMAGUARD_4,
    LLAMAGUARD_FORMATS
};

enum {
    LLAMAGUARD_CUSTOM_MAX = POLICY_CUSTOM_MAX,
    LLAMAGUARD_CODES_MAX = 14 + LLAMAGUARD_CUSTOM_MAX,
    LLAMAGUARD_CODE_SIZE = 8 /* "S15" and its NUL */
};

/* "llama-guard-1", "-2", "-3", "-3-1b", "-4". */
const char *llamaguard_format_name(enum llamaguard_format f);
MUST_USE bool llamaguard_format_from_name(const char *name,
                                          enum llamaguard_format *out);

/* A category of the operator's own, numbered behind the model's. */
struct llamaguard_category {
    const char *name; /* "Trade Secrets"; a full stop is put behind it */
    const char *text; /* what models should not do, or NULL */
};

struct llamaguard_prompt {
    enum llamaguard_format format;
    const struct guard_turn *turns; /* at least one; the last one is judged */
    int turn_count;
    const struct llamaguard_category *custom;
    int custom_count; /* at most LLAMAGUARD_CUSTOM_MAX */
};

/* How many codes an answer may name, and the code of each ("S1", "O3"). */
int llamaguard_codes(enum llamaguard_format f, int custom_count);
void llamaguard_code(enum llamaguard_format f, int index,
                     char out[LLAMAGUARD_CODE_SIZE]);
/* The label (verdict.h) that a code of the model's own stands for; -1 for a
 * custom one. Llama Guard 1 and 2 number their categories in another way. */
int llamaguard_label(enum llamaguard_format f, int index);

/* A turn's text as it stands in a prompt: without the white space at its ends,
 * and where it imitates a fence of the prompt or a control token, with a blank
 * behind the `<` that breaks the spell. ERR_LIMIT past out->limit. */
MUST_USE bool llamaguard_turn(struct span text, struct bytes *out,
                              struct err *err);
/* The prompt as text, control tokens spelled out, up to where the answer's
 * first word comes. ERR_LIMIT past out->limit. */
MUST_USE bool llamaguard_text(const struct llamaguard_prompt *p,
                              struct bytes *out, struct err *err);
/* The same as tokens. ERR_UNSUPPORTED when the vocabulary lacks one of the
 * format's control tokens. */
MUST_USE bool llamaguard_tokens(const struct llamaguard_prompt *p,
                                const struct tokenizer *t, struct tokens *out,
                                struct err *err);

#endif
