/* template_chatml.c - <|im_start|>ROLE\nTEXT<|im_end|>\n. Tools as Hermes and
 * Qwen 2.5 were taught them: declared in the system turn, called in the text,
 * answered in a user turn. Every piece is encoded by itself, so that the tokens
 * of a text do not depend on what stands around it, and a guard that renders
 * the same messages gets the same tokens. */
#include "agent/template_write.h"

#include <string.h>

const char template_smollm_system[] =
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

static bool turn_open(struct template_writer *w, const char *role) {
    struct bytes head = {0};
    bool ok;

    bytes_puts(&head, role);
    bytes_puts(&head, "\n");
    ok = write_control(w, "<|im_start|>") && write_text(w, span_bytes(&head));
    bytes_free(&head);
    return ok;
}

static bool turn_close(struct template_writer *w) {
    return write_control(w, "<|im_end|>") && write_text(w, span_of("\n"));
}

bool template_put_tools(const struct chat_request *r, struct bytes *out,
                        struct err *err) {
    if (!bytes_printf(
            out, err,
            "\n\n# Tools\n\nYou may call one or more functions to assist "
            "with the user query.\n\nYou are provided with function "
            "signatures within <tools></tools> XML tags:\n<tools>"))
        return false;
    for (int i = 0; i < r->tool_count; i++)
        if (!bytes_printf(out, err, "\n") ||
            !template_put_tool(out, &r->tools[i], 0, err))
            return false;
    return bytes_printf(
        out, err,
        "\n</tools>\n\nFor each function call, return a json object with "
        "function name and arguments within <tool_call></tool_call> XML "
        "tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
        "<args-json-object>}\n</tool_call>");
}

static bool system_turn(struct template_writer *w, struct span text,
                        bool with_tools) {
    struct bytes tools = {0};
    bool ok = turn_open(w, "system") && write_text(w, text) &&
              (!with_tools || template_put_tools(w->request, &tools, w->err)) &&
              write_text(w, span_bytes(&tools)) && turn_close(w);

    bytes_free(&tools);
    return ok;
}

/* A result that spells the closing tag must not end its fence. */
static bool put_fenced(struct bytes *out, struct span text, struct err *err) {
    static const char tag[] = "</tool_response";

    while (text.size) {
        size_t at = span_find(text, span_of(tag));

        if (at == SIZE_MAX) return bytes_append(out, text.at, text.size, err);
        if (!bytes_append(out, text.at, at, err) ||
            !bytes_printf(out, err, "<\\/tool_response"))
            return false;
        text = span_slice(text, at + strlen(tag), text.size);
    }
    return true;
}

/* Results that follow one another share one turn. */
static bool result_turn(struct template_writer *w, int first, int end) {
    struct bytes text = {0};
    bool ok = turn_open(w, "user");

    for (int i = first; ok && i < end; i++)
        ok = bytes_printf(&text, w->err, "%s<tool_response>\n",
                          i > first ? "\n" : "") &&
             put_fenced(&text, w->request->messages[i].text, w->err) &&
             bytes_printf(&text, w->err, "\n</tool_response>");
    ok = ok && write_text(w, span_bytes(&text)) && turn_close(w);
    bytes_free(&text);
    return ok;
}

static bool assistant_turn(struct template_writer *w,
                           const struct chat_message *m) {
    struct bytes calls = {0};
    bool ok = turn_open(w, "assistant") && write_text(w, m->text);

    for (int i = 0; ok && i < m->call_count; i++)
        ok = bytes_printf(&calls, w->err, "%s<tool_call>\n",
                          i || m->text.size ? "\n" : "") &&
             template_put_call(&calls, &m->calls[i], "arguments", w->err) &&
             bytes_printf(&calls, w->err, "\n</tool_call>");
    ok = ok && write_text(w, span_bytes(&calls)) && turn_close(w);
    bytes_free(&calls);
    return ok;
}

bool template_chatml(struct template_writer *w, bool default_system) {
    const struct chat_request *r = w->request;
    bool tools = template_shows_tools(r);
    bool has_system =
        r->message_count > 0 && r->messages[0].role == CHAT_SYSTEM;

    if (!has_system && (default_system || tools)) {
        const char *text = default_system ? template_smollm_system
                                          : "You are a helpful assistant.";

        if (!system_turn(w, span_of(text), tools)) return false;
    }
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        bool ok = true;

        if (m->role == CHAT_SYSTEM) {
            ok = system_turn(w, m->text, tools && i == 0);
        } else if (m->role == CHAT_USER) {
            ok =
                turn_open(w, "user") && write_text(w, m->text) && turn_close(w);
        } else if (m->role == CHAT_ASSISTANT) {
            ok = assistant_turn(w, m);
        } else {
            int end = i + 1;

            while (end < r->message_count && r->messages[end].role == CHAT_TOOL)
                end++;
            ok = result_turn(w, i, end);
            i = end - 1;
        }
        if (!ok) return false;
    }
    return turn_open(w, "assistant");
}
