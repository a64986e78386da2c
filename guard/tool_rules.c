#include "guard/tool_rules_types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "guard/policy_types.h"
#include "guard/tool_target.h"
#include "guard/url_host.h"

enum {
    VALUE_BYTES_MAX = 4096, /* of a text that is matched; longer: unknown */
    VALUES_MAX = 1024,      /* of one call */
    /* Bytes of conversation that a call's rules may search, all together: the
     * loop has other work, too. */
    SEARCH_BYTES_MAX = 64 << 20
};

/* In this order, so that `and` is the least and `or` the greatest. */
enum truth { NO, UNKNOWN, YES };

struct asking {
    const struct tool_facts *facts;
    const struct tool_predicate *predicate;
    bool every; /* all values must fit, not just one */
    enum truth truth;
    int values;
    size_t *searched;
};

void tool_rule_clear(struct tool_rule *r) {
    struct tool_condition *conditions[] = {&r->when, &r->unless};

    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < conditions[c]->count; i++) {
            struct tool_case *one = &conditions[c]->any[i];

            for (int k = 0; k < one->count; k++) {
                struct tool_predicate *p = &one->all[k];

                for (int m = 0; m < p->count; m++) {
                    free(p->any[m].text);
                    rules_whole_free(p->any[m].regex);
                }
                free(p->any);
                free(p->argument);
            }
        }
        free(conditions[c]->any);
    }
    for (int i = 0; i < r->tool_count; i++) free(r->tools[i]);
    free(r->tools);
    free(r->id);
    memset(r, 0, sizeof *r);
}

/* ---- one value ---- */

/* `*` is any bytes, `?` any one. Goes back to the last star only, so it takes
 * glob times text at most. */
static bool glob_match(const char *glob, struct span text, bool any_case) {
    const char *star = NULL;
    size_t at = 0, mark = 0;

    while (at < text.size) {
        char c = text.at[at];

        if (*glob == '*') {
            star = glob++;
            mark = at;
        } else if (*glob &&
                   (*glob == '?' || *glob == c ||
                    (any_case && ascii_lower(*glob) == ascii_lower(c)))) {
            glob++;
            at++;
        } else if (star) {
            glob = star + 1;
            at = ++mark;
        } else {
            return false;
        }
    }
    while (*glob == '*') glob++;
    return *glob == '\0';
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (c & 0x80) || strchr("-_@+%/", c);
}

/* Does the text end here, or go on with what belongs to the same name? */
static bool ends_name(struct span text, size_t at, bool before) {
    char c;

    if (before ? at == 0 : at == text.size) return true;
    c = text.at[before ? at - 1 : at];
    if (c == '\0' || !strchr(".:", c)) return !is_word(c);
    if (before) return at == 1 || !is_word(text.at[at - 2]);
    return at + 1 == text.size || !is_word(text.at[at + 1]);
}

/* As a whole name, in any case. A host stands in a URL, too. */
static bool says(struct span text, struct span value, bool host) {
    for (size_t at = 0; value.size && at + value.size <= text.size; at++) {
        bool in_url = host && at >= 2 && !memcmp(text.at + at - 2, "//", 2);
        size_t end = at + value.size;
        bool ends = ends_name(text, end, false) ||
                    (host && end < text.size && strchr("/:", text.at[end]));

        if (ascii_lower(text.at[at]) == ascii_lower(value.at[0]) &&
            !strncasecmp(text.at + at, value.at, value.size) && ends &&
            (in_url || ends_name(text, at, true)))
            return true;
    }
    return false;
}

static enum truth said_by(struct asking *a, unsigned sources,
                          struct span value) {
    if (a->facts->untold) return UNKNOWN;
    for (int i = 0; i < a->facts->source_count; i++) {
        const struct source_text *s = &a->facts->sources[i];

        if (!(sources >> s->source & 1)) continue;
        if (s->text.size > SEARCH_BYTES_MAX - *a->searched) return UNKNOWN;
        *a->searched += s->text.size;
        if (says(s->text, value, a->predicate->selector == SELECT_HOST))
            return YES;
    }
    return NO;
}

static enum truth equals(const struct tool_match *m, const cJSON *json,
                         struct span text) {
    bool same_kind = m->quoted == (cJSON_IsString(json) != 0);

    return same_kind && span_is(text, m->text) ? YES : NO;
}

static enum truth in_range(const struct tool_match *m, const cJSON *json) {
    if (!cJSON_IsNumber(json)) return UNKNOWN;
    return json->valuedouble >= m->least && json->valuedouble <= m->most ? YES
                                                                         : NO;
}

static enum truth try_match(struct asking *a, const struct tool_match *m,
                            const cJSON *json, struct span text) {
    bool matches = false;

    switch (m->kind) {
    case MATCH_GLOB:
        return glob_match(m->text, text, a->predicate->selector == SELECT_HOST)
                   ? YES
                   : NO;
    case MATCH_REGEX:
        if (!rules_whole_match(m->regex, text, &matches, NULL)) return UNKNOWN;
        return matches ? YES : NO;
    case MATCH_RANGE:
        return in_range(m, json);
    case MATCH_EQUALS:
        return equals(m, json, text);
    case MATCH_SAID_BY:
        return said_by(a, m->sources, text);
    }
    return UNKNOWN;
}

/* The text of a value that can be matched: a string's own, a number's or a
 * truth's as JSON has it. */
static bool value_text(const cJSON *json, struct bytes *out) {
    if (cJSON_IsString(json))
        return bytes_append(out, json->valuestring, strlen(json->valuestring),
                            NULL);
    return (cJSON_IsNumber(json) || cJSON_IsBool(json)) &&
           json_print(json, out, NULL);
}

static enum truth try_value(struct asking *a, const cJSON *json) {
    const struct tool_predicate *p = a->predicate;
    struct bytes own = {.limit = VALUE_BYTES_MAX};
    char host[URL_HOST_MAX + 1];
    struct span text;
    enum truth truth = NO;

    if (!value_text(json, &own)) {
        bytes_free(&own);
        return UNKNOWN;
    }
    text = span_bytes(&own);
    if (p->selector == SELECT_HOST) {
        if (!cJSON_IsString(json) || !url_host(text, host)) truth = UNKNOWN;
        text = span_of(host);
    }
    for (int i = 0; truth == NO && i < p->count; i++) {
        enum truth one = try_match(a, &p->any[i], json, text);

        if (one > truth) truth = one;
    }
    bytes_free(&own);
    return truth;
}

static void weigh(struct asking *a, enum truth truth) {
    bool first = a->values++ == 0;

    if (first || (a->every ? truth < a->truth : truth > a->truth))
        a->truth = truth;
}

/* ---- the values of a call ---- */

static bool wanted(const struct asking *a, const char *name,
                   const cJSON *json) {
    switch (a->predicate->selector) {
    case SELECT_ALL:
        return cJSON_IsString(json) || cJSON_IsNumber(json);
    case SELECT_TARGETS:
        return tool_target_is(name, json);
    case SELECT_VALUE:
    case SELECT_HOST:
    case SELECT_TAINT:
        break;
    }
    return true;
}

/* `name` is that of the argument that `json` is, or is a part of. */
static void ask_tree(struct asking *a, const char *name, const cJSON *json) {
    bool deep = a->predicate->selector == SELECT_ALL ||
                a->predicate->selector == SELECT_TARGETS;
    const cJSON *child;

    if (a->values >= VALUES_MAX) {
        weigh(a, UNKNOWN);
        return;
    }
    if (!cJSON_IsArray(json) && !(deep && cJSON_IsObject(json))) {
        if (wanted(a, name, json)) weigh(a, try_value(a, json));
        return;
    }
    cJSON_ArrayForEach(child, json) {
        ask_tree(a, child->string ? child->string : name, child);
    }
}

static const cJSON *at_path(const cJSON *json, const char *path) {
    char key[TOOL_GLOB_MAX + 1];

    while (json && *path) {
        size_t size = strcspn(path, ".");

        if (size >= sizeof key || !cJSON_IsObject(json)) return NULL;
        memcpy(key, path, size);
        key[size] = '\0';
        json = cJSON_GetObjectItemCaseSensitive(json, key);
        path += size + (path[size] == '.');
    }
    return json;
}

static bool taints(const struct tool_match *m, const struct source_text *s) {
    switch (s->source) {
    case SOURCE_USER:
        return !strcmp(m->text, "user");
    case SOURCE_DOCUMENT:
        return !strcmp(m->text, "document");
    case SOURCE_TOOL:
        return glob_match(m->text, s->tool, true);
    case SOURCE_SYSTEM:
    case SOURCE_DECLARATION:
    case SOURCE_COUNT:
        break;
    }
    return false;
}

static enum truth tainted(const struct tool_predicate *p,
                          const struct tool_facts *f) {
    if (f->untold) return UNKNOWN;
    for (int i = 0; i < f->source_count; i++)
        for (int m = 0; m < p->count; m++)
            if (taints(&p->any[m], &f->sources[i])) return YES;
    return NO;
}

static enum truth predicate_truth(const struct tool_predicate *p, bool every,
                                  const struct tool_facts *f,
                                  size_t *searched) {
    struct asking a = {
        .facts = f, .predicate = p, .every = every, .searched = searched};
    const cJSON *value;

    if (p->selector == SELECT_TAINT) return tainted(p, f);
    value = p->argument ? at_path(f->arguments, p->argument) : f->arguments;
    if (!value) return UNKNOWN;
    ask_tree(&a, p->argument, value);
    if (a.values) return a.truth;
    /* There is no such argument; or, where all were looked through, none that
     * `when` could be true of, and none that `unless` could excuse. */
    return p->argument || every ? UNKNOWN : NO;
}

/* ---- rules ---- */

static enum truth condition_truth(const struct tool_condition *c, bool every,
                                  const struct tool_facts *f,
                                  size_t *searched) {
    enum truth best = NO;

    for (int i = 0; i < c->count && best != YES; i++) {
        enum truth one = YES;

        for (int k = 0; k < c->any[i].count && one != NO; k++) {
            enum truth part =
                predicate_truth(&c->any[i].all[k], every, f, searched);

            if (part < one) one = part;
        }
        if (one > best) best = one;
    }
    return best;
}

static bool applies(const struct tool_rule *r, const struct tool_facts *f,
                    size_t *searched) {
    bool named = false;

    for (int i = 0; !named && i < r->tool_count; i++)
        named = glob_match(r->tools[i], f->tool, true);
    if (!named) return false;
    if (r->when.count && condition_truth(&r->when, false, f, searched) == NO)
        return false;
    return !r->unless.count ||
           condition_truth(&r->unless, true, f, searched) != YES;
}

static void find(const struct policy *p, const char *check,
                 enum verdict_action action, struct verdict *v) {
    struct finding finding = {.check = check,
                              .category = "",
                              .score = 1,
                              .item = -1,
                              .action = action,
                              .shadow = p->shadow};

    verdict_add(v, &finding);
}

void policy_judge_tool(const struct policy *p, const struct tool_facts *f,
                       struct verdict *v) {
    size_t searched = 0;

    if (!policy_tool_allowed(p, f->tool))
        find(p, "tools.allow", VERDICT_BLOCK, v);
    for (int i = 0; i < p->tool_rule_count; i++)
        if (applies(&p->tool_rules[i], f, &searched))
            find(p, p->tool_rules[i].id, p->tool_rules[i].action, v);
}
