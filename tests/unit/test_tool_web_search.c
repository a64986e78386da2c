/* test_tool_web_search.c - both services' answers, and what is none. */
#include "tests/unit/tool_world.h"

#include "tools/tool_web.h"

#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

static void test_searxng(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_search_open,
               "{\"searxng\":\"http://127.0.0.1:%d/sx/\",\"results\":2}");
    page_put(&w.server, "/sx/search",
             JSON "{\"results\":["
                  "{\"title\":\"One\",\"url\":\"https://a.example/\","
                  "\"content\":\"first <b>bold</b>\\nline\"},"
                  "{\"title\":\"Two\",\"url\":\"https://b.example/\"},"
                  "{\"title\":\"Three\",\"url\":\"https://c.example/\"}]}");
    world_call(&w, "{\"query\":\"a b&c=d\"}");
    world_said(&w, true,
               "1. One\n   https://a.example/\n   first bold line\n"
               "2. Two\n   https://b.example/");
    assert_null(strstr(w.text.at, "Three"));
    assert_non_null(strstr(w.server.request.at,
                           "GET /sx/search?format=json&q=a%20b%26c%3Dd HTTP"));
    world_close(&w);
}

static void test_brave(void **state) {
    struct world w;

    (void)state;
    assert_int_equal(setenv("TEST_BRAVE_KEY", "sesame", 1), 0);
    world_open(&w);
    world_tool(&w, web_search_open,
               "{\"brave_key_env\":\"TEST_BRAVE_KEY\","
               "\"brave_url\":\"http://127.0.0.1:%d\"}");
    page_put(&w.server, "/web/search",
             JSON "{\"web\":{\"results\":[{\"title\":\"One\",\"url\":"
                  "\"https://a.example/\",\"description\":\"<b>x</b>\"}]}}");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, true, "1. One\n   https://a.example/\n   x");
    assert_non_null(
        strstr(w.server.request.at, "X-Subscription-Token: sesame\r\n"));
    w.server.page_count = 0;
    page_put(&w.server, "/", JSON "{\"type\":\"search\"}");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, true, "Nothing was found.");
    world_close(&w);
}

static void test_no_result(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_search_open, "{\"searxng\":\"http://127.0.0.1:%d\"}");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, false, "status 404");
    page_put(&w.server, "/", JSON "<html>");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, false, "no result");
    page_put(&w.server, "/", JSON "{\"results\":{}}");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, false, "no result");
    page_put(&w.server, "/",
             JSON "{\"results\":[1,{},{\"url\":\"a b\"},{\"url\":7}]}");
    world_call(&w, "{\"query\":\"q\"}");
    world_said(&w, true, "Nothing was found.");
    world_close(&w);
}

static void test_cancel(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_search_open, "{\"searxng\":\"http://127.0.0.1:%d\"}");
    world_start(&w, "{\"query\":\"q\"}");
    w.tool->cancel(w.run);
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.ends, 0);
    world_close(&w);
}

static void test_options(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_refused(&w, web_search_open, "{}", "one of searxng");
    world_refused(&w, web_search_open,
                  "{\"searxng\":\"http://a\",\"brave_key_env\":\"B\"}",
                  "one of searxng");
    world_refused(&w, web_search_open,
                  "{\"brave_key_env\":\"TEST_NO_SUCH_VARIABLE\"}",
                  "TEST_NO_SUCH_VARIABLE is not set");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searxng),   cmocka_unit_test(test_brave),
        cmocka_unit_test(test_no_result), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
