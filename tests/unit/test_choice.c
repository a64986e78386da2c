/* test_choice.c - several answers to one request, and log probabilities: what
 * of them reaches the client. */
#include "tests/unit/exchange_world.h"

/* ---- log probabilities ---- */

#define LOGPROBS ",\"logprobs\":true,\"top_logprobs\":4"

/* The JSON of the next line, a whole answer being one; NULL at the end. */
static cJSON *next_json(struct span *rest) {
    while (rest->size) {
        size_t line = span_find(*rest, span_of("\n"));
        struct span data = span_slice(*rest, 0, line);
        struct err err = {0};

        *rest = line == SIZE_MAX ? (struct span){0}
                                 : span_slice(*rest, line + 1, rest->size);
        if (span_starts(data, span_of("data: ")))
            data = span_slice(data, 6, data.size);
        if (span_starts(data, span_of("{"))) return json_parse(data, &err);
    }
    return NULL;
}

/* All tokens of all `logprobs.content`, without rivals. */
static struct bytes tokens_told(const struct world *w) {
    struct span rest = span_bytes(&w->body);
    struct bytes text = {0};
    cJSON *json, *choice, *entry;

    while ((json = next_json(&rest))) {
        cJSON_ArrayForEach(choice, cJSON_GetObjectItem(json, "choices")) {
            cJSON *told = cJSON_GetObjectItem(choice, "logprobs");

            cJSON_ArrayForEach(entry, cJSON_GetObjectItem(told, "content")) {
                bytes_puts(&text,
                           cJSON_GetObjectItem(entry, "token")->valuestring);
            }
        }
        cJSON_Delete(json);
    }
    return text;
}

static struct bytes told(const char *text, size_t piece, bool stream,
                         struct world *w) {
    world_open(w, POLICY(""));
    model.script =
        (struct script){.text = text, .piece = piece, .logprobs = true};
    post(w, stream ? ASK(LOGPROBS ",\"stream\":true") : ASK(LOGPROBS));
    assert_int_equal(w->status, 200);
    return tokens_told(w);
}

static void test_logprobs(void **state) {
    static const char said[] = "Nothing to hide here, is there?";

    (void)state;
    for (size_t piece = 1; piece <= 8; piece++) {
        for (int stream = 0; stream < 2; stream++) {
            struct world w;
            struct bytes tokens = told(said, piece, stream, &w);

            assert_true(span_is(span_bytes(&tokens), said));
            assert_true(answered(&w, "\"token\":\"RIVAL\""));
            assert_true(answered(&w, "\"token\":\"fish\""));
            assert_true(answered(&w, "\"token\":\"<|end|>\""));
            /* A rival that a rule forbids is not told. */
            assert_false(answered(&w, "sword"));
            bytes_free(&tokens);
            world_close(&w);
        }
    }
}

/* The rival that would have completed a forbidden word. */
static void test_rival_completes(void **state) {
    struct world w;
    struct bytes tokens = told("It is a sword.", 1, true, &w);
    struct span body = span_bytes(&w.body);
    size_t at = span_find(body, span_of("{\"token\":\".\""));

    (void)state;
    assert_true(span_is(span_bytes(&tokens), "It is a sword."));
    assert_true(at != SIZE_MAX);
    body = span_slice(body, at, body.size);
    assert_true(span_find(body, span_of("RIVAL")) != SIZE_MAX);
    assert_true(span_find(body, span_of("\"token\":\"fish\"")) == SIZE_MAX);
    bytes_free(&tokens);
    world_close(&w);
}

/* From a redacted span on there are none; nothing of a block gets out. */
static void test_logprobs_judged(void **state) {
    (void)state;
    for (size_t piece = 1; piece <= 8; piece++) {
        for (int stream = 0; stream < 2; stream++) {
            struct world w;
            struct bytes tokens =
                told("Write to jane.doe@example.org today.", piece, stream, &w);
            struct span text = span_bytes(&tokens);

            assert_true(span_starts(span_of("Write to "), text));
            assert_true(text.size + piece > strlen("Write to "));
            assert_false(answered(&w, "jane"));
            assert_false(answered(&w, "example"));
            bytes_free(&tokens);
            world_close(&w);
            tokens = told("A swordfish, they say.", piece, stream, &w);
            text = span_bytes(&tokens);
            assert_true(span_starts(span_of("A "), text));
            assert_false(answered(&w, "sword"));
            assert_true(answered(&w, "\"finish_reason\":\"content_filter\""));
            if (!stream) assert_int_equal(text.size, 0);
            bytes_free(&tokens);
            world_close(&w);
        }
    }
}

/* ---- several choices ---- */

/* The text of one choice, streamed or not. */
static bool choice_says(const struct world *w, int index, const char *text,
                        const char *finish) {
    struct span rest = span_bytes(&w->body);
    const cJSON *content, *reason, *part;
    struct bytes all = {0};
    const char *end = "";
    cJSON *json, *choice;
    bool ok;

    while ((json = next_json(&rest))) {
        cJSON_ArrayForEach(choice, cJSON_GetObjectItem(json, "choices")) {
            if (cJSON_GetObjectItem(choice, "index")->valueint != index)
                continue;
            part = cJSON_GetObjectItem(choice, "delta");
            if (!part) part = cJSON_GetObjectItem(choice, "message");
            content = cJSON_GetObjectItem(part, "content");
            if (cJSON_IsString(content)) bytes_puts(&all, content->valuestring);
            reason = cJSON_GetObjectItem(choice, "finish_reason");
            if (cJSON_IsString(reason)) {
                assert_string_equal(end, ""); /* only one end */
                end = !strcmp(reason->valuestring, finish) ? finish : "other";
            }
        }
        cJSON_Delete(json);
    }
    ok = span_is(span_bytes(&all), text) && !strcmp(end, finish);
    bytes_free(&all);
    return ok;
}

static void test_choices(void **state) {
    (void)state;
    for (size_t piece = 1; piece <= 20; piece++) {
        for (int stream = 0; stream < 2; stream++) {
            struct world w;

            world_open(&w, POLICY(""));
            model.script = (struct script){
                .texts = {"First, a.b@c.org.", "Then swordfish, and more words",
                          "Third and the longest of them all."},
                .piece = piece,
                .text = "never"};
            post(&w, stream ? ASK(",\"n\":3,\"seed\":7,\"stream\":true")
                            : ASK(",\"n\":3,\"seed\":7"));
            assert_int_equal(w.status, 200);
            assert_int_equal(model.started, 3);
            for (int i = 0; i < 3; i++) assert_int_equal(model.seed[i], 7 + i);
            assert_true(choice_says(&w, 0, "First, [EMAIL].", "stop"));
            assert_true(choice_says(&w, 2, "Third and the longest of them all.",
                                    "stop"));
            /* Streamed, "Then" may have been cleared before. */
            assert_true(choice_says(&w, 1, "I can't help with that.",
                                    "content_filter") ||
                        choice_says(&w, 1, "Then", "content_filter"));
            assert_false(answered(&w, "sword"));
            assert_false(answered(&w, "more words"));
            assert_true(answered(&w, "\"checks\":[\"word\"]"));
            assert_int_equal(answered(&w, "data: [DONE]"), stream);
            if (!stream) assert_true(answered(&w, "\"completion_tokens\":"));
            world_close(&w);
        }
    }
}

/* What stops all of them: the request, the guard, a failure, the client. */
static void test_choices_end(void **state) {
    static const char bad[] = "{\"model\":\"m\",\"n\":2,\"stream\":true,"
                              "\"messages\":[{\"role\":\"user\",\"content\":"
                              "\"swordfish\"}]}";
    struct http_call *call;
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    post(&w, bad);
    assert_int_equal(w.status, 200);
    for (int i = 0; i < 2; i++)
        assert_true(
            choice_says(&w, i, "I can't help with that.", "content_filter"));
    assert_int_equal(model.started, 0);
    model.script = (struct script){.texts = {"Some words, and then "},
                                   .text = "",
                                   .piece = 4,
                                   .fail = ERR_IO};
    post(&w, ASK(",\"n\":2"));
    assert_int_equal(w.status, 502);
    post(&w, ASK(",\"n\":9"));
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "\"param\":\"n\""));
    world_close(&w);
    world_open(&w, POLICY("on_block: error\n"));
    post(&w, bad);
    assert_int_equal(w.status, 400);
    /* One of several is no error of the request. */
    model.script = (struct script){.texts = {"fine", "swordfish"}, .piece = 20};
    post(&w, ASK(",\"n\":2"));
    assert_int_equal(w.status, 200);
    assert_true(choice_says(&w, 0, "fine", "stop"));
    assert_false(answered(&w, "sword"));
    world_close(&w);
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "", .piece = 1, .hang = true};
    call = ask(&w, "/v1/chat/completions", ASK(",\"n\":4"));
    while (model.started < 4) (void)uv_run(&w.loop, UV_RUN_ONCE);
    http_call_cancel(call);
    while (model.cancelled < 4) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(server_inflight(w.server), 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_rival_completes),
        cmocka_unit_test(test_logprobs_judged),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_choices_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
