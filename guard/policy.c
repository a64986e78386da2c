#include "guard/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/policy_reader.h"
#include "guard/policy_types.h"
#include "guard/tool_rules_types.h"

void policy_check_clear(struct policy_check *c) {
    free((void *)(uintptr_t)c->check.id); /* ours */
    for (int i = 0; i < c->rule_count; i++) {
        free(c->rules[i].text);
        free(c->rules[i].start);
        free(c->rules[i].place);
    }
    free(c->rules);
    free(c->examples);
    free(c->head_path);
    free(c->place);
    head_free(c->head);
    policy_custom_clear(c);
    memset(c, 0, sizeof *c);
}

static void free_texts(struct policy *p) {
    for (int i = 0; i < p->source_count; i++) {
        free(p->sources[i].path);
        free(p->sources[i].text);
    }
    for (int i = 0; i < p->message_count; i++) {
        free(p->messages[i].language);
        free(p->messages[i].text);
    }
    for (int i = 0; i < p->test_count; i++) {
        /* Ours; const only to those who read the tests. */
        free((void *)(uintptr_t)p->tests[i].prompt);
        free((void *)(uintptr_t)p->tests[i].text);
    }
    free(p->tests);
    for (int i = 0; i < p->tool_count; i++) free(p->tools[i]);
    free(p->tools);
    for (int i = 0; i < p->tool_rule_count; i++)
        tool_rule_clear(&p->tool_rules[i]);
    free(p->tool_rules);
}

static void destroy(struct policy *p) {
    for (int c = 0; c < CHANNEL_COUNT; c++) {
        for (int s = 0; s < 2; s++) {
            rules_free(p->rulesets[c][s].rules);
            free(p->rulesets[c][s].map);
        }
    }
    for (int i = 0; i < p->check_count; i++) policy_check_clear(&p->checks[i]);
    free(p->checks);
    free_texts(p);
    free(p->name);
    free(p->path);
    free(p);
}

/* A rule that Hyperscan refuses only with its fellows is named by number. */
static bool at_rule(const struct policy_ruleset *set, struct err *err) {
    char text[ERR_TEXT_MAX];
    long number;

    if (!err || !err->field[0]) return false;
    number = strtol(err->field, NULL, 10);
    if (number < 0 || number >= set->count) return false;
    (void)snprintf(text, sizeof text, "%s", err->text);
    return err_set(err, ERR_INPUT, "%s: %s", set->map[number]->place, text);
}

static bool add_rule(struct rules_builder *b, int number,
                     const struct policy_rule *r, struct err *err) {
    struct span text = span_of(r->text);

    if (r->start)
        return rules_add_capped(b, number, text, span_of(r->start), r->cap,
                                err);
    if (r->pattern) return rules_add_pattern(b, number, text, err);
    return rules_add_literal(b, number, text, r->anywhere, err);
}

static bool compile_set(struct policy *p, enum channel channel, bool shadow,
                        struct err *err) {
    struct policy_ruleset *set = &p->rulesets[channel][shadow];
    struct rules_builder *b = rules_builder_new();
    int capacity = 0;
    bool ok = true;

    for (int i = 0; ok && i < p->check_count; i++) {
        struct policy_check *c = &p->checks[i];

        if (c->check.kind != CHECK_RULES || !c->check.on[channel] ||
            policy_is_shadow(p, &c->check) != shadow)
            continue;
        capacity += c->rule_count;
        set->map = xrealloc_array(set->map, (size_t)capacity, sizeof *set->map);
        for (int k = 0; ok && k < c->rule_count; k++) {
            struct err why = {.code = ERR_NONE};

            c->rules[k].check = i;
            set->map[set->count] = &c->rules[k];
            ok = add_rule(b, set->count++, &c->rules[k], &why);
            if (!ok)
                err_set(err, ERR_INPUT, "%s: %s", c->rules[k].place, why.text);
        }
    }
    if (ok && set->count) {
        set->rules = rules_build(b, err);
        ok = set->rules != NULL;
        if (!ok) (void)at_rule(set, err);
    }
    rules_builder_free(b);
    return ok;
}

static struct policy *open_policy(const char *path, bool trained,
                                  struct err *err) {
    struct policy *p = xalloc(sizeof *p);
    struct bytes seen = {.limit = (size_t)POLICY_FILES_MAX * YAML_BYTES_MAX};
    char digest[HASH_HEX_SIZE];
    bool ok;

    atomic_init(&p->references, 1);
    p->path = xstrdup(path);
    p->checks = xalloc_array(POLICY_CHECKS_MAX, sizeof *p->checks);
    p->limits = (struct policy_limits){
        .guard_ms = 2000, .input_tokens = 8000, .approval_s = 300};
    ok = policy_read(p, path, &seen, err) && policy_reachable(p, err) &&
         (!trained || policy_read_heads(p, &seen, err));
    for (int c = 0; ok && c < CHANNEL_COUNT; c++)
        ok = compile_set(p, (enum channel)c, false, err) &&
             compile_set(p, (enum channel)c, true, err);
    if (ok) {
        hash_sha256_hex(span_bytes(&seen), digest);
        memcpy(p->revision, digest, VERDICT_REVISION_SIZE - 1);
    }
    bytes_free(&seen);
    if (ok) return p;
    destroy(p);
    return NULL;
}

struct policy *policy_open(const char *path, struct err *err) {
    return open_policy(path, true, err);
}

struct policy *policy_open_untrained(const char *path, struct err *err) {
    return open_policy(path, false, err);
}

struct policy *policy_ref(const struct policy *p) {
    struct policy *own = (struct policy *)(uintptr_t)p; /* only the count */

    atomic_fetch_add(&own->references, 1);
    return own;
}

void policy_free(struct policy *p) {
    if (p && atomic_fetch_sub(&p->references, 1) == 1) destroy(p);
}

const char *policy_name(const struct policy *p) {
    return p->name;
}

const char *policy_path(const struct policy *p) {
    return p->path;
}

const char *policy_revision(const struct policy *p) {
    return p->revision;
}

int policy_source_count(const struct policy *p) {
    return p->source_count;
}

const char *policy_source_path(const struct policy *p, int index) {
    return p->sources[index].path;
}

const char *policy_source_text(const struct policy *p, int index) {
    return p->sources[index].text;
}

bool policy_shadow(const struct policy *p) {
    return p->shadow;
}

bool policy_on_block_error(const struct policy *p) {
    return p->on_block_error;
}

bool policy_stream_trail(const struct policy *p) {
    return p->trail;
}

const struct policy_limits *policy_limits(const struct policy *p) {
    return &p->limits;
}

/* "it-CH" is served by "it". */
static const char *find_message(const struct policy *p, const char *language) {
    size_t size = strcspn(language, "-_");

    for (int i = 0; i < p->message_count; i++)
        if (strlen(p->messages[i].language) == size &&
            !strncasecmp(p->messages[i].language, language, size))
            return p->messages[i].text;
    return NULL;
}

const char *policy_message(const struct policy *p, const char *language) {
    const char *found = language ? find_message(p, language) : NULL;

    if (!found) found = find_message(p, "en");
    if (!found && p->message_count) found = p->messages[0].text;
    return found ? found : "I can't help with that.";
}

int policy_check_count(const struct policy *p) {
    return p->check_count;
}

const struct check *policy_check(const struct policy *p, int index) {
    return &p->checks[index].check;
}

bool policy_classifies(const struct policy *p, enum channel channel) {
    for (int i = 0; i < p->check_count; i++)
        if ((p->checks[i].check.kind == CHECK_CLASSIFIER ||
             p->checks[i].check.kind == CHECK_EXAMPLES) &&
            p->checks[i].check.on[channel])
            return true;
    return false;
}

int policy_test_count(const struct policy *p) {
    return p->test_count;
}

const struct policy_test *policy_test(const struct policy *p, int index) {
    return &p->tests[index];
}

bool policy_tool_allowed(const struct policy *p, struct span name) {
    if (!p->tools_listed) return true;
    for (int i = 0; i < p->tool_count; i++)
        if (span_is(name, p->tools[i])) return true;
    return false;
}

void policy_admit_tools(struct policy *p, uint64_t tools) {
    p->admitted = tools;
}

bool policy_admits_tool(const struct policy *p, int tool) {
    return tool >= 0 && tool < 64 && (p->admitted >> tool & 1);
}

bool policy_needs_model(const struct policy *p) {
    for (int c = 0; c < CHANNEL_COUNT; c++)
        if (policy_classifies(p, (enum channel)c)) return true;
    return false;
}
