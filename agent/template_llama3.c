/* template_llama3.c - Llama 3.1, 3.2 and 3.3, as the Jinja template in their
 * files renders it: custom tools as JSON in the first user turn, calls as
 * {"name": ..., "parameters": ...}, results in a turn of role ipython. */
#include "agent/template_write.h"

#include <string.h>

static bool turn_open(struct template_writer *w, const char *role) {
    return write_control(w, "<|start_header_id|>") &&
           write_text(w, span_of(role)) &&
           write_control(w, "<|end_header_id|>");
}

/* The body stands after the blank line of the header, encoded as one text. */
static bool turn_rest(struct template_writer *w, const struct bytes *body) {
    return write_text(w, span_bytes(body)) && write_control(w, "<|eot_id|>");
}

static bool put(struct bytes *out, struct span s, struct err *err) {
    return bytes_append(out, s.at, s.size, err);
}

static bool text_turn(struct template_writer *w, const char *role,
                      struct span text) {
    struct bytes body = {0};
    bool ok = turn_open(w, role) && bytes_printf(&body, w->err, "\n\n") &&
              put(&body, template_trim(text), w->err) && turn_rest(w, &body);

    bytes_free(&body);
    return ok;
}

static bool system_turn(struct template_writer *w, struct span text) {
    struct bytes body = {0};
    bool ok =
        turn_open(w, "system") &&
        bytes_printf(&body, w->err,
                     "\n\n%sCutting Knowledge Date: December 2023\n"
                     "Today Date: %s\n\n",
                     template_shows_tools(w->request) ? "Environment: ipython\n"
                                                      : "",
                     w->date) &&
        put(&body, template_trim(text), w->err) && turn_rest(w, &body);

    bytes_free(&body);
    return ok;
}

static bool tools_turn(struct template_writer *w, struct span text) {
    struct bytes body = {0};
    bool ok =
        turn_open(w, "user") &&
        bytes_printf(&body, w->err,
                     "\n\nGiven the following functions, please respond with "
                     "a JSON for a function call with its proper arguments "
                     "that best answers the given prompt.\n\nRespond in the "
                     "format {\"name\": function name, \"parameters\": "
                     "dictionary of argument name and its value}.Do not use "
                     "variables.\n\n");

    for (int i = 0; ok && i < w->request->tool_count; i++)
        ok = template_put_tool(&body, &w->request->tools[i], 4, w->err) &&
             bytes_printf(&body, w->err, "\n\n");
    ok = ok && put(&body, template_trim(text), w->err) && turn_rest(w, &body);
    bytes_free(&body);
    return ok;
}

/* Text beside a call is left out, as there. The models make one call at a
 * time; several in a conversation of another model are put one after another.
 */
static bool calls_turn(struct template_writer *w,
                       const struct chat_message *m) {
    struct bytes body = {0};
    bool ok = turn_open(w, "assistant") && bytes_printf(&body, w->err, "\n\n");

    for (int i = 0; ok && i < m->call_count; i++)
        ok = bytes_printf(&body, w->err, "%s", i ? "; " : "") &&
             template_put_call(&body, &m->calls[i], "parameters", w->err);
    ok = ok && turn_rest(w, &body);
    bytes_free(&body);
    return ok;
}

/* The Jinja template puts a text through tojson, so that it stands in quotes:
 * no result can leave its fence. */
static bool result_turn(struct template_writer *w, struct span text) {
    struct bytes body = {0};
    bool ok = turn_open(w, "ipython") && bytes_printf(&body, w->err, "\n\n") &&
              json_put_string(&body, text, w->err) && turn_rest(w, &body);

    bytes_free(&body);
    return ok;
}

static bool message_turn(struct template_writer *w,
                         const struct chat_message *m) {
    if (m->role == CHAT_TOOL) return result_turn(w, m->text);
    if (m->role == CHAT_ASSISTANT && m->call_count > 0) return calls_turn(w, m);
    return text_turn(w, chat_role_name(m->role), m->text);
}

bool template_llama3(struct template_writer *w) {
    const struct chat_request *r = w->request;
    bool has_system =
        r->message_count > 0 && r->messages[0].role == CHAT_SYSTEM;
    int i = has_system ? 1 : 0;

    if (!write_control(w, "<|begin_of_text|>") ||
        !system_turn(w, has_system ? r->messages[0].text : span_of("")))
        return false;
    if (template_shows_tools(r)) {
        bool user = i < r->message_count && r->messages[i].role == CHAT_USER;

        if (!tools_turn(w, user ? r->messages[i].text : span_of("")))
            return false;
        if (user) i++;
    }
    for (; i < r->message_count; i++)
        if (!message_turn(w, &r->messages[i])) return false;
    return turn_open(w, "assistant") && write_text(w, span_of("\n\n"));
}
