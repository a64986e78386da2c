/* http_error.h - every error that we answer with, in OpenAI's shape, and the
 * one table that turns an err.code into a status. */
#ifndef CORRAL_PROXY_HTTP_ERROR_H
#define CORRAL_PROXY_HTTP_ERROR_H

#include "base/bytes.h"

struct http_error {
    int status;
    const char *type;    /* "invalid_request_error" */
    const char *code;    /* "not_found" */
    const char *message; /* told instead of err.text, which may name things
                          * that are no client's business; NULL: err.text */
    int retry_after_s;   /* 0: no Retry-After */
};

/* Never NULL. */
const struct http_error *http_error_of(enum err_code code);
/* The row for a status that has no err.code (404, 405, 408, 413, 414, 415,
 * 417, 431, 503, 505); never NULL. */
const struct http_error *http_error_of_status(int status);

/* What a wire API's errors look like. */
enum http_error_shape {
    HTTP_ERROR_OPENAI,    /* {"error":{"message","type","param","code"}} */
    HTTP_ERROR_ANTHROPIC, /* {"type":"error","error":{"type","message"}} */
    HTTP_ERROR_OLLAMA     /* {"error":"message"} */
};

/* By the path that was asked for, so that a client understands an error that
 * comes before its request is read: a wrong method, a body too large. */
enum http_error_shape http_error_shape_of(struct span path);

/* An error in any shape, complete: Anthropic's and Ollama's have `code` and a
 * `param` that is not empty as well, beside what their clients look at. False
 * only when `out` is full. */
MUST_USE bool http_error_shaped(enum http_error_shape shape, int status,
                                const char *message, const char *type,
                                const char *param, const char *code,
                                struct bytes *out, struct err *err);
/* The same from `why`. */
MUST_USE bool http_error_shaped_body(enum http_error_shape shape,
                                     const struct err *why, struct bytes *out,
                                     struct err *err);

/* Append {"error":{"message","type","param","code"}}; an empty `param` or
 * `code` is null. False only when `out` is full. */
MUST_USE bool http_error_put(struct bytes *out, const char *message,
                             const char *type, const char *param,
                             const char *code, struct err *err);
/* The same from `why`, whose status is http_error_of(why->code)->status.
 * False only when `out` is full. */
MUST_USE bool http_error_body(const struct err *why, struct bytes *out,
                              struct err *err);

#endif
