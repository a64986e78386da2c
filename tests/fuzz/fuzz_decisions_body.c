/* fuzz_decisions_body.c - a body of /v1/decisions: refused with the field that
 * is at fault, or within every limit, and then each question can be put and all
 * that the model reads is among the fields that are judged. */
#include <stdlib.h>

#include "base/arena.h"
#include "proxy/decisions_body.h"

enum { ARENA_BYTES_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Something of the question must stand among the fields. */
static void check_judged(struct span text, const struct field *fields,
                         int count) {
    if (!text.size) return;
    for (int i = 0; i < count; i++)
        if (span_find(fields[i].text, text) != SIZE_MAX) return;
    abort();
}

static void check_question(const struct asked_question *q,
                           const struct field *fields, int count) {
    struct bytes out = {0};
    struct err err = {0};

    if (q->option_count < 2 || q->option_count > DECISIONS_CHOICES_MAX) abort();
    check_judged(q->instructions, fields, count);
    for (int i = 0; i < q->option_count; i++) {
        if (!q->options[i].label.size) abort();
        if (q->kind == DECISION_PREDICATE) continue; /* our own Yes and No */
        check_judged(q->options[i].label, fields, count);
        check_judged(q->options[i].description, fields, count);
    }
    if (!decisions_question(q, &out, &err) && err.code != ERR_LIMIT) abort();
    bytes_free(&out);
}

static void check(struct decisions_body *d) {
    struct field *fields = NULL;
    struct err err = {0};
    int count = 0, options = 0;

    if (d->question_count < 1 || d->question_count > DECISIONS_QUESTIONS_MAX ||
        d->request.message_count < 1 ||
        d->request.message_count > CHAT_MESSAGES_MAX - 1)
        abort();
    if (!decisions_fields(d, &fields, &count, &err)) {
        if (err.code != ERR_LIMIT) abort();
        return;
    }
    for (int i = 0; i < d->question_count; i++) {
        check_question(&d->questions[i], fields, count);
        options += d->questions[i].option_count;
    }
    if (options != d->option_count || options > DECISIONS_OPTIONS_MAX) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct decisions_body d = {0};
    struct err err = {0};
    cJSON *json = json_parse((struct span){(const char *)data, size}, &err);

    chat_request_init(&d.request, arena);
    if (json && decisions_parse(json, &d, &err))
        check(&d);
    else if (err.code != ERR_INPUT && err.code != ERR_LIMIT &&
             err.code != ERR_UNSUPPORTED)
        abort();
    cJSON_Delete(json);
    arena_free(arena);
    return 0;
}
