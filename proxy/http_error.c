#include "proxy/http_error.h"

#include <string.h>

#include "base/json.h"

static const struct http_error internal = {
    500, "server_error", "internal_error", "internal error", 0};

static const struct http_error by_code[] = {
    [ERR_NONE] = {500, "server_error", "internal_error", "internal error", 0},
    [ERR_INPUT] = {400, "invalid_request_error", "invalid_request", NULL, 0},
    [ERR_LIMIT] = {400, "invalid_request_error", "limit_exceeded", NULL, 0},
    [ERR_NOT_FOUND] = {404, "invalid_request_error", "not_found", NULL, 0},
    [ERR_DENIED] = {401, "authentication_error", "invalid_api_key", NULL, 0},
    [ERR_BUSY] = {429, "rate_limit_error", "rate_limit_exceeded", NULL, 1},
    [ERR_CANCELLED] = {503, "server_error", "cancelled",
                       "the request was cancelled", 1},
    [ERR_TIMEOUT] = {503, "server_error", "timeout",
                     "a deadline passed before the answer was ready", 1},
    [ERR_UNAVAILABLE] = {503, "server_error", "unavailable",
                         "a needed part does not work at the moment", 1},
    [ERR_UNSUPPORTED] = {400, "invalid_request_error", "unsupported", NULL, 0},
    [ERR_IO] = {502, "server_error", "bad_gateway",
                "the model server could not be reached or broke off", 0},
    [ERR_INTERNAL] = {500, "server_error", "internal_error", "internal error",
                      0},
};

static const struct http_error by_status[] = {
    {400, "invalid_request_error", "bad_request", NULL, 0},
    {403, "permission_error", "forbidden", NULL, 0},
    {404, "invalid_request_error", "not_found", NULL, 0},
    {405, "invalid_request_error", "method_not_allowed", NULL, 0},
    {408, "invalid_request_error", "request_timeout", NULL, 0},
    {409, "invalid_request_error", "conflict", NULL, 0},
    {413, "invalid_request_error", "request_too_large", NULL, 0},
    {414, "invalid_request_error", "uri_too_long", NULL, 0},
    {415, "invalid_request_error", "unsupported_media_type", NULL, 0},
    {417, "invalid_request_error", "expectation_failed", NULL, 0},
    {431, "invalid_request_error", "headers_too_large", NULL, 0},
    {503, "server_error", "overloaded", NULL, 1},
    {505, "invalid_request_error", "http_version_not_supported", NULL, 0},
};

const struct http_error *http_error_of(enum err_code code) {
    size_t index = (size_t)code;

    if (index >= sizeof by_code / sizeof *by_code) return &internal;
    return &by_code[index];
}

const struct http_error *http_error_of_status(int status) {
    for (size_t i = 0; i < sizeof by_status / sizeof *by_status; i++)
        if (by_status[i].status == status) return &by_status[i];
    return &internal;
}

static bool put_member(struct bytes *out, const char *key, const char *value,
                       struct err *err) {
    return bytes_append(out, key, strlen(key), err) &&
           (value ? json_put_string(out, span_of(value), err)
                  : bytes_append(out, "null", 4, err));
}

static const char *or_null(const char *text) {
    return text && *text ? text : NULL;
}

bool http_error_put(struct bytes *out, const char *message, const char *type,
                    const char *param, const char *code, struct err *err) {
    return put_member(out, "{\"error\":{\"message\":", message, err) &&
           put_member(out, ",\"type\":", type, err) &&
           put_member(out, ",\"param\":", or_null(param), err) &&
           put_member(out, ",\"code\":", or_null(code), err) &&
           bytes_append(out, "}}", 2, err);
}

bool http_error_body(const struct err *why, struct bytes *out,
                     struct err *err) {
    const struct http_error *row = http_error_of(why->code);

    return http_error_put(out, row->message ? row->message : why->text,
                          row->type, why->field, row->code, err);
}

enum http_error_shape http_error_shape_of(struct span path) {
    if (span_is(path, "/v1/messages") ||
        span_starts(path, span_of("/v1/messages/")))
        return HTTP_ERROR_ANTHROPIC;
    if (span_starts(path, span_of("/api/"))) return HTTP_ERROR_OLLAMA;
    return HTTP_ERROR_OPENAI;
}

/* Anthropic's own word for a status. */
static const char *anthropic_type(int status) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static bool put_place(struct bytes *out, const char *param, const char *code,
                      struct err *err) {
    return (!or_null(code) || put_member(out, ",\"code\":", code, err)) &&
           (!or_null(param) || put_member(out, ",\"param\":", param, err));
}

bool http_error_shaped(enum http_error_shape shape, int status,
                       const char *message, const char *type, const char *param,
                       const char *code, struct bytes *out, struct err *err) {
    switch (shape) {
    case HTTP_ERROR_ANTHROPIC:
        return put_member(out, "{\"type\":\"error\",\"error\":{\"type\":",
                          anthropic_type(status), err) &&
               put_member(out, ",\"message\":", message, err) &&
               put_place(out, param, code, err) &&
               bytes_append(out, "}}", 2, err);
    case HTTP_ERROR_OLLAMA:
        return put_member(out, "{\"error\":", message, err) &&
               put_place(out, param, code, err) &&
               bytes_append(out, "}", 1, err);
    case HTTP_ERROR_OPENAI:
        break;
    }
    return http_error_put(out, message, type, param, code, err);
}

bool http_error_shaped_body(enum http_error_shape shape, const struct err *why,
                            struct bytes *out, struct err *err) {
    const struct http_error *row = http_error_of(why->code);

    return http_error_shaped(shape, row->status,
                             row->message ? row->message : why->text, row->type,
                             why->field, row->code, out, err);
}
