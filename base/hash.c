#include "base/hash.h"

#include <sodium.h>

bool hash_init(struct err *err) {
    if (sodium_init() < 0)
        return err_set(err, ERR_IO, "libsodium found no source of entropy");
    return true;
}

void hash_sha256_hex(struct span s, char out[HASH_HEX_SIZE]) {
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, (const unsigned char *)s.at, s.size);
    (void)sodium_bin2hex(out, HASH_HEX_SIZE, digest, sizeof digest);
}

void hash_random_id(char out[HASH_ID_SIZE]) {
    unsigned char raw[(HASH_ID_SIZE - 1) / 2];

    randombytes_buf(raw, sizeof raw);
    (void)sodium_bin2hex(out, HASH_ID_SIZE, raw, sizeof raw);
}

uint64_t hash_random_u64(void) {
    uint64_t value;

    randombytes_buf(&value, sizeof value);
    return value;
}

uint64_t hash_fnv1a(uint64_t state, struct span s) {
    for (size_t i = 0; i < s.size; i++)
        state = (state ^ (unsigned char)s.at[i]) * 1099511628211ull;
    return state;
}

bool hash_equal_secret(struct span a, struct span b) {
    return a.size == b.size && sodium_memcmp(a.at, b.at, a.size) == 0;
}
