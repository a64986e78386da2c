/* test_llm_forms.c - calls in every form that a Llama is shown, by the engine
 * with models of random weights, which obey nothing but the grammar: all calls
 * are read back and valid. Their vocabularies have a token for every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/llm.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "tests/unit/byte_tokenizer.h"
#include "tests/unit/gguf_make.h"
#include "tools/schema.h"

enum { TOOLS = 2, WIDTH = 64, CONTEXT = 8192, SEEDS = 5 };

static const struct {
    const char *name, *schema;
} declared[TOOLS] = {
    {"plan_trip",
     "{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":[\"R\xC5\x8Dma\","
     "\"\xE6\x9D\xB1\xE4\xBA\xAC\",\"it's \\\"here\\\"\"]},\"days\":{\"type\":"
     "\"array\",\"items\":{\"type\":\"integer\",\"minimum\":-3,\"maximum\":12},"
     "\"minItems\":1,\"maxItems\":3},\"place\":{\"type\":\"object\","
     "\"properties\":{\"north\":{\"type\":\"number\",\"minimum\":0,"
     "\"maximum\":90},\"near\":{\"type\":\"boolean\"}},\"required\":"
     "[\"north\"],\"additionalProperties\":false},\"note\":{\"type\":"
     "\"string\",\"maxLength\":12}},\"required\":[\"city\",\"days\","
     "\"place\"],\"additionalProperties\":false}"},
    /* The models know it by another name. */
    {"web_search",
     "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\","
     "\"maxLength\":16}},\"required\":[\"query\"],"
     "\"additionalProperties\":false}"},
};

struct world {
    struct engine *engine;
    struct llm *llm;
    struct arena *arena;
    struct chat_request request;
    struct chat_message messages[4];
    struct chat_tool tools[TOOLS];
    cJSON *schemas[TOOLS];
    int calls;
    int by_tool[TOOLS];
    bool ended;
    struct llm_end end;
};

/* ---- the models ---- */

static void make_array(struct gguf_make *m, const char *key, uint32_t kind,
                       uint64_t count) {
    make_key(m, key, 9);
    put_u32(&m->keys, kind);
    put_u64(&m->keys, count);
}

static void make_model(struct gguf_make *m, uint64_t vocab) {
    make_string(m, "general.architecture", "llama");
    make_u32(m, "llama.block_count", 1);
    make_u32(m, "llama.context_length", CONTEXT);
    make_u32(m, "llama.embedding_length", WIDTH);
    make_u32(m, "llama.feed_forward_length", 96);
    make_u32(m, "llama.attention.head_count", 2);
    make_u32(m, "llama.attention.head_count_kv", 1);
    make_u32(m, "llama.vocab_size", (uint32_t)vocab);
    make_f32(m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    make_f32_tensor(m, "token_embd.weight", WIDTH, vocab, 0, 0);
    make_f32_tensor(m, "output_norm.weight", WIDTH, 0, 0, 1);
    make_layer(m, 0, WIDTH, WIDTH / 2, 96);
}

static void make_llama3(struct gguf_make *m) {
    make_model(m, VOCAB);
    make_string(m, "tokenizer.ggml.model", "gpt2");
    make_string(m, "tokenizer.ggml.pre", "llama-bpe");
    make_string(m, "tokenizer.chat_template", "<|start_header_id|>");
    make_array(m, "tokenizer.ggml.tokens", 8, VOCAB);
    for (int b = 0; b < 256; b++) {
        char text[UTF8_MAX];
        size_t size = utf8_encode(letter_of(b), text);

        put_u64(&m->keys, size);
        put(&m->keys, text, size);
    }
    for (int i = 0; i < CONTROLS; i++) put_text(&m->keys, controls[i]);
    make_array(m, "tokenizer.ggml.merges", 8, 0);
    make_array(m, "tokenizer.ggml.token_type", 5, VOCAB);
    for (uint32_t i = 0; i < VOCAB; i++) put_u32(&m->keys, i < 256 ? 1 : 3);
    make_u32(m, "tokenizer.ggml.bos_token_id", 256);
    make_u32(m, "tokenizer.ggml.eos_token_id", 256 + 3);
}

static void make_llama2(struct gguf_make *m) {
    enum { ALL = 3 + 256 + 1 };
    static const char *const first[] = {"<unk>", "<s>", "</s>"};

    make_model(m, ALL);
    make_string(m, "tokenizer.ggml.model", "llama");
    make_string(m, "tokenizer.chat_template", "[INST] <<SYS>>");
    make_array(m, "tokenizer.ggml.tokens", 8, ALL);
    for (int i = 0; i < 3; i++) put_text(&m->keys, first[i]);
    for (int b = 0; b < 256; b++) {
        char name[8];

        (void)snprintf(name, sizeof name, "<0x%02X>", b);
        put_text(&m->keys, name);
    }
    put_text(&m->keys, "\xE2\x96\x81");
    make_array(m, "tokenizer.ggml.token_type", 5, ALL);
    for (uint32_t i = 0; i < ALL; i++)
        put_u32(&m->keys, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    make_array(m, "tokenizer.ggml.scores", 6, ALL);
    for (uint32_t i = 0; i < ALL; i++) put_u32(&m->keys, 0);
    make_u32(m, "tokenizer.ggml.bos_token_id", 1);
    make_u32(m, "tokenizer.ggml.eos_token_id", 2);
}

static void open_world(struct world *w, void (*make)(struct gguf_make *)) {
    char path[] = "/tmp/corral-test-forms-XXXXXX";
    struct engine_options options = {
        .model_path = path, .threads = 1, .context_tokens = CONTEXT};
    struct gguf_make m = {0};
    struct err err = {0};

    memset(w, 0, sizeof *w);
    assert_true(hash_init(&err));
    make(&m);
    gguf_make_write(&m, path);
    w->engine = engine_open(&options, &err);
    (void)unlink(path);
    if (!w->engine) fail_msg("%s", err.text);
    w->llm = llm_engine_open(w->engine, "random", &err);
    if (!w->llm) fail_msg("%s", err.text);
    for (int i = 0; i < TOOLS; i++) {
        w->schemas[i] = json_parse(span_of(declared[i].schema), &err);
        if (!w->schemas[i]) fail_msg("%s", err.text);
        w->tools[i] = (struct chat_tool){.name = span_of(declared[i].name),
                                         .description = span_of("It does."),
                                         .schema = w->schemas[i]};
    }
}

static void close_world(struct world *w) {
    llm_engine_close(w->llm);
    engine_close(w->engine);
    for (int i = 0; i < TOOLS; i++) cJSON_Delete(w->schemas[i]);
    arena_free(w->arena);
}

/* ---- one answer ---- */

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct world *w = user;
    struct err err = {0};
    cJSON *arguments = json_parse(call->arguments, &err);
    int tool = 0;

    if (!arguments) fail_msg("%s", err.text);
    while (tool < TOOLS && !span_is(call->name, declared[tool].name)) tool++;
    assert_int_not_equal(tool, TOOLS);
    if (!schema_validate(w->schemas[tool], arguments, &err))
        fail_msg("%.*s: %s", (int)call->arguments.size, call->arguments.at,
                 err.text);
    cJSON_Delete(arguments);
    w->calls++;
    w->by_tool[tool]++;
}

static void on_end(void *user, const struct llm_end *end) {
    struct world *w = user;

    w->ended = true;
    w->end = *end;
}

static void prepare(struct world *w, uint64_t seed) {
    arena_free(w->arena);
    w->arena = arena_new(4 << 20);
    chat_request_init(&w->request, w->arena);
    w->messages[0] = (struct chat_message){.role = CHAT_USER,
                                           .text = span_of("Where to go?")};
    w->request.messages = w->messages;
    w->request.message_count = 1;
    w->request.tools = w->tools;
    w->request.tool_count = TOOLS;
    w->request.temperature = 2;
    w->request.seeded = true;
    w->request.seed = seed;
    w->request.max_tokens = 2000;
    w->calls = 0;
    w->ended = false;
}

static void run(struct world *w) {
    struct llm_events events = {
        .on_tool_call = on_tool_call, .on_end = on_end, .user = w};
    struct err err = {0};

    if (!w->llm->start(w->llm, &w->request, 1, &events, &err))
        fail_msg("%s", err.text);
    while (!w->ended) {
        (void)engine_wait(w->engine, 1000);
        (void)engine_poll(w->engine);
    }
    if (!w->end.ok) fail_msg("%s", w->end.err.text);
}

/* Demanded calls are made; left to itself the model makes some or none; told
 * not to, it makes none. */
static void check_choices(struct world *w) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        prepare(w, seed);
        w->request.choice = CHOICE_REQUIRED;
        w->request.parallel_calls = seed % 2 == 1;
        run(w);
        assert_int_equal(w->end.finish, LLM_TOOL_CALLS);
        assert_true(w->calls == 1 || (w->calls > 1 && seed % 2 == 1));
        for (int tool = 0; tool < TOOLS; tool++) {
            prepare(w, seed);
            w->request.choice = CHOICE_NAMED;
            w->request.choice_name = span_of(declared[tool].name);
            w->by_tool[tool] = 0;
            run(w);
            assert_int_equal(w->end.finish, LLM_TOOL_CALLS);
            assert_int_equal(w->calls, 1);
            assert_int_equal(w->by_tool[tool], 1);
        }
        prepare(w, seed);
        w->request.max_tokens = 60;
        run(w);
        assert_true(w->calls == 0 || w->end.finish == LLM_TOOL_CALLS);
        prepare(w, seed);
        w->request.max_tokens = 60;
        w->request.choice = CHOICE_NONE;
        run(w);
        assert_int_equal(w->calls, 0);
    }
}

static void check_form(const char *tool_prompt) {
    struct err err = {0};
    struct world w;

    open_world(&w, make_llama3);
    if (tool_prompt && !llm_engine_tool_prompt(w.llm, tool_prompt, &err))
        fail_msg("%s", err.text);
    check_choices(&w);
    close_world(&w);
}

static void test_file(void **state) {
    (void)state;
    check_form(NULL);
}

static void test_json(void **state) {
    (void)state;
    check_form("json");
}

static void test_function_tag(void **state) {
    (void)state;
    check_form("function_tag");
}

static void test_python_list(void **state) {
    (void)state;
    check_form("python_list");
}

/* A Llama 2, which was taught no tools: it calls them by worked examples, reads
 * what they say, and has no form but this one. */
static void test_llama2(void **state) {
    struct chat_tool_call call = {.id = span_of("call_1"),
                                  .name = span_of("web_search"),
                                  .arguments = span_of("{\"query\":\"x\"}")};
    struct err err = {0};
    struct world w;

    (void)state;
    open_world(&w, make_llama2);
    assert_false(llm_engine_tool_prompt(w.llm, "json", &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    check_choices(&w);
    prepare(&w, 1);
    w.messages[1] = (struct chat_message){
        .role = CHAT_ASSISTANT, .calls = &call, .call_count = 1};
    w.messages[2] = (struct chat_message){
        .role = CHAT_TOOL, .call_id = call.id, .text = span_of("a page")};
    w.request.message_count = 3;
    w.request.max_tokens = 20;
    run(&w);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),         cmocka_unit_test(test_json),
        cmocka_unit_test(test_function_tag), cmocka_unit_test(test_python_list),
        cmocka_unit_test(test_llama2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
