#include "base/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/env.h"

struct mark {
    const void *node; /* a value, or a key: the cJSON's own `string` */
    int line;
    int column;
};

struct yaml {
    char *name;
    cJSON *root;
    struct mark *marks; /* by node, sorted once after the parse */
    size_t mark_count;
    size_t mark_capacity;
};

struct reader {
    struct yaml *yaml;
    yaml_parser_t parser;
    bool env; /* variables are put in */
    struct err *err;
};

static bool fail_at(const struct yaml *yaml, struct err *err, size_t line,
                    size_t column, const char *reason) {
    return err_set(err, ERR_INPUT, "%s:%zu:%zu: %s", yaml->name, line + 1,
                   column + 1, reason);
}

static bool next(struct reader *r, yaml_event_t *event) {
    const yaml_parser_t *p = &r->parser;

    if (yaml_parser_parse(&r->parser, event)) return true;
    return fail_at(r->yaml, r->err, p->problem_mark.line,
                   p->problem_mark.column,
                   p->problem ? p->problem : "not YAML");
}

static bool remember(struct reader *r, const void *node, yaml_mark_t at) {
    struct yaml *y = r->yaml;

    if (y->mark_count == YAML_NODES_MAX)
        return fail_at(y, r->err, at.line, at.column, "too many values");
    if (y->mark_count == y->mark_capacity) {
        y->mark_capacity = y->mark_capacity ? 2 * y->mark_capacity : 64;
        y->marks = xrealloc_array(y->marks, y->mark_capacity, sizeof *y->marks);
    }
    y->marks[y->mark_count++] =
        (struct mark){node, (int)at.line + 1, (int)at.column + 1};
    return true;
}

/* Digits, a sign, a point and an exponent, as YAML 1.2's core schema and JSON
 * agree on; hexadecimal and octal stay strings. */
static bool is_number(const char *text, double *out) {
    const char *at = text + (*text == '-' || *text == '+');
    char *end;

    if (*at == '.') at++;
    if (*at < '0' || *at > '9') return false;
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X' || at[1] == 'o'))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

/* `filled`: of a plain scalar, from a variable. It may be a number or a switch,
 * but it cannot unset what the file sets. */
static cJSON *scalar(const char *text, bool plain, bool filled) {
    double number;

    if (plain) {
        if (!filled && (!*text || !strcmp(text, "~") || !strcmp(text, "null")))
            return cJSON_CreateNull();
        if (!strcmp(text, "true")) return cJSON_CreateTrue();
        if (!strcmp(text, "false")) return cJSON_CreateFalse();
        if (is_number(text, &number)) return cJSON_CreateNumber(number);
    }
    return cJSON_CreateString(text);
}

/* NULL with the error set. */
static cJSON *scalar_of(struct reader *r, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    yaml_mark_t at = event->start_mark;
    struct bytes out = {0};
    struct err why = {0};
    bool filled = false;
    cJSON *json = NULL;

    if (strlen(text) != event->data.scalar.length) {
        (void)fail_at(r->yaml, r->err, at.line, at.column, "NUL in a text");
        return NULL;
    }
    if (!r->env) return scalar(text, plain, false);
    if (env_fill(span_of(text), &out, &filled, &why) &&
        bytes_append(&out, "", 1, &why))
        json = scalar(out.at, plain, filled);
    else
        (void)fail_at(r->yaml, r->err, at.line, at.column, why.text);
    bytes_free(&out);
    return json;
}

static cJSON *node(struct reader *r, const yaml_event_t *event, int depth);

static bool sequence(struct reader *r, cJSON *array, int depth) {
    yaml_event_t event;

    for (;;) {
        cJSON *item;

        if (!next(r, &event)) return false;
        if (event.type == YAML_SEQUENCE_END_EVENT) break;
        item = node(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (!item) return false;
        (void)cJSON_AddItemToArray(array, item);
    }
    yaml_event_delete(&event);
    return true;
}

static bool entry(struct reader *r, cJSON *object, const yaml_event_t *event,
                  int depth) {
    const char *key = (const char *)event->data.scalar.value;
    size_t line = event->start_mark.line, column = event->start_mark.column;
    yaml_event_t value;
    cJSON *item;

    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(r->yaml, r->err, line, column, "a key must be a word");
    if (strlen(key) != event->data.scalar.length)
        return fail_at(r->yaml, r->err, line, column, "NUL in a key");
    if (cJSON_GetObjectItemCaseSensitive(object, key))
        return fail_at(r->yaml, r->err, line, column, "duplicate key");
    if (!next(r, &value)) return false;
    item = node(r, &value, depth + 1);
    yaml_event_delete(&value);
    if (!item) return false;
    (void)cJSON_AddItemToObject(object, key, item);
    return remember(r, item->string, event->start_mark);
}

static bool mapping(struct reader *r, cJSON *object, int depth) {
    yaml_event_t event;

    for (;;) {
        bool ok;

        if (!next(r, &event)) return false;
        if (event.type == YAML_MAPPING_END_EVENT) break;
        ok = entry(r, object, &event, depth);
        yaml_event_delete(&event);
        if (!ok) return false;
    }
    yaml_event_delete(&event);
    return true;
}

static bool is_tagged(const yaml_event_t *e) {
    return (e->type == YAML_SCALAR_EVENT && e->data.scalar.tag) ||
           (e->type == YAML_SEQUENCE_START_EVENT &&
            e->data.sequence_start.tag) ||
           (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.tag);
}

/* The tree that `event` begins; NULL with the error set. */
static cJSON *node(struct reader *r, const yaml_event_t *event, int depth) {
    yaml_mark_t at = event->start_mark;
    const char *reason = "expected a value";
    cJSON *json = NULL;
    bool ok = true;

    if (depth > JSON_DEPTH_MAX) {
        reason = "nested too deep";
    } else if (is_tagged(event)) {
        reason = "tags are not allowed";
    } else if (event->type == YAML_ALIAS_EVENT) {
        reason = "aliases are not allowed";
    } else if (event->type == YAML_SCALAR_EVENT) {
        json = scalar_of(r, event);
        if (!json) return NULL;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        json = cJSON_CreateArray();
        ok = sequence(r, json, depth);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        json = cJSON_CreateObject();
        ok = mapping(r, json, depth);
    }
    if (!json) {
        (void)fail_at(r->yaml, r->err, at.line, at.column, reason);
        return NULL;
    }
    if (ok && remember(r, json, at)) return json;
    cJSON_Delete(json);
    return NULL;
}

/* stream-start, document-start, node, document-end, stream-end. */
static bool document(struct reader *r) {
    yaml_event_t event;
    bool done = false;

    while (!done) {
        bool ok = true;

        if (!next(r, &event)) return false;
        switch (event.type) {
        case YAML_STREAM_END_EVENT:
            done = true;
            break;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (r->yaml->root)
                ok = fail_at(r->yaml, r->err, event.start_mark.line,
                             event.start_mark.column, "a second document");
            break;
        default:
            r->yaml->root = node(r, &event, 0);
            ok = r->yaml->root != NULL;
        }
        yaml_event_delete(&event);
        if (!ok) return false;
    }
    if (!r->yaml->root) r->yaml->root = cJSON_CreateNull();
    return true;
}

static int compare_marks(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const struct mark *)a)->node;
    uintptr_t y = (uintptr_t)((const struct mark *)b)->node;

    return (x > y) - (x < y);
}

static struct yaml *parse(struct span text, const char *name, bool env,
                          struct err *err) {
    struct yaml *yaml = xalloc(sizeof *yaml);
    struct reader r = {.yaml = yaml, .env = env, .err = err};
    bool ok;

    yaml->name = xstrdup(name);
    if (!yaml_parser_initialize(&r.parser)) {
        yaml_close(yaml);
        (void)err_set(err, ERR_INTERNAL, "libyaml did not start");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &r.parser, (const unsigned char *)(text.at ? text.at : ""), text.size);
    ok = document(&r);
    yaml_parser_delete(&r.parser);
    if (!ok) {
        yaml_close(yaml);
        return NULL;
    }
    if (yaml->mark_count)
        qsort(yaml->marks, yaml->mark_count, sizeof *yaml->marks,
              compare_marks);
    return yaml;
}

static struct yaml *open_file(const char *path, bool env, struct err *err) {
    struct bytes text = {.limit = YAML_BYTES_MAX};
    struct yaml *yaml = NULL;

    if (bytes_read_file(&text, path, err))
        yaml = parse(span_bytes(&text), path, env, err);
    bytes_free(&text);
    return yaml;
}

struct yaml *yaml_parse(struct span text, const char *name, struct err *err) {
    return parse(text, name, false, err);
}

struct yaml *yaml_open(const char *path, struct err *err) {
    return open_file(path, false, err);
}

struct yaml *yaml_parse_env(struct span text, const char *name,
                            struct err *err) {
    return parse(text, name, true, err);
}

struct yaml *yaml_open_env(const char *path, struct err *err) {
    return open_file(path, true, err);
}

void yaml_close(struct yaml *yaml) {
    if (!yaml) return;
    cJSON_Delete(yaml->root);
    free(yaml->marks);
    free(yaml->name);
    free(yaml);
}

const cJSON *yaml_root(const struct yaml *yaml) {
    return yaml->root;
}

static void place(const struct yaml *yaml, const void *node, int *line,
                  int *column) {
    struct mark key = {.node = node};
    const struct mark *found = NULL;

    if (yaml->mark_count)
        found = bsearch(&key, yaml->marks, yaml->mark_count,
                        sizeof *yaml->marks, compare_marks);
    *line = found ? found->line : 1;
    *column = found ? found->column : 1;
}

void yaml_place(const struct yaml *yaml, const cJSON *node, int *line,
                int *column) {
    place(yaml, node, line, column);
}

bool yaml_fail(const struct yaml *yaml, const cJSON *node, struct err *err,
               const char *format, ...) {
    char reason[ERR_TEXT_MAX];
    int line, column;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    yaml_place(yaml, node, &line, &column);
    return err_set(err, ERR_INPUT, "%s:%d:%d: %s", yaml->name, line, column,
                   reason);
}

bool yaml_only_keys(const struct yaml *yaml, const cJSON *object,
                    const char *const *keys, struct err *err) {
    const cJSON *child;

    cJSON_ArrayForEach(child, object) {
        size_t i = 0;

        while (keys[i] && strcmp(keys[i], child->string) != 0) i++;
        if (!keys[i]) {
            int line, column;

            place(yaml, child->string, &line, &column);
            return err_set(err, ERR_INPUT, "%s:%d:%d: unknown key \"%.64s\"",
                           yaml->name, line, column, child->string);
        }
    }
    return true;
}
