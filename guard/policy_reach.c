/* Rules that can never act: what they match, an earlier rule of the same file
 * has already been matched by, with an action at least as severe, wherever they
 * apply. They are slips, and are refused. */
#include <stdlib.h>
#include <string.h>

#include "guard/policy_types.h"

struct place {
    const struct policy_rule *rule;
    int check;
    int order; /* in the policy */
};

/* Literals know no case. */
static int compare_texts(const struct policy_rule *a,
                         const struct policy_rule *b) {
    if (a->pattern != b->pattern) return a->pattern ? 1 : -1;
    return a->pattern ? strcmp(a->text, b->text) : strcasecmp(a->text, b->text);
}

static int by_text(const void *left, const void *right) {
    const struct place *a = left, *b = right;
    int order = compare_texts(a->rule, b->rule);

    return order ? order : (a->order > b->order) - (a->order < b->order);
}

/* Places are "path:line:column". */
static bool same_file(const char *a, const char *b) {
    size_t size = 0;

    for (int colons = 0, i = (int)strlen(a) - 1; i >= 0 && colons < 2; i--)
        if (a[i] == ':' && ++colons == 2) size = (size_t)i + 1;
    return size && !strncmp(a, b, size) &&
           strspn(b + size, "0123456789:") == strlen(b + size);
}

static bool covers(const struct policy *p, const struct place *earlier,
                   const struct place *later) {
    const struct check *a = &p->checks[earlier->check].check;
    const struct check *b = &p->checks[later->check].check;
    const struct policy_rule *first = earlier->rule, *second = later->rule;

    if (!same_file(first->place, second->place)) return false;
    if (first->pattern ? first->cap != second->cap
                       : second->anywhere && !first->anywhere)
        return false;
    if (a == b) return true;
    if (a->shadow || a->action > b->action) return false;
    for (int c = 0; c < CHANNEL_COUNT; c++)
        if (b->on[c] && !a->on[c]) return false;
    return true;
}

static bool all_reachable(const struct policy *p, const struct place *places,
                          int count, struct err *err) {
    for (int i = 0; i < count; i++)
        for (int k = i - 1;
             k >= 0 && !compare_texts(places[k].rule, places[i].rule); k--)
            if (covers(p, &places[k], &places[i]))
                return err_set(err, ERR_INPUT,
                               "%s: the rule can never act: %s is the same",
                               places[i].rule->place, places[k].rule->place);
    return true;
}

bool policy_reachable(const struct policy *p, struct err *err) {
    struct place *places;
    int count = 0;
    bool ok;

    for (int i = 0; i < p->check_count; i++) count += p->checks[i].rule_count;
    places = xalloc_array((size_t)count + 1, sizeof *places);
    count = 0;
    for (int i = 0; i < p->check_count; i++)
        for (int k = 0; k < p->checks[i].rule_count; k++, count++)
            places[count] = (struct place){&p->checks[i].rules[k], i, count};
    qsort(places, (size_t)count, sizeof *places, by_text);
    ok = all_reachable(p, places, count, err);
    free(places);
    return ok;
}
