/* dialect_world.h - a body as a wire API reads it, and the bytes of answers,
 * for the tests of dialects. Included by one .c file a program. */
#ifndef CORRAL_TESTS_DIALECT_WORLD_H
#define CORRAL_TESTS_DIALECT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/dialect.h"

struct fixture {
    struct arena *arena;
    cJSON *body;
    struct chat_request r;
    struct err err;
    bool ok;
};

typedef bool body_parse(const cJSON *body, struct chat_request *out,
                        struct err *err);

/* Read by `by`; the caller's to clear(). */
static struct fixture parse_by(body_parse *by, const char *text) {
    struct fixture f = {.arena = arena_new(1 << 20)};

    f.body = json_parse(span_of(text), &f.err);
    if (!f.body) fail_msg("%s: %s", text, f.err.text);
    chat_request_init(&f.r, f.arena);
    f.ok = by(f.body, &f.r, &f.err);
    return f;
}

static void clear(struct fixture *f) {
    cJSON_Delete(f->body);
    arena_free(f->arena);
}

/* Refused for `field`, with which the message begins; `reason` stands in it
 * somewhere. */
static inline void check_refused(body_parse *by, const char *text,
                                 enum err_code code, const char *field,
                                 const char *reason) {
    struct fixture f = parse_by(by, text);

    if (f.ok) fail_msg("%s: taken", text);
    assert_int_equal(f.err.code, code);
    assert_string_equal(f.err.field, field);
    assert_int_equal(strncmp(f.err.text, field, strlen(field)), 0);
    assert_true(strlen(f.err.text) > strlen(field));
    if (!strstr(f.err.text, reason))
        fail_msg("%s: %s, without %s", text, f.err.text, reason);
    clear(&f);
}

/* What was written so far, which is then taken away. */
static inline void check(struct bytes *out, const char *expected) {
    if (!span_is(span_bytes(out), expected))
        fail_msg("%.*s\nnot\n%s", (int)out->size, out->at, expected);
    bytes_free(out);
}

#endif
