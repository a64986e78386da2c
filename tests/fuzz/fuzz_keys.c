/* fuzz_keys.c - the file of API keys: refused with its place and without a
 * change, or taken, and then every key has an id of its own, a hash and a
 * scope. */
#include <stdlib.h>
#include <string.h>

#include "proxy/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_hex(const char *text, size_t size) {
    return strlen(text) == size && strspn(text, "0123456789abcdef") == size;
}

static void check(const struct keys *k, int index) {
    const struct key *key = &k->list[index];

    if (!is_hex(key->id, KEY_ID_SIZE - 1) ||
        !is_hex(key->hash, HASH_HEX_SIZE - 1) || !key->scopes ||
        !memchr(key->name, '\0', sizeof key->name) ||
        key->limits.requests_per_minute < 0 ||
        key->limits.tokens_per_minute < 0 || key->limits.tokens_per_day < 0)
        abort();
    if (keys_named(k, key->id) != key) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size};
    struct keys k = {.count = -7};
    struct err err = {0};

    (void)key_text_id(text);
    if (!keys_parse(&k, text, "k.jsonl", &err)) {
        if (strncmp(err.text, "k.jsonl", 7) != 0 || k.count != -7) abort();
        return 0;
    }
    for (int i = 0; i < k.count; i++) check(&k, i);
    keys_clear(&k);
    return 0;
}
