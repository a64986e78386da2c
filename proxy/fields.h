/* fields.h - every text of a request that a model, a tool or an upstream could
 * read. What is not listed here is not passed on. */
#ifndef CORRAL_PROXY_FIELDS_H
#define CORRAL_PROXY_FIELDS_H

#include "agent/chat.h"
#include "guard/verdict.h"

struct field {
    enum channel channel;
    struct span text;
    /* Where a redacted text goes. NULL: the text has a form that redaction
     * could break (a schema, a name), so a redaction blocks. */
    struct span *slot;
};

/* All of them, in the request's arena. */
MUST_USE bool fields_collect(struct chat_request *r, struct field **out,
                             int *count, struct err *err);

/* Put what `v`, a verdict over these fields as its items, redacts in its place.
 * ERR_DENIED when it redacts one that has none: that is a block. */
MUST_USE bool fields_redact(struct field *fields, int count,
                            const struct verdict *v, struct arena *arena,
                            struct err *err);

/* The one text of a tool call, its name and its arguments, with the arguments'
 * escapes undone: "\u0061" must not hide a letter. */
MUST_USE bool fields_call_text(const struct chat_tool_call *call,
                               struct bytes *out, struct err *err);

/* Keys, strings and numbers of a JSON tree, decoded, a line each. */
MUST_USE bool fields_json_text(const cJSON *json, struct bytes *out,
                               struct err *err);

#endif
