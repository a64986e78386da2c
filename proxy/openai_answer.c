/* openai_answer.c - what the answers of the OpenAI APIs have in common. */
#include "proxy/http_error.h"
#include "proxy/openai.h"

enum { USAGE_ROOM = 256 }; /* more than it takes, whatever the numbers */

bool openai_put_usage(const struct llm_usage *u, struct bytes *out,
                      struct err *err) {
    const struct {
        const char *key;
        int64_t count;
    } parts[] = {
        {"{\"prompt_tokens\":", u->prompt_tokens},
        {",\"completion_tokens\":", u->completion_tokens},
        {",\"total_tokens\":",
         (int64_t)u->prompt_tokens + u->completion_tokens},
        {",\"prompt_tokens_details\":{\"cached_tokens\":", u->cached_tokens},
        {"},\"completion_tokens_details\":{\"reasoning_tokens\":",
         u->reasoning_tokens}};

    if (!bytes_reserve(out, USAGE_ROOM, err)) return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        bytes_puts(out, parts[i].key);
        bytes_put_int(out, parts[i].count);
    }
    bytes_puts(out, "}}");
    return true;
}

bool openai_put_corral(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!c->corral) return true;
    return bytes_add(out, ",\"corral\":", err) &&
           json_print(c->corral, out, err);
}

bool openai_stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    return bytes_add(out, "data: ", err) && http_error_body(why, out, err) &&
           bytes_add(out, "\n\ndata: [DONE]\n\n", err);
}
