/* The heads of a policy's examples checks: each must be there, whole, and
 * fitted to the examples as they are now. */
#include <stdlib.h>

#include "guard/examples.h"
#include "guard/policy_types.h"

static bool untrained(const struct policy *p, const struct check *c,
                      const char *why, struct err *err) {
    return err_set(err, ERR_INPUT, "%s: %s: corral policy train %s", c->place,
                   why, p->path);
}

static bool read_head(struct policy *p, struct policy_check *c,
                      struct bytes *seen, struct err *err) {
    struct bytes file = {.limit = HEAD_BYTES_MAX};
    struct examples examples = {0};
    struct err why = {0};
    bool ok = false;

    if (!examples_read(&examples, c->examples, &why)) {
        (void)err_set(err, ERR_INPUT, "%s: %s", c->place, why.text);
        goto out;
    }
    if (!bytes_read_file(&file, c->head_path, &why)) {
        if (why.code == ERR_NOT_FOUND)
            (void)untrained(p, &c->check, "the examples are not trained", err);
        else
            (void)err_set(err, ERR_INPUT, "%s: %s", c->place, why.text);
        goto out;
    }
    c->head = head_parse(span_bytes(&file), c->head_path, &why);
    if (!c->head) {
        (void)untrained(p, &c->check, why.text, err);
        goto out;
    }
    if (!span_is(span_of(head_examples(c->head)), examples.digest)) {
        (void)untrained(p, &c->check, "the examples changed since the training",
                        err);
        goto out;
    }
    c->check.head = c->head;
    ok = bytes_append(seen, file.at, file.size, err);

out:
    examples_clear(&examples);
    bytes_free(&file);
    return ok;
}

bool policy_read_heads(struct policy *p, struct bytes *seen, struct err *err) {
    for (int i = 0; i < p->check_count; i++) {
        struct policy_check *c = &p->checks[i];

        if (c->check.kind == CHECK_EXAMPLES && !read_head(p, c, seen, err))
            return false;
    }
    return true;
}
