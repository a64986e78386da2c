#include "agent/toolcall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tools/tool.h"

/* Small models that may call again tend to do so forever. */
enum { TOOLCALL_PARALLEL_MAX = 8 };

/* How a template writes calls:
 * OPEN {"name": "N", "KEY": {...}} CLOSE, with BETWEEN between two. */
struct form {
    const char *open;
    const char *key;
    const char *close;
    const char *between;
    const char *start;
    bool parallel;
};

static const struct form chatml = {
    .open = "<tool_call>\n",
    .key = "arguments",
    .close = "\n</tool_call>",
    .between = "\n",
    .start = "<tool_call>",
    .parallel = true,
};

static const struct form llama3 = {
    .open = "",
    .key = "parameters",
    .close = "",
    .between = "; ",
    .start = "{\"name\":",
    .parallel = false,
};

static const struct form *form_of(enum template_kind kind) {
    return kind == TEMPLATE_LLAMA3 ? &llama3 : &chatml;
}

struct span toolcall_start(enum template_kind kind) {
    return span_of(form_of(kind)->start);
}

/* ---- the grammar ---- */

/* Arguments are an object even where the schema forgets to say so. NULL when
 * the schema says something else. */
static struct grammar *arguments_grammar(const cJSON *schema, struct err *err) {
    cJSON *copy = NULL;
    struct grammar *g = NULL;

    if (cJSON_GetObjectItemCaseSensitive(schema, "type"))
        return grammar_from_schema(schema, err);
    copy = cJSON_IsObject(schema) ? cJSON_Duplicate(schema, true)
                                  : cJSON_CreateObject();
    if (copy && cJSON_AddStringToObject(copy, "type", "object"))
        g = grammar_from_schema(copy, err);
    else
        (void)err_set(err, ERR_INTERNAL, "out of memory");
    cJSON_Delete(copy);
    return g;
}

/* The same, with an error that names the tool's place in the request. */
static struct grammar *arguments_of(const struct chat_request *r, int index,
                                    struct err *err) {
    struct err inner = {0};
    struct grammar *g = arguments_grammar(r->tools[index].schema, &inner);
    char field[ERR_FIELD_MAX];

    if (g) return g;
    (void)snprintf(field, sizeof field, "tools[%d].function.parameters%s%.50s",
                   index, inner.field[0] ? "." : "", inner.field);
    (void)err_set_field(err, inner.code, field, "%s: %s", field, inner.text);
    return NULL;
}

struct grammar *toolcall_arguments(const struct chat_request *r, int tool,
                                   struct span before, struct err *err) {
    struct grammar *arguments = arguments_of(r, tool, err);
    struct grammar *g = NULL;

    if (arguments) g = grammar_wrap(before, arguments, span_of(""), err);
    grammar_free(arguments);
    return g;
}

static bool put_before(const struct form *form, struct span name,
                       struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "%s{\"name\": ", form->open) &&
           json_put_string(out, name, err) &&
           bytes_printf(out, err, ", \"%s\": ", form->key);
}

bool toolcall_print(enum template_kind kind, struct span name,
                    struct span arguments, struct bytes *out, struct err *err) {
    const struct form *form = form_of(kind);

    return put_before(form, name, out, err) &&
           bytes_append(out, arguments.at, arguments.size, err) &&
           bytes_printf(out, err, "}%s", form->close);
}

static struct grammar *tool_grammar(const struct form *form,
                                    const struct chat_request *r, int index,
                                    struct err *err) {
    struct bytes before = {0}, after = {0};
    struct grammar *arguments = arguments_of(r, index, err);
    struct grammar *g = NULL;

    if (arguments && put_before(form, r->tools[index].name, &before, err) &&
        bytes_printf(&after, err, "}%s", form->close))
        g = grammar_wrap(span_bytes(&before), arguments, span_bytes(&after),
                         err);
    grammar_free(arguments);
    bytes_free(&before);
    bytes_free(&after);
    return g;
}

static bool is_choice(const struct chat_request *r, int index) {
    return r->choice != CHOICE_NAMED ||
           span_equal(r->tools[index].name, r->choice_name);
}

static struct grammar *one_of(struct grammar **list, int count,
                              struct err *err) {
    if (count == 0) {
        (void)err_set_field(err, ERR_INPUT, "tool_choice",
                            "tool_choice: there is no such tool");
        return NULL;
    }
    if (count == 1) return grammar_ref(list[0]);
    return grammar_any((const struct grammar *const *)list, count, err);
}

struct grammar *toolcall_grammar(enum template_kind kind,
                                 const struct chat_request *r,
                                 struct err *err) {
    const struct form *form = form_of(kind);
    struct grammar **list = xalloc_array(CHAT_TOOLS_MAX, sizeof *list);
    struct grammar *g = NULL;
    int count = 0;

    if (r->tool_count > CHAT_TOOLS_MAX) {
        (void)err_set_field(err, ERR_LIMIT, "tools", "tools: more than %d",
                            CHAT_TOOLS_MAX);
        goto out;
    }
    for (int i = 0; i < r->tool_count; i++) {
        if (!is_choice(r, i)) continue;
        list[count] = tool_grammar(form, r, i, err);
        if (!list[count]) goto out;
        count++;
    }
    g = one_of(list, count, err);
    if (g && r->parallel_calls && form->parallel && r->choice != CHOICE_NAMED) {
        struct grammar *one = g;

        g = grammar_repeat(one, TOOLCALL_PARALLEL_MAX, span_of(form->between),
                           err);
        grammar_free(one);
    }

out:
    while (count > 0) grammar_free(list[--count]);
    free(list);
    return g;
}

/* ---- the parser ---- */

static struct span skip_blanks(struct span s) {
    while (s.size && strchr(" \t\r\n", s.at[0]) && s.at[0])
        s = span_slice(s, 1, s.size);
    return s;
}

/* Where the JSON value at the head of `s` ends, by brackets and quotes alone:
 * whether it is JSON is json_parse()'s to say. 0 when it does not end. */
static size_t value_end(struct span s) {
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < s.size; i++) {
        char c = s.at[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            if (c == '"' && depth == 0) return i + 1;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return i; /* of the parent: a bare word ended */
            if (--depth == 0) return i + 1;
        } else if (depth == 0 && strchr(", \t\r\n", c)) {
            return i;
        }
    }
    return 0;
}

/* The text of member `key` of an object that json_parse() took. Keys that are
 * spelled with escapes are not found. */
static bool member(struct span object, const char *key, struct span *out) {
    struct span s = span_slice(object, 1, object.size);

    for (;;) {
        struct span name;
        size_t end;

        s = skip_blanks(s);
        if (!s.size || s.at[0] != '"') return false;
        end = value_end(s);
        if (end < 2) return false;
        name = span_slice(s, 1, end - 1);
        s = skip_blanks(span_slice(s, end, s.size));
        if (!s.size || s.at[0] != ':') return false;
        s = skip_blanks(span_slice(s, 1, s.size));
        end = value_end(s);
        if (end == 0) return false;
        if (span_is(name, key)) {
            *out = span_slice(s, 0, end);
            return true;
        }
        s = skip_blanks(span_slice(s, end, s.size));
        if (!s.size || s.at[0] != ',') return false;
        s = span_slice(s, 1, s.size);
    }
}

static bool declared(const struct chat_request *r, const char *name) {
    for (int i = 0; i < r->tool_count; i++)
        if (span_is(r->tools[i].name, name)) return true;
    return false;
}

static bool copy_call(struct span object, const cJSON *json, const char *key,
                      struct arena *arena, struct chat_tool_call *out,
                      struct err *err) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(json, "name");
    struct span arguments;
    char id[5 + HASH_ID_SIZE] = "call_";
    struct chat_tool_call call;

    if (!member(object, key, &arguments))
        return err_set(err, ERR_INPUT, "a tool call without its \"%s\"", key);
    if (arguments.size > TOOL_ARGUMENT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a tool call's arguments pass %d bytes",
                       TOOL_ARGUMENT_BYTES_MAX);
    hash_random_id(id + 5);
    if (!arena_copy(arena, span_of(id), &call.id, err) ||
        !arena_copy(arena, span_of(name->valuestring), &call.name, err) ||
        !arena_copy(arena, arguments, &call.arguments, err))
        return false;
    *out = call;
    return true;
}

static bool read_call(const struct form *form, const struct chat_request *r,
                      struct span object, struct arena *arena,
                      struct chat_tool_call *out, struct err *err) {
    const char *const keys[] = {"name", form->key, NULL};
    cJSON *json = json_parse(object, err);
    const cJSON *name, *arguments;
    bool ok = false;

    if (!json) return false;
    name = cJSON_GetObjectItemCaseSensitive(json, "name");
    arguments = cJSON_GetObjectItemCaseSensitive(json, form->key);
    if (!cJSON_IsObject(json) || !cJSON_IsString(name) ||
        !cJSON_IsObject(arguments))
        (void)err_set(err, ERR_INPUT,
                      "a tool call is not {\"name\": ..., \"%s\": {...}}",
                      form->key);
    else if (!declared(r, name->valuestring))
        (void)err_set(err, ERR_INPUT, "a call to \"%.64s\", which is no tool",
                      name->valuestring);
    else if (json_only_keys(json, "", keys, err))
        ok = copy_call(object, json, form->key, arena, out, err);
    cJSON_Delete(json);
    return ok;
}

static bool take(struct span *s, const char *text, struct err *err) {
    struct span want = span_of(text);

    *s = skip_blanks(*s);
    while (want.size && strchr(" \n", want.at[0]))
        want = span_slice(want, 1, want.size);
    while (want.size && strchr(" \n", want.at[want.size - 1])) want.size--;
    if (!span_starts(*s, want))
        return err_set(err, ERR_INPUT, "expected \"%.*s\" in a tool call",
                       (int)want.size, want.at);
    *s = skip_blanks(span_slice(*s, want.size, s->size));
    return true;
}

bool toolcall_parse(enum template_kind kind, const struct chat_request *r,
                    struct span text, struct arena *arena,
                    struct chat_tool_call *calls, int max, int *count,
                    struct err *err) {
    const struct form *form = form_of(kind);
    int found = 0;

    text = skip_blanks(text);
    if (!text.size) return err_set(err, ERR_INPUT, "no tool call");
    while (text.size) {
        size_t end;

        if (found > 0 && !take(&text, form->between, err)) return false;
        if (!take(&text, form->open, err)) return false;
        if (!text.size || text.at[0] != '{')
            return err_set(err, ERR_INPUT, "a tool call is not an object");
        end = value_end(text);
        if (end == 0)
            return err_set(err, ERR_INPUT, "a tool call does not end");
        if (found == max)
            return err_set(err, ERR_LIMIT, "more than %d tool calls", max);
        if (!read_call(form, r, span_slice(text, 0, end), arena, &calls[found],
                       err))
            return false;
        found++;
        text = span_slice(text, end, text.size);
        if (!take(&text, form->close, err)) return false;
    }
    *count = found;
    return true;
}
