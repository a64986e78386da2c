/* choice_events.c - what a session's turn does besides writing, for a client
 * that asked to be told: calls, results, verdicts on both, questions to a
 * person. Nothing is told here that GET /v1/sessions/ID would not show: no call
 * before it was allowed and no result as it was before the verdict. The record
 * has calls and results as messages; it is given the other two from here. */
#include "base/json.h"
#include "proxy/approvals.h"
#include "proxy/choice_state.h"
#include "proxy/journal.h"

static bool wanted(const struct choice *c) {
    return c->request.include_events && c->request.stream && c->o.journal &&
           c->o.dialect->event;
}

/* `event` is an object that lacks its closing brace. An event that does not fit
 * the stream is left out: the session's record has it. */
static void tell(struct choice *c, struct bytes *event, bool ok, bool keep) {
    struct bytes out = {0};

    ok = ok && bytes_append(event, "}", 1, NULL);
    if (ok && keep) journal_event(c->o.journal, span_bytes(event));
    if (ok && wanted(c) &&
        c->o.dialect->event(c->o.reply, span_bytes(event), &out, NULL))
        c->o.on_bytes(c->o.user, &out);
    bytes_free(&out);
    bytes_free(event);
}

static bool put(struct bytes *event, const char *key, struct span text) {
    return bytes_printf(event, NULL, ",\"%s\":", key) &&
           json_put_string(event, text, NULL);
}

/* `{"type":"...","call_id":"..."` */
static bool begin(const struct choice *c, const char *type,
                  struct bytes *event) {
    return bytes_printf(event, NULL, "{\"type\":\"%s\"", type) &&
           put(event, "call_id", c->call.id);
}

static bool put_call(const struct choice *c, struct bytes *event) {
    return put(event, "name", c->call.name) &&
           put(event, "arguments", c->call.arguments);
}

void choice_event_call(struct choice *c) {
    struct bytes event = {0};

    if (!wanted(c)) return;
    tell(c, &event, begin(c, "tool_call", &event) && put_call(c, &event),
         false);
}

void choice_event_result(struct choice *c, const char *prefix,
                         struct span text) {
    struct bytes event = {0}, whole = {0};

    if (!wanted(c)) return;
    bytes_puts(&whole, prefix);
    bytes_put(&whole, text);
    tell(c, &event,
         begin(c, "tool_result", &event) && put(&event, "name", c->call.name) &&
             put(&event, "content", span_bytes(&whole)),
         false);
    bytes_free(&whole);
}

void choice_event_approval(struct choice *c, struct span checks) {
    int64_t created, expires;
    struct bytes event = {0};

    if (!c->o.journal) return;
    approval_times(c->approval, &created, &expires);
    tell(
        c, &event,
        begin(c, "approval", &event) &&
            put(&event, "id", span_of(approval_id(c->approval))) &&
            /* The client runs its own tools: not before it may. */
            (!c->call_server || put_call(c, &event)) &&
            put(&event, "checks", checks) &&
            bytes_printf(&event, NULL, ",\"expires\":%lld", (long long)expires),
        true);
}

/* One that stops the turn is told by its end, in the `corral` object. */
void choice_event_verdict(struct choice *c, const struct verdict *v) {
    struct bytes event = {0};
    cJSON *json;
    /* That nothing was found is told by the message itself. */
    bool keep = v->action != VERDICT_ALLOW;

    if (v->action == VERDICT_BLOCK ||
        !(keep ? c->o.journal != NULL : wanted(c)))
        return;
    /* Of a call that is a block, too; its id may be what was found. */
    if (v->action == VERDICT_REDACT && c->channel == CHANNEL_TOOL_CALL) return;
    json = verdict_to_answer(v, c->channel);
    tell(c, &event,
         json && begin(c, "verdict", &event) &&
             bytes_printf(&event, NULL, ",\"verdict\":") &&
             json_print(json, &event, NULL),
         keep);
    cJSON_Delete(json);
}
