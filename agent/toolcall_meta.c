/* toolcall_meta.c - the calls of Llama 3 in Meta's forms: JSON, <function=>, a
 * Python list, and those of built-in tools. A model that was shown one form may
 * answer in another, so all are read; unlike the reference's parser, which
 * looks for a call anywhere in a text, only a text that is nothing else. */
#include "agent/toolcall_read.h"

#include <string.h>

#include "agent/python_text.h"
#include "agent/template_meta.h"
#include "base/utf8.h"

static bool bad(struct call_reader *r, const char *what) {
    return err_set(r->err, ERR_INPUT, "a tool call: %s", what);
}

static bool skip(struct span *s, const char *text) {
    if (!span_starts(*s, span_of(text))) return false;
    *s = span_slice(*s, strlen(text), s->size);
    return true;
}

/* {...}; {...} */
static bool read_objects(struct call_reader *r, struct span s) {
    for (;;) {
        size_t end = s.size && s.at[0] == '{' ? call_value_end(s) : 0;

        if (!end) return bad(r, "no whole object");
        if (!call_add_object(r, span_slice(s, 0, end), "parameters", true))
            return false;
        s = python_skip(span_slice(s, end, s.size));
        if (!s.size) return true;
        if (!skip(&s, ";")) return bad(r, "text after it");
        s = python_skip(s);
    }
}

/* <function=NAME>{...}</function>, again and again. */
static bool read_tags(struct call_reader *r, struct span s) {
    while (s.size) {
        size_t name_end, end;
        struct span name;

        if (!skip(&s, "<function=")) return bad(r, "text after it");
        name_end = span_find(s, span_of(">"));
        if (name_end == SIZE_MAX) return bad(r, "no name");
        name = span_slice(s, 0, name_end);
        s = python_skip(span_slice(s, name_end + 1, s.size));
        end = s.size && s.at[0] == '{' ? call_value_end(s) : 0;
        if (!end) return bad(r, "no whole object");
        if (!call_add(r, name, span_slice(s, 0, end))) return false;
        s = python_skip(span_slice(s, end, s.size));
        (void)skip(&s, "</function>");
        s = python_skip(s);
    }
    return true;
}

/* NAME=VALUE, ... up to the closing parenthesis. */
static bool read_keywords(struct call_reader *r, struct span *s,
                          struct bytes *json) {
    bytes_puts(json, "{");
    for (int count = 0;; count++) {
        struct span name;

        *s = python_skip(*s);
        if (skip(s, ")")) break;
        name = python_read_name(s);
        *s = python_skip(*s);
        if (!name.size || !skip(s, "="))
            return bad(r, "an argument without a name");
        if ((count && !bytes_append(json, ",", 1, r->err)) ||
            !json_put_string(json, name, r->err) ||
            !bytes_append(json, ":", 1, r->err) ||
            !python_read(s, json, r->err))
            return false;
        *s = python_skip(*s);
        if (skip(s, ",")) continue;
        if (!skip(s, ")")) return bad(r, "arguments that do not end");
        break;
    }
    return bytes_append(json, "}", 1, r->err);
}

/* [NAME(...), ...] */
static bool read_list(struct call_reader *r, struct span s) {
    s = python_skip(span_slice(s, 1, s.size));
    for (int count = 0; !skip(&s, "]"); count++) {
        struct span name = python_read_name(&s);
        struct bytes json = {0};
        bool ok;

        s = python_skip(s);
        if (!name.size || !skip(&s, "(")) return bad(r, "no function");
        ok =
            read_keywords(r, &s, &json) && call_add(r, name, span_bytes(&json));
        bytes_free(&json);
        if (!ok) return false;
        s = python_skip(s);
        if (skip(&s, ",")) {
            s = python_skip(s);
            continue;
        }
        if (!skip(&s, "]")) return bad(r, "a list that does not end");
        break;
    }
    if (python_skip(s).size) return bad(r, "text after it");
    return r->count > 0 || bad(r, "an empty list");
}

static bool add_text(struct call_reader *r, struct span name, const char *key,
                     struct span text) {
    struct bytes json = {0};
    bool ok = bytes_printf(&json, r->err, "{\"%s\": ", key) &&
              json_put_string(&json, text, r->err) &&
              bytes_append(&json, "}", 1, r->err) &&
              call_add(r, name, span_bytes(&json));

    bytes_free(&json);
    return ok;
}

/* NAME.call(query="..."): what stands in the quotes has no escapes. */
static bool read_builtin(struct call_reader *r, struct span s) {
    struct span name = python_read_name(&s);
    size_t end;

    if (!name.size || !skip(&s, ".call(query=\"")) return bad(r, "none");
    end = span_find(s, span_of("\""));
    if (end == SIZE_MAX) return bad(r, "a query that does not end");
    if (!span_is(python_skip(span_slice(s, end, s.size)), "\")"))
        return bad(r, "text after it");
    return add_text(r, name, "query", span_slice(s, 0, end));
}

bool toolcall_parse_meta(struct call_reader *r, struct span text) {
    text = python_skip(text);
    while (text.size && strchr(" \t\r\n", text.at[text.size - 1])) text.size--;
    if (!text.size) return bad(r, "none");
    if (text.at[0] == '{') return read_objects(r, text);
    if (text.at[0] == '<') return read_tags(r, text);
    if (text.at[0] == '[') return read_list(r, text);
    return read_builtin(r, text);
}

bool toolcall_code(const struct chat_request *request, struct span code,
                   struct arena *arena, struct chat_tool_call *out,
                   struct err *err) {
    struct call_reader r = {request, arena, out, 1, 0, err};

    if (!utf8_valid(code)) return bad(&r, "code that is no UTF-8");
    return add_text(&r, span_of("code_interpreter"), "code", code);
}

/* ---- while the text still arrives ----------------------------------- */

/* Does `text`, without blanks, begin with `mark`, or `mark` with it? */
static enum toolcall_look look_for(struct span text, struct span mark) {
    while (mark.size) {
        text = python_skip(text);
        if (!text.size) return TOOLCALL_MAYBE;
        if (text.at[0] != mark.at[0]) return TOOLCALL_NO;
        text = span_slice(text, 1, text.size);
        mark = span_slice(mark, 1, mark.size);
    }
    return TOOLCALL_YES;
}

/* Of a built-in tool everything that it could say is a call, so no grammar is
 * needed: such a text is MAYBE to its end. */
static enum toolcall_look look_for_tool(const struct chat_tool *t,
                                        struct span text) {
    const char *builtin = template_builtin(t->name);
    struct bytes mark = {0};
    enum toolcall_look look, other = TOOLCALL_NO;

    bytes_puts(&mark, "[");
    bytes_put(&mark, builtin ? span_of(builtin) : t->name);
    bytes_puts(&mark, "(");
    look = look_for(text, span_bytes(&mark));
    mark.size = 0;
    if (builtin) {
        bytes_puts(&mark, builtin);
        bytes_puts(&mark, ".call(query=");
        other = look_for(text, span_bytes(&mark));
    }
    bytes_free(&mark);
    if (look == TOOLCALL_NO && other != TOOLCALL_NO) return TOOLCALL_MAYBE;
    return look;
}

enum toolcall_look toolcall_look_meta(const struct chat_request *r,
                                      struct span text) {
    static const char *const marks[] = {
        "{\"type\":\"function\",\"name\":", "{\"name\":", "<function="};
    enum toolcall_look look = TOOLCALL_NO;

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        enum toolcall_look one = look_for(text, span_of(marks[i]));

        if (one > look) look = one;
    }
    for (int i = 0; i < r->tool_count; i++) {
        enum toolcall_look one = look_for_tool(&r->tools[i], text);

        if (one > look) look = one;
    }
    return look;
}
