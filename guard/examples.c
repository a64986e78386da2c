#include "guard/examples.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

struct lines {
    struct span rest;
    const char *path;
    int line;
    struct err *err;
};

/* The next line without its end; false after the last. */
static bool next_line(struct lines *l, struct span *out) {
    size_t end = span_find(l->rest, span_of("\n"));

    if (!l->rest.size) return false;
    if (end == SIZE_MAX) end = l->rest.size;
    *out = span_slice(l->rest, 0, end);
    l->rest = span_slice(l->rest, end + 1, l->rest.size);
    l->line++;
    return true;
}

static bool bad(const struct lines *l, const char *why) {
    return err_set(l->err, ERR_INPUT, "%s:%d: %s", l->path, l->line, why);
}

static bool read_label(const struct lines *l, const cJSON *row, bool *out) {
    const cJSON *label = cJSON_GetObjectItemCaseSensitive(row, "label");

    if (cJSON_IsNumber(label) &&
        (label->valuedouble == 0 || label->valuedouble == 1))
        *out = label->valuedouble > 0;
    else if (cJSON_IsString(label) && !strcmp(label->valuestring, "block"))
        *out = true;
    else if (cJSON_IsString(label) && !strcmp(label->valuestring, "allow"))
        *out = false;
    else
        return bad(l, "label must be 1 or 0, or \"block\" or \"allow\"");
    return true;
}

static bool read_row(const struct lines *l, const cJSON *row,
                     struct example *out) {
    static const char *const keys[] = {"text", "label", NULL};
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(row, "text");
    struct err why = {0};

    if (!cJSON_IsObject(row)) return bad(l, "expected a JSON object");
    if (!json_only_keys(row, "", keys, &why)) return bad(l, why.text);
    if (!cJSON_IsString(text) || span_blank(span_of(text->valuestring)))
        return bad(l, "text must be a text");
    if (strlen(text->valuestring) > EXAMPLES_TEXT_MAX)
        return bad(l, "the text is past 64 KiB");
    if (!read_label(l, row, &out->positive)) return false;
    out->text = xstrdup(text->valuestring);
    out->size = strlen(out->text);
    out->line = l->line;
    return true;
}

/* The same text on both sides teaches nothing and is a slip. */
static bool agrees(const struct lines *l, const struct examples *e,
                   const struct example *last) {
    for (int i = 0; i < e->count; i++) {
        const struct example *one = &e->list[i];

        if (one->positive == last->positive || one->size != last->size ||
            memcmp(one->text, last->text, one->size) != 0)
            continue;
        return err_set(l->err, ERR_INPUT,
                       "%s:%d: the same text as in line %d, with the other "
                       "label",
                       l->path, l->line, one->line);
    }
    return true;
}

static bool add_line(struct examples *e, const struct lines *l,
                     struct span line) {
    struct err why = {0};
    struct example one = {0};
    cJSON *row;
    bool ok;

    if (e->count == EXAMPLES_MAX) return bad(l, "more than 2000 examples");
    row = json_parse(line, &why);
    ok = row ? read_row(l, row, &one) : bad(l, why.text);
    cJSON_Delete(row);
    if (!ok) return false;
    if (!agrees(l, e, &one)) {
        free(one.text);
        return false;
    }
    e->list[e->count++] = one;
    e->positives += one.positive;
    return true;
}

bool examples_parse(struct examples *out, struct span file, const char *path,
                    struct err *err) {
    struct lines l = {.rest = file, .path = path, .err = err};
    struct span line;
    bool ok = true;
    int least;

    *out = (struct examples){0};
    out->list = xalloc_array(EXAMPLES_MAX, sizeof *out->list);
    hash_sha256_hex(file, out->digest);
    while (ok && next_line(&l, &line))
        if (!span_blank(line)) ok = add_line(out, &l, line);
    least = out->positives < out->count - out->positives
                ? out->positives
                : out->count - out->positives;
    if (ok && (out->count < EXAMPLES_LEAST || least < EXAMPLES_LABEL_LEAST))
        ok = err_set(err, ERR_INPUT,
                     "%s: %d to block and %d to allow: at least %d of each, "
                     "and %d in all",
                     path, out->positives, out->count - out->positives,
                     EXAMPLES_LABEL_LEAST, EXAMPLES_LEAST);
    if (!ok) examples_clear(out);
    return ok;
}

bool examples_read(struct examples *out, const char *path, struct err *err) {
    struct bytes file = {.limit = EXAMPLES_BYTES_MAX};
    bool ok = bytes_read_file(&file, path, err) &&
              examples_parse(out, span_bytes(&file), path, err);

    bytes_free(&file);
    return ok;
}

void examples_clear(struct examples *e) {
    for (int i = 0; i < e->count; i++) free(e->list[i].text);
    free(e->list);
    *e = (struct examples){0};
}
