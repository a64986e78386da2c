/* openai_answer.c - what the answers of the OpenAI APIs have in common. */
#include "proxy/http_error.h"
#include "proxy/openai.h"

bool openai_put_usage(const struct llm_usage *u, struct bytes *out,
                      struct err *err) {
    return bytes_printf(
        out, err,
        "{\"prompt_tokens\":%d,\"completion_tokens\":%d,"
        "\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":%d}"
        ",\"completion_tokens_details\":{\"reasoning_tokens\":%d}}",
        u->prompt_tokens, u->completion_tokens,
        u->prompt_tokens + u->completion_tokens, u->cached_tokens,
        u->reasoning_tokens);
}

bool openai_put_corral(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!c->corral) return true;
    return bytes_printf(out, err, ",\"corral\":") &&
           json_print(c->corral, out, err);
}

bool openai_stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "data: ") && http_error_body(why, out, err) &&
           bytes_printf(out, err, "\n\ndata: [DONE]\n\n");
}
