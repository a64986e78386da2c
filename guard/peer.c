#include "guard/peer.h"

#include <stdlib.h>

#include "base/utf8.h"

const float peer_thresholds[LEVEL_OFF] = {0.25f, 0.5f, 0.75f};

int peer_turns(const struct guard_turn *turns, int count,
               struct guard_turn *out) {
    int from = count > PEER_TURNS_MAX ? count - PEER_TURNS_MAX : 0, taken = 0;

    while (from < count - 1 && turns[from].role != GUARD_USER) from++;
    for (int i = from; i < count; i++) {
        out[taken] = turns[i];
        if (i < count - 1)
            out[taken].text = utf8_head(turns[i].text, PEER_TURN_BYTES);
        taken++;
    }
    return taken;
}

int peer_custom(const struct policy *p,
                struct llamaguard_category out[LLAMAGUARD_CUSTOM_MAX]) {
    int count = 0;

    for (int i = 0; i < policy_check_count(p); i++)
        for (int k = 0; k < policy_check(p, i)->custom_count; k++, count++)
            out[count] = (struct llamaguard_category){
                policy_check(p, i)->custom[k].name,
                policy_check(p, i)->custom[k].text};
    return count;
}

/* ---- a text still arriving ---- */

struct peer_text {
    const struct peer *peer;
    struct guard_turn turns[PEER_TURNS_MAX]; /* their texts are in `kept` */
    char *kept[PEER_TURNS_MAX];
    int before;
    enum guard_role role;
    struct bytes text;
};

struct peer_text *peer_text_new(const struct peer *p, enum guard_role role,
                                const struct guard_turn *before, int count) {
    struct peer_text *t = xalloc(sizeof *t);

    t->peer = p;
    t->role = role;
    if (count) t->before = peer_turns(before, count, t->turns);
    for (int i = 0; i < t->before; i++) {
        struct span head = utf8_head(t->turns[i].text, PEER_TURN_BYTES);

        t->kept[i] = span_dup(head);
        t->turns[i].text = (struct span){t->kept[i], head.size};
    }
    return t;
}

void peer_text_free(struct peer_text *t) {
    if (!t) return;
    for (int i = 0; i < t->before; i++) free(t->kept[i]);
    bytes_free(&t->text);
    free(t);
}

/* Of a long text its end is judged. Where that begins moves on in strides of
 * half of what is read, so that one judgement's prompt mostly begins as the
 * last one's did, and every byte is read together with what stands before. */
void peer_text_add(struct peer_text *t, struct span piece) {
    const size_t stride = PEER_TEXT_BYTES / 2;

    bytes_put(&t->text, piece);
    while (t->text.size > PEER_TEXT_BYTES)
        bytes_drop(&t->text, utf8_back(span_bytes(&t->text), stride));
}

void *peer_text_judge(const struct peer_text *t, struct peer_request *r,
                      peer_done *done, void *user, struct err *err) {
    struct guard_turn turns[PEER_TURNS_MAX + 1];

    for (int i = 0; i < t->before; i++) turns[i] = t->turns[i];
    turns[t->before] = (struct guard_turn){t->role, span_bytes(&t->text)};
    r->turns = turns;
    r->turn_count = t->before + 1;
    return t->peer->ask(t->peer->self, r, done, user, err);
}
