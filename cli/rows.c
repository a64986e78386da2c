#include "cli/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void rows_init(struct rows *r, FILE *in, const char *name) {
    *r = (struct rows){
        .in = in, .name = name, .text = {.limit = ROWS_LINE_BYTES_MAX}};
}

void rows_clear(struct rows *r) {
    cJSON_Delete(r->json);
    bytes_free(&r->text);
    *r = (struct rows){0};
}

/* One line without its end. False at the end of the stream; *whole is false
 * when the line passed the limit (it was read to its end all the same). */
static bool read_line(struct rows *r, bool *whole) {
    bool any = false;
    int c;

    r->text.size = 0;
    *whole = true;
    while ((c = getc_unlocked(r->in)) != EOF) {
        char byte = (char)c;

        any = true;
        if (c == '\n') break;
        if (*whole && !bytes_append(&r->text, &byte, 1, NULL)) *whole = false;
    }
    if (any) r->line++;
    return any;
}

/* "S1" to "S14" as a number, else 0. */
static int category(const cJSON *item) {
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    char *end;
    long n;

    if (text[0] != 'S' || text[1] < '1' || text[1] > '9') return 0;
    n = strtol(text + 1, &end, 10);
    return *end == '\0' && n <= 14 ? (int)n : 0;
}

static bool categories(const cJSON *row, uint32_t *out, struct err *err) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(row, "categories");
    const cJSON *item;

    if (!list || cJSON_IsNull(list)) return true;
    if (!cJSON_IsArray(list))
        return err_set(err, ERR_INPUT, "categories: expected a list");
    cJSON_ArrayForEach(item, list) {
        int n = category(item);

        if (!n)
            return err_set(err, ERR_INPUT, "categories: expected S1 to S14");
        *out |= 1u << n;
    }
    return true;
}

static bool injection(const cJSON *row, bool *out, struct err *err) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, "injection");

    if (!item || cJSON_IsNull(item)) return true;
    if (cJSON_IsBool(item)) {
        *out = cJSON_IsTrue(item);
        return true;
    }
    if (!cJSON_IsNumber(item) ||
        (item->valuedouble != 0 && item->valuedouble != 1))
        return err_set(err, ERR_INPUT, "injection: expected 0 or 1");
    *out = item->valuedouble > 0;
    return true;
}

static bool fill(const cJSON *row, struct row_text *out, struct err *err) {
    const char *prompt = NULL, *response = NULL, *label = NULL;

    *out = (struct row_text){.lang = "", .source = "", .role = ""};
    if (!cJSON_IsObject(row))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    out->id = cJSON_GetObjectItemCaseSensitive(row, "id");
    if (out->id && !cJSON_IsString(out->id) && !cJSON_IsNumber(out->id))
        return err_set(err, ERR_INPUT, "id: expected a string or a number");
    if (!json_get_string(row, "", "prompt", &prompt, err) ||
        !json_get_string(row, "", "response", &response, err) ||
        !json_get_string(row, "", "label", &label, err) ||
        !json_get_string(row, "", "lang", &out->lang, err) ||
        !json_get_string(row, "", "source", &out->source, err) ||
        !json_get_string(row, "", "role", &out->role, err) ||
        !categories(row, &out->categories, err) ||
        !injection(row, &out->injection, err))
        return false;
    if (!prompt && !response) return err_set(err, ERR_INPUT, "prompt: missing");
    if (label) {
        out->labelled = true;
        out->unsafe = !strcmp(label, "unsafe");
        if (!out->unsafe && strcmp(label, "safe") != 0)
            return err_set(err, ERR_INPUT, "label: expected safe or unsafe");
    }
    out->prompt = span_of(prompt);
    out->response = span_of(response);
    return true;
}

enum rows_status rows_next(struct rows *r, struct row_text *out,
                           struct err *err) {
    struct err why = {0};
    bool whole;

    cJSON_Delete(r->json);
    r->json = NULL;
    do {
        if (r->failed) return ROWS_END;
        if (!read_line(r, &whole)) {
            if (!ferror(r->in)) return ROWS_END;
            r->failed = true;
            (void)err_set(err, ERR_IO, "%s, after line %d: %s", r->name,
                          r->line, strerror(errno));
            return ROWS_BAD;
        }
    } while (whole && span_blank(span_bytes(&r->text)));
    if (!whole) {
        (void)err_set(&why, ERR_LIMIT, "line past %d bytes",
                      ROWS_LINE_BYTES_MAX);
    } else {
        r->json = json_parse(span_bytes(&r->text), &why);
        if (r->json && fill(r->json, out, &why)) return ROWS_ROW;
    }
    (void)err_set(err, why.code, "%s:%d: %s", r->name, r->line, why.text);
    return ROWS_BAD;
}
