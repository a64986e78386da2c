/* test_config_loops.c - what does not go with several loops is refused, and
 * named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/config_loops.h"

#define UP "backend: {openai: {base_url: \"http://127.0.0.1:9/v1\""

/* `word` NULL: it is fine. */
static void check(const char *text, const char *word) {
    struct config c = {0};
    struct err err = {0};

    if (!config_parse(&c, span_of(text), "t.yaml", &err))
        fail_msg("%s", err.text);
    if (config_check_loops(&c, &err) != !word)
        fail_msg("%s: %s", text, word ? "is let pass" : err.text);
    if (word && (err.code != ERR_INPUT || !strstr(err.text, word)))
        fail_msg("\"%s\" does not name %s", err.text, word);
    config_clear(&c);
}

static void test_check(void **state) {
    (void)state;
    check("", NULL);
    check("loops: 1\ntools: [time]\n", NULL);
    check("loops: 2\n", "a model that runs here");
    check("loops: 2\n" UP "}}\n", NULL);
    check("loops: 2\n" UP "}}\ntools: [time]\n", "tools");
    check("loops: 2\n" UP "}}\nmcp: [{name: x, command: [y]}]\n", "mcp");
    check("loops: 2\n" UP "}}\nguard: {model: x.gguf}\n", "guard.model");
    check("loops: 2\n" UP ", concurrency: 1}}\n", "concurrency 1");
    check("loops: 2\n" UP ", concurrency: 2}}\n", NULL);
    check("loops: 64\n" UP "}}\n", NULL);
}

static void test_range(void **state) {
    static const char *const wrong[] = {"loops: 0\n", "loops: 65\n",
                                        "loops: -1\n", "loops: two\n"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct config c = {0};
        struct err err = {0};

        assert_false(config_parse(&c, span_of(wrong[i]), "t.yaml", &err));
        assert_non_null(strstr(err.text, "t.yaml:1:"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check),
                                       cmocka_unit_test(test_range)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
