/* tokenizer_data.h - lines of the golden files of the tokenizer tests: name,
 * repeat, text in hex and numbers, between tabs. */
#ifndef CORRAL_TESTS_TOKENIZER_DATA_H
#define CORRAL_TESTS_TOKENIZER_DATA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct golden {
    char name[64];
    struct bytes text; /* repeated already */
    int *numbers;
    size_t number_count;
};

static void golden_clear(struct golden *g) {
    bytes_free(&g->text);
    free(g->numbers);
    memset(g, 0, sizeof *g);
}

static int golden_hex(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Items "7" or "7x3", which stands for 7 7 7. */
static void golden_numbers(struct golden *g, const char *at) {
    size_t capacity = 0;

    while (*at >= '0' && *at <= '9') {
        char *end;
        int number = (int)strtol(at, &end, 10);
        long count = 1;

        if (*end == 'x') count = strtol(end + 1, &end, 10);
        for (; count > 0; count--) {
            if (g->number_count == capacity) {
                capacity = capacity ? capacity * 2 : 64;
                g->numbers = xrealloc_array(g->numbers, capacity, sizeof(int));
            }
            g->numbers[g->number_count++] = number;
        }
        at = *end == ' ' ? end + 1 : end;
    }
}

static void golden_read(struct golden *g, const char *line) {
    const char *tab = strchr(line, '\t');
    char *end;
    long repeat;
    size_t once;

    memset(g, 0, sizeof *g);
    assert_non_null(tab);
    (void)snprintf(g->name, sizeof g->name, "%.*s", (int)(tab - line), line);
    repeat = strtol(tab + 1, &end, 10);
    assert_int_equal(*end, '\t');
    for (end++; *end != '\t'; end += 2) {
        char byte = (char)(golden_hex(end[0]) << 4 | golden_hex(end[1]));

        bytes_put(&g->text, (struct span){&byte, 1});
    }
    once = g->text.size;
    for (; repeat > 1; repeat--) {
        char *copy = span_dup(span_slice(span_bytes(&g->text), 0, once));

        bytes_put(&g->text, (struct span){copy, once});
        free(copy);
    }
    golden_numbers(g, end + 1);
}

/* Call `check` for each line; how many there were. */
static size_t golden_each(const char *path, void (*check)(const char *line)) {
    struct bytes file = {0};
    struct err err;
    size_t lines = 0;
    char *line;

    if (!bytes_read_file(&file, path, &err)) fail_msg("%s", err.text);
    bytes_put(&file, (struct span){"", 1});
    for (line = file.at; *line; lines++) {
        char *end = strchr(line, '\n');

        assert_non_null(end);
        *end = 0;
        check(line);
        line = end + 1;
    }
    bytes_free(&file);
    return lines;
}

#endif
