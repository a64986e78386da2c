#include "agent/chat.h"

void chat_request_init(struct chat_request *r, struct arena *arena) {
    *r = (struct chat_request){.arena = arena,
                               .choice = CHOICE_AUTO,
                               .parallel_calls = true,
                               .temperature = -1.0f,
                               .top_p = -1.0f,
                               .repeat_window = CHAT_REPEAT_WINDOW,
                               .choices = 1};
}

bool chat_check_choice(const struct chat_request *r, struct err *err) {
    if (r->choice == CHOICE_REQUIRED && !r->tool_count)
        return err_set_field(err, ERR_INPUT, "tool_choice",
                             "tool_choice: required, but there are no tools");
    if (r->choice != CHOICE_NAMED) return true;
    for (int i = 0; i < r->tool_count; i++)
        if (span_equal(r->tools[i].name, r->choice_name)) return true;
    return err_set_field(err, ERR_INPUT, r->choice_field, "%s: no such tool",
                         r->choice_field);
}

bool chat_choose(struct chat_request *r, struct span name, const char *field,
                 struct err *err) {
    r->choice = CHOICE_NAMED;
    r->choice_field = field;
    return arena_copy(r->arena, name, &r->choice_name, err) &&
           (!r->tool_count || chat_check_choice(r, err));
}

const char *chat_role_name(enum chat_role role) {
    switch (role) {
    case CHAT_SYSTEM:
        return "system";
    case CHAT_USER:
        return "user";
    case CHAT_ASSISTANT:
        return "assistant";
    case CHAT_TOOL:
        return "tool";
    }
    return "user";
}

int chat_prompt_of(const struct chat_request *r, int index) {
    return r->raw ? index / (r->choices / r->message_count) : 0;
}

const struct chat_tool_call *chat_call_of(const struct chat_request *r,
                                          int index) {
    struct span id = r->messages[index].call_id;

    for (int i = index - 1; i >= 0; i--) {
        const struct chat_message *m = &r->messages[i];

        for (int k = m->call_count - 1; k >= 0; k--)
            if (span_equal(m->calls[k].id, id)) return &m->calls[k];
    }
    return NULL;
}
