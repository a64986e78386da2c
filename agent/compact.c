#include "agent/compact.h"

#include <string.h>

enum { BYTES_PER_TOKEN = 3, MESSAGE_TOKENS = 8 };

/* A conversation that can be looked at from any of its turns on. */
struct cut {
    struct llm *llm;
    const struct chat_request *r;
    struct chat_message *room; /* for as many messages; arena */
    int first;                 /* message after the system's */
    int *turns; /* where turns begin, beginning with `first`; arena */
    int turn_count;
};

int compact_guess_text(size_t bytes) {
    bytes = (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
    return bytes < INT32_MAX ? (int)bytes : INT32_MAX;
}

int compact_guess(const struct chat_request *r) {
    size_t bytes = 0;

    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];

        bytes += m->text.size + BYTES_PER_TOKEN * MESSAGE_TOKENS;
        for (int c = 0; c < m->call_count; c++)
            bytes += m->calls[c].name.size + m->calls[c].arguments.size;
    }
    return compact_guess_text(bytes);
}

void compact_guess_usage(struct llm_usage *u, const struct chat_request *r,
                         size_t bytes) {
    if (!u->prompt_tokens) u->prompt_tokens = compact_guess(r);
    if (!u->completion_tokens) u->completion_tokens = compact_guess_text(bytes);
}

static bool count(struct llm *llm, const struct chat_request *r, int *out,
                  struct err *err) {
    if (llm->count) return llm->count(llm, r, out, err);
    *out = compact_guess(r);
    return true;
}

/* The tokens of the conversation from turn `turn` on. */
static bool count_from(const struct cut *cut, int turn, int *out,
                       struct err *err) {
    struct chat_request part = *cut->r;
    int from = cut->turns[turn];
    size_t head = (size_t)cut->first, tail;

    tail = (size_t)(cut->r->message_count - from);
    memcpy(cut->room, cut->r->messages, head * sizeof *cut->room);
    memcpy(cut->room + head, cut->r->messages + from, tail * sizeof *cut->room);
    part.messages = cut->room;
    part.message_count = (int)(head + tail);
    return count(cut->llm, &part, out, err);
}

static bool find_turns(struct cut *cut, struct err *err) {
    const struct chat_request *r = cut->r;
    size_t most = (size_t)r->message_count + 1;

    cut->turns = arena_alloc(r->arena, most, sizeof *cut->turns, err);
    cut->room = arena_alloc(r->arena, most, sizeof *cut->room, err);
    if (!cut->turns || !cut->room) return false;
    while (cut->first < r->message_count &&
           r->messages[cut->first].role == CHAT_SYSTEM)
        cut->first++;
    cut->turns[cut->turn_count++] = cut->first;
    for (int i = cut->first + 1; i < r->message_count; i++)
        if (r->messages[i].role == CHAT_USER) cut->turns[cut->turn_count++] = i;
    return true;
}

/* The first turn from which on there are at most `most` tokens; the last one
 * when there is none. Fewer turns never have more tokens, so it is a search. */
static bool find_cut(const struct cut *cut, int most, int *turn,
                     struct err *err) {
    int low = 0, high = cut->turn_count - 1, tokens;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (!count_from(cut, middle, &tokens, err)) return false;
        if (tokens <= most)
            high = middle;
        else
            low = middle + 1;
    }
    *turn = low;
    return true;
}

static bool too_long(int tokens, int window, struct err *err) {
    return err_set_field(err, ERR_LIMIT, "messages",
                         "the conversation has %d tokens, which leaves too "
                         "little of the %d that the model can take",
                         tokens, window);
}

bool compact_fit(struct llm *llm, const struct compact_options *o,
                 struct chat_request *r, struct chat_message **out,
                 int *dropped, struct err *err) {
    int window = o->tokens ? o->tokens : llm->context_tokens;
    int answer = window / 4, tokens = 0, turn = 0;
    struct cut cut = {.llm = llm, .r = r};

    *dropped = 0;
    if (!window) return true;
    if (r->max_tokens && r->max_tokens < answer) answer = r->max_tokens;
    if (!count(llm, r, &tokens, err)) return false;
    if (tokens <= window - answer) return true;
    if (o->how == COMPACT_REFUSE) return too_long(tokens, window, err);
    if (!find_turns(&cut, err) || !find_cut(&cut, window / 2, &turn, err) ||
        !count_from(&cut, turn, &tokens, err))
        return false;
    if (tokens > window - answer) return too_long(tokens, window, err);
    *dropped = cut.turns[turn] - cut.first;
    /* A summary takes a part of the half that was made free. */
    if (out) {
        *out = cut.room; /* which has done its work */
        memcpy(*out, r->messages + cut.first, (size_t)*dropped * sizeof **out);
    }
    r->message_count -= *dropped;
    memmove(r->messages + cut.first, r->messages + cut.turns[turn],
            (size_t)(r->message_count - cut.first) * sizeof *r->messages);
    return true;
}
