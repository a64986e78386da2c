/* test_fields.c - no text of a request is left out of what is judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/dialect.h"
#include "proxy/fields.h"

/* Each place holds a word of its own; every one must be among the fields, on
 * the channel named. */
static const struct {
    const char *word;
    enum channel channel;
} places[] = {
    {"in-system", CHANNEL_INPUT},
    {"in-user", CHANNEL_INPUT},
    {"in-part", CHANNEL_INPUT},
    {"in-assistant", CHANNEL_INPUT},
    {"in-name", CHANNEL_TOOL_CALL},
    {"in-argument", CHANNEL_TOOL_CALL},
    {"in-key", CHANNEL_TOOL_CALL},
    {"in-callid", CHANNEL_INPUT},
    {"4111111111111111", CHANNEL_TOOL_CALL},
    {"in-result", CHANNEL_TOOL_RESULT},
    {"in-tool", CHANNEL_INPUT},
    {"in-description", CHANNEL_INPUT},
    {"in-schema", CHANNEL_INPUT},
    {"in-property", CHANNEL_INPUT},
    {"in-stop", CHANNEL_INPUT},
    {"in-format", CHANNEL_INPUT},
    {"in-model", CHANNEL_INPUT},
};

static const char body_text[] =
    "{\"model\":\"in-model\",\"messages\":["
    "{\"role\":\"system\",\"content\":\"in-system\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"in-user\"},"
    "{\"type\":\"text\",\"text\":\"in-part\"}]},"
    "{\"role\":\"assistant\",\"content\":\"in-assistant\",\"tool_calls\":[{"
    "\"id\":\"in-callid\",\"function\":{\"name\":\"in-name\",\"arguments\":"
    "\"{\\\"in-key\\\":[{\\\"a\\\":\\\"in-\\\\u0061rgument\\\"},"
    "4111111111111111]}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"in-callid\",\"content\":"
    "\"in-result\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"in-tool\","
    "\"description\":\"in-description\",\"parameters\":{\"description\":"
    "\"in-schema\",\"properties\":{\"in-property\":{}}}}}],"
    "\"stop\":\"in-stop\",\"response_format\":{\"type\":\"json_schema\","
    "\"json_schema\":{\"name\":\"n\",\"schema\":{\"title\":\"in-format\"}}}}";

static void test_every_place(void **state) {
    struct arena *arena = arena_new(1 << 20);
    struct chat_request r;
    struct err err = {0};
    cJSON *body = json_parse(span_of(body_text), &err);
    struct field *fields;
    int count;

    (void)state;
    chat_request_init(&r, arena);
    if (!dialect_openai.parse(body, &r, &err)) fail_msg("%s", err.text);
    assert_true(fields_collect(&r, &fields, &count, &err));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bool found = false;

        for (int k = 0; k < count; k++)
            if (fields[k].channel == places[i].channel &&
                span_find(fields[k].text, span_of(places[i].word)) != SIZE_MAX)
                found = true;
        if (!found) fail_msg("not judged: %s", places[i].word);
    }
    cJSON_Delete(body);
    arena_free(arena);
}

/* A redacted text goes where the model will read it from. */
static void test_slots(void **state) {
    struct arena *arena = arena_new(1 << 20);
    struct chat_request r;
    struct err err = {0};
    cJSON *body = json_parse(span_of(body_text), &err);
    struct field *fields;
    int count;

    (void)state;
    chat_request_init(&r, arena);
    assert_true(dialect_openai.parse(body, &r, &err));
    assert_true(fields_collect(&r, &fields, &count, &err));
    assert_true(fields[0].slot == &r.messages[0].text);
    for (int k = 0; k < count; k++)
        if (fields[k].channel == CHANNEL_TOOL_CALL) assert_null(fields[k].slot);
    cJSON_Delete(body);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_place),
                                       cmocka_unit_test(test_slots)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
