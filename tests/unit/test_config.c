/* test_config.c - a configuration file: what it sets, and that whatever is
 * wrong in it is pointed at and changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "proxy/config.h"

static void test_defaults(void **state) {
    struct config c;
    struct err err;

    (void)state;
    config_init(&c);
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.port, 8080);
    assert_string_equal(c.model, "default");
    assert_int_equal(c.backend, BACKEND_ENGINE);
    assert_int_equal(c.agent.steps, 8);
    assert_int_equal(c.limits.body_bytes_max, 4 << 20);
    assert_int_equal(c.log, LOG_INFO);
    assert_true(c.console);
    assert_true(config_check(&c, &err));
    assert_true(config_parse(&c, span_of(""), "x.yaml", &err));
    assert_string_equal(c.model, "default");
    config_clear(&c);
    config_clear(&c); /* of cleared memory */
}

static void test_everything(void **state) {
    const char *text = "listen: \"[::1]:9090\"\n"
                       "allow_remote: true\n"
                       "proxy_protocol: [10.0.0.0/8, \"::1\"]\n"
                       "model: models/a.gguf\n"
                       "model_name: a\n"
                       "tool_prompt: python_list\n"
                       "threads: 3\n"
                       "context_tokens: 4096\n"
                       "kv_tokens: 8192\n"
                       "kv_type: q8_0\n"
                       "policy: /abs/p.yaml\n"
                       "guard: {models: guard/models}\n"
                       "backend:\n"
                       "  openai:\n"
                       "    base_url: http://host.example:9000/v1/\n"
                       "    api_key_env: MY_KEY\n"
                       "    model: big\n"
                       "    connect_ms: 100\n"
                       "    first_byte_ms: 200\n"
                       "    idle_ms: 300\n"
                       "tools: [calculator, time]\n"
                       "agent: {steps: 2, tool_calls: 0, seconds: 30}\n"
                       "limits: {body_bytes_max: 1000, header_ms: 5}\n"
                       "hosts: [chat.example.org]\n"
                       "cors_origins: [\"http://localhost:3000\"]\n"
                       "drain_ms: 0\n"
                       "console: false\n"
                       "data: data\n"
                       "log: debug\n";
    struct config c = {0};
    struct err err;

    (void)state;
    if (!config_parse(&c, span_of(text), "/etc/corral/c.yaml", &err))
        fail_msg("%s", err.text);
    assert_string_equal(c.host, "::1");
    assert_int_equal(c.port, 9090);
    assert_true(c.allow_remote);
    assert_true(c.proxy_trust.on);
    assert_int_equal(c.proxy_trust.count, 2);
    assert_int_equal(c.proxy_trust.from[0].prefix, 96 + 8);
    assert_string_equal(c.model, "/etc/corral/models/a.gguf");
    assert_string_equal(c.model_name, "a");
    assert_string_equal(c.tool_prompt, "python_list");
    assert_int_equal(c.threads, 3);
    assert_int_equal(c.context_tokens, 4096);
    assert_int_equal(c.kv_tokens, 8192);
    assert_true(c.kv_q8);
    assert_string_equal(c.policy, "/abs/p.yaml");
    assert_string_equal(c.guard.models, "/etc/corral/guard/models");
    assert_string_equal(c.data, "/etc/corral/data");
    assert_int_equal(c.backend, BACKEND_OPENAI);
    assert_int_equal(c.upstream_count, 1);
    assert_string_equal(c.upstreams[0].members[0].url.host, "host.example");
    assert_int_equal(c.upstreams[0].members[0].url.port, 9000);
    assert_string_equal(c.upstreams[0].members[0].url.path, "/v1");
    assert_string_equal(c.upstreams[0].members[0].key.env, "MY_KEY");
    assert_string_equal(c.upstreams[0].models[0].name, "big");
    assert_string_equal(c.upstreams[0].models[1].name, "*");
    assert_string_equal(c.upstreams[0].models[1].model, "big");
    assert_int_equal(c.upstreams[0].connect_ms, 100);
    assert_int_equal(c.upstreams[0].first_byte_ms, 200);
    assert_int_equal(c.upstreams[0].idle_ms, 300);
    assert_int_equal(c.tool_count, 2);
    assert_string_equal(c.tools[1].name, "time");
    assert_null(c.tools[1].options);
    assert_string_equal(c.folder, "/etc/corral");
    assert_int_equal(c.agent.steps, 2);
    assert_int_equal(c.agent.tool_calls, 0);
    assert_int_equal(c.agent.seconds, 30);
    assert_int_equal(c.limits.body_bytes_max, 1000);
    assert_int_equal(c.limits.header_ms, 5);
    assert_int_equal(c.limits.header_count_max, 100);
    assert_string_equal(c.origins[0], "http://localhost:3000");
    assert_int_equal(c.host_count, 1);
    assert_string_equal(c.hosts[0], "chat.example.org");
    assert_int_equal(c.drain_ms, 0);
    assert_false(c.console);
    assert_int_equal(c.log, LOG_DEBUG);
    assert_true(config_check(&c, &err));
    config_clear(&c);
}

/* Refused, with this beginning of the error; what was there stays. */
static void bad(const char *text, const char *want) {
    struct config c;
    struct err err = {0};

    config_init(&c);
    config_set_string(&c.model, "kept");
    if (config_parse(&c, span_of(text), "c.yaml", &err))
        fail_msg("accepted: %s", text);
    if (strncmp(err.text, want, strlen(want)) != 0)
        fail_msg("%s: got \"%s\", wanted \"%s\"", text, err.text, want);
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(c.model, "kept");
    config_clear(&c);
}

static void test_errors(void **state) {
    (void)state;
    bad("modle: x\n", "c.yaml:1:1: unknown key \"modle\"");
    bad("log: info\nguard: {modle: x}\n", "c.yaml:2:9: unknown key");
    bad("guard: {model: x, format: llama-guard-9}\n",
        "c.yaml:1:27: format must be");
    bad("guard: {thresholds: {loose: 1.5}}\n", "c.yaml:1:29: a threshold");
    bad("guard: {upstream: {model: x}}\n", "c.yaml:1:19: the guard");
    bad("- a\n", "c.yaml:1:1: a map of settings");
    bad("listen: 8080:\n", "c.yaml:1:");
    bad("listen: localhost\n", "c.yaml:1:9: listen: ");
    bad("listen: 1.2.3.4:65536\n", "c.yaml:1:9: listen: ");
    bad("listen: ::1:80\n", "c.yaml:1:9: listen: ");
    bad("listen: 70000\n", "c.yaml:1:9: listen");
    bad("listen: [80]\n", "c.yaml:1:9: listen must be a text");
    bad("threads: many\n", "c.yaml:1:10: threads must be a whole number");
    bad("threads: -1\n", "c.yaml:1:10: threads must be a whole number");
    bad("threads: 1.5\n", "c.yaml:1:10: threads must be a whole number");
    bad("threads: 1e99\n", "c.yaml:1:10: threads must be a whole number");
    bad("model: \"\"\n", "c.yaml:1:8: model must be a text");
    bad("model: 7\n", "c.yaml:1:8: model must be a text");
    bad("allow_remote: yes\n", "c.yaml:1:15: allow_remote must be true or");
    bad("proxy_protocol: v2\n", "c.yaml:1:17: proxy_protocol must be true or");
    bad("proxy_protocol: []\n", "c.yaml:1:17: proxy_protocol: no network");
    bad("proxy_protocol: [1.2.3.4/8]\n",
        "c.yaml:1:18: proxy_protocol: \"1.2.3.4/8\" is not a network");
    bad("proxy_protocol: [1.2.3.4, 5]\n",
        "c.yaml:1:27: proxy_protocol must be");
    bad("log: loud\n", "c.yaml:1:6: log must be debug");
    bad("log: 1\n", "c.yaml:1:6: log must be debug");
    bad("guard: x\n", "c.yaml:1:8: guard must be a map");
    bad("tools: time\n", "c.yaml:1:8: tools must be a list");
    bad("tools: [time, 3]\n", "c.yaml:1:15: tools must be a text");
    bad("tools: [time, time]\n", "c.yaml:1:15: \"time\" is there twice");
    bad("tools: [{time: 1}]\n", "c.yaml:1:16: the options of time must be a");
    bad("tools: [{a: {}, b: {}}]\n", "c.yaml:1:9: a tool is a name, or one");
    bad("tools: [{}]\n", "c.yaml:1:9: a tool is a name, or one");
    bad("tools: [time, {time: {}}]\n", "c.yaml:1:15: \"time\" is there twice");
    bad("agent: {steps: 0}\n", "c.yaml:1:16: steps must be a whole number");
    bad("limits: {body_bytes_max: 0}\n", "c.yaml:1:26: body_bytes_max must");
    bad("limits: {bodies: 1}\n", "c.yaml:1:10: unknown key \"bodies\"");
    bad("limits: 3\n", "c.yaml:1:9: limits must be a map");
    bad("cors_origins: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\n",
        "c.yaml:1:16: cors_origins must be a text");
    bad("cors_origins: [http://a, \"http://b/\"]\n",
        "c.yaml:1:26: cors_origins: an origin is SCHEME://HOST");
    bad("hosts: [a.example, \"a b\"]\n", "c.yaml:1:20: hosts: a name such as");
    bad("hosts: [\"a.example:443\"]\n", "c.yaml:1:9: hosts: a name such as");
    bad("cors_origins: [localhost]\n", "c.yaml:1:16: cors_origins");
    bad("cors_origins: [\"http://\"]\n", "c.yaml:1:16: cors_origins");
    bad("cors_origins: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]\n",
        "c.yaml:1:48: more than 16 cors_origins");
}

static void test_backend(void **state) {
    struct config c = {0};
    struct err err;

    (void)state;
    bad("backend: engine\n", "c.yaml:1:10: backend must be a map");
    bad("backend: {}\n", "c.yaml:1:10: backend must be one of");
    bad("backend: {engine: {}, openai: {base_url: \"http://a\"}}\n",
        "c.yaml:1:10: backend must be one of");
    bad("backend: {vllm: {}}\n", "c.yaml:1:11: unknown key");
    bad("backend: {engine: {threads: 1}}\n", "c.yaml:1:20: unknown key");
    bad("backend: {openai: {}}\n", "c.yaml:1:19: openai needs a base_url");
    bad("backend: {openai: }\n", "c.yaml:1:10: openai needs a base_url");
    bad("backend: {openai: {base_url: \"ftp://a\"}}\n",
        "c.yaml:1:30: base_url: a URL begins with http");
    bad("backend: {openai: {base_url: \"http://u:p@a/\"}}\n",
        "c.yaml:1:30: base_url: not a host");
    bad("backend: {openai: {base_url: \"http://a\", api_key_env: sk-12}}\n",
        "c.yaml:1:55: api_key_env must name");
    assert_true(
        config_parse(&c, span_of("backend: {engine: {}}\n"), "c", &err));
    assert_int_equal(c.backend, BACKEND_ENGINE);
    config_clear(&c);
}

static void listens(const char *text, const char *host, int port) {
    struct config c;
    struct err err;

    config_init(&c);
    c.port = 1;
    if (host) {
        assert_true(config_listen(&c, text, &err));
        assert_string_equal(c.host, host);
        assert_int_equal(c.port, port);
    } else {
        assert_false(config_listen(&c, text, &err));
        assert_int_equal(err.code, ERR_INPUT);
        assert_string_equal(c.host, "127.0.0.1");
        assert_int_equal(c.port, 1);
    }
    config_clear(&c);
}

static void test_listen(void **state) {
    (void)state;
    listens("0.0.0.0:80", "0.0.0.0", 80);
    listens("[::1]:0", "::1", 0);
    listens(":9", "127.0.0.1", 9);
    listens("9", "127.0.0.1", 9);
    listens("localhost:65535", "localhost", 65535);
    listens("", NULL, 0);
    listens("a:", NULL, 0);
    listens("a:-1", NULL, 0);
    listens("a: 1", NULL, 0);
    listens("a:1x", NULL, 0);
    listens("a:65536", NULL, 0);
    listens("a:99999999999999999999", NULL, 0);
    listens("[::1:9", NULL, 0);
    listens("::1:9", NULL, 0);
}

static void test_check(void **state) {
    static const char *const loops[] = {"127.0.0.1", "127.1.2.3", "::1",
                                        "localhost"};
    static const char *const remotes[] = {"0.0.0.0", "::", "192.168.1.1",
                                          "128.0.0.1", "::ffff:1.2.3.4"};
    struct config c;
    struct err err;

    (void)state;
    config_init(&c);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        config_set_string(&c.host, loops[i]);
        assert_true(config_check(&c, &err));
    }
    for (size_t i = 0; i < sizeof remotes / sizeof *remotes; i++) {
        config_set_string(&c.host, remotes[i]);
        c.allow_remote = false;
        assert_false(config_check(&c, &err));
        assert_int_equal(err.code, ERR_INPUT);
        c.allow_remote = true;
        assert_true(config_check(&c, &err));
    }
    c.limits.write_low_bytes = c.limits.write_high_bytes;
    assert_false(config_check(&c, &err));
    limits_init(&c.limits);
    c.limits.target_bytes_max = c.limits.header_bytes_max;
    assert_false(config_check(&c, &err));
    config_clear(&c);
}

static void test_load(void **state) {
    char path[] = "/tmp/corral-config-XXXXXX";
    int fd = mkstemp(path);
    struct config c = {0};
    struct err err;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "model: m.gguf\n", 14), 14);
    (void)close(fd);
    assert_true(config_load(&c, path, &err));
    assert_string_equal(c.model, "/tmp/m.gguf");
    (void)unlink(path);
    assert_false(config_load(&c, path, &err));
    assert_string_equal(c.model, "/tmp/m.gguf");
    assert_non_null(strstr(err.text, path));
    config_clear(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_everything),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_backend),
        cmocka_unit_test(test_listen),   cmocka_unit_test(test_check),
        cmocka_unit_test(test_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
