/* exchange_request.c - a body, read by its dialect, with the model that it asks
 * for, the tools that Corral adds, and all texts of it that must be judged. */
#include "agent/compact.h"
#include "agent/summary.h"
#include "agent/turn.h"
#include "proxy/exchange_state.h"
#include "proxy/journal.h"
#include "proxy/provenance.h"
#include "proxy/router.h"

/* What a stranger says of a tool was judged when the policy was read. */
static bool may_offer(const struct exchange *x, const struct tool *t,
                      int index) {
    return policy_tool_allowed(x->policy, span_of(t->name)) &&
           (!t->said || policy_admits_tool(x->policy, index));
}

/* Corral's own tools are offered when the client neither brings tools of its
 * own nor asks for a fixed format. */
static bool offer_tools(struct exchange *x, struct err *err) {
    const struct registry *registry = x->context->tools;
    struct chat_request *r = &x->request;
    int count = registry ? registry_count(registry) : 0;

    if (r->raw || count == 0 || r->tool_count || r->format != FORMAT_TEXT ||
        r->choice == CHOICE_NONE)
        return true;
    r->tools = arena_alloc(x->arena, (size_t)count, sizeof *r->tools, err);
    if (!r->tools) return false;
    for (int i = 0; i < count; i++) {
        const struct tool *t = registry_at(registry, i);

        if (!may_offer(x, t, i)) continue;
        r->tools[r->tool_count++] =
            (struct chat_tool){.name = span_of(t->name),
                               .description = span_of(t->description),
                               .schema = registry_schema(registry, i),
                               .server = true};
    }
    return true;
}

static bool find_model(struct exchange *x, struct err *err) {
    x->llm = router_find(x->context->router, x->request.model);
    if (x->llm) x->router = router_use(x->context->router);
    if (x->llm) return true;
    return err_set_field(err, ERR_NOT_FOUND, "model",
                         "there is no model of this name");
}

/* An earlier summary among the messages is no entry of the session's. */
static int summary_entries(struct chat_message *messages, int count) {
    const struct chat_request old = {.messages = messages,
                                     .message_count = count};

    return count >= SUMMARY_MESSAGES && summary_at(&old, 0) ? SUMMARY_MESSAGES
                                                            : 0;
}

/* A session's messages are cut to the model's window before they are judged:
 * what is left out reaches nobody, or only the one who writes its summary. The
 * tools that will be offered take their part of it. */
static bool fit_window(struct exchange *x, struct err *err) {
    struct chat_request *r = &x->request;
    struct chat_tool *tools = r->tools;
    int tool_count = r->tool_count, dropped = 0;
    struct chat_message *left_out = NULL;
    bool ok;

    if (!x->journal) return true;
    ok = offer_tools(x, err) &&
         compact_fit(x->llm, &x->context->compact, r, &left_out, &dropped, err);
    r->tools = tools;
    r->tool_count = tool_count;
    if (!ok || !dropped) return ok;
    if (x->context->compact.how == COMPACT_SUMMARISE)
        return exchange_summarise(x, left_out, dropped, err);
    journal_drop(x->journal, dropped - summary_entries(left_out, dropped), NULL,
                 NULL);
    return true;
}

static bool read_body(struct exchange *x, struct span body, struct err *err) {
    if (!x->dialect->prepare) return (x->body = json_read(body, err)) != NULL;
    x->body = x->added = json_parse(body, err);
    return x->body && x->dialect->prepare(x->context->responses,
                                          exchange_owner(x), x->added, err);
}

bool exchange_read(struct exchange *x, struct span body, struct err *err) {
    if (!read_body(x, body, err)) return false;
    chat_request_init(&x->request, x->arena);
    return x->dialect->parse(x->body, &x->request, err) &&
           (!x->dialect->moderates ||
            moderated_parse(x->body, &x->moderated, err)) &&
           find_model(x, err) && fit_window(x, err);
}

bool exchange_prepare(struct exchange *x, struct err *err) {
    return provenance_check(&x->request, err) &&
           fields_collect(&x->request, &x->fields, &x->field_count, err) &&
           questions_plan(&x->request, x->policy, &x->questions,
                          &x->question_count, err) &&
           offer_tools(x, err) && chat_check_choice(&x->request, err);
}

/* One call in each message, as the session's record has them: with the words
 * before the first. */
static bool take_calls(struct exchange *x, const struct chat_request *r,
                       struct err *err) {
    struct chat_tool_call *calls;

    calls = arena_alloc(x->arena, (size_t)r->message_count, sizeof *calls, err);
    if (!calls) return false;
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];

        if (!m->call_count) continue; /* the text that begins the list */
        if (!x->resume.count) x->resume.text = m->text;
        calls[x->resume.count++] = m->calls[0];
        if (x->resume.count == CHAT_TOOL_CALLS_MAX) break;
    }
    x->resume.calls = calls;
    x->resumed = true;
    return true;
}

bool exchange_read_calls(struct exchange *x, const struct exchange_resume *r,
                         struct err *err) {
    struct bytes text = {0};
    struct chat_request request;
    bool ok = bytes_printf(&text, err,
                           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                           "\"content\":\"\"},") &&
              bytes_append(&text, r->calls.at, r->calls.size, err) &&
              bytes_append(&text, "]}", 2, err) &&
              (x->calls = json_read(span_bytes(&text), err));

    bytes_free(&text);
    chat_request_init(&request, x->arena);
    ok = ok && x->dialect->parse(x->calls, &request, err) &&
         take_calls(x, &request, err) &&
         arena_copy(x->arena, r->asked, &x->resume.asked, err);
    x->resume.denied = r->denied;
    if (ok) journal_known(x->journal, x->resume.calls, x->resume.count);
    return ok;
}
