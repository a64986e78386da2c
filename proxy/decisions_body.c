#include "proxy/decisions_body.h"

#include <stdio.h>
#include <string.h>

#include "proxy/openai.h"
#include "proxy/responses.h"

static const cJSON *get(const cJSON *json, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

/* ---- the input ---- */

/* {"type": "input_json", "data": ...} is read as the text of its data. */
static bool json_part(cJSON *part, struct err *err) {
    const cJSON *type = get(part, "type"), *data = get(part, "data");
    struct bytes text = {0};
    bool ok;

    if (!cJSON_IsString(type) || strcmp(type->valuestring, "input_json") != 0)
        return true;
    if (!cJSON_IsObject(data) && !cJSON_IsArray(data))
        return err_set_field(err, ERR_INPUT, "data",
                             "data: expected an object or a list of objects");
    ok = json_print(data, &text, err) && bytes_append(&text, "", 1, err);
    if (ok) {
        cJSON_DeleteItemFromObjectCaseSensitive(part, "text");
        (void)cJSON_AddStringToObject(part, "text", text.at);
        (void)cJSON_ReplaceItemInObjectCaseSensitive(
            part, "type", cJSON_CreateString("input_text"));
    }
    bytes_free(&text);
    return ok;
}

static bool json_parts(cJSON *holder, const char *key, struct err *err) {
    cJSON *list = cJSON_GetObjectItemCaseSensitive(holder, key), *part;

    if (!cJSON_IsArray(list)) return true;
    cJSON_ArrayForEach(part, list) {
        if (!json_part(part, err)) return false;
    }
    return true;
}

static bool input(struct openai_reader *p, cJSON *body) {
    struct chat_request *r = p->out;
    cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "input"), *item;
    int count = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 1;

    if (!cJSON_IsString(json) && (!cJSON_IsArray(json) || !json->child))
        return openai_bad(p, "input", "expected a text or a list of items");
    if (count > CHAT_MESSAGES_MAX - 1)
        return err_set_field(p->err, ERR_LIMIT, "input",
                             "input: more than %d items",
                             CHAT_MESSAGES_MAX - 1);
    r->messages =
        arena_alloc(r->arena, (size_t)count + 1, sizeof *r->messages, p->err);
    if (!r->messages) return false;
    if (cJSON_IsString(json)) {
        r->messages[0].role = CHAT_USER;
        r->message_count = 1;
        return arena_copy(r->arena, span_of(json->valuestring),
                          &r->messages[0].text, p->err);
    }
    cJSON_ArrayForEach(item, json) {
        if (!json_parts(item, "content", p->err)) return false;
    }
    return responses_items(p, json, "input") &&
           (r->message_count || openai_bad(p, "input", "nothing to decide on"));
}

/* ---- the questions ---- */

static bool optional_text(struct openai_reader *p, const cJSON *json,
                          const char *path, const char *key, struct span *out) {
    const char *text = NULL;

    return json_get_string(json, path, key, &text, p->err) &&
           (!text || arena_copy(p->out->arena, span_of(text), out, p->err));
}

/* A choice's "value" is a text or a boolean, a level's "label" a text. */
static bool label(struct openai_reader *p, const cJSON *json, const char *path,
                  struct decision_option *out) {
    const char *text = NULL;

    out->boolean = cJSON_IsBool(json);
    if (out->boolean) text = cJSON_IsTrue(json) ? "true" : "false";
    if (cJSON_IsString(json)) text = json->valuestring;
    if (!text || !*text) return openai_bad(p, path, "expected a text");
    return arena_copy(p->out->arena, span_of(text), &out->label, p->err);
}

static bool option(struct openai_reader *p, const cJSON *json, const char *path,
                   const char *key, struct asked_question *q) {
    struct decision_option *out = &q->options[q->option_count];
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    (void)snprintf(field, sizeof field, "%.60s.%s", path, key);
    if (!label(p, get(json, key), field, out)) return false;
    if (out->boolean && q->kind != DECISION_CHOICE)
        return openai_bad(p, field, "expected a text");
    for (int i = 0; i < q->option_count; i++)
        if (span_equal(q->options[i].label, out->label))
            return openai_bad(p, field, "used twice");
    q->option_count++;
    return optional_text(p, json, path, "description", &out->description);
}

static bool options(struct openai_reader *p, const cJSON *json,
                    const char *path, int most, struct asked_question *q) {
    bool choice = q->kind == DECISION_CHOICE;
    const char *key = choice ? "choices" : "levels";
    const cJSON *list = get(json, key), *item;
    int count = cJSON_GetArraySize(list);
    char field[ERR_FIELD_MAX];

    (void)snprintf(field, sizeof field, "%.40s.%s", path, key);
    if (!cJSON_IsArray(list) || count < 2 || count > most)
        return err_set_field(p->err, ERR_INPUT, field,
                             "%s: expected a list of 2 to %d", field, most);
    q->options =
        arena_alloc(p->out->arena, (size_t)count, sizeof *q->options, p->err);
    if (!q->options) return false;
    cJSON_ArrayForEach(item, list) {
        char place[ERR_FIELD_MAX];

        (void)snprintf(place, sizeof place, "%.50s[%d]", field,
                       q->option_count);
        if (!option(p, item, place, choice ? "value" : "label", q))
            return false;
    }
    return true;
}

static bool yes_and_no(struct openai_reader *p, struct asked_question *q) {
    q->options = arena_alloc(p->out->arena, 2, sizeof *q->options, p->err);
    if (!q->options) return false;
    q->options[0].label = span_of("Yes");
    q->options[1].label = span_of("No");
    q->option_count = 2;
    return true;
}

static bool kind_of(const char *name, enum decision_kind *out) {
    static const char *const names[] = {[DECISION_PREDICATE] = "predicate",
                                        [DECISION_CHOICE] = "choice",
                                        [DECISION_SCORE] = "score"};

    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (enum decision_kind)i;
        return true;
    }
    return false;
}

static bool name_of(struct openai_reader *p, const cJSON *json,
                    const char *path, struct asked_question *q) {
    char field[ERR_FIELD_MAX];

    if (!optional_text(p, json, path, "name", &q->name)) return false;
    if (q->name.size <= DECISIONS_NAME_BYTES_MAX) return true;
    (void)snprintf(field, sizeof field, "%.60s.name", path);
    return err_set_field(p->err, ERR_LIMIT, field, "%s: more than %d bytes",
                         field, DECISIONS_NAME_BYTES_MAX);
}

static bool question(struct openai_reader *p, cJSON *json, const char *path,
                     struct asked_question *q) {
    const char *type = NULL;
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    (void)snprintf(field, sizeof field, "%.60s.type", path);
    if (!kind_of(type, &q->kind))
        return openai_bad(p, field, "expected predicate, choice or score");
    (void)snprintf(field, sizeof field, "%.60s.instructions", path);
    if (!name_of(p, json, path, q) ||
        !json_parts(json, "instructions", p->err) ||
        !openai_content(p, get(json, "instructions"), field, &q->instructions))
        return false;
    if (!q->instructions.size) return openai_bad(p, field, "missing");
    if (q->kind == DECISION_PREDICATE) return yes_and_no(p, q);
    return options(p, json, path,
                   q->kind == DECISION_CHOICE ? DECISIONS_CHOICES_MAX
                                              : DECISIONS_LEVELS_MAX,
                   q);
}

static bool questions(struct openai_reader *p, const cJSON *body,
                      struct decisions_body *out) {
    const cJSON *list = get(body, "questions");
    int count = cJSON_GetArraySize(list);
    cJSON *json;

    if (!cJSON_IsArray(list) || count < 1 || count > DECISIONS_QUESTIONS_MAX)
        return err_set_field(p->err, ERR_INPUT, "questions",
                             "questions: expected a list of 1 to %d",
                             DECISIONS_QUESTIONS_MAX);
    out->questions = arena_alloc(p->out->arena, (size_t)count,
                                 sizeof *out->questions, p->err);
    if (!out->questions) return false;
    cJSON_ArrayForEach(json, list) {
        struct asked_question *q = &out->questions[out->question_count];
        char path[32];

        (void)snprintf(path, sizeof path, "questions[%d]",
                       out->question_count++);
        if (!question(p, json, path, q)) return false;
        out->option_count += q->option_count;
    }
    if (out->option_count <= DECISIONS_OPTIONS_MAX) return true;
    return err_set_field(p->err, ERR_LIMIT, "questions",
                         "questions: more than %d choices and levels in all",
                         DECISIONS_OPTIONS_MAX);
}

bool decisions_parse(cJSON *body, struct decisions_body *out, struct err *err) {
    struct openai_reader p = {&out->request, err};
    const char *model = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model) return openai_bad(&p, "model", "missing");
    return arena_copy(out->request.arena, span_of(model), &out->request.model,
                      err) &&
           input(&p, body) && questions(&p, body, out);
}

/* ---- to the guard, and to the model ---- */

static void add(struct field *list, int *count, enum channel channel,
                struct span *text, bool fixed) {
    if (text->size)
        list[(*count)++] = (struct field){channel, *text, fixed ? NULL : text};
}

static bool put_line(struct bytes *text, struct span s, struct err *err) {
    return !s.size || (bytes_append(text, s.at, s.size, err) &&
                       bytes_append(text, "\n", 1, err));
}

/* What comes back to the client, a name or a label, is an output as well. */
static bool question_fields(struct asked_question *q, struct field *list,
                            int *count, struct bytes *text, struct err *err) {
    bool own = q->kind != DECISION_PREDICATE;

    add(list, count, CHANNEL_INPUT, &q->instructions, false);
    add(list, count, CHANNEL_INPUT, &q->name, true);
    add(list, count, CHANNEL_OUTPUT, &q->name, true);
    if (!put_line(text, q->instructions, err) || !put_line(text, q->name, err))
        return false;
    for (int i = 0; own && i < q->option_count; i++) {
        struct decision_option *o = &q->options[i];

        add(list, count, CHANNEL_INPUT, &o->label, true);
        add(list, count, CHANNEL_OUTPUT, &o->label, true);
        add(list, count, CHANNEL_INPUT, &o->description, false);
        if (!put_line(text, o->label, err) ||
            !put_line(text, o->description, err))
            return false;
    }
    return true;
}

bool decisions_fields(struct decisions_body *d, struct field **out, int *count,
                      struct err *err) {
    struct chat_request *r = &d->request;
    struct field *before, *list;
    struct bytes text = {0};
    bool ok;

    if (!fields_collect(r, &before, count, err)) return false;
    list = arena_alloc(r->arena,
                       (size_t)*count + 3 * (size_t)d->question_count +
                           3 * (size_t)d->option_count,
                       sizeof *list, err);
    ok = list != NULL;
    if (ok && *count) memcpy(list, before, (size_t)*count * sizeof *list);
    for (int i = 0; ok && i < d->question_count; i++)
        ok = question_fields(&d->questions[i], list, count, &text, err);
    ok = ok && arena_copy(r->arena, span_bytes(&text), &r->extra_text, err);
    bytes_free(&text);
    if (ok) *out = list;
    return ok;
}

static bool put_options(const struct asked_question *q, struct bytes *out,
                        struct err *err) {
    for (int i = 0; i < q->option_count; i++) {
        const struct decision_option *o = &q->options[i];

        if (!bytes_printf(out, err, "\n- ") ||
            !bytes_append(out, o->label.at, o->label.size, err))
            return false;
        if (o->description.size &&
            (!bytes_printf(out, err, ": ") ||
             !bytes_append(out, o->description.at, o->description.size, err)))
            return false;
    }
    return true;
}

bool decisions_question(const struct asked_question *q, struct bytes *out,
                        struct err *err) {
    static const char *const leads[] = {
        [DECISION_PREDICATE] = "About the above, is this statement true?\n",
        [DECISION_CHOICE] = "About the above: ",
        [DECISION_SCORE] = "Rate the above. "};
    static const char *const ends[] = {
        [DECISION_PREDICATE] = "\nAnswer Yes or No.",
        [DECISION_CHOICE] = "\nAnswer with one of these and nothing else:",
        [DECISION_SCORE] = "\nAnswer with one of these levels, from the lowest "
                           "to the highest, and nothing else:"};

    return bytes_printf(out, err, "%s", leads[q->kind]) &&
           bytes_append(out, q->instructions.at, q->instructions.size, err) &&
           bytes_printf(out, err, "%s", ends[q->kind]) &&
           (q->kind == DECISION_PREDICATE || put_options(q, out, err));
}
