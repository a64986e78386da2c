/* test_tool_web_fetch.c - a page's address to its text, and every way in which
 * that fails in words that a model can read. */
#include "tests/unit/tool_world.h"

#include "tools/tool_web.h"

#define HTML                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\"UTF-8\"\r\n\r\n"
#define INNER "{\"inner_hosts\":[\"127.0.0.1:%d\"]}"

static void test_page(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_fetch_open, INNER);
    page_put(&w.server, "/a",
             HTML
             "<title>T</title><script>x</script><p>Hello <a href=/b>b</a>");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/a\"}");
    world_said(&w, true, "/a\n\n# T\n\nHello b (http://127.0.0.1:");
    assert_null(strstr(w.text.at, "x"));
    page_put(&w.server, "/json",
             "HTTP/1.1 200 OK\r\nContent-Type: application/ld+json\r\n\r\n"
             "{\"a\": \"<b>\"}");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/json\"}");
    world_said(&w, true, "{\"a\": \"<b>\"}");
    page_put(&w.server, "/empty", HTML "<script>x</script>");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/empty\"}");
    world_said(&w, true, "has no text");
    world_close(&w);
}

static void test_refused(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_fetch_open, INNER);
    page_put(&w.server, "/png",
             "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nPNG");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/png\"}");
    world_said(&w, false, "image/png");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/missing\"}");
    world_said(&w, false, "status 404");
    world_call(&w,
               "{\"url\":\"http://127.0.0.1:1/\"}"); /* not the port named */
    world_said(&w, false, "closed to tools");
    world_call(&w, "{\"url\":\"file:///etc/passwd\"}");
    world_said(&w, false, "not an http");
    page_put(&w.server, "/away",
             "HTTP/1.1 302 Found\r\nLocation: http://b.example/x\r\n"
             "Content-Length: 0\r\n\r\n");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/away\"}");
    world_said(&w, true, "Its new address: http://b.example/x");
    world_close(&w);
}

/* All of a page is told, so that it is judged; the model is shown less. Past
 * what is judged, it is cut. */
static void test_sizes(void **state) {
    struct bytes page = {0};
    struct world w;

    (void)state;
    bytes_puts(&page, HTML);
    for (int i = 0; i < 30000; i++) bytes_puts(&page, "<p>word</p>");
    bytes_puts(&page, "<p>end</p>");
    world_open(&w);
    world_tool(&w, web_fetch_open,
               "{\"inner_hosts\":[\"127.0.0.1\"],\"text_bytes_max\":300}");
    page_add(&w.server, "/a", span_bytes(&page), PAGE_CLOSE);
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/a\"}");
    world_said(&w, true, "word\n\nend");
    assert_int_equal(w.tool->shown_bytes_max, 300);
    w.server.page_count = 0;
    bytes_puts(&page, "<pre>");
    for (int i = 0; i < 14000; i++) bytes_puts(&page, "pages ");
    page_add(&w.server, "/a", span_bytes(&page), PAGE_CLOSE);
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/a\"}");
    world_said(&w, true, "[the rest of the page was cut off]");
    assert_in_range(w.text.size, TOOL_RESULT_BYTES_MAX - 9000,
                    TOOL_RESULT_BYTES_MAX);
    w.tool->close(w.tool);
    world_tool(&w, web_fetch_open,
               "{\"inner_hosts\":[\"127.0.0.1\"],\"page_bytes_max\":1024}");
    world_call_port(&w, "{\"url\":\"http://127.0.0.1:", "/a\"}");
    world_said(&w, false, "larger than 1024 bytes");
    world_close(&w);
    bytes_free(&page);
}

/* While it loads, and while the pool turns it into text. */
static void test_cancel(void **state) {
    char arguments[64];
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, web_fetch_open, INNER);
    page_put(&w.server, "/", HTML "<p>text</p>");
    (void)snprintf(arguments, sizeof arguments,
                   "{\"url\":\"http://127.0.0.1:%d/\"}", w.server.port);
    for (int turns = 0; turns < 12; turns++) {
        world_start(&w, arguments);
        for (int i = 0; i < turns && !w.ends; i++)
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        if (!w.ends) {
            w.tool->cancel(w.run);
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
            assert_int_equal(w.ends, 0);
        }
    }
    world_close(&w);
}

static void test_options(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_refused(&w, web_fetch_open, "{\"inner_host\":[]}", "inner_host");
    world_refused(&w, web_fetch_open, "{\"inner_hosts\":\"a\"}", "a list");
    world_refused(&w, web_fetch_open, "{\"inner_hosts\":[1]}", "a text");
    world_refused(&w, web_fetch_open, "{\"timeout_s\":0}", "from 1 to");
    world_refused(&w, web_fetch_open, "{\"text_bytes_max\":65537}", "whole");
    world_refused(&w, web_fetch_open, "{\"other_host\":1}", "true or false");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sizes),   cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
