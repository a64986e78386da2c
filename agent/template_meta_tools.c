/* template_meta_tools.c - what Llama 3 is told of its tools: the texts of
 * Meta's prompt templates (PyPI llama-stack 0.2.12, prompt_templates), byte for
 * byte. They show of a parameter its type, its description and its default; the
 * grammar of calls enforces the whole schema. Descriptions stand in them
 * without escapes, as the models were shown them. */
#include "agent/template_meta.h"

#include <string.h>

#include "agent/python_text.h"

static bool put(struct bytes *out, const char *text, struct err *err) {
    return bytes_append(out, text, strlen(text), err);
}

static bool put_span(struct bytes *out, struct span s, struct err *err) {
    return bytes_append(out, s.at, s.size, err);
}

/* ---- a tool's parameters -------------------------------------------- */

static const cJSON *properties(const struct chat_tool *t) {
    const cJSON *p = cJSON_GetObjectItemCaseSensitive(t->schema, "properties");

    return cJSON_IsObject(p) ? p : NULL;
}

static const char *text_of(const cJSON *object, const char *key,
                           const char *otherwise) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

static bool is_required(const struct chat_tool *t, const char *name) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(t->schema, "required");
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        if (cJSON_IsString(item) && !strcmp(item->valuestring, name))
            return true;
    }
    return false;
}

/* In the order of the properties, as Jinja's tojson has it. */
static bool put_required(struct bytes *out, const struct chat_tool *t,
                         struct err *err) {
    const cJSON *p;
    int count = 0;

    if (!put(out, "[", err)) return false;
    cJSON_ArrayForEach(p, properties(t)) {
        if (!is_required(t, p->string)) continue;
        if ((count++ && !put(out, ", ", err)) ||
            !python_put_string(out, span_of(p->string), true, err))
            return false;
    }
    return put(out, "]", err);
}

/* ---- JSON ----------------------------------------------------------- */

static bool put_json_tool(struct bytes *out, const struct chat_tool *t,
                          struct err *err) {
    const cJSON *p;
    bool ok = put(out,
                  "{\n    \"type\": \"function\",\n    \"function\": {\n"
                  "        \"name\": \"",
                  err) &&
              put_span(out, t->name, err) &&
              put(out, "\",\n        \"description\": \"", err) &&
              put_span(out, t->description, err) &&
              put(out,
                  "\",\n        \"parameters\": {\n"
                  "            \"type\": \"object\",\n"
                  "            \"properties\": [",
                  err);

    cJSON_ArrayForEach(p, properties(t)) {
        ok = ok &&
             bytes_printf(out, err,
                          "\n                {\n                    \"%s\": {\n"
                          "                        \"type\": \"object\",\n"
                          "                        \"description\": \"%s\"\n"
                          "                    }\n                }%s",
                          p->string, text_of(p, "description", ""),
                          p->next ? "," : "");
    }
    return ok &&
           put(out, "\n            ],\n            \"required\": ", err) &&
           put_required(out, t, err) &&
           put(out, "\n        }\n    }\n}\n", err);
}

/* ---- <function=...> ------------------------------------------------- */

/* The name after `last` in the order of code points, or NULL. */
static const cJSON *next_by_name(const cJSON *list, const cJSON *last) {
    const cJSON *p, *best = NULL;

    cJSON_ArrayForEach(p, list) {
        if (last && strcmp(p->string, last->string) <= 0) continue;
        if (!best || strcmp(p->string, best->string) < 0) best = p;
    }
    return best;
}

/* tojson sorts the keys. */
static bool put_tag_parameters(struct bytes *out, const struct chat_tool *t,
                               struct err *err) {
    const cJSON *list = properties(t), *p = next_by_name(list, NULL);
    bool ok = put(out, "{", err);

    for (int i = 0; ok && p; i++, p = next_by_name(list, p))
        ok = put(out, i ? ", " : "", err) &&
             python_put_string(out, span_of(p->string), true, err) &&
             put(out, ": {\"description\": ", err) &&
             python_put_string(out, span_of(text_of(p, "description", "")),
                               true, err) &&
             put(out, ", \"param_type\": ", err) &&
             python_put_string(out, span_of(text_of(p, "type", "object")), true,
                               err) &&
             put(out, ", \"required\": ", err) &&
             put(out, is_required(t, p->string) ? "true}" : "false}", err);
    return ok && put(out, "}", err);
}

static bool put_tag_tool(struct bytes *out, const struct chat_tool *t,
                         struct err *err) {
    return put(out, "Use the function '", err) && put_span(out, t->name, err) &&
           put(out, "' to '", err) && put_span(out, t->description, err) &&
           put(out, "':\n{\"name\": \"", err) && put_span(out, t->name, err) &&
           put(out, "\", \"description\": \"", err) &&
           put_span(out, t->description, err) &&
           put(out, "\", \"parameters\": ", err) &&
           put_tag_parameters(out, t, err) && put(out, "}\n\n", err);
}

/* ---- [name(...)] ---------------------------------------------------- */

/* str() of a default; one that Python takes for false is not shown. Of a list
 * or a dict, which Python would print in its own way, the JSON. */
static bool put_default(struct bytes *out, const cJSON *value,
                        struct err *err) {
    static const char before[] = ",\n                    \"default\": \"";
    struct bytes text = {0};
    bool ok = true;

    if (!value || cJSON_IsFalse(value) || cJSON_IsNull(value) ||
        (cJSON_IsNumber(value) && value->valuedouble == 0) ||
        (cJSON_IsString(value) && !*value->valuestring))
        return true;
    if (cJSON_IsTrue(value))
        bytes_puts(&text, "True");
    else if (cJSON_IsString(value))
        ok = put(&text, value->valuestring, err);
    else
        ok = json_print(value, &text, err);
    ok = ok && put(out, before, err) && put_span(out, span_bytes(&text), err) &&
         put(out, "\"", err);
    bytes_free(&text);
    return ok;
}

static bool put_list_tool(struct bytes *out, const struct chat_tool *t,
                          struct err *err) {
    const cJSON *p;
    bool ok = put(out, "    {\n        \"name\": \"", err) &&
              put_span(out, t->name, err) &&
              put(out, "\",\n        \"description\": \"", err) &&
              put_span(out, t->description, err) &&
              put(out,
                  "\",\n        \"parameters\": {\n"
                  "            \"type\": \"dict\",\n"
                  "            \"required\": ",
                  err) &&
              put_required(out, t, err) &&
              put(out, ",\n            \"properties\": {", err);

    cJSON_ArrayForEach(p, properties(t)) {
        ok = ok &&
             bytes_printf(out, err,
                          "\n                \"%s\": {\n"
                          "                    \"type\": \"%s\",\n"
                          "                    \"description\": \"%s\"",
                          p->string, text_of(p, "type", "object"),
                          text_of(p, "description", "")) &&
             put_default(out, cJSON_GetObjectItemCaseSensitive(p, "default"),
                         err) &&
             put(out, p->next ? "\n                }," : "\n                }",
                 err);
    }
    return ok && put(out, "\n            }\n        }\n    }", err);
}

static const char list_before[] =
    "You are a helpful assistant. You have access to functions, but you should "
    "only use them if they are required.\n"
    "You are an expert in composing functions. You are given a question and a "
    "set of possible functions.\n"
    "Based on the question, you may or may not need to make one function/tool "
    "call to achieve the purpose.\n\n"
    "If you decide to invoke any of the function(s), you MUST put it in the "
    "format of [func_name1(params_name1=params_value1, "
    "params_name2=params_value2...), func_name2(params)]\n"
    "If you decide to invoke a function, you SHOULD NOT include any other text "
    "in the response. besides the function call in the above format.\n"
    "For a boolean parameter, be sure to use `True` or `False` (capitalized) "
    "for the value.\n\n\n"
    "Here is a list of functions in JSON format that you can invoke.\n\n[\n";

static const char list_after[] =
    "\n]\n\n"
    "You can answer general questions or invoke tools when necessary.\n"
    "In addition to tool calls, you should also augment your responses by "
    "using the tool outputs.";

static const char tag_before[] =
    "You have access to the following functions:\n\n";

static const char tag_after[] =
    "Think very carefully before calling functions.\n"
    "If you choose to call a function ONLY reply in the following format with "
    "no prefix or suffix:\n\n"
    "<function=example_function_name>{\"example_name\": \"example_value\"}"
    "</function>\n\n"
    "Reminder:\n"
    "- If looking for real time information use relevant functions before "
    "falling back to brave_search\n"
    "- Function calls MUST follow the specified format, start with <function= "
    "and end with </function>\n"
    "- Required parameters MUST be specified\n"
    "- Only call one function at a time\n"
    "- Put the entire function call reply on one line";

static const char json_before[] =
    "Answer the user's question by making use of the following functions if "
    "needed.\nIf none of the function can be used, please say so.\n"
    "Here is a list of functions in JSON format:\n";

static const char json_after[] = "\nReturn function calls in JSON format.";

/* ---- all of them ---------------------------------------------------- */

static int count_custom(const struct chat_request *r) {
    int count = 0;

    for (int i = 0; i < r->tool_count; i++)
        count += !template_builtin(r->tools[i].name);
    return count;
}

static bool put_customs(const struct template_writer *w,
                        enum template_kind kind, struct bytes *out) {
    const struct chat_request *r = w->request;
    bool json = kind == TEMPLATE_LLAMA3_JSON, tag = kind == TEMPLATE_LLAMA3_TAG;
    bool ok = put(out,
                  json  ? json_before
                  : tag ? tag_before
                        : list_before,
                  w->err);
    int count = 0;

    for (int i = 0; ok && i < r->tool_count; i++) {
        const struct chat_tool *t = &r->tools[i];

        if (template_builtin(t->name)) continue;
        if (json)
            ok = put_json_tool(out, t, w->err);
        else if (tag)
            ok = put_tag_tool(out, t, w->err);
        else
            ok = put(out, count++ ? ",\n" : "", w->err) &&
                 put_list_tool(out, t, w->err);
    }
    return ok && put(out,
                     json  ? json_after
                     : tag ? tag_after
                           : list_after,
                     w->err);
}

/* The interpreter is never named: the environment stands for it. */
static bool put_builtins(const struct template_writer *w, struct bytes *out) {
    const struct chat_request *r = w->request;
    int count = 0;
    bool ok = put(out, "Environment: ipython\n", w->err);

    for (int i = 0; ok && i < r->tool_count; i++) {
        const char *name = template_builtin(r->tools[i].name);

        if (name && strcmp(name, "code_interpreter") != 0)
            ok = put(out, count++ ? ", " : "Tools: ", w->err) &&
                 put(out, name, w->err);
    }
    return ok && put(out, "\n", w->err);
}

/* "26 Jul 2024" with the month's whole name. */
static bool put_date(struct bytes *out, const char *date, struct err *err) {
    static const char *const months[] = {
        "January", "February", "March",     "April",   "May",      "June",
        "July",    "August",   "September", "October", "November", "December"};
    const char *month = strchr(date, ' ');

    for (size_t i = 0; month && i < 12; i++)
        if (!strncmp(month + 1, months[i], 3))
            return bytes_append(out, date, (size_t)(month + 1 - date), err) &&
                   put(out, months[i], err) &&
                   put(out, month + 1 + strcspn(month + 1, " "), err);
    return put(out, date, err);
}

static bool put_choice(const struct chat_request *r, struct bytes *out,
                       struct err *err) {
    if (r->choice == CHOICE_REQUIRED)
        return put(out,
                   "\nYou MUST use one of the provided functions/tools to "
                   "answer the user query.",
                   err);
    return r->choice != CHOICE_NAMED ||
           (put(out, "\nYou MUST use the tool `", err) &&
            put_span(out, r->choice_name, err) &&
            put(out, "` to answer the user query.", err));
}

/* Line ends at both ends of the system text go, as there. */
static bool list_system(const struct template_writer *w, struct span system,
                        struct bytes *out) {
    int custom = count_custom(w->request);
    struct bytes text = {0};
    struct span s;
    bool ok = (custom == w->request->tool_count || put_builtins(w, &text)) &&
              (!custom || (put_customs(w, TEMPLATE_LLAMA3_PYTHON, &text) &&
                           put(&text, "\n", w->err))) &&
              put_span(&text, system, w->err) &&
              put_choice(w->request, &text, w->err);

    s = span_bytes(&text);
    while (s.size && s.at[0] == '\n') s = span_slice(s, 1, s.size);
    while (s.size && s.at[s.size - 1] == '\n') s.size--;
    ok = ok && put_span(out, s, w->err);
    bytes_free(&text);
    return ok;
}

bool template_meta_tools(const struct template_writer *w,
                         enum template_kind kind, struct span system,
                         bool has_system, struct bytes *system_out,
                         struct bytes *user_out) {
    struct bytes *out = system_out;

    if (kind == TEMPLATE_LLAMA3_PYTHON) return list_system(w, system, out);
    return put_builtins(w, out) &&
           put(out,
               "Cutting Knowledge Date: December 2023\nToday Date: ", w->err) &&
           put_date(out, w->date, w->err) &&
           put(out, has_system ? "\n" : "", w->err) &&
           put_span(out, system, w->err) &&
           put_choice(w->request, out, w->err) &&
           (!count_custom(w->request) || put_customs(w, kind, user_out));
}
