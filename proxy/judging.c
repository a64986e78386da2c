#include "proxy/judging.h"

#include "base/clock.h"
#include "proxy/audit.h"
#include "proxy/decision.h"

static void ask_next(struct judging *j);

bool judging_fields(struct guard_request *request, const struct field *fields,
                    int count, struct arena *arena, struct err *err) {
    struct guard_item *items =
        arena_alloc(arena, (size_t)count, sizeof *items, err);

    if (!items) return false;
    for (int i = 0; i < count; i++)
        items[i] = (struct guard_item){fields[i].channel, fields[i].text};
    request->items = items;
    request->item_count = count;
    return true;
}

void judging_question(struct guard_request *request, const struct question *q) {
    request->channel = q->channel;
    request->operator_text = q->system;
    request->turns = q->turns;
    request->turn_count = q->turn_count;
}

void judging_hash(const struct audit *audit, const struct field *fields,
                  int count, const struct question *asked,
                  char out[HASH_HEX_SIZE]) {
    struct hash_stream *h = audit_hash_new(audit);

    for (int i = 0; h && !asked && i < count; i++)
        hash_stream_add(h, fields[i].text);
    if (h && asked)
        hash_stream_add(h, asked->turns[asked->turn_count - 1].text);
    audit_hash_end(h, out);
}

static void note(struct judging *j, const struct verdict *v) {
    char hash[HASH_HEX_SIZE];
    struct decision d = {j->o.conn,
                         audit_subject_of(j->o.conn, j->o.route),
                         j->channel,
                         j->o.policy,
                         clock_ns() - j->asked_ns,
                         hash};

    j->check = NULL;
    j->decisions++;
    j->guard_ns += d.ns;
    judging_hash(j->o.audit, j->o.fields, j->o.field_count,
                 j->asked > 0 ? &j->o.questions[j->asked] : NULL, hash);
    decision_note(j->o.metrics, j->o.audit, &d, v);
}

static void on_verdict(void *user, const struct verdict *v) {
    struct judging *j = user;
    struct verdict blocked;
    struct err err = {0};

    note(j, v);
    if (!verdict_lets_pass(v)) {
        j->o.on_blocked(j->o.user, j->channel, v);
    } else if (j->asked > 0 || v->action != VERDICT_REDACT ||
               fields_redact(j->o.fields, j->o.field_count, v, j->o.arena,
                             &err)) {
        j->asked++;
        ask_next(j);
    } else if (err.code == ERR_DENIED) {
        blocked = *v;
        blocked.action = VERDICT_BLOCK;
        j->o.on_blocked(j->o.user, j->channel, &blocked);
    } else {
        j->o.on_failed(j->o.user, &err);
    }
}

/* The first question sees all fields, the others ask the classifier only. */
static void ask_next(struct judging *j) {
    struct guard_request request = {
        .policy = j->o.policy, .channel = CHANNEL_INPUT, .client = j->o.client};
    struct guard_check *check;
    struct err err = {0};

    if (j->asked > 0 && j->asked >= j->o.question_count) {
        j->o.on_passed(j->o.user);
        return;
    }
    if (j->asked == 0 && !judging_fields(&request, j->o.fields,
                                         j->o.field_count, j->o.arena, &err)) {
        j->o.on_failed(j->o.user, &err);
        return;
    }
    if (j->asked < j->o.question_count)
        judging_question(&request, &j->o.questions[j->asked]);
    j->channel = request.channel;
    j->asked_ns = clock_ns();
    check = guard_check_start(j->o.guard, &request, on_verdict, j);
    /* NULL: on_verdict() has run, and `j` may be gone. */
    if (check) j->check = check;
}

void judging_start(struct judging *j, const struct judging_options *o) {
    *j = (struct judging){.o = *o};
    ask_next(j);
}

void judging_cancel(struct judging *j) {
    guard_check_cancel(j->check);
    j->check = NULL;
}
