/* tools: of a policy file, what may be called and with what. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/policy_reader.h"
#include "guard/tool_rules_types.h"

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- allow ---- */

static bool read_allow(struct reader *r, const cJSON *allow) {
    struct policy *p = r->policy;
    const cJSON *item;

    if (!allow) return true;
    /* An empty list is a decision: no tool at all. */
    if (!cJSON_IsArray(allow))
        return FAIL(r, allow, "tools.allow must be a list of names");
    if (cJSON_GetArraySize(allow) > POLICY_TOOLS_MAX)
        return FAIL(r, allow, "more than %d tools", POLICY_TOOLS_MAX);
    for (int i = 0; i < p->tool_count; i++) free(p->tools[i]);
    free(p->tools);
    p->tool_count = 0;
    p->tools_listed = true;
    p->tools =
        xalloc_array((size_t)cJSON_GetArraySize(allow) + 1, sizeof *p->tools);
    cJSON_ArrayForEach(item, allow) {
        const char *name;

        if (!reader_name(r, item, "a tool", &name)) return false;
        p->tools[p->tool_count++] = xstrdup(name);
    }
    return true;
}

/* ---- what a value is compared with ---- */

static bool read_glob(struct reader *r, const cJSON *node, char **out) {
    if (!cJSON_IsString(node) || !*node->valuestring ||
        strlen(node->valuestring) > TOOL_GLOB_MAX)
        return FAIL(r, node, "expected a text of 1 to %d bytes, * being any",
                    TOOL_GLOB_MAX);
    *out = xstrdup(node->valuestring);
    return true;
}

static bool read_regex(struct reader *r, const cJSON *node,
                       struct tool_match *out) {
    struct err why = {0};

    out->kind = MATCH_REGEX;
    if (!cJSON_IsString(node) || !*node->valuestring)
        return FAIL(r, node, "pattern must be a text");
    out->regex = rules_whole_new(node->valuestring, &why);
    return out->regex || FAIL(r, node, "%s", why.text);
}

static bool read_range(struct reader *r, const cJSON *node,
                       struct tool_match *out) {
    const cJSON *min = get(node, "min"), *max = get(node, "max");

    out->kind = MATCH_RANGE;
    if ((min && !cJSON_IsNumber(min)) || (max && !cJSON_IsNumber(max)))
        return FAIL(r, min && !cJSON_IsNumber(min) ? min : max,
                    "min and max must be numbers");
    out->least = min ? min->valuedouble : -INFINITY;
    out->most = max ? max->valuedouble : INFINITY;
    return out->least <= out->most ||
           FAIL(r, min, "min is greater than max: nothing is between them");
}

static bool read_equals(struct reader *r, const cJSON *node,
                        struct tool_match *out) {
    struct bytes text = {.limit = TOOL_GLOB_MAX};
    bool ok;

    out->kind = MATCH_EQUALS;
    out->quoted = cJSON_IsString(node) != 0;
    ok = out->quoted ? bytes_append(&text, node->valuestring,
                                    strlen(node->valuestring), NULL)
                     : (cJSON_IsNumber(node) || cJSON_IsBool(node)) &&
                           json_print(node, &text, NULL);
    if (ok) out->text = span_dup(span_bytes(&text));
    bytes_free(&text);
    return ok || FAIL(r, node,
                      "equals must be a number, true, false or a text of %d "
                      "bytes at most",
                      TOOL_GLOB_MAX);
}

static bool read_said_by(struct reader *r, const cJSON *node,
                         struct tool_match *out) {
    static const char *const names[] = {[SOURCE_SYSTEM] = "system",
                                        [SOURCE_USER] = "user",
                                        [SOURCE_TOOL] = "tool",
                                        [SOURCE_DOCUMENT] = "document",
                                        [SOURCE_DECLARATION] = "declaration"};
    const cJSON *item;

    out->kind = MATCH_SAID_BY;
    if (!cJSON_IsArray(node) || !node->child)
        return FAIL(r, node, "said_by must be a list");
    cJSON_ArrayForEach(item, node) {
        unsigned i = 0;

        while (i < SOURCE_COUNT && (!cJSON_IsString(item) ||
                                    strcmp(item->valuestring, names[i]) != 0))
            i++;
        if (i == SOURCE_COUNT)
            return FAIL(r, item,
                        "said_by: system, user, tool, document or "
                        "declaration");
        out->sources |= 1u << i;
    }
    return true;
}

static bool read_match(struct reader *r, const cJSON *node,
                       struct tool_match *out) {
    static const char *const keys[] = {"pattern", "min",     "max",
                                       "equals",  "said_by", NULL};
    bool range;

    if (cJSON_IsString(node)) return read_glob(r, node, &out->text);
    if (!cJSON_IsObject(node) || !node->child)
        return FAIL(r, node,
                    "expected a text, in which * is any, or a mapping with "
                    "pattern, min and max, equals or said_by");
    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    range = get(node, "min") || get(node, "max");
    if (cJSON_GetArraySize(node) > 1 &&
        !(range && get(node, "min") && get(node, "max") &&
          cJSON_GetArraySize(node) == 2))
        return FAIL(r, node, "one of pattern, min and max, equals, said_by");
    if (range) return read_range(r, node, out);
    if (get(node, "pattern")) return read_regex(r, get(node, "pattern"), out);
    if (get(node, "equals")) return read_equals(r, get(node, "equals"), out);
    return read_said_by(r, get(node, "said_by"), out);
}

/* ---- when and unless ---- */

/* "url.host" is the host of `url`. */
static bool read_selector(struct reader *r, const cJSON *node,
                          struct tool_predicate *out) {
    static const char host[] = ".host";
    const char *name = node->string;
    size_t size = strlen(name);

    if (!strcmp(name, "tainted_by")) {
        out->selector = SELECT_TAINT;
    } else if (!strcmp(name, "$all")) {
        out->selector = SELECT_ALL;
    } else if (!strcmp(name, "$targets")) {
        out->selector = SELECT_TARGETS;
    } else if (*name == '$' || size == 0 || size > TOOL_GLOB_MAX) {
        return FAIL(r, node,
                    "an argument's name, tainted_by, $targets or $all");
    } else {
        if (size > strlen(host) && !strcmp(name + size - strlen(host), host)) {
            out->selector = SELECT_HOST;
            size -= strlen(host);
        }
        out->argument = span_dup((struct span){name, size});
    }
    return true;
}

static bool read_predicate(struct reader *r, const cJSON *node,
                           struct tool_predicate *out) {
    const cJSON *item = node;
    int count = 1;

    if (!read_selector(r, node, out)) return false;
    if (cJSON_IsArray(node)) {
        item = node->child;
        count = cJSON_GetArraySize(node);
    }
    if (count == 0 || count > TOOL_MATCHES_MAX)
        return FAIL(r, node, "a list of 1 to %d", TOOL_MATCHES_MAX);
    out->any = xalloc_array((size_t)count, sizeof *out->any);
    for (int i = 0; i < count; i++, item = item->next) {
        struct tool_match *m = &out->any[out->count++];

        if (!read_match(r, item, m)) return false;
        if (out->selector == SELECT_TAINT && m->kind != MATCH_GLOB)
            return FAIL(r, item, "tainted_by: names of tools, document, user");
    }
    return true;
}

static bool read_case(struct reader *r, const cJSON *node,
                      struct tool_case *out) {
    const cJSON *item;

    if (!cJSON_IsObject(node) || !node->child)
        return FAIL(r, node, "a condition must map arguments to values");
    if (cJSON_GetArraySize(node) > TOOL_PREDICATES_MAX)
        return FAIL(r, node, "more than %d conditions", TOOL_PREDICATES_MAX);
    cJSON_ArrayForEach(item, node) {
        if (!read_predicate(r, item, &out->all[out->count++])) return false;
    }
    return true;
}

static bool read_condition(struct reader *r, const cJSON *node,
                           struct tool_condition *out) {
    const cJSON *item = node;
    int count = 1;

    if (!node) return true;
    if (cJSON_IsArray(node)) {
        item = node->child;
        count = cJSON_GetArraySize(node);
    }
    if (count == 0 || count > TOOL_CASES_MAX)
        return FAIL(r, node, "a list of 1 to %d conditions", TOOL_CASES_MAX);
    out->any = xalloc_array((size_t)count, sizeof *out->any);
    for (int i = 0; i < count; i++, item = item->next)
        if (!read_case(r, item, &out->any[out->count++])) return false;
    return true;
}

/* ---- rules ---- */

static bool read_rule_tools(struct reader *r, const cJSON *node,
                            struct tool_rule *out) {
    const cJSON *item = cJSON_IsArray(node) ? node->child : node;
    int count = cJSON_IsArray(node) ? cJSON_GetArraySize(node) : 1;

    if (count == 0 || count > POLICY_TOOLS_MAX)
        return FAIL(r, node, "a list of 1 to %d tools", POLICY_TOOLS_MAX);
    out->tools = xalloc_array((size_t)count, sizeof *out->tools);
    for (int i = 0; i < count; i++, item = item->next)
        if (!read_glob(r, item, &out->tools[out->tool_count++])) return false;
    return true;
}

static bool read_rule_action(struct reader *r, const cJSON *node,
                             struct tool_rule *out) {
    if (cJSON_IsString(node) &&
        verdict_action_from_name(node->valuestring, &out->action) &&
        out->action != VERDICT_ALLOW && out->action != VERDICT_REDACT)
        return true;
    return FAIL(r, node, "action must be block, ask or flag");
}

/* The place of the rule with this id: the one it overrides, or a new one. */
static struct tool_rule *rule_slot(struct reader *r, const cJSON *node,
                                   const char *id, int first) {
    struct policy *p = r->policy;
    int i = 0;

    while (i < p->tool_rule_count && strcmp(p->tool_rules[i].id, id) != 0) i++;
    if (i < p->tool_rule_count) {
        if (i >= first) {
            FAIL(r, node, "a second rule with the id %s", id);
            return NULL;
        }
        tool_rule_clear(&p->tool_rules[i]);
    } else if (i == TOOL_RULES_MAX) {
        FAIL(r, node, "more than %d rules", TOOL_RULES_MAX);
        return NULL;
    } else {
        p->tool_rule_count++;
    }
    p->tool_rules[i].id = xstrdup(id);
    return &p->tool_rules[i];
}

static bool read_rule(struct reader *r, const cJSON *node, int first) {
    static const char *const keys[] = {"id",     "tool",   "when",
                                       "unless", "action", NULL};
    const char *id = NULL;
    struct tool_rule *rule;
    char own[32];

    if (!cJSON_IsObject(node)) return FAIL(r, node, "a rule must be a mapping");
    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    if (!get(node, "tool")) return FAIL(r, node, "a rule needs tool");
    if (!get(node, "action")) return FAIL(r, node, "a rule needs an action");
    (void)snprintf(own, sizeof own, "tools.rules.%d",
                   r->policy->tool_rule_count + 1);
    if (get(node, "id") && !reader_name(r, get(node, "id"), "id", &id))
        return false;
    rule = rule_slot(r, node, id ? id : own, first);
    return rule && read_rule_tools(r, get(node, "tool"), rule) &&
           read_rule_action(r, get(node, "action"), rule) &&
           read_condition(r, get(node, "when"), &rule->when) &&
           read_condition(r, get(node, "unless"), &rule->unless);
}

static bool read_rules(struct reader *r, const cJSON *node) {
    struct policy *p = r->policy;
    int first = p->tool_rule_count;
    const cJSON *item;

    if (!node) return true;
    if (!cJSON_IsArray(node) || !node->child)
        return FAIL(r, node, "tools.rules must be a list");
    if (!p->tool_rules)
        p->tool_rules = xalloc_array(TOOL_RULES_MAX, sizeof *p->tool_rules);
    cJSON_ArrayForEach(item, node) {
        if (!read_rule(r, item, first)) return false;
    }
    return true;
}

bool policy_read_tools(struct reader *r, const cJSON *node) {
    static const char *const keys[] = {"allow", "rules", NULL};

    if (!node) return true;
    if (!cJSON_IsObject(node) || !node->child)
        return FAIL(r, node, "tools must be a mapping with allow or rules");
    return yaml_only_keys(r->yaml, node, keys, r->err) &&
           read_allow(r, get(node, "allow")) &&
           read_rules(r, get(node, "rules"));
}
