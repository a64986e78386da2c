#include "guard/rules_whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "guard/rules.h"
#include "guard/rules_scratch.h"

/* See rules_run.c: the scanner reads past the text on both sides. */
enum { BESIDE_TEXT = 64 };

struct rules_whole {
    hs_database_t *db;
    struct scratch_shelf *scratch;
};

static bool compile(const char *pattern, hs_database_t **db, struct err *err) {
    hs_compile_error_t *why = NULL;
    bool ok = hs_compile(pattern, HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY,
                         HS_MODE_BLOCK, NULL, db, &why) == HS_SUCCESS;

    if (!ok)
        (void)err_set(err, ERR_INPUT, "the pattern: %s",
                      why ? why->message : "not understood");
    hs_free_compile_error(why);
    return ok;
}

/* The pattern must be one by itself, so that it cannot close the bracket that
 * is put around it. */
struct rules_whole *rules_whole_new(const char *pattern, struct err *err) {
    struct rules_whole *w = xalloc(sizeof *w);
    size_t size = strlen(pattern) + sizeof "\\A(?:)\\z";
    char *anchored = xalloc(size);
    bool ok;

    (void)snprintf(anchored, size, "\\A(?:%s)\\z", pattern);
    if (size > RULES_PATTERN_MAX) {
        ok = err_set(err, ERR_INPUT, "the pattern is past %d bytes",
                     RULES_PATTERN_MAX);
    } else {
        ok = compile(pattern, &w->db, err);
        if (ok) hs_free_database(w->db);
        w->db = NULL;
        ok = ok && compile(anchored, &w->db, err);
    }
    free(anchored);
    w->scratch = scratch_shelf_new();
    if (ok && !scratch_shelf_fit(w->scratch, w->db))
        ok = err_set(err, ERR_INTERNAL, "no room for the pattern");
    if (ok) return w;
    rules_whole_free(w);
    return NULL;
}

void rules_whole_free(struct rules_whole *w) {
    if (!w) return;
    scratch_shelf_free(w->scratch);
    hs_free_database(w->db);
    free(w);
}

static int on_match(unsigned id, unsigned long long from,
                    unsigned long long end, unsigned flags, void *user) {
    (void)id;
    (void)from;
    (void)end;
    (void)flags;
    *(bool *)user = true;
    return 0;
}

bool rules_whole_match(const struct rules_whole *w, struct span text,
                       bool *matches, struct err *err) {
    struct hs_scratch *scratch;
    hs_error_t status;
    char *copy;

    *matches = false;
    if (text.size > UINT32_MAX)
        return err_set(err, ERR_INTERNAL, "the text is too long");
    scratch = scratch_take(w->scratch);
    if (!scratch) return err_set(err, ERR_INTERNAL, "no room for the pattern");
    copy = xalloc_array(text.size + 2 * BESIDE_TEXT, 1);
    if (text.size) memcpy(copy + BESIDE_TEXT, text.at, text.size);
    status = hs_scan(w->db, copy + BESIDE_TEXT, (unsigned)text.size, 0, scratch,
                     on_match, matches);
    scratch_put(w->scratch, scratch);
    free(copy);
    return status == HS_SUCCESS ||
           err_set(err, ERR_INTERNAL, "the pattern could not be tried (%d)",
                   status);
}
