#include "guard/rules.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "base/utf8.h"
#include "guard/rules_types.h"
#include "guard/rules_scratch.h"

/* Not HS_FLAG_UCP: it forbids \b and makes \w too large to compile. */
enum { PATTERN_FLAGS = HS_FLAG_UTF8 | HS_FLAG_SOM_LEFTMOST };

struct rules_builder {
    struct literal *literals;
    int literal_count, literal_capacity;
    struct pattern *patterns;
    int pattern_count, pattern_capacity;
};

struct rules_builder *rules_builder_new(void) {
    return xalloc(sizeof(struct rules_builder));
}

static void free_literals(struct literal *literals, int count) {
    for (int i = 0; i < count; i++) free(literals[i].text);
    free(literals);
}

static void free_patterns(struct pattern *patterns, int count) {
    for (int i = 0; i < count; i++) {
        free(patterns[i].text);
        free(patterns[i].run_text);
        (void)hs_free_database(patterns[i].run);
    }
    free(patterns);
}

void rules_builder_free(struct rules_builder *b) {
    if (!b) return;
    free_literals(b->literals, b->literal_count);
    free_patterns(b->patterns, b->pattern_count);
    free(b);
}

void rules_flatten(struct span text, char *out) {
    if (out != text.at && text.size) memcpy(out, text.at, text.size);
    for (size_t i = 0; i < text.size; i++)
        out[i] = out[i] == '\n' ? ' ' : out[i];
}

/* Room for one more element of `size` bytes. */
static void *room(void *at, int count, int *capacity, size_t size) {
    if (count < *capacity) return at;
    *capacity = *capacity ? 2 * *capacity : 16;
    return xrealloc_array(at, (size_t)*capacity, size);
}

static void add_folded(struct rules_builder *b, int rule, struct span text,
                       bool anywhere) {
    struct literal *l;

    while (text.size && (text.at[0] == ' ' || text.at[0] == '\n'))
        text = span_slice(text, 1, text.size);
    while (text.size &&
           (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\n'))
        text.size--;
    if (!text.size) return;
    b->literals = room(b->literals, b->literal_count, &b->literal_capacity,
                       sizeof *b->literals);
    l = &b->literals[b->literal_count++];
    *l = (struct literal){span_dup(text), text.size, rule, anywhere};
    rules_flatten(text, l->text);
}

bool rules_add_literal(struct rules_builder *b, int rule, struct span text,
                       bool anywhere, struct err *err) {
    struct text_view read, plain;
    int before = b->literal_count;

    if (text.size > RULES_LITERAL_MAX)
        return err_set(err, ERR_LIMIT, "a literal of %zu bytes, %d at most",
                       text.size, RULES_LITERAL_MAX);
    if (!utf8_valid(text))
        return err_set(err, ERR_INPUT, "a literal that is not UTF-8");
    if (b->literal_count + b->pattern_count >= RULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d rules", RULES_MAX);
    if (!text_fold(text, &read, err)) return false;
    if (!text_fold_plain(text, &plain, err)) {
        text_view_clear(&read);
        return false;
    }
    add_folded(b, rule, span_bytes(&read.text), anywhere);
    if (!span_equal(span_bytes(&read.text), span_bytes(&plain.text)))
        add_folded(b, rule, span_bytes(&plain.text), anywhere);
    text_view_clear(&read);
    text_view_clear(&plain);
    if (b->literal_count > before) return true;
    return err_set(err, ERR_INPUT, "a literal of blanks or nothing");
}

/* The ends of a stream's text are not the ends of what is looked at. */
static bool has_anchor(struct span p) {
    bool class = false;

    for (size_t i = 0; i < p.size; i++) {
        char c = p.at[i];

        if (c == '\\') {
            i++;
            if (i < p.size && !class && strchr("AZzG", p.at[i])) return true;
        } else if (c == '[' && !class) {
            class = true;
            if (i + 1 < p.size && p.at[i + 1] == '^') i++;
            if (i + 1 < p.size && p.at[i + 1] == ']') i++;
        } else if (c == ']') {
            class = false;
        } else if ((c == '^' || c == '$') && !class) {
            return true;
        }
    }
    return false;
}

/* Does it change nothing for the pattern when capitals of ASCII become small
 * letters: not so where a part of it may be told otherwise, nor where it names
 * letters by their class. */
static bool is_caseless(const char *text) {
    if (strncmp(text, "(?i)", 4) != 0) return false;
    text += 4;
    if (strstr(text, "[:") || strstr(text, "\\p") || strstr(text, "\\P"))
        return false;
    while ((text = strstr(text, "(?")) != NULL) {
        if (text[2] != ':') return false;
        text += 2;
    }
    return true;
}

/* How few and many bytes it may match; SIZE_MAX: any number. */
static bool measure(const char *text, size_t *least, size_t *most,
                    struct err *err) {
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *problem = NULL;

    if (hs_expression_info(text, PATTERN_FLAGS, &info, &problem) !=
        HS_SUCCESS) {
        err_set(err, ERR_INPUT, "the pattern is refused: %s",
                problem ? problem->message : "no reason given");
        (void)hs_free_compile_error(problem);
        return false;
    }
    *least = info->min_width;
    *most = info->max_width == UINT_MAX ? SIZE_MAX : info->max_width;
    free(info);
    if (*least) return true;
    return err_set(err, ERR_INPUT, "the pattern matches an empty text");
}

static bool check_pattern(const struct rules_builder *b, struct span pattern,
                          struct err *err) {
    if (pattern.size > RULES_PATTERN_MAX)
        return err_set(err, ERR_LIMIT, "a pattern of %zu bytes, %d at most",
                       pattern.size, RULES_PATTERN_MAX);
    if (!pattern.size || memchr(pattern.at, 0, pattern.size) ||
        !utf8_valid(pattern))
        return err_set(err, ERR_INPUT, "an empty pattern, or not UTF-8");
    if (b->literal_count + b->pattern_count >= RULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d rules", RULES_MAX);
    if (has_anchor(pattern))
        return err_set(err, ERR_INPUT,
                       "a pattern with ^, $, \\A, \\z or \\Z: the ends of a "
                       "text are unknown while it arrives");
    return true;
}

/* Measure p->text, which must be bounded, and take `p` over. */
static bool add_bounded(struct rules_builder *b, struct pattern *p,
                        struct err *err) {
    if (!measure(p->text, &p->narrowest, &p->width, err)) return false;
    if (p->width > RULES_WIDTH_MAX)
        return err_set(err, ERR_INPUT,
                       "a match may have more than %d bytes, which a stream "
                       "cannot hold back: bound it, or give `start: PATTERN` "
                       "and `cap: BYTES`",
                       RULES_WIDTH_MAX);
    b->patterns = room(b->patterns, b->pattern_count, &b->pattern_capacity,
                       sizeof *b->patterns);
    p->caseless = is_caseless(p->text);
    b->patterns[b->pattern_count++] = *p;
    return true;
}

bool rules_add_pattern(struct rules_builder *b, int rule, struct span pattern,
                       struct err *err) {
    struct pattern p = {.rule = rule};

    if (!check_pattern(b, pattern, err)) return false;
    p.text = span_dup(pattern);
    if (add_bounded(b, &p, err)) return true;
    free(p.text);
    return false;
}

/* Anchored, as text for Hyperscan. */
static char *anchored(struct span pattern) {
    struct bytes out = {0};

    bytes_puts(&out, "^(?:");
    bytes_put(&out, pattern);
    bytes_put(&out, (struct span){")", 2}); /* with its NUL */
    return out.at;
}

bool rules_add_capped(struct rules_builder *b, int rule, struct span pattern,
                      struct span start, size_t cap, struct err *err) {
    struct pattern p = {.rule = rule, .cap = cap};
    size_t least, most;

    if (cap < 1 || cap > RULES_WIDTH_MAX)
        return err_set(err, ERR_LIMIT, "a cap of %zu bytes, %d at most", cap,
                       RULES_WIDTH_MAX);
    if (!check_pattern(b, pattern, err) || !check_pattern(b, start, err))
        return false;
    p.text = span_dup(pattern);
    if (!measure(p.text, &least, &most, err)) goto fail;
    free(p.text);
    p.text = span_dup(start);
    p.run_text = anchored(pattern);
    if (add_bounded(b, &p, err)) return true;

fail:
    free(p.text);
    free(p.run_text);
    return false;
}

static bool compile_failed(const struct rules *r, bool patterns,
                           hs_compile_error_t *problem, struct err *err) {
    char field[24] = "";
    int index = problem ? problem->expression : -1;

    /* The rule's number, so that the policy can point at it. */
    if (patterns && index >= 0 && index < r->pattern_count)
        (void)snprintf(field, sizeof field, "%d", r->patterns[index].rule);
    err_set_field(err, ERR_INPUT, field, "the pattern cannot be compiled: %s",
                  problem ? problem->message : "no reason given");
    (void)hs_free_compile_error(problem);
    return false;
}

/* Both anchored to where the start was found. */
static bool compile_run(const struct rules *r, struct pattern *p,
                        struct err *err) {
    char *start = anchored(span_of(p->text));
    const char *texts[] = {start, p->run_text};
    unsigned flags[] = {HS_FLAG_UTF8, HS_FLAG_UTF8};
    unsigned ids[] = {RUN_START, RUN_PATTERN};
    hs_compile_error_t *problem = NULL;
    hs_error_t status = hs_compile_multi(texts, flags, ids, 2, HS_MODE_BLOCK,
                                         NULL, &p->run, &problem);

    free(start);
    if (status == HS_SUCCESS) return true;
    /* The number is that of `texts`; the rule's is known here. */
    if (problem) problem->expression = (int)(p - r->patterns);
    return compile_failed(r, true, problem, err);
}

static bool compile_runs(struct rules *r, struct err *err) {
    for (int i = 0; i < r->pattern_count; i++)
        if (r->patterns[i].cap && !compile_run(r, &r->patterns[i], err))
            return false;
    return true;
}

static bool alloc_scratch(struct rules *r, struct hs_database *db,
                          struct err *err) {
    if (!db || scratch_shelf_fit(r->scratch, db)) return true;
    return err_set(err, ERR_UNAVAILABLE, "no memory to match rules with");
}

static bool compile_literals(struct rules *r, struct err *err) {
    size_t count = (size_t)r->literal_count;
    const char **texts = xalloc_array(count, sizeof *texts);
    size_t *sizes = xalloc_array(count, sizeof *sizes);
    unsigned *flags = xalloc_array(count, sizeof *flags);
    unsigned *ids = xalloc_array(count, sizeof *ids);
    hs_compile_error_t *problem = NULL;
    hs_error_t status;

    for (size_t i = 0; i < count; i++) {
        texts[i] = r->literals[i].text;
        sizes[i] = r->literals[i].size;
        ids[i] = (unsigned)i;
    }
    status =
        hs_compile_lit_multi(texts, flags, ids, sizes, (unsigned)count,
                             HS_MODE_BLOCK, NULL, &r->literal_db, &problem);
    free(texts);
    free(sizes);
    free(flags);
    free(ids);
    return status == HS_SUCCESS || compile_failed(r, false, problem, err);
}

static bool compile_patterns(struct rules *r, struct err *err) {
    size_t count = (size_t)r->pattern_count;
    const char **texts = xalloc_array(count, sizeof *texts);
    unsigned *flags = xalloc_array(count, sizeof *flags);
    unsigned *ids = xalloc_array(count, sizeof *ids);
    hs_compile_error_t *problem = NULL;
    hs_error_t status;

    for (size_t i = 0; i < count; i++) {
        texts[i] = r->patterns[i].text;
        flags[i] = PATTERN_FLAGS;
        ids[i] = (unsigned)i;
    }
    status = hs_compile_multi(texts, flags, ids, (unsigned)count, HS_MODE_BLOCK,
                              NULL, &r->pattern_db, &problem);
    free(texts);
    free(flags);
    free(ids);
    return status == HS_SUCCESS || compile_failed(r, true, problem, err);
}

static int compare(struct span a, struct span b) {
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least ? memcmp(a.at, b.at, least) : 0;

    if (order) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static int by_text(const void *left, const void *right, void *user) {
    const struct rules *r = user;
    const struct literal *a = &r->literals[*(const int *)left];
    const struct literal *b = &r->literals[*(const int *)right];

    return compare((struct span){a->text, a->size},
                   (struct span){b->text, b->size});
}

static void index_literals(struct rules *r) {
    size_t count = (size_t)r->literal_count;

    r->whole = xalloc_array(count + 1, sizeof *r->whole);
    r->anywhere = xalloc_array(count + 1, sizeof *r->anywhere);
    for (int i = 0; i < r->literal_count; i++) {
        const struct literal *l = &r->literals[i];

        if (l->anywhere)
            r->anywhere[r->anywhere_count++] = i;
        else
            r->whole[r->whole_count++] = i;
        if (l->size > r->longest) r->longest = l->size;
        for (size_t k = 0; k < l->size; k++)
            if ((unsigned char)l->text[k] >= 0x80) r->any_foreign = true;
    }
    qsort_r(r->whole, (size_t)r->whole_count, sizeof *r->whole, by_text, r);
    qsort_r(r->anywhere, (size_t)r->anywhere_count, sizeof *r->anywhere,
            by_text, r);
}

struct rules *rules_build(struct rules_builder *b, struct err *err) {
    struct rules *r = xalloc(sizeof *r);

    if (hs_valid_platform() != HS_SUCCESS) {
        err_set(err, ERR_UNSUPPORTED, "this processor cannot match rules");
        free(r);
        return NULL;
    }
    r->literals = b->literals;
    r->literal_count = b->literal_count;
    r->patterns = b->patterns;
    r->pattern_count = b->pattern_count;
    memset(b, 0, sizeof *b);
    r->scratch = scratch_shelf_new();
    if (r->literal_count && !compile_literals(r, err)) goto fail;
    if (r->pattern_count && !compile_patterns(r, err)) goto fail;
    if (!compile_runs(r, err) || !alloc_scratch(r, r->literal_db, err) ||
        !alloc_scratch(r, r->pattern_db, err))
        goto fail;
    for (int i = 0; i < r->pattern_count; i++)
        if (!alloc_scratch(r, r->patterns[i].run, err)) goto fail;
    index_literals(r);
    for (int i = 0; i < r->pattern_count; i++) {
        if (r->patterns[i].width > r->widest) r->widest = r->patterns[i].width;
        if (r->patterns[i].cap) r->any_capped = true;
        if (!r->patterns[i].caseless) r->any_cased = true;
    }
    return r;

fail:
    rules_free(r);
    return NULL;
}

void rules_free(struct rules *r) {
    if (!r) return;
    free_literals(r->literals, r->literal_count);
    free_patterns(r->patterns, r->pattern_count);
    (void)hs_free_database(r->literal_db);
    (void)hs_free_database(r->pattern_db);
    scratch_shelf_free(r->scratch);
    free(r->whole);
    free(r->anywhere);
    free(r);
}
