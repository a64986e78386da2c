/* test_template_meta.c - the prompts of Llama 3 against those of Meta's own
 * renderer, for the conversations that tests/reference/llama_dialogs.py wrote.
 * Control tokens stand between U+0001 and U+0002, so that text which spells one
 * is not taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/template.h"
#include "byte_tokenizer.h"
#include "proxy/dialect.h"

static void put_token(struct bytes *out, const unsigned char byte_of[256],
                      int token) {
    if (token < 256) {
        bytes_put(out, (struct span){(const char *)&byte_of[token], 1});
        return;
    }
    bytes_puts(out, "\x01");
    bytes_puts(out, controls[token - 256]);
    bytes_puts(out, "\x02");
}

static const char *text_of(const cJSON *json, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
}

static void check_line(const struct tokenizer *t,
                       const unsigned char byte_of[256], struct span line,
                       int number) {
    struct err err = {0};
    struct arena *arena = arena_new(1 << 22);
    cJSON *json = json_parse(line, &err);
    struct chat_request r;
    struct tokens tokens = {0};
    struct bytes text = {0};
    enum template_kind kind = TEMPLATE_LLAMA3;

    chat_request_init(&r, arena);
    if (!json ||
        !template_tool_prompt(text_of(json, "tool_prompt"), t, &kind, &err) ||
        !dialect_openai.parse(cJSON_GetObjectItem(json, "request"), &r, &err) ||
        !template_render(kind, t, &r, "26 Jul 2024", &tokens, &err))
        fail_msg("line %d: %s", number, err.text);
    for (size_t i = 0; i < tokens.count; i++)
        put_token(&text, byte_of, tokens.at[i]);
    bytes_put(&text, (struct span){"", 1});
    if (strcmp(text.at, text_of(json, "expected")) != 0) {
        print_error("line %d (%s):\n", number, text_of(json, "tool_prompt"));
        assert_string_equal(text.at, text_of(json, "expected"));
    }
    bytes_free(&text);
    tokens_free(&tokens);
    cJSON_Delete(json);
    arena_free(arena);
}

static void test_reference(void **state) {
    unsigned char byte_of[256];
    struct tokenizer *t = byte_tokenizer(byte_of);
    struct bytes file = {0};
    struct span rest;
    int count = 0;

    (void)state;
    assert_true(
        bytes_read_file(&file, "tests/unit/data/llama_dialogs.jsonl", NULL));
    for (rest = span_bytes(&file); rest.size; count++) {
        size_t end = span_find(rest, span_of("\n"));

        check_line(t, byte_of, span_slice(rest, 0, end), count + 1);
        rest = span_slice(rest, end + 1, rest.size);
    }
    assert_true(count >= 50);
    bytes_free(&file);
    tokenizer_free(t);
}

/* Our own search goes by the name that the models know. */
static void test_web_search(void **state) {
    unsigned char byte_of[256];
    struct tokenizer *t = byte_tokenizer(byte_of);
    struct arena *arena = arena_new(1 << 20);
    cJSON *schema = cJSON_CreateObject();
    struct chat_tool tool = {.name = span_of("web_search"), .schema = schema};
    struct chat_tool_call call = {.name = span_of("web_search"),
                                  .arguments = span_of("{\"query\":\"x\"}")};
    struct chat_message messages[] = {
        {.role = CHAT_USER, .text = span_of("hi")},
        {.role = CHAT_ASSISTANT, .calls = &call, .call_count = 1}};
    struct chat_request r;
    struct tokens tokens = {0};
    struct bytes text = {0};

    (void)state;
    chat_request_init(&r, arena);
    r.messages = messages;
    r.message_count = 2;
    r.tools = &tool;
    r.tool_count = 1;
    assert_true(template_render(TEMPLATE_LLAMA3_JSON, t, &r, "1 Jan 2026",
                                &tokens, NULL));
    for (size_t i = 0; i < tokens.count; i++)
        put_token(&text, byte_of, tokens.at[i]);
    assert_true(span_find(span_bytes(&text),
                          span_of("\nTools: brave_search\nCutting")) !=
                SIZE_MAX);
    assert_true(span_find(span_bytes(&text),
                          span_of("brave_search.call(query=\"x\")"
                                  "\x01<|eom_id|>\x02")) != SIZE_MAX);
    bytes_free(&text);
    tokens_free(&tokens);
    cJSON_Delete(schema);
    arena_free(arena);
    tokenizer_free(t);
}

static void test_refused(void **state) {
    unsigned char byte_of[256];
    struct tokenizer *t = byte_tokenizer(byte_of);
    struct arena *arena = arena_new(1 << 20);
    struct chat_tool_call call = {.name = span_of("f"),
                                  .arguments = span_of("[1]")};
    struct chat_message m = {
        .role = CHAT_ASSISTANT, .calls = &call, .call_count = 1};
    enum template_kind kind = TEMPLATE_LLAMA3;
    struct chat_request r;
    struct tokens tokens = {0};
    struct err err = {0};

    (void)state;
    chat_request_init(&r, arena);
    r.messages = &m;
    r.message_count = 1;
    for (int k = TEMPLATE_LLAMA3_JSON; k <= TEMPLATE_LLAMA3_PYTHON; k++) {
        err = (struct err){0};
        assert_false(template_render((enum template_kind)k, t, &r, "1 Jan 2026",
                                     &tokens, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    assert_false(template_tool_prompt("yaml", t, &kind, &err));
    assert_int_equal(err.code, ERR_INPUT);
    kind = TEMPLATE_CHATML;
    assert_false(template_tool_prompt("json", t, &kind, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_int_equal(kind, TEMPLATE_CHATML);
    tokens_free(&tokens);
    arena_free(arena);
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_web_search),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
