/* Policy files to structs, with a place for every complaint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/policy_reader.h"

_Static_assert(POLICY_CHECKS_MAX <= 64, "a bit a check");

struct loading {
    struct policy *policy;
    struct bytes *seen;
    char *paths[POLICY_FILES_MAX]; /* from the first to the one being read */
    int depth;
    int files;
    struct err *err;
};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool is_name(const char *s) {
    size_t size = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                            "YZ0123456789-_");

    return size && size <= POLICY_NAME_MAX && !s[size];
}

bool reader_name(struct reader *r, const cJSON *node, const char *what,
                 const char **out) {
    if (!cJSON_IsString(node) || !is_name(node->valuestring))
        return FAIL(r, node,
                    "%s must be a name of letters, digits, - and _, at most "
                    "%d",
                    what, POLICY_NAME_MAX);
    *out = node->valuestring;
    return true;
}

/* A word out of two. */
static bool read_choice(struct reader *r, const cJSON *object, const char *key,
                        const char *no, const char *yes, bool *out) {
    const cJSON *node = get(object, key);

    if (!node) return true;
    if (cJSON_IsString(node) && !strcmp(node->valuestring, no))
        *out = false;
    else if (cJSON_IsString(node) && !strcmp(node->valuestring, yes))
        *out = true;
    else
        return FAIL(r, node, "%s must be %s or %s", key, no, yes);
    return true;
}

static bool read_int(struct reader *r, const cJSON *object, const char *key,
                     int least, int most, int *out) {
    const cJSON *node = get(object, key);

    if (!node) return true;
    if (!cJSON_IsNumber(node) || node->valuedouble < least ||
        node->valuedouble > most ||
        node->valuedouble != (double)(int)node->valuedouble)
        return FAIL(r, node, "%s must be a whole number from %d to %d", key,
                    least, most);
    *out = (int)node->valuedouble;
    return true;
}

static bool read_text(struct reader *r, const cJSON *node, const char *what,
                      const char **out) {
    if (!cJSON_IsString(node) || !*node->valuestring)
        return FAIL(r, node, "%s must be a text", what);
    if (strlen(node->valuestring) > POLICY_TEXT_MAX)
        return FAIL(r, node, "%s is past %d bytes", what, POLICY_TEXT_MAX);
    *out = node->valuestring;
    return true;
}

static bool is_list(const cJSON *node) {
    return cJSON_IsArray(node) && node->child;
}

static bool read_channels(struct reader *r, const cJSON *node, bool *on) {
    const cJSON *item;

    if (!is_list(node)) return FAIL(r, node, "on must be a list of channels");
    cJSON_ArrayForEach(item, node) {
        enum channel channel;

        if (!cJSON_IsString(item) ||
            !channel_from_name(item->valuestring, &channel))
            return FAIL(r, item,
                        "no such channel: input, output, tool_call, "
                        "tool_result or document");
        if (on[channel]) return FAIL(r, item, "a channel named twice");
        on[channel] = true;
    }
    return true;
}

static bool read_action(struct reader *r, const cJSON *node,
                        enum check_kind kind, enum verdict_action *out) {
    if (!cJSON_IsString(node) ||
        !verdict_action_from_name(node->valuestring, out) ||
        *out == VERDICT_ALLOW)
        return FAIL(r, node, "action must be block, ask, redact or flag");
    if (*out == VERDICT_REDACT &&
        (kind == CHECK_CLASSIFIER || kind == CHECK_EXAMPLES))
        return FAIL(r, node,
                    "%s judges the whole text and cannot redact a part of it: "
                    "block or flag",
                    kind == CHECK_CLASSIFIER ? "a classifier" : "examples");
    return true;
}

bool reader_level(struct reader *r, const cJSON *node, enum level *out) {
    static const char *const names[LEVEL_COUNT] = {"strict", "balanced",
                                                   "loose", "off"};

    for (int i = 0; cJSON_IsString(node) && i < LEVEL_COUNT; i++) {
        if (strcmp(node->valuestring, names[i]) != 0) continue;
        *out = (enum level)i;
        return true;
    }
    return FAIL(r, node, "a level must be strict, balanced, loose or off");
}

static int label_from_name(const char *name) {
    for (int l = LABEL_S1; l < LABEL_COUNT; l++)
        if (!strcmp(name, label_name(l))) return l;
    return -1;
}

static bool read_categories(struct reader *r, const cJSON *node,
                            struct check *c) {
    const cJSON *item;
    bool any = false;

    for (int l = 0; l < LABEL_COUNT; l++) c->levels[l] = LEVEL_OFF;
    if (!cJSON_IsObject(node) || !node->child)
        return FAIL(r, node,
                    "categories must map all, S1 to S14 or INJ to levels");
    item = get(node, "all");
    if (item) {
        if (!reader_level(r, item, &c->levels[LABEL_UNSAFE])) return false;
        for (int l = LABEL_S1; l < LABEL_COUNT; l++)
            c->levels[l] = c->levels[LABEL_UNSAFE];
    }
    cJSON_ArrayForEach(item, node) {
        int label = label_from_name(item->string);

        if (!strcmp(item->string, "all")) continue;
        if (label < 0)
            return FAIL(r, item, "no such category: all, S1 to S14 or INJ");
        if (!reader_level(r, item, &c->levels[label])) return false;
    }
    for (int l = LABEL_S1; l < LABEL_COUNT; l++)
        any = any || c->levels[l] != LEVEL_OFF;
    return any || FAIL(r, node,
                       "every category is off: the check does "
                       "nothing");
}

static bool read_classifier(struct reader *r, const cJSON *node,
                            struct policy_check *owner) {
    struct check *c = &owner->check;
    static const char *const keys[] = {"id",     "use",    "on",
                                       "action", "shadow", "categories",
                                       "custom", "model",  NULL};
    const cJSON *categories = get(node, "categories");
    bool activated = false;

    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    if (!categories) return FAIL(r, node, "a classifier needs categories");
    if (!read_choice(r, node, "model", "full", "activated", &activated))
        return false;
    c->model = activated ? GUARD_MODEL_ACTIVATED : GUARD_MODEL_FULL;
    return read_categories(r, categories, c) &&
           policy_read_custom(r, get(node, "custom"), owner);
}

static bool read_entities(struct reader *r, const cJSON *node,
                          struct check *c) {
    static const char *const keys[] = {"id",     "use",   "on", "action",
                                       "shadow", "kinds", NULL};
    const cJSON *kinds = get(node, "kinds"), *item;

    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    if (!is_list(kinds))
        return FAIL(r, kinds ? kinds : node, "entities need a list of kinds");
    cJSON_ArrayForEach(item, kinds) {
        uint64_t named =
            cJSON_IsString(item) ? entity_kinds(item->valuestring) : 0;

        if (!named)
            return FAIL(r, item,
                        "no such kind of entity: docs/policies.md lists them, "
                        "email, card, api_key, national_id, ...");
        if (c->entities & named) return FAIL(r, item, "a kind named twice");
        c->entities |= named;
    }
    return true;
}

/* Tried alone, so that the complaint has its place; policy.c compiles them
 * together. */
static bool try_rule(struct reader *r, const cJSON *node,
                     const struct policy_rule *rule) {
    struct rules_builder *b = rules_builder_new();
    struct err why = {.code = ERR_NONE};
    bool ok;

    if (rule->start)
        ok = rules_add_capped(b, 0, span_of(rule->text), span_of(rule->start),
                              rule->cap, &why);
    else if (rule->pattern)
        ok = rules_add_pattern(b, 0, span_of(rule->text), &why);
    else
        ok = rules_add_literal(b, 0, span_of(rule->text), rule->anywhere, &why);
    rules_builder_free(b);
    return ok || FAIL(r, node, "%s", why.text);
}

/* "path:line:column", owned by the caller. */
static char *place_of(const struct reader *r, const cJSON *node) {
    size_t size = strlen(r->path) + 32;
    char *out = xalloc(size);
    int line, column;

    yaml_place(r->yaml, node, &line, &column);
    (void)snprintf(out, size, "%s:%d:%d", r->path, line, column);
    return out;
}

static bool read_rule(struct reader *r, const cJSON *node,
                      struct policy_rule *out) {
    static const char *const literal_keys[] = {"literal", "anywhere", NULL};
    static const char *const pattern_keys[] = {"pattern", "cap", "start", NULL};
    const cJSON *pattern, *text = node, *start = NULL, *flag;
    int cap = 0;

    if (cJSON_IsObject(node)) {
        pattern = get(node, "pattern");
        text = pattern ? pattern : get(node, "literal");
        if (!text) return FAIL(r, node, "a rule needs literal or pattern");
        if (!yaml_only_keys(r->yaml, node,
                            pattern ? pattern_keys : literal_keys, r->err) ||
            !read_int(r, node, "cap", 1, RULES_WIDTH_MAX, &cap))
            return false;
        out->pattern = pattern != NULL;
        flag = get(node, "anywhere");
        if (flag && !cJSON_IsBool(flag))
            return FAIL(r, flag, "anywhere must be true or false");
        out->anywhere = cJSON_IsTrue(flag);
        start = get(node, "start");
    }
    if (!cJSON_IsString(text) || !*text->valuestring)
        return FAIL(r, text, "a rule must be a text (in quotes) or a mapping");
    if (start && (!cJSON_IsString(start) || !cap))
        return FAIL(r, start, "start must be a pattern, and needs a cap");
    if (cap && !start)
        return FAIL(r, get(node, "cap"),
                    "a cap needs a start: the pattern that a match begins "
                    "with");
    if (start) out->start = xstrdup(start->valuestring);
    out->cap = (size_t)cap;
    out->text = xstrdup(text->valuestring);
    out->place = place_of(r, text);
    return try_rule(r, text, out);
}

static bool read_rules(struct reader *r, const cJSON *node,
                       struct policy_check *c) {
    static const char *const keys[] = {"id",     "use", "on", "action",
                                       "shadow", "any", NULL};
    const cJSON *any = get(node, "any"), *item;
    int count;

    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    if (!is_list(any))
        return FAIL(r, any ? any : node, "rules need a list: any");
    count = cJSON_GetArraySize(any);
    if (count > RULES_MAX)
        return FAIL(r, any, "%d rules, %d at most", count, RULES_MAX);
    c->rules = xalloc_array((size_t)count, sizeof *c->rules);
    cJSON_ArrayForEach(item, any) {
        if (!read_rule(r, item, &c->rules[c->rule_count++])) return false;
    }
    return true;
}

/* A file below the policy's folder: a policy is handed on with its folder. */
static bool is_examples_path(const char *s) {
    size_t size = strlen(s);

    return *s && *s != '/' && size <= POLICY_PATH_MAX && !strstr(s, "..") &&
           size > strlen(".jsonl") && !strcmp(s + size - 6, ".jsonl");
}

static bool read_examples(struct reader *r, const cJSON *node,
                          struct policy_check *c) {
    static const char *const keys[] = {"id",     "use",      "on", "action",
                                       "shadow", "examples", NULL};
    const cJSON *path = get(node, "examples");
    const char *slash = strrchr(r->path, '/');
    int folder = slash ? (int)(slash - r->path) + 1 : 0;
    size_t stem = strlen(r->path), size;

    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    if (!path) return FAIL(r, node, "the check needs examples: a file");
    if (!cJSON_IsString(path) || !is_examples_path(path->valuestring))
        return FAIL(r, path,
                    "examples must be a .jsonl file in the policy's folder or "
                    "below it");
    if (c->check.on[CHANNEL_OUTPUT])
        return FAIL(r, get(node, "on"),
                    "examples judge whole texts and an output arrives in "
                    "pieces: input, tool_call, tool_result or document");
    size = (size_t)folder + strlen(path->valuestring) + 1;
    c->examples = xalloc(size);
    (void)snprintf(c->examples, size, "%.*s%s", folder, r->path,
                   path->valuestring);
    if (stem > 5 && !strcmp(r->path + stem - 5, ".yaml")) stem -= 5;
    size = stem + strlen(c->check.id) + sizeof "-.head";
    c->head_path = xalloc(size);
    (void)snprintf(c->head_path, size, "%.*s-%s.head", (int)stem, r->path,
                   c->check.id);
    c->place = place_of(r, path);
    c->check.examples = c->examples;
    c->check.head_path = c->head_path;
    c->check.place = c->place;
    return true;
}

static bool read_kind(struct reader *r, const cJSON *node,
                      enum check_kind *out) {
    const cJSON *use = get(node, "use");

    if (!use) return FAIL(r, node, "a check needs use");
    if (cJSON_IsString(use) && !strcmp(use->valuestring, "classifier"))
        *out = CHECK_CLASSIFIER;
    else if (cJSON_IsString(use) && !strcmp(use->valuestring, "rules"))
        *out = CHECK_RULES;
    else if (cJSON_IsString(use) && !strcmp(use->valuestring, "entities"))
        *out = CHECK_ENTITIES;
    else if (cJSON_IsString(use) && !strcmp(use->valuestring, "examples"))
        *out = CHECK_EXAMPLES;
    else
        return FAIL(r, use,
                    "use must be classifier, rules, entities or examples");
    return true;
}

/* The place of a check of this id: the one it overrides, or a new one. */
static struct policy_check *check_slot(struct reader *r, const cJSON *node,
                                       const char *id) {
    struct policy *p = r->policy;
    int i;

    for (i = 0; i < p->check_count; i++)
        if (!strcmp(p->checks[i].check.id, id)) break;
    if (i < p->check_count && r->own >> i & 1) {
        FAIL(r, node, "a second check with the id %s", id);
        return NULL;
    }
    if (i == POLICY_CHECKS_MAX) {
        FAIL(r, node, "more than %d checks", POLICY_CHECKS_MAX);
        return NULL;
    }
    if (i == p->check_count)
        p->check_count++;
    else
        policy_check_clear(&p->checks[i]);
    r->own |= (uint64_t)1 << i;
    p->checks[i].check.id = xstrdup(id);
    return &p->checks[i];
}

static bool read_check(struct reader *r, const cJSON *node) {
    const cJSON *id, *on, *action, *shadow;
    struct policy_check *c;
    enum check_kind kind = CHECK_CLASSIFIER;
    const char *name;

    if (!cJSON_IsObject(node))
        return FAIL(r, node, "a check must be a mapping");
    id = get(node, "id");
    on = get(node, "on");
    action = get(node, "action");
    shadow = get(node, "shadow");
    if (!id) return FAIL(r, node, "a check needs an id");
    if (!reader_name(r, id, "id", &name) || !read_kind(r, node, &kind))
        return false;
    if (!on) return FAIL(r, node, "a check needs on: a list of channels");
    if (!action) return FAIL(r, node, "a check needs an action");
    c = check_slot(r, id, name);
    if (!c) return false;
    c->check.kind = kind;
    if (!read_channels(r, on, c->check.on) ||
        !read_action(r, action, kind, &c->check.action))
        return false;
    if (shadow && !cJSON_IsBool(shadow))
        return FAIL(r, shadow, "shadow must be true or false");
    c->check.shadow = cJSON_IsTrue(shadow);
    if (kind == CHECK_RULES) return read_rules(r, node, c);
    if (kind == CHECK_EXAMPLES) return read_examples(r, node, c);
    if (kind == CHECK_ENTITIES) return read_entities(r, node, &c->check);
    return read_classifier(r, node, c);
}

static bool read_checks(struct reader *r, const cJSON *node) {
    const cJSON *item;

    if (!node || cJSON_IsNull(node)) return true;
    if (!cJSON_IsArray(node)) return FAIL(r, node, "checks must be a list");
    cJSON_ArrayForEach(item, node) {
        if (!read_check(r, item)) return false;
    }
    return true;
}

static bool put_message(struct reader *r, const cJSON *node) {
    struct policy *p = r->policy;
    const char *text;
    int i;

    if (strlen(node->string) < 2 || strlen(node->string) > 8 ||
        strspn(node->string, "abcdefghijklmnopqrstuvwxyz") !=
            strlen(node->string))
        return FAIL(r, node, "a language must be a code such as en");
    if (!read_text(r, node, "a message", &text)) return false;
    for (i = 0; i < p->message_count; i++)
        if (!strcmp(p->messages[i].language, node->string)) break;
    if (i == POLICY_MESSAGES_MAX)
        return FAIL(r, node, "more than %d languages", POLICY_MESSAGES_MAX);
    if (i == p->message_count) {
        p->messages[i].language = xstrdup(node->string);
        p->message_count++;
    }
    free(p->messages[i].text);
    p->messages[i].text = xstrdup(text);
    return true;
}

static bool read_messages(struct reader *r, const cJSON *node) {
    static const char *const keys[] = {"block", NULL};
    const cJSON *block, *item;

    if (!node) return true;
    if (!cJSON_IsObject(node))
        return FAIL(r, node, "messages must be a mapping");
    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    block = get(node, "block");
    if (!cJSON_IsObject(block) || !block->child)
        return FAIL(r, block ? block : node,
                    "messages.block must map languages to texts");
    cJSON_ArrayForEach(item, block) {
        if (!put_message(r, item)) return false;
    }
    return true;
}

static bool read_limits(struct reader *r, const cJSON *node) {
    static const char *const keys[] = {"guard_ms", "input_tokens", "approval_s",
                                       NULL};
    struct policy_limits *l = &r->policy->limits;

    if (!node) return true;
    if (!cJSON_IsObject(node)) return FAIL(r, node, "limits must be a mapping");
    return yaml_only_keys(r->yaml, node, keys, r->err) &&
           read_int(r, node, "guard_ms", 1, 600000, &l->guard_ms) &&
           read_int(r, node, "input_tokens", 1, 1000000, &l->input_tokens) &&
           read_int(r, node, "approval_s", 0, 86400, &l->approval_s);
}

static bool read_test(struct reader *r, const cJSON *node,
                      struct policy_test *out) {
    static const char *const keys[] = {"on", "text", "prompt", "expect", NULL};
    const cJSON *on, *prompt, *text, *expect;
    const char *value = NULL, *question = NULL;
    int column;

    if (!cJSON_IsObject(node)) return FAIL(r, node, "a test must be a mapping");
    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    on = get(node, "on");
    prompt = get(node, "prompt");
    text = get(node, "text");
    expect = get(node, "expect");
    if (!on || !text || !expect)
        return FAIL(r, node, "a test needs on, text and expect");
    if (!cJSON_IsString(on) || !channel_from_name(on->valuestring, &out->on))
        return FAIL(r, on,
                    "no such channel: input, output, tool_call, tool_result "
                    "or document");
    if (!cJSON_IsString(expect) ||
        !verdict_action_from_name(expect->valuestring, &out->expect))
        return FAIL(r, expect,
                    "expect must be allow, flag, redact, ask or block");
    if (prompt && out->on != CHANNEL_OUTPUT)
        return FAIL(r, prompt, "prompt belongs to a test on output");
    if (!read_text(r, text, "text", &value) ||
        (prompt && !read_text(r, prompt, "prompt", &question)))
        return false;
    yaml_place(r->yaml, node, &out->line, &column);
    out->text = xstrdup(value);
    out->prompt = question ? xstrdup(question) : NULL;
    return true;
}

static bool read_tests(struct reader *r, const cJSON *node, bool keep) {
    struct policy *p = r->policy;
    const cJSON *item;
    int count;

    if (!node) return true;
    if (!cJSON_IsArray(node)) return FAIL(r, node, "tests must be a list");
    count = cJSON_GetArraySize(node);
    if (count > POLICY_TESTS_MAX)
        return FAIL(r, node, "%d tests, %d at most", count, POLICY_TESTS_MAX);
    if (keep) p->tests = xalloc_array((size_t)count + 1, sizeof *p->tests);
    cJSON_ArrayForEach(item, node) {
        struct policy_test test = {.line = 0};

        if (!read_test(r, item, &test)) return false;
        if (keep) {
            p->tests[p->test_count++] = test;
            continue;
        }
        free((void *)(uintptr_t)test.text); /* ours, as above */
        free((void *)(uintptr_t)test.prompt);
    }
    return true;
}

static bool load(struct loading *l, const char *path, const struct yaml *by,
                 const cJSON *at);

/* `<name>.yaml` in the folder of the file that extends it. */
static char *pack_path(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    size_t size = (size_t)folder + strlen(name) + sizeof ".yaml";
    char *out = xalloc(size);

    (void)snprintf(out, size, "%.*s%s.yaml", folder, path, name);
    return out;
}

static bool read_extends(struct loading *l, struct reader *r,
                         const cJSON *node) {
    const cJSON *item;

    if (!node) return true;
    if (!is_list(node)) return FAIL(r, node, "extends must be a list of names");
    cJSON_ArrayForEach(item, node) {
        const char *name;
        char *path;
        bool ok;

        if (!reader_name(r, item, "a pack", &name)) return false;
        path = pack_path(r->path, name);
        ok = load(l, path, r->yaml, item);
        free(path);
        if (!ok) return false;
    }
    return true;
}

static bool read_file(struct loading *l, struct reader *r) {
    static const char *const keys[] = {
        "policy",   "extends",  "mode",   "checks", "tools", "stream",
        "on_block", "messages", "limits", "tests",  NULL};
    const cJSON *root = yaml_root(r->yaml);
    struct policy *p = r->policy;
    bool main_file = l->depth == 1;
    const char *name;

    if (!cJSON_IsObject(root))
        return FAIL(r, root, "a policy must be a mapping");
    if (!yaml_only_keys(r->yaml, root, keys, r->err)) return false;
    if (!get(root, "policy"))
        return FAIL(r, root,
                    "a policy needs a name: "
                    "policy");
    if (!reader_name(r, get(root, "policy"), "policy", &name)) return false;
    if (main_file) p->name = xstrdup(name);
    if (!read_extends(l, r, get(root, "extends")) ||
        !read_checks(r, get(root, "checks")) ||
        !policy_read_tools(r, get(root, "tools")) ||
        !read_messages(r, get(root, "messages")) ||
        !read_limits(r, get(root, "limits")) ||
        !read_choice(r, root, "mode", "enforce", "shadow", &p->shadow) ||
        !read_choice(r, root, "stream", "hold", "trail", &p->trail) ||
        !read_choice(r, root, "on_block", "refusal", "error",
                     &p->on_block_error) ||
        !read_tests(r, get(root, "tests"), main_file))
        return false;
    if (main_file && !p->check_count)
        return FAIL(r, get(root, "checks") ? get(root, "checks") : root,
                    "a policy needs a check: list one under checks, or "
                    "extend a pack that has some");
    return true;
}

static bool enter(struct loading *l, const char *path, const struct yaml *by,
                  const cJSON *at) {
    for (int i = 0; i < l->depth; i++)
        if (!strcmp(l->paths[i], path))
            return yaml_fail(by, at, l->err, "the pack extends itself");
    if (l->files == POLICY_FILES_MAX)
        return yaml_fail(by, at, l->err, "more than %d files",
                         POLICY_FILES_MAX);
    l->files++;
    l->paths[l->depth++] = xstrdup(path);
    return true;
}

static bool load(struct loading *l, const char *path, const struct yaml *by,
                 const cJSON *at) {
    struct bytes text = {.limit = YAML_BYTES_MAX};
    struct reader r = {.policy = l->policy, .err = l->err, .path = path};
    struct err why = {.code = ERR_NONE};
    bool ok = false;

    if (!enter(l, path, by, at)) return false;
    if (!bytes_read_file(&text, path, &why)) {
        if (at)
            yaml_fail(by, at, l->err, "%s", why.text);
        else if (l->err)
            *l->err = why;
        goto out;
    }
    if (!bytes_append(l->seen, text.at, text.size, l->err)) goto out;
    /* enter() counts them against the same limit. */
    l->policy->sources[l->policy->source_count++] =
        (struct policy_source){xstrdup(path), span_dup(span_bytes(&text))};
    r.yaml = yaml_parse(span_bytes(&text), path, l->err);
    if (!r.yaml) goto out;
    ok = read_file(l, &r);

out:
    yaml_close(r.yaml);
    bytes_free(&text);
    free(l->paths[--l->depth]);
    return ok;
}

bool policy_read(struct policy *p, const char *path, struct bytes *seen,
                 struct err *err) {
    struct loading l = {.policy = p, .seen = seen, .err = err};

    return load(&l, path, NULL, NULL);
}
