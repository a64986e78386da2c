/* template_meta.c - Llama 3.1, 3.2 and 3.3 as Meta's own renderer writes them
 * (PyPI llama-models, chat_format), token for token: every piece is encoded by
 * itself, nothing is trimmed, results stand in their ipython turn as they are,
 * and <|eom_id|> ends a call after which the models expect a result. */
#include "agent/template_meta.h"

#include <string.h>

#include "agent/python_text.h"

bool template_is_meta(enum template_kind kind) {
    return kind == TEMPLATE_LLAMA3_JSON || kind == TEMPLATE_LLAMA3_TAG ||
           kind == TEMPLATE_LLAMA3_PYTHON;
}

const char *template_builtin(struct span name) {
    static const char *const names[] = {"brave_search", "wolfram_alpha",
                                        "code_interpreter", NULL};

    for (size_t i = 0; names[i]; i++)
        if (span_is(name, names[i])) return names[i];
    return span_is(name, "web_search") ? names[0] : NULL;
}

const char *template_builtin_argument(const char *builtin) {
    return strcmp(builtin, "code_interpreter") != 0 ? "query" : "code";
}

static bool turn_open(struct template_writer *w, const char *role) {
    return write_control(w, "<|start_header_id|>") &&
           write_text(w, span_of(role)) &&
           write_control(w, "<|end_header_id|>") &&
           write_text(w, span_of("\n\n"));
}

static bool text_turn(struct template_writer *w, const char *role,
                      struct span text) {
    return turn_open(w, role) && write_text(w, text) &&
           write_control(w, "<|eot_id|>");
}

/* ---- calls ---------------------------------------------------------- */

/* NAME.call(query="...") or the code alone; *done stays false where the
 * arguments are not what the models know. */
static bool put_builtin(const struct chat_tool_call *call, const char *name,
                        struct bytes *out, bool *done, struct err *err) {
    const char *key = template_builtin_argument(name);
    cJSON *json = json_parse(call->arguments, err);
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, key);
    bool code = !strcmp(key, "code"), ok = json != NULL;

    if (ok && cJSON_IsString(value)) {
        struct span text = span_of(value->valuestring);

        *done = true;
        ok = (code || bytes_printf(out, err, "%s.call(query=\"", name)) &&
             bytes_append(out, text.at, text.size, err) &&
             (code || bytes_append(out, "\")", 2, err));
    }
    cJSON_Delete(json);
    return ok;
}

static bool put_custom(const struct chat_tool_call *call,
                       enum template_kind kind, struct bytes *out,
                       struct err *err) {
    struct span name = call->name;

    if (kind == TEMPLATE_LLAMA3_JSON)
        return bytes_printf(out, err, "{\"type\": \"function\", \"name\": ") &&
               python_put_string(out, name, false, err) &&
               bytes_printf(out, err, ", \"parameters\": ") &&
               python_put_json(out, call->arguments, err) &&
               bytes_append(out, "}", 1, err);
    if (kind == TEMPLATE_LLAMA3_TAG)
        return bytes_printf(out, err, "<function=") &&
               bytes_append(out, name.at, name.size, err) &&
               bytes_append(out, ">", 1, err) &&
               python_put_json(out, call->arguments, err) &&
               bytes_printf(out, err, "</function>");
    return bytes_append(out, "[", 1, err) &&
           bytes_append(out, name.at, name.size, err) &&
           bytes_append(out, "(", 1, err) &&
           python_put_arguments(out, call->arguments, err) &&
           bytes_append(out, ")]", 2, err);
}

static bool is_object(struct span text, struct err *err) {
    cJSON *json = json_parse(text, err);
    bool ok = cJSON_IsObject(json);

    cJSON_Delete(json);
    if (!ok && !(err && err->code))
        (void)err_set(err, ERR_INPUT,
                      "a tool call's arguments are not a JSON object");
    return ok;
}

static bool write_call(struct template_writer *w, enum template_kind kind,
                       const struct chat_tool_call *call) {
    const char *builtin = template_builtin(call->name);
    struct bytes text = {0};
    bool done = false;
    bool ok = is_object(call->arguments, w->err) &&
              (!builtin || put_builtin(call, builtin, &text, &done, w->err)) &&
              (done || put_custom(call, kind, &text, w->err)) &&
              write_text(w, span_bytes(&text));

    bytes_free(&text);
    return ok;
}

/* In the two forms of functions that are not JSON a call ends the turn. */
static bool ends_message(enum template_kind kind,
                         const struct chat_message *m) {
    return m->call_count &&
           (kind == TEMPLATE_LLAMA3_JSON || template_builtin(m->calls[0].name));
}

static bool is_code(const struct chat_tool_call *call) {
    const char *builtin = template_builtin(call->name);

    return builtin && !strcmp(builtin, "code_interpreter");
}

static bool assistant_turn(struct template_writer *w, enum template_kind kind,
                           const struct chat_message *m) {
    if (!turn_open(w, "assistant")) return false;
    if (m->call_count && is_code(&m->calls[0]) &&
        !write_control(w, "<|python_tag|>"))
        return false;
    if (!write_text(w, m->text)) return false;
    for (int i = 0; i < m->call_count; i++)
        if (!write_call(w, kind, &m->calls[i])) return false;
    return write_control(w,
                         ends_message(kind, m) ? "<|eom_id|>" : "<|eot_id|>");
}

/* ---- the conversation ----------------------------------------------- */

static bool message_turn(struct template_writer *w, enum template_kind kind,
                         const struct chat_message *m) {
    if (m->role == CHAT_ASSISTANT) return assistant_turn(w, kind, m);
    if (m->role == CHAT_TOOL) return text_turn(w, "ipython", m->text);
    return text_turn(w, chat_role_name(m->role), m->text);
}

static bool tool_turns(struct template_writer *w, enum template_kind kind,
                       struct span system, bool has_system) {
    struct bytes head = {0}, user = {0};
    bool ok = template_meta_tools(w, kind, system, has_system, &head, &user) &&
              text_turn(w, "system", span_bytes(&head)) &&
              (!user.size || text_turn(w, "user", span_bytes(&user)));

    bytes_free(&head);
    bytes_free(&user);
    return ok;
}

bool template_meta(struct template_writer *w, enum template_kind kind) {
    const struct chat_request *r = w->request;
    bool has_system =
        r->message_count > 0 && r->messages[0].role == CHAT_SYSTEM;
    int i = 0;

    if (!write_control(w, "<|begin_of_text|>")) return false;
    if (template_shows_tools(r)) {
        i = has_system;
        if (!tool_turns(w, kind, has_system ? r->messages[0].text : span_of(""),
                        has_system))
            return false;
    }
    for (; i < r->message_count; i++)
        if (!message_turn(w, kind, &r->messages[i])) return false;
    return turn_open(w, "assistant");
}
