/* call_world.h - a request that offers `calculator` (its `expression` is
 * required) and `time` (its `timezone` is not), for tests of what counts as a
 * call. After cmocka.h. */
#ifndef CORRAL_TESTS_UNIT_CALL_WORLD_H
#define CORRAL_TESTS_UNIT_CALL_WORLD_H

#include <stdlib.h>

#include "agent/toolcall.h"

struct world {
    struct arena *arena;
    struct chat_request request;
    struct chat_tool tools[2];
    cJSON *schemas[2];
};

static inline int setup(void **state) {
    struct world *w = xalloc(sizeof *w);

    w->arena = arena_new(1 << 20);
    chat_request_init(&w->request, w->arena);
    w->schemas[0] = json_parse(
        span_of("{\"type\":\"object\",\"properties\":{\"expression\":"
                "{\"type\":\"string\"}},\"required\":[\"expression\"]}"),
        NULL);
    w->schemas[1] = json_parse(
        span_of("{\"properties\":{\"timezone\":{\"type\":\"string\"}}}"), NULL);
    w->tools[0] = (struct chat_tool){.name = span_of("calculator"),
                                     .schema = w->schemas[0]};
    w->tools[1] =
        (struct chat_tool){.name = span_of("time"), .schema = w->schemas[1]};
    w->request.tools = w->tools;
    w->request.tool_count = 2;
    *state = w;
    return 0;
}

static inline int teardown(void **state) {
    struct world *w = *state;

    cJSON_Delete(w->schemas[0]);
    cJSON_Delete(w->schemas[1]);
    arena_free(w->arena);
    free(w);
    return 0;
}

static inline void refuses(struct world *w, enum template_kind kind,
                           const char *text) {
    struct chat_tool_call calls[2];
    struct err err = {0};
    int count = 77;

    if (toolcall_parse(kind, &w->request, span_of(text), w->arena, calls, 2,
                       &count, &err))
        fail_msg("taken for a call: %s", text);
    assert_true(err.code == ERR_INPUT || err.code == ERR_LIMIT);
    assert_int_equal(count, 77);
}

static inline bool allows(const struct grammar *g, const char *text) {
    struct grammar_state *s = grammar_state_new(g);
    bool ok = grammar_state_feed(s, span_of(text)) && grammar_state_done(s);

    grammar_state_free(s);
    return ok;
}

static inline struct grammar *grammar(struct world *w,
                                      enum template_kind kind) {
    struct err err = {0};
    struct grammar *g = toolcall_grammar(kind, &w->request, &err);

    if (!g) fail_msg("%s", err.text);
    return g;
}

#endif
