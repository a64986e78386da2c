#include "agent/tool_runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tools/schema.h"

static const char cut_mark[] = "\n[the rest of this result was cut off]";

/*   WAITING -> RUNNING -> DONE */
enum state { WAITING, RUNNING, DONE };

struct run {
    struct tool_runs *all;
    const struct chat_tool_call *call;
    const struct tool *tool; /* NULL: there is none of this name */
    enum state state;
    bool denied;
    struct tool_run *live; /* while it runs, unless it ended at once */
    struct bytes result;
};

struct tool_runs {
    struct tool_runs_options o;
    struct run list[CHAT_TOOL_CALLS_MAX];
    int count;
    int running;
};

size_t tool_result_room(const struct registry *registry, struct span name) {
    const struct tool *tool = registry ? registry_find(registry, name) : NULL;

    return tool && tool->shown_bytes_max ? tool->shown_bytes_max
                                         : TOOL_SHOWN_BYTES_MAX;
}

void tool_result_put(struct bytes *out, const char *prefix, struct span text,
                     size_t room, bool more) {
    size_t left = room - strlen(prefix), before = left - strlen(cut_mark);
    bool cut = more || text.size > left;

    if (cut) text = utf8_head(text, before);
    bytes_puts(out, prefix);
    bytes_put(out, text);
    if (cut) bytes_puts(out, cut_mark);
}

/* ---- which calls ---- */

/* Only what the request declared may run, whatever else there is. */
static const struct tool *tool_of(const struct tool_runs *r, struct span name) {
    const struct chat_request *q = r->o.request;

    for (int i = 0; r->o.registry && i < q->tool_count; i++)
        if (span_equal(q->tools[i].name, name))
            return registry_find(r->o.registry, name);
    return NULL;
}

static struct run *add(struct tool_runs *r, const struct chat_tool_call *call) {
    struct run *run = &r->list[r->count++];

    run->all = r;
    run->call = call;
    run->tool = tool_of(r, call->name);
    return run;
}

struct tool_runs *tool_runs_new(const struct tool_runs_options *o) {
    struct tool_runs *r = xalloc(sizeof *r);

    r->o = *o;
    return r;
}

void tool_runs_free(struct tool_runs *r) {
    if (!r) return;
    for (int i = 0; i < r->count; i++) {
        struct run *run = &r->list[i];

        if (run->live) run->tool->cancel(run->live);
        bytes_free(&run->result);
    }
    free(r);
}

void tool_runs_add(struct tool_runs *r, const struct chat_tool_call *call) {
    (void)add(r, call);
}

void tool_runs_add_denied(struct tool_runs *r,
                          const struct chat_tool_call *call,
                          struct span reason) {
    struct run *run = add(r, call);

    run->denied = true;
    run->state = DONE;
    tool_result_put(&run->result, "error: ", reason, TOOL_SHOWN_BYTES_MAX,
                    false);
}

int tool_runs_count(const struct tool_runs *r) {
    return r->count;
}

const struct chat_tool_call *tool_runs_call(const struct tool_runs *r,
                                            int index) {
    return r->list[index].call;
}

bool tool_runs_denied(const struct tool_runs *r, int index) {
    return r->list[index].denied;
}

/* ---- running ---- */

/* Whatever the model may read of a result is judged in one piece with what it
 * may not: so nothing is cut off here, and what is too long is left out. */
static void put_whole(struct bytes *out, bool ok, struct span text) {
    if (!ok) bytes_puts(out, "error: ");
    if (text.size <= TOOL_RESULT_BYTES_MAX)
        bytes_put(out, text);
    else
        (void)!bytes_printf(
            out, NULL, "%sthe result has %zu bytes, of %d at most",
            ok ? "error: " : "", text.size, TOOL_RESULT_BYTES_MAX);
}

static void end(struct run *run, bool ok, struct span text) {
    run->live = NULL;
    run->state = DONE;
    run->all->running--;
    put_whole(&run->result, ok, text);
    run->all->o.on_done(run->all->o.user);
}

static void on_done(void *user, bool ok, struct span text) {
    struct run *run = user;

    if (run->state == RUNNING) end(run, ok, text);
}

static const cJSON *schema_of(const struct registry *r,
                              const struct tool *tool) {
    for (int i = 0; i < registry_count(r); i++)
        if (registry_at(r, i) == tool) return registry_schema(r, i);
    return NULL;
}

/* The caller deletes it. */
static cJSON *read_arguments(const struct run *run, struct err *err) {
    struct span text = run->call->arguments;
    cJSON *json;

    if (text.size > TOOL_ARGUMENT_BYTES_MAX) {
        (void)err_set(err, ERR_LIMIT, "the arguments are too long");
        return NULL;
    }
    json = json_parse(text, err);
    if (json && !cJSON_IsObject(json))
        (void)err_set(err, ERR_INPUT, "the arguments are not an object");
    else if (json && schema_validate(schema_of(run->all->o.registry, run->tool),
                                     json, err))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void begin(struct run *run) {
    const struct tool_context context = {.session = run->all->o.session,
                                         .owner = run->all->o.owner};
    struct span name = run->call->name;
    struct err err = {0};
    cJSON *arguments = NULL;
    struct tool_run *live;

    run->state = RUNNING;
    run->all->running++;
    if (run->tool)
        arguments = read_arguments(run, &err);
    else
        (void)err_set(&err, ERR_NOT_FOUND, "there is no tool \"%.*s\"",
                      name.size > TOOL_NAME_MAX ? TOOL_NAME_MAX
                                                : (int)name.size,
                      name.at);
    if (arguments) {
        live = run->tool->run(run->tool, arguments, &context, on_done, run);
        if (run->state == RUNNING) run->live = live;
    } else {
        end(run, false, span_of(err.text));
    }
    cJSON_Delete(arguments);
}

/* May it begin, given those before it? */
static bool may_begin(const struct tool_runs *r, int index) {
    int most = r->o.request->parallel_calls ? TOOL_RUNS_PARALLEL_MAX : 1;
    const struct tool *tool = r->list[index].tool;

    if (r->list[index].state != WAITING || r->running >= most) return false;
    for (int i = 0; tool && !tool->idempotent && i < index; i++)
        if (r->list[i].state != DONE && r->list[i].tool &&
            !r->list[i].tool->idempotent)
            return false;
    return true;
}

void tool_runs_start(struct tool_runs *r) {
    for (int i = 0; i < r->count; i++)
        if (may_begin(r, i)) begin(&r->list[i]);
}

bool tool_runs_result(const struct tool_runs *r, int index, struct span *out) {
    *out = span_bytes(&r->list[index].result);
    return r->list[index].state == DONE;
}
