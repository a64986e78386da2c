/* fuzz_policy_custom.c - any names and texts as a policy's own categories for a
 * Llama Guard: refused with a place, or in each format's prompt, which gets no
 * fence by them. A line a category: its name, a tab, its text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_string(struct bytes *out, struct span s) {
    static const char digits[] = "0123456789abcdef";

    bytes_puts(out, "\"");
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];
        char escape[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

        if (c < 0x20 || c == '"' || c == '\\')
            bytes_put(out, (struct span){escape, sizeof escape});
        else
            bytes_put(out, span_slice(s, i, i + 1));
    }
    bytes_puts(out, "\"");
}

static void put_policy(struct bytes *out, struct span in) {
    bytes_puts(out, "policy: fuzz\nchecks:\n  - {id: own, use: classifier, "
                    "model: full, on: [input], categories: {all: balanced}, "
                    "action: block, custom: [");
    while (in.size) {
        size_t line = span_find(in, span_of("\n"));
        struct span one = span_slice(in, 0, line);
        size_t tab = span_find(one, span_of("\t"));

        bytes_puts(out, "{name: ");
        put_string(out, span_slice(one, 0, tab));
        if (tab != SIZE_MAX) {
            bytes_puts(out, ", text: ");
            put_string(out, span_slice(one, tab + 1, one.size));
        }
        bytes_puts(out, "},");
        in = line == SIZE_MAX ? (struct span){"", 0}
                              : span_slice(in, line + 1, in.size);
    }
    bytes_puts(out, "]}\n");
}

static struct policy *open_policy(struct span text, struct err *err) {
    int file = memfd_create("policy", 0);
    struct policy *p;
    char path[32];

    if (file < 0) abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (write(file, text.at, text.size) != (ssize_t)text.size) abort();
    p = policy_open(path, err);
    (void)close(file);
    return p;
}

/* How many signs that open a fence. */
static int fences(struct llamaguard_prompt *p, int custom) {
    struct bytes out = {0};
    int count = 0;

    p->custom_count = custom;
    if (!llamaguard_text(p, &out, NULL)) abort();
    for (size_t i = 0; i < out.size; i++) count += out.at[i] == '<';
    bytes_free(&out);
    return count;
}

static void use(const struct policy *p) {
    static const struct guard_turn turn = {GUARD_USER, {"hello", 5}};
    struct llamaguard_category custom[LLAMAGUARD_CUSTOM_MAX];
    struct llamaguard_prompt prompt = {
        .turns = &turn, .turn_count = 1, .custom = custom};
    int count = peer_custom(p, custom);

    if (count < 1) abort();
    for (int f = 0; f < LLAMAGUARD_FORMATS; f++) {
        prompt.format = (enum llamaguard_format)f;
        if (fences(&prompt, count) != fences(&prompt, 0)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = {0};
    struct err err = {0};
    struct policy *p;

    put_policy(&text, (struct span){(const char *)data, size});
    p = open_policy(span_bytes(&text), &err);
    if (!p && (!err.text[0] || err.code == ERR_NONE)) abort();
    if (p) use(p);
    policy_free(p);
    bytes_free(&text);
    return 0;
}
