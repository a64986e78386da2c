/* test_config_upstream.c - the list of upstreams, and what is wrong in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/config.h"

static void test_everything(void **state) {
    static const char text[] =
        "upstreams:\n"
        "  - name: pool\n"
        "    base_urls:\n"
        "      - http://a:1/v1\n"
        "      - {url: http://b:2/v1, weight: 3, api_key_file: b.key}\n"
        "    models: [llama, {fast: llama-8b}, \"*\"]\n"
        "    api_key_env: POOL_KEY\n"
        "    ca_file: ca.pem\n"
        "    connect_ms: 1\n"
        "    first_byte_ms: 2\n"
        "    idle_ms: 3\n"
        "    keep_alive: {connections: 7, idle_ms: 8}\n"
        "    concurrency: 9\n"
        "    queue: {calls: 0, wait_ms: 10}\n"
        "    retries: 0\n"
        "    fallbacks: [cloud, fast]\n"
        "    health: {path: /health, interval_ms: 4, failures: 5, rest_ms: 6}\n"
        "  - {name: cloud, base_url: https://c/v1, models: [cloud]}\n";
    struct config c = {0};
    const struct config_upstream *u;
    struct err err;

    (void)state;
    if (!config_parse(&c, span_of(text), "/etc/c.yaml", &err))
        fail_msg("%s", err.text);
    assert_int_equal(c.backend, BACKEND_NONE);
    assert_int_equal(c.upstream_count, 2);
    u = &c.upstreams[0];
    assert_string_equal(u->name, "pool");
    assert_int_equal(u->member_count, 2);
    assert_string_equal(u->members[0].url.host, "a");
    assert_int_equal(u->members[0].weight, 1);
    assert_string_equal(u->members[0].key.env, "POOL_KEY");
    assert_int_equal(u->members[1].url.port, 2);
    assert_int_equal(u->members[1].weight, 3);
    assert_null(u->members[1].key.env);
    assert_string_equal(u->members[1].key.file, "/etc/b.key");
    assert_int_equal(u->model_count, 3);
    assert_string_equal(u->models[0].model, "llama");
    assert_string_equal(u->models[1].name, "fast");
    assert_string_equal(u->models[1].model, "llama-8b");
    assert_string_equal(u->models[2].name, "*");
    assert_null(u->models[2].model);
    assert_string_equal(u->ca_file, "/etc/ca.pem");
    assert_int_equal(u->connect_ms, 1);
    assert_int_equal(u->first_byte_ms, 2);
    assert_int_equal(u->idle_ms, 3);
    assert_int_equal(u->keep_alive.connections, 7);
    assert_int_equal(u->keep_alive.idle_ms, 8);
    assert_int_equal(u->concurrency, 9);
    assert_int_equal(u->queue.calls, 0);
    assert_int_equal(u->queue.wait_ms, 10);
    assert_int_equal(u->retries, 0);
    assert_int_equal(u->fallback_count, 2);
    assert_string_equal(u->fallbacks[1], "fast");
    assert_string_equal(u->health.path, "/health");
    assert_int_equal(u->health.interval_ms, 4);
    assert_int_equal(u->health.failures, 5);
    assert_int_equal(u->health.rest_ms, 6);
    u = &c.upstreams[1];
    assert_true(u->members[0].url.tls);
    assert_int_equal(u->keep_alive.connections, 64);
    assert_int_equal(u->keep_alive.idle_ms, 4000);
    assert_int_equal(u->concurrency, 0);
    assert_int_equal(u->queue.calls, -1);
    assert_int_equal(u->retries, 2);
    assert_string_equal(u->health.path, "/models");
    config_clear(&c);
}

/* The engine serves beside upstreams when it is asked to. */
static void test_beside(void **state) {
    struct config c = {0};
    struct err err;

    (void)state;
    assert_true(config_parse(
        &c,
        span_of(
            "backend: {engine: {}}\n"
            "upstreams: [{name: a, base_url: \"http://a\", models: [a]}]\n"),
        "c.yaml", &err));
    assert_int_equal(c.backend, BACKEND_ENGINE);
    assert_int_equal(c.upstream_count, 1);
    assert_true(config_parse(
        &c,
        span_of(
            "backend: {openai: {base_url: \"http://o\"}}\n"
            "upstreams: [{name: a, base_url: \"http://a\", models: [a]}]\n"),
        "c.yaml", &err));
    assert_int_equal(c.backend, BACKEND_OPENAI);
    assert_int_equal(c.upstream_count, 2);
    config_clear(&c);
}

/* --upstream keeps the rest of backend.openai, and replaces everything else. */
static void test_command_line(void **state) {
    struct config c = {0};
    struct err err;

    (void)state;
    assert_true(config_parse(
        &c,
        span_of(
            "backend: {openai: {base_url: \"http://o\", api_key_env: K}}\n"),
        "c.yaml", &err));
    assert_false(config_upstream_url(&c, "ftp://x", &err));
    assert_true(config_upstream_url(&c, "http://x/v1", &err));
    assert_string_equal(c.upstreams[0].members[0].url.host, "x");
    assert_string_equal(c.upstreams[0].members[0].key.env, "K");
    assert_true(config_parse(
        &c,
        span_of("upstreams: [{name: a, base_url: \"http://a\", models: [a]}, "
                "{name: b, base_url: \"http://b\", models: [b]}]\n"),
        "c.yaml", &err));
    assert_true(config_upstream_url(&c, "http://x/v1", &err));
    assert_int_equal(c.upstream_count, 1);
    assert_int_equal(c.backend, BACKEND_OPENAI);
    assert_string_equal(c.upstreams[0].models[0].name, "*");
    config_clear(&c);
}

/* In an upstream of which this is a part. */
static void bad(const char *part, const char *reason) {
    struct config c = {0};
    struct err err = {0};
    char text[512];

    (void)snprintf(text, sizeof text, "upstreams:\n  - {%s}\n", part);
    if (config_parse(&c, span_of(text), "c.yaml", &err))
        fail_msg("accepted: %s", part);
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, reason))
        fail_msg("%s: got \"%s\", wanted \"%s\"", part, err.text, reason);
}

#define URL "base_url: \"http://a\""

static void test_errors(void **state) {
    (void)state;
    bad(URL ", models: [a]", "needs a name");
    bad("name: a, models: [a]", "base_url");
    bad("name: a, " URL, "models must be a list");
    bad("name: a, " URL ", models: []", "models must be a list");
    bad("name: a, " URL ", models: [a, a]", "there twice");
    bad("name: a, " URL ", models: [{a: b, c: d}]", "a model is a name");
    bad("name: a, " URL ", models: [{a: 7}]", "a model is a name");
    bad("name: a, " URL ", models: [a], weight: 0", "weight");
    bad("name: a, " URL ", models: [a], retries: 11", "retries");
    bad("name: a, " URL ", models: [a], api_key: x", "unknown key");
    bad("name: a, " URL ", models: [a], api_key_env: A, api_key_file: b",
        "not both");
    bad("name: a, " URL ", models: [a], health: {path: x}", "slash");
    bad("name: a, " URL ", models: [a], health: {path: \"/a b\"}", "slash");
    bad("name: a, base_urls: [], models: [a]", "base_urls must be a list");
    bad("name: a, base_urls: [{weight: 2}], models: [a]", "needs a url");
    bad("name: a, base_urls: [\"http://a\"], weight: 2, models: [a]",
        "beside its url");
    bad("name: a, base_urls: [\"http://a\"], " URL ", models: [a]", "base_url");
    bad("name: a, " URL ", models: [a]}\n  - {name: a, " URL ", models: [b]",
        "two upstreams");
    bad("name: a, " URL ", models: [a]}\n  - {name: b, " URL ", models: [a]",
        "there twice");
}

static void test_too_many(void **state) {
    struct bytes text = {0};
    struct config c = {0};
    struct err err = {0};

    (void)state;
    bytes_puts(&text, "upstreams:\n");
    for (int i = 0; i < UPSTREAMS_MAX + 1; i++)
        assert_true(bytes_printf(
            &text, &err, "  - {name: u%d, " URL ", models: [m%d]}\n", i, i));
    assert_false(config_parse(&c, span_bytes(&text), "c.yaml", &err));
    assert_non_null(strstr(err.text, "at most"));
    bytes_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),   cmocka_unit_test(test_beside),
        cmocka_unit_test(test_command_line), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
