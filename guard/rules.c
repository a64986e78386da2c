#include "guard/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "base/utf8.h"
#include "guard/rules_types.h"

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
    for (int i = 0; i < count; i++) free(patterns[i].text);
    free(patterns);
}

void rules_builder_free(struct rules_builder *b) {
    if (!b) return;
    free_literals(b->literals, b->literal_count);
    free_patterns(b->patterns, b->pattern_count);
    free(b);
}

void rules_flatten(struct span text, char *out) {
    for (size_t i = 0; i < text.size; i++)
        out[i] = text.at[i] == '\n' ? ' ' : text.at[i];
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

static bool measure(const char *text, size_t cap, struct pattern *out,
                    struct err *err) {
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *problem = NULL;
    size_t widest;

    if (hs_expression_info(text, PATTERN_FLAGS, &info, &problem) !=
        HS_SUCCESS) {
        err_set(err, ERR_INPUT, "the pattern is refused: %s",
                problem ? problem->message : "no reason given");
        (void)hs_free_compile_error(problem);
        return false;
    }
    widest = info->max_width;
    if (info->min_width == 0) widest = 0;
    free(info);
    if (!widest)
        return err_set(err, ERR_INPUT, "the pattern matches an empty text");
    if (cap > RULES_WIDTH_MAX)
        return err_set(err, ERR_LIMIT, "a cap of %zu bytes, %d at most", cap,
                       RULES_WIDTH_MAX);
    if (!cap && widest > RULES_WIDTH_MAX)
        return err_set(err, ERR_INPUT,
                       "a match may have more than %d bytes, which a stream "
                       "cannot hold back: bound it, or give `cap: BYTES`",
                       RULES_WIDTH_MAX);
    out->capped = cap && widest > cap;
    out->width = out->capped ? cap : widest;
    return true;
}

bool rules_add_pattern(struct rules_builder *b, int rule, struct span pattern,
                       size_t cap, struct err *err) {
    struct pattern p = {.rule = rule};

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
    p.text = span_dup(pattern);
    if (!measure(p.text, cap, &p, err)) {
        free(p.text);
        return false;
    }
    b->patterns = room(b->patterns, b->pattern_count, &b->pattern_capacity,
                       sizeof *b->patterns);
    b->patterns[b->pattern_count++] = p;
    return true;
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
    if (r->literal_count && !compile_literals(r, err)) goto fail;
    if (r->pattern_count && !compile_patterns(r, err)) goto fail;
    if ((r->literal_db &&
         hs_alloc_scratch(r->literal_db, &r->scratch) != HS_SUCCESS) ||
        (r->pattern_db &&
         hs_alloc_scratch(r->pattern_db, &r->scratch) != HS_SUCCESS)) {
        err_set(err, ERR_UNAVAILABLE, "no memory to match rules with");
        goto fail;
    }
    index_literals(r);
    for (int i = 0; i < r->pattern_count; i++) {
        if (r->patterns[i].width > r->widest) r->widest = r->patterns[i].width;
        r->any_capped = r->any_capped || r->patterns[i].capped;
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
    (void)hs_free_scratch(r->scratch);
    free(r->whole);
    free(r->anywhere);
    free(r);
}
