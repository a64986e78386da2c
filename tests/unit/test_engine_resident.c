/* test_engine_resident.c - a model is in memory once: what was packed, and the
 * keys that a tokenizer was made of, leave no pages of the file behind, not
 * even where tokens are looked up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/answer.h"
#include "tests/unit/model_path.h"

enum {
    PROMPT = 400,
    STEP = 113, /* between tokens: rows of the embedding that lie far apart */
    MOST_KB = 1024
};

/* Kilobytes of the mappings of a file with this name that are resident. */
static unsigned long file_kb(const char *name) {
    FILE *f = fopen("/proc/self/smaps", "re");
    unsigned long from, end, kb, total = 0;
    bool ours = false, seen = false;
    char line[4200];

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &end) == 2) {
            ours = strstr(line, name) != NULL;
            seen |= ours;
        } else if (ours && sscanf(line, "Rss: %lu kB", &kb) == 1) {
            total += kb;
        }
    }
    (void)fclose(f);
    assert_true(seen);
    return total;
}

static void test_file(void **state) {
    struct engine_options options = {.model_path = model_path(),
                                     .kv_tokens = 1024};
    struct err err = {0};
    struct engine *e = engine_open(&options, &err);
    int tokens[PROMPT];
    static struct answer a;

    (void)state;
    if (!e) fail_msg("%s", err.text);
    for (int i = 0; i < PROMPT; i++) tokens[i] = 100 + i * STEP;
    run_one(e, generate(tokens, PROMPT, 2), &a);
    assert_int_not_equal(a.end, JOB_END_ERROR);
    assert_in_range(file_kb(".Q4_1.gguf"), 0, MOST_KB);
    answer_clear(&a);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_file)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
