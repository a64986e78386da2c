/* test_tool_http.c - a declared endpoint: arguments land where they belong and
 * nowhere else. */
#include "tests/unit/tool_world.h"

#include "tools/tool_web.h"

#define TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define SCHEMA                                                                 \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":"    \
    "\"string\"},\"n\":{\"type\":\"integer\"},\"note\":{\"type\":\"string\"}}" \
    ",\"required\":[\"id\"],\"additionalProperties\":false}"
#define NAMED "\"name\":\"order\",\"description\":\"An order.\","

static void test_get(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, tool_http_open,
               "{" NAMED SCHEMA
               ",\"url\":\"http://127.0.0.1:%d/v1/{id}/x?a=1\","
               "\"headers\":{\"Authorization\":\"Bearer sesame!\"}}");
    assert_string_equal(w.tool->name, "order");
    assert_true(w.tool->idempotent);
    page_put(&w.server, "/v1/", TEXT "it is on its way");
    world_call(&w, "{\"id\":\"a/../b?c#d\",\"n\":7,\"note\":\"x&y\"}");
    world_said(&w, true, "it is on its way");
    assert_non_null(
        strstr(w.server.request.at,
               "GET /v1/a%2F..%2Fb%3Fc%23d/x?a=1&n=7&note=x%26y HTTP/1.1\r\n"));
    assert_non_null(
        strstr(w.server.request.at, "Authorization: Bearer sesame!\r\n"));
    w.server.requests = 0;
    world_call(&w, "{\"id\":\"..\"}");
    world_said(&w, false, "id has no value");
    world_call(&w, "{\"id\":\"\"}");
    world_said(&w, false, "id has no value");
    assert_int_equal(w.server.requests, 0);
    world_close(&w);
}

static void test_post(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, tool_http_open,
               "{" NAMED SCHEMA ",\"method\":\"POST\","
               "\"url\":\"http://127.0.0.1:%d/v1/{id}\"}");
    assert_false(w.tool->idempotent);
    page_put(&w.server, "/v1/", TEXT "done");
    world_call(&w, "{\"id\":\"7\",\"note\":\"a\\\"b\"}");
    world_said(&w, true, "done");
    assert_non_null(strstr(w.server.request.at, "POST /v1/7 HTTP/1.1\r\n"));
    assert_non_null(
        strstr(w.server.request.at, "Content-Type: application/json\r\n"));
    assert_non_null(
        strstr(w.server.request.at, "\r\n\r\n{\"note\":\"a\\\"b\"}"));
    world_close(&w);
}

static void test_answers(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, tool_http_open,
               "{" NAMED "\"url\":\"http://127.0.0.1:%d/a\","
               "\"result_bytes_max\":64}");
    page_put(&w.server, "/a",
             "HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\n\r\nno");
    world_call(&w, "{}");
    world_said(&w, false, "status 409\nno");
    page_put(&w.server, "/a",
             "HTTP/1.1 302 Found\r\nLocation: http://b.example/\r\n"
             "Content-Length: 0\r\n\r\n");
    world_call(&w, "{}");
    world_said(&w, false, "status 302");
    page_put(&w.server, "/a",
             "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nPNG");
    world_call(&w, "{}");
    world_said(&w, false, "cannot be read as text");
    world_close(&w);
}

/* `size` bytes behind a head. */
static void put_long(struct world *w, struct bytes *page, const char *head,
                     size_t size) {
    page->size = 0;
    bytes_puts(page, head);
    for (size_t i = 1; i < size; i++) bytes_puts(page, "-");
    bytes_puts(page, "!");
    w->server.page_count = 0;
    page_add(&w->server, "/a", span_bytes(page), PAGE_CLOSE);
}

/* All of an answer is told, so that it is judged; the model is shown less. */
static void test_sizes(void **state) {
    struct bytes page = {0};
    struct world w;

    (void)state;
    world_open(&w);
    world_tool(&w, tool_http_open,
               "{" NAMED "\"url\":\"http://127.0.0.1:%d/a\","
               "\"result_bytes_max\":64}");
    assert_int_equal(w.tool->shown_bytes_max, 64);
    put_long(&w, &page, TEXT, 250000);
    world_call(&w, "{}");
    world_said(&w, true, "-!");
    assert_int_equal(w.text.size, 250001);
    put_long(&w, &page, TEXT, TOOL_RESULT_BYTES_MAX);
    world_call(&w, "{}");
    world_said(&w, true, "-\n[the rest of the answer was cut off]");
    assert_true(w.text.size <= TOOL_RESULT_BYTES_MAX);
    put_long(&w, &page,
             "HTTP/1.1 500 Broken\r\nContent-Type: text/plain\r\n\r\n", 9000);
    world_call(&w, "{}");
    world_said(&w, false, "status 500\n--");
    world_said(&w, false, "-!");
    world_close(&w);
    bytes_free(&page);
}

static void test_options(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    world_refused(&w, tool_http_open, "{}", "name is missing");
    world_refused(&w, tool_http_open, "{\"name\":\"a\"}", "description");
    world_refused(&w, tool_http_open, "{" NAMED "\"method\":\"TRACE\"}",
                  "method is one of");
    world_refused(&w, tool_http_open, "{" NAMED "\"url\":\"ftp://a\"}",
                  "not an http");
    world_refused(&w, tool_http_open,
                  "{" NAMED SCHEMA ",\"url\":\"http://{id}.example/\"}",
                  "part of the host");
    world_refused(&w, tool_http_open,
                  "{" NAMED SCHEMA ",\"url\":\"http://a.example{id}\"}",
                  "part of the host");
    world_refused(&w, tool_http_open,
                  "{" NAMED SCHEMA ",\"url\":\"http://a.example/{n}\"}",
                  "not a required parameter");
    world_refused(&w, tool_http_open,
                  "{" NAMED SCHEMA ",\"url\":\"http://a.example/{id\"}",
                  "each in braces");
    world_refused(&w, tool_http_open,
                  "{" NAMED "\"url\":\"http://a.example/\","
                  "\"headers\":{\"A\":\"b\\r\\nC: d\"}}",
                  "one line");
    world_refused(&w, tool_http_open,
                  "{" NAMED "\"url\":\"http://a.example/\","
                  "\"parameters\":{\"type\":\"thing\"}}",
                  "unknown type");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),     cmocka_unit_test(test_post),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
