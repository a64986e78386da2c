#include "proxy/questions.h"

/* User turns with no answer between them are one to a model, so they are to the
 * guard: else all but the last few of them would go unread. */
static bool user_turn(const struct chat_request *r, int *index, int end,
                      struct guard_turn *out, struct err *err) {
    const struct chat_message *messages = r->messages;
    struct bytes text = {0};
    bool ok = true;

    for (; ok && *index < end; ++*index) {
        const struct chat_message *m = &messages[*index];

        if (m->role == CHAT_ASSISTANT && m->text.size) break;
        if (m->role != CHAT_USER || !m->text.size) continue;
        ok = (!text.size || bytes_append(&text, "\n\n", 2, err)) &&
             bytes_append(&text, m->text.at, m->text.size, err);
    }
    out->role = GUARD_USER;
    ok = ok && arena_copy(r->arena, span_bytes(&text), &out->text, err);
    bytes_free(&text);
    return ok;
}

/* The turns up to and with messages[last]. */
static bool plan_turns(const struct chat_request *r, int last,
                       struct guard_turn *turns, int *count, struct err *err) {
    const struct chat_message *messages = r->messages;
    int i = 0;

    *count = 0;
    while (i <= last) {
        const struct chat_message *m = &messages[i];

        if (m->text.size && m->role == CHAT_USER) {
            if (!user_turn(r, &i, last + 1, &turns[(*count)++], err))
                return false;
            continue;
        }
        if (m->text.size && m->role == CHAT_ASSISTANT)
            turns[(*count)++] = (struct guard_turn){GUARD_ASSISTANT, m->text};
        i++;
    }
    return true;
}

/* The system turns, and the tool results that no answer has followed yet. */
static bool plan_single(const struct chat_request *r,
                        const struct policy *policy, struct question *list,
                        int *count, struct err *err) {
    int last_answer = -1;

    for (int i = 0; i < r->message_count; i++)
        if (r->messages[i].role == CHAT_ASSISTANT) last_answer = i;
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        bool system = m->role == CHAT_SYSTEM;
        bool fresh = m->role == CHAT_TOOL && i > last_answer;
        enum channel channel = system ? CHANNEL_INPUT : CHANNEL_TOOL_RESULT;
        struct guard_turn *turn;

        if (m->text.size == 0 || !(system || fresh)) continue;
        if (!policy_classifies(policy, channel)) continue;
        turn = arena_alloc(r->arena, 1, sizeof *turn, err);
        if (!turn) return false;
        *turn = (struct guard_turn){GUARD_USER, m->text};
        list[(*count)++] = (struct question){channel, system, turn, 1};
    }
    return true;
}

/* Each prompt by itself: they are not turns of one conversation. */
static bool plan_prompts(const struct chat_request *r, struct question *list,
                         int *count, struct err *err) {
    for (int i = 0; i < r->message_count; i++) {
        struct guard_turn *turn = arena_alloc(r->arena, 1, sizeof *turn, err);

        if (!turn) return false;
        *turn = (struct guard_turn){GUARD_USER, r->messages[i].text};
        list[(*count)++] = (struct question){CHANNEL_INPUT, false, turn, 1};
    }
    return true;
}

/* By themselves, too: they are part of no turn. */
static bool plan_extras(const struct chat_request *r, struct question *list,
                        int *count, struct err *err) {
    struct guard_turn *turn;

    if (!r->extra_text.size) return true;
    turn = arena_alloc(r->arena, 1, sizeof *turn, err);
    if (!turn) return false;
    *turn = (struct guard_turn){GUARD_USER, r->extra_text};
    list[(*count)++] = (struct question){CHANNEL_INPUT, false, turn, 1};
    return true;
}

bool questions_plan(const struct chat_request *r, const struct policy *policy,
                    struct question **out, int *count, struct err *err) {
    int last_user = -1, turn_count = 0;
    struct guard_turn *turns =
        arena_alloc(r->arena, (size_t)r->message_count, sizeof *turns, err);
    struct question *list =
        arena_alloc(r->arena, (size_t)r->message_count + 2, sizeof *list, err);

    if (!turns || !list) return false;
    *out = list;
    *count = 0;
    if (r->raw) return plan_prompts(r, list, count, err);
    for (int i = 0; i < r->message_count; i++)
        if (r->messages[i].role == CHAT_USER) last_user = i;
    if (!plan_turns(r, last_user, turns, &turn_count, err)) return false;
    if (turn_count)
        list[(*count)++] =
            (struct question){CHANNEL_INPUT, false, turns, turn_count};
    return plan_single(r, policy, list, count, err) &&
           (!policy_classifies(policy, CHANNEL_INPUT) ||
            plan_extras(r, list, count, err));
}
