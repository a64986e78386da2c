#include "agent/toolcall_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/template_meta.h"
#include "base/hash.h"
#include "tools/tool.h"

/* Small models that may call again tend to do so forever. */
enum { TOOLCALL_PARALLEL_MAX = 8 };

/* How a template writes calls: FIRST, then OPEN NAME MIDDLE {...} CLOSE with
 * BETWEEN between two, then LAST. */
struct form {
    const char *first;
    const char *open;
    bool quoted; /* the name, as a JSON string */
    const char *middle;
    bool python; /* keyword arguments in the place of the object */
    const char *close;
    const char *between;
    const char *last;
    bool parallel;
    /* For the parser of the first two: */
    const char *start;
    const char *key;
    const char *end;
};

static const struct form chatml = {
    .open = "<tool_call>\n{\"name\": ",
    .quoted = true,
    .middle = ", \"arguments\": ",
    .close = "}\n</tool_call>",
    .between = "\n",
    .parallel = true,
    .start = "<tool_call>",
    .key = "arguments",
    .end = "</tool_call>",
};

static const struct form llama3 = {
    .open = "{\"name\": ",
    .quoted = true,
    .middle = ", \"parameters\": ",
    .close = "}",
    .between = "; ",
    .start = "",
    .key = "parameters",
    .end = "",
};

static const struct form meta_json = {
    .open = "{\"type\": \"function\", \"name\": ",
    .quoted = true,
    .middle = ", \"parameters\": ",
    .close = "}",
};

static const struct form meta_tag = {
    .open = "<function=", .middle = ">", .close = "</function>"};

static const struct form meta_list = {
    .first = "[",
    .open = "",
    .middle = "(",
    .python = true,
    .close = ")",
    .between = ", ",
    .last = "]",
    .parallel = true,
};

static const struct form *form_of(enum template_kind kind) {
    switch (kind) {
    case TEMPLATE_LLAMA3:
        return &llama3;
    case TEMPLATE_LLAMA3_JSON:
        return &meta_json;
    case TEMPLATE_LLAMA3_TAG:
        return &meta_tag;
    case TEMPLATE_LLAMA3_PYTHON:
        return &meta_list;
    case TEMPLATE_LLAMA2:
    case TEMPLATE_CHATML:
    case TEMPLATE_CHATML_BARE:
        break;
    }
    return &chatml;
}

struct span toolcall_start(enum template_kind kind) {
    return span_of(kind == TEMPLATE_LLAMA3 ? "{\"name\":" : chatml.start);
}

enum toolcall_look toolcall_look(enum template_kind kind,
                                 const struct chat_request *r,
                                 struct span text) {
    struct span start = toolcall_start(kind);

    if (template_is_meta(kind)) return toolcall_look_meta(r, text);
    if (span_starts(text, start)) return TOOLCALL_YES;
    return span_starts(start, text) ? TOOLCALL_MAYBE : TOOLCALL_NO;
}

/* ---- the grammar ---- */

static struct grammar *of_schema(const cJSON *schema, bool python,
                                 struct err *err) {
    return python ? grammar_from_keywords(schema, err)
                  : grammar_from_schema(schema, err);
}

/* Arguments are an object even where the schema forgets to say so. NULL when
 * the schema says something else. */
static struct grammar *arguments_grammar(const cJSON *schema, bool python,
                                         struct err *err) {
    cJSON *copy = NULL;
    struct grammar *g = NULL;

    if (cJSON_GetObjectItemCaseSensitive(schema, "type"))
        return of_schema(schema, python, err);
    copy = cJSON_IsObject(schema) ? cJSON_Duplicate(schema, true)
                                  : cJSON_CreateObject();
    if (copy && cJSON_AddStringToObject(copy, "type", "object"))
        g = of_schema(copy, python, err);
    else
        (void)err_set(err, ERR_INTERNAL, "out of memory");
    cJSON_Delete(copy);
    return g;
}

/* The same, with an error that names the tool's place in the request. */
static struct grammar *arguments_of(const struct chat_request *r, int index,
                                    bool python, struct err *err) {
    struct err inner = {0};
    struct grammar *g =
        arguments_grammar(r->tools[index].schema, python, &inner);
    char field[ERR_FIELD_MAX];

    if (g) return g;
    (void)snprintf(field, sizeof field, "tools[%d].function.parameters%s%.50s",
                   index, inner.field[0] ? "." : "", inner.field);
    (void)err_set_field(err, inner.code, field, "%s: %s", field, inner.text);
    return NULL;
}

struct grammar *toolcall_arguments(const struct chat_request *r, int tool,
                                   struct span before, struct err *err) {
    struct grammar *arguments = arguments_of(r, tool, false, err);
    struct grammar *g = NULL;

    if (arguments) g = grammar_wrap(before, arguments, span_of(""), err);
    grammar_free(arguments);
    return g;
}

static bool put_before(const struct form *form, struct span name,
                       struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "%s", form->open) &&
           (form->quoted ? json_put_string(out, name, err)
                         : bytes_append(out, name.at, name.size, err)) &&
           bytes_printf(out, err, "%s", form->middle);
}

bool toolcall_print(enum template_kind kind, struct span name,
                    struct span arguments, struct bytes *out, struct err *err) {
    const struct form *form = form_of(kind);

    return put_before(form, name, out, err) &&
           bytes_append(out, arguments.at, arguments.size, err) &&
           bytes_printf(out, err, "%s", form->close);
}

static struct grammar *tool_grammar(const struct form *form,
                                    const struct chat_request *r, int index,
                                    struct err *err) {
    struct span name = r->tools[index].name;
    const char *builtin =
        form == &chatml || form == &llama3 ? NULL : template_builtin(name);
    struct bytes before = {0};
    struct grammar *arguments = arguments_of(r, index, form->python, err);
    struct grammar *g = NULL;

    if (arguments &&
        put_before(form, builtin ? span_of(builtin) : name, &before, err))
        g = grammar_wrap(span_bytes(&before), arguments, span_of(form->close),
                         err);
    grammar_free(arguments);
    bytes_free(&before);
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
    if (g && form->first) {
        struct grammar *inner = g;

        g = grammar_wrap(span_of(form->first), inner, span_of(form->last), err);
        grammar_free(inner);
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

size_t call_value_end(struct span s) {
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
        end = call_value_end(s);
        if (end < 2) return false;
        name = span_slice(s, 1, end - 1);
        s = skip_blanks(span_slice(s, end, s.size));
        if (!s.size || s.at[0] != ':') return false;
        s = skip_blanks(span_slice(s, 1, s.size));
        end = call_value_end(s);
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

/* Of two names for one tool the declared one counts. */
int call_tool(const struct chat_request *r, struct span name) {
    int other = -1;

    for (int i = 0; i < r->tool_count; i++) {
        const char *builtin = template_builtin(r->tools[i].name);

        if (span_equal(r->tools[i].name, name)) return i;
        if (builtin && span_is(name, builtin)) other = i;
    }
    return other;
}

static bool add(struct call_reader *r, int tool, struct span arguments) {
    char id[5 + HASH_ID_SIZE] = "call_";
    struct chat_tool_call call;

    if (r->count == r->max)
        return err_set(r->err, ERR_LIMIT, "more than %d tool calls", r->max);
    if (arguments.size > TOOL_ARGUMENT_BYTES_MAX)
        return err_set(r->err, ERR_LIMIT,
                       "a tool call's arguments pass %d bytes",
                       TOOL_ARGUMENT_BYTES_MAX);
    hash_random_id(id + 5);
    if (!arena_copy(r->arena, span_of(id), &call.id, r->err) ||
        !arena_copy(r->arena, r->request->tools[tool].name, &call.name,
                    r->err) ||
        !arena_copy(r->arena, arguments, &call.arguments, r->err))
        return false;
    r->calls[r->count++] = call;
    return true;
}

static int find_tool(struct call_reader *r, struct span name) {
    int tool = call_tool(r->request, name);

    if (tool < 0)
        (void)err_set(r->err, ERR_INPUT, "a call to \"%.*s\", which is no tool",
                      name.size > TOOL_NAME_MAX ? TOOL_NAME_MAX
                                                : (int)name.size,
                      name.at);
    return tool;
}

bool call_add(struct call_reader *r, struct span name, struct span arguments) {
    int tool = find_tool(r, name);
    cJSON *json = tool < 0 ? NULL : json_parse(arguments, r->err);
    bool ok = false;

    if (json && !cJSON_IsObject(json))
        (void)err_set(r->err, ERR_INPUT,
                      "a tool call's arguments are not an object");
    else if (json)
        ok = add(r, tool, arguments);
    cJSON_Delete(json);
    return ok;
}

bool call_add_object(struct call_reader *r, struct span object, const char *key,
                     bool typed) {
    const char *const keys[] = {"name", key, typed ? "type" : NULL, NULL};
    cJSON *json = json_parse(object, r->err);
    const cJSON *name, *type;
    struct span arguments;
    bool ok = false;
    int tool;

    if (!json) return false;
    name = cJSON_GetObjectItemCaseSensitive(json, "name");
    type = cJSON_GetObjectItemCaseSensitive(json, "type");
    if (!cJSON_IsObject(json) || !cJSON_IsString(name) ||
        !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, key)) ||
        (typed && type &&
         !(cJSON_IsString(type) && !strcmp(type->valuestring, "function"))))
        (void)err_set(r->err, ERR_INPUT,
                      "a tool call is not {\"name\": ..., \"%s\": {...}}", key);
    else if ((tool = find_tool(r, span_of(name->valuestring))) >= 0 &&
             json_only_keys(json, "", keys, r->err))
        ok = member(object, key, &arguments)
                 ? add(r, tool, arguments)
                 : err_set(r->err, ERR_INPUT, "a tool call without its \"%s\"",
                           key);
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

static bool parse(const struct form *form, struct call_reader *r,
                  struct span text) {
    text = skip_blanks(text);
    if (!text.size) return err_set(r->err, ERR_INPUT, "no tool call");
    while (text.size) {
        size_t end;

        if (r->count > 0 && !take(&text, form->between, r->err)) return false;
        if (!take(&text, form->start, r->err)) return false;
        if (!text.size || text.at[0] != '{')
            return err_set(r->err, ERR_INPUT, "a tool call is not an object");
        end = call_value_end(text);
        if (end == 0)
            return err_set(r->err, ERR_INPUT, "a tool call does not end");
        if (!call_add_object(r, span_slice(text, 0, end), form->key, false))
            return false;
        text = span_slice(text, end, text.size);
        if (!take(&text, form->end, r->err)) return false;
    }
    return true;
}

bool toolcall_parse(enum template_kind kind, const struct chat_request *r,
                    struct span text, struct arena *arena,
                    struct chat_tool_call *calls, int max, int *count,
                    struct err *err) {
    struct call_reader reader = {r, arena, calls, max, 0, err};

    if (template_is_meta(kind) ? !toolcall_parse_meta(&reader, text)
                               : !parse(form_of(kind), &reader, text))
        return false;
    *count = reader.count;
    return true;
}
