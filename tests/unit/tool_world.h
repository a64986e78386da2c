/* tool_world.h - for the tests of tools that go out: a loop, a server on it,
 * one tool, and its last result. */
#ifndef CORRAL_TESTS_UNIT_TOOL_WORLD_H
#define CORRAL_TESTS_UNIT_TOOL_WORLD_H

#include "tests/unit/page_server.h"

#include "tools/options.h"
#include "tools/schema.h"

struct world {
    uv_loop_t loop;
    struct page_server server;
    struct tool *tool;
    cJSON *options;
    struct tool_run *run;
    int ends;
    bool ok;
    struct bytes text; /* with a NUL */
};

static inline void world_open(struct world *w) {
    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    page_server_open(&w->server, &w->loop);
}

/* `options` is JSON with %d for the server's port, up to three times. */
static inline struct tool *world_try(struct world *w, tool_open *open,
                                     const char *options, struct err *err) {
    int port = w->server.port;
    struct bytes text = {0};
    struct tool_options o = {.name = "tool", .loop = &w->loop};

    cJSON_Delete(w->options);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    assert_true(bytes_printf(&text, NULL, options, port, port, port));
#pragma GCC diagnostic pop
    w->options = json_parse(span_bytes(&text), NULL);
    assert_non_null(w->options);
    bytes_free(&text);
    o.map = w->options;
    return open(&o, err);
}

static inline void world_tool(struct world *w, tool_open *open,
                              const char *options) {
    struct err err = {0};

    w->tool = world_try(w, open, options, &err);
    if (!w->tool) fail_msg("%s: %s", options, err.text);
}

static inline void world_refused(struct world *w, tool_open *open,
                                 const char *options, const char *reason) {
    struct err err = {0};

    assert_null(world_try(w, open, options, &err));
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, reason)) fail_msg("%s: %s", options, err.text);
}

static inline void world_on_done(void *user, bool ok, struct span text) {
    struct world *w = user;

    w->ends++;
    w->ok = ok;
    w->text.size = 0;
    bytes_put(&w->text, text);
    bytes_put(&w->text, (struct span){"", 1});
}

/* A call whose arguments the schema allows, as the agent makes it. */
static inline void world_start(struct world *w, const char *arguments) {
    static const struct tool_context nobody = {.session = {"", 0}};
    cJSON *json = json_parse(span_of(arguments), NULL);
    cJSON *schema = json_parse(span_of(w->tool->schema), NULL);
    struct err err = {0};

    assert_true(schema_check(schema, &err));
    if (!schema_validate(schema, json, &err))
        fail_msg("%s: %s", arguments, err.text);
    w->ends = 0;
    w->run = w->tool->run(w->tool, json, &nobody, world_on_done, w);
    assert_int_equal(w->run == NULL, w->ends == 1);
    cJSON_Delete(schema);
    cJSON_Delete(json);
}

static inline void world_call(struct world *w, const char *arguments) {
    world_start(w, arguments);
    peer_until(&w->loop, NULL, &w->ends, 1);
}

/* The arguments with the server's port in place of %d. */
static inline void world_call_port(struct world *w, const char *before,
                                   const char *after) {
    struct bytes text = {0};

    assert_true(
        bytes_printf(&text, NULL, "%s%d%s", before, w->server.port, after));
    bytes_put(&text, (struct span){"", 1});
    world_call(w, text.at);
    bytes_free(&text);
}

static inline void world_said(const struct world *w, bool ok,
                              const char *part) {
    if (w->ok != ok || !strstr(w->text.at, part))
        fail_msg("%d, not %d, or no \"%s\" in: %.400s", w->ok, ok, part,
                 w->text.at);
}

static inline void world_close(struct world *w) {
    if (w->tool) w->tool->close(w->tool);
    page_server_close(&w->server);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    cJSON_Delete(w->options);
    bytes_free(&w->text);
}

#endif
