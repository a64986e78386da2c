#include "agent/template.h"

#include <stdlib.h>
#include <string.h>

#include "agent/template_meta.h"

bool template_shows_tools(const struct chat_request *r) {
    return r->tool_count > 0 && r->choice != CHOICE_NONE;
}

static bool has_controls(const struct tokenizer *t, const char *const *names) {
    for (; *names; names++)
        if (tokenizer_control(t, *names) < 0) return false;
    return true;
}

bool template_detect(const struct gguf *gguf, const struct tokenizer *t,
                     enum template_kind *out, struct err *err) {
    static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", NULL};
    static const char *const llama3[] = {
        "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
        "<|eot_id|>", NULL};
    struct span text;

    if (!gguf_string(gguf, "tokenizer.chat_template", &text))
        return err_set(err, ERR_UNSUPPORTED,
                       "the model has no chat template, so it cannot chat");
    if (span_find(text, span_of("<|im_start|>")) != SIZE_MAX &&
        has_controls(t, chatml)) {
        bool smollm =
            span_find(text, span_of(template_smollm_system)) != SIZE_MAX;

        *out = smollm ? TEMPLATE_CHATML : TEMPLATE_CHATML_BARE;
        return true;
    }
    if (span_find(text, span_of("<|start_header_id|>")) != SIZE_MAX &&
        has_controls(t, llama3)) {
        *out = TEMPLATE_LLAMA3;
        return true;
    }
    if (span_find(text, span_of("[INST]")) != SIZE_MAX &&
        span_find(text, span_of("<<SYS>>")) != SIZE_MAX &&
        tokenizer_bos(t) >= 0 && tokenizer_eos(t) >= 0) {
        *out = TEMPLATE_LLAMA2;
        return true;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "the model's chat template is none of ChatML, Llama 2 and "
                   "Llama 3");
}

bool template_tool_prompt(const char *name, const struct tokenizer *t,
                          enum template_kind *kind, struct err *err) {
    static const char *const controls[] = {"<|python_tag|>", "<|eom_id|>",
                                           NULL};
    enum template_kind found;

    if (!strcmp(name, "json"))
        found = TEMPLATE_LLAMA3_JSON;
    else if (!strcmp(name, "function_tag"))
        found = TEMPLATE_LLAMA3_TAG;
    else if (!strcmp(name, "python_list"))
        found = TEMPLATE_LLAMA3_PYTHON;
    else
        return err_set(err, ERR_INPUT,
                       "tool_prompt: file, json, function_tag or python_list");
    if (*kind != TEMPLATE_LLAMA3 || !has_controls(t, controls))
        return err_set(err, ERR_UNSUPPORTED,
                       "tool_prompt: the model is no Llama 3.1, 3.2 or 3.3");
    *kind = found;
    return true;
}

/* A prompt as it stands. */
static bool render_raw(struct template_writer *w) {
    int first = tokenizer_opening(w->tokenizer);

    return (first < 0 || tokens_push(w->out, first, w->err)) &&
           write_text(w, w->request->messages[0].text);
}

bool template_render(enum template_kind kind, const struct tokenizer *t,
                     const struct chat_request *r, const char *date,
                     struct tokens *out, struct err *err) {
    struct template_writer w = {t, r, date, out, err};

    if (r->raw) return render_raw(&w);
    switch (kind) {
    case TEMPLATE_CHATML:
        return template_chatml(&w, true);
    case TEMPLATE_CHATML_BARE:
        return template_chatml(&w, false);
    case TEMPLATE_LLAMA2:
        return template_llama2(&w);
    case TEMPLATE_LLAMA3:
        return template_llama3(&w);
    case TEMPLATE_LLAMA3_JSON:
    case TEMPLATE_LLAMA3_TAG:
    case TEMPLATE_LLAMA3_PYTHON:
        return template_meta(&w, kind);
    }
    return err_set(err, ERR_INTERNAL, "no such template");
}

/* ---- what the templates have in common ---- */

bool write_control(struct template_writer *w, const char *name) {
    int token = tokenizer_control(w->tokenizer, name);

    if (token < 0)
        return err_set(w->err, ERR_UNSUPPORTED, "the vocabulary has no %s",
                       name);
    return tokens_push(w->out, token, w->err);
}

bool write_text(struct template_writer *w, struct span text) {
    return text.size == 0 ||
           tokenizer_encode(w->tokenizer, text, w->out, w->err);
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
}

struct span template_trim(struct span s) {
    while (s.size && is_blank(s.at[0])) s = span_slice(s, 1, s.size);
    while (s.size && is_blank(s.at[s.size - 1])) s.size--;
    return s;
}

static bool put(struct bytes *out, const char *text, struct err *err) {
    return bytes_append(out, text, strlen(text), err);
}

static bool put_break(struct bytes *out, int indent, int level,
                      struct err *err) {
    return bytes_printf(out, err, "\n%*s", indent * level, "");
}

/* Depth is bounded by JSON_DEPTH_MAX, since json_parse() made the tree. */
static bool put_json(struct bytes *out, const cJSON *json, int indent,
                     int level, struct err *err) {
    bool object = cJSON_IsObject(json);
    const cJSON *child;

    if (cJSON_IsString(json))
        return json_put_string(out, span_of(json->valuestring), err);
    if (!object && !cJSON_IsArray(json)) return json_print(json, out, err);
    if (!put(out, object ? "{" : "[", err)) return false;
    cJSON_ArrayForEach(child, json) {
        bool ok = child == json->child || put(out, indent ? "," : ", ", err);

        ok = ok && (!indent || put_break(out, indent, level + 1, err));
        if (object)
            ok = ok && json_put_string(out, span_of(child->string), err) &&
                 put(out, ": ", err);
        if (!ok || !put_json(out, child, indent, level + 1, err)) return false;
    }
    if (indent && json->child && !put_break(out, indent, level, err))
        return false;
    return put(out, object ? "}" : "]", err);
}

bool template_put_json(struct bytes *out, const cJSON *json, int indent,
                       struct err *err) {
    return put_json(out, json, indent, 0, err);
}

bool template_put_tool(struct bytes *out, const struct chat_tool *tool,
                       int indent, struct err *err) {
    cJSON *root = cJSON_CreateObject();
    cJSON *type = cJSON_AddStringToObject(root, "type", "function");
    cJSON *function = cJSON_AddObjectToObject(root, "function");
    char *name = span_dup(tool->name);
    char *description = span_dup(tool->description);
    bool ok = false;

    /* The schema is borrowed: only a reference to it goes in. */
    if (!type || !function ||
        !cJSON_AddStringToObject(function, "name", name) ||
        !cJSON_AddStringToObject(function, "description", description) ||
        !cJSON_AddItemReferenceToObject(function, "parameters",
                                        (cJSON *)(uintptr_t)tool->schema)) {
        (void)err_set(err, ERR_INTERNAL, "out of memory");
        goto out;
    }
    ok = template_put_json(out, root, indent, err);

out:
    cJSON_Delete(root);
    free(name);
    free(description);
    return ok;
}

bool template_put_call(struct bytes *out, const struct chat_tool_call *call,
                       const char *key, struct err *err) {
    cJSON *arguments = json_parse(call->arguments, err);
    bool ok;

    if (!arguments) return false;
    if (!cJSON_IsObject(arguments)) {
        cJSON_Delete(arguments);
        return err_set(err, ERR_INPUT,
                       "a tool call's arguments are not a JSON object");
    }
    ok = put(out, "{\"name\": ", err) &&
         json_put_string(out, call->name, err) &&
         bytes_printf(out, err, ", \"%s\": ", key) &&
         template_put_json(out, arguments, 0, err) && put(out, "}", err);
    cJSON_Delete(arguments);
    return ok;
}
