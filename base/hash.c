#include "base/hash.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_SIZE = 4096 };

/* Of the type's own alignment, which xalloc() does not promise. */
struct hash_stream {
    crypto_generichash_state *state;
};

/* Random bytes that nobody has had yet, a thread's own: an id a verdict and
 * several a request would else each be a question to the kernel. */
static _Thread_local struct {
    unsigned char at[POOL_SIZE];
    size_t left; /* at the front */
} pool;

/* A child of fork() may not give out what its parent gives out too. */
static void pool_drop(void) {
    pool.left = 0;
}

/* The kernel gives 256 bytes at a time, which would be 16 questions: it is
 * asked for a key of ChaCha20, whose stream is as hard to tell from chance. */
static void pool_fill(void) {
    unsigned char seed[randombytes_SEEDBYTES];

    randombytes_buf(seed, sizeof seed);
    randombytes_buf_deterministic(pool.at, sizeof pool.at, seed);
    sodium_memzero(seed, sizeof seed);
    pool.left = sizeof pool.at;
}

/* At most POOL_SIZE bytes. They are wiped here, so that what a process once
 * gave out cannot be read in it later. */
static void pool_take(void *out, size_t size) {
    if (pool.left < size) pool_fill();
    pool.left -= size;
    memcpy(out, pool.at + pool.left, size);
    memset(pool.at + pool.left, 0, size);
}

bool hash_init(struct err *err) {
    if (sodium_init() < 0)
        return err_set(err, ERR_IO, "libsodium found no source of entropy");
    if (pthread_atfork(NULL, NULL, pool_drop) != 0)
        return err_set(err, ERR_IO, "no room for a fork handler");
    return true;
}

void hash_sha256_hex(struct span s, char out[HASH_HEX_SIZE]) {
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, (const unsigned char *)s.at, s.size);
    (void)sodium_bin2hex(out, HASH_HEX_SIZE, digest, sizeof digest);
}

static void check_key(struct span key) {
    assert(key.size >= crypto_generichash_KEYBYTES_MIN &&
           key.size <= crypto_generichash_KEYBYTES_MAX);
}

void hash_keyed_hex(struct span key, struct span s, char out[HASH_HEX_SIZE]) {
    unsigned char digest[crypto_generichash_BYTES];

    check_key(key);
    (void)crypto_generichash(digest, sizeof digest, (const unsigned char *)s.at,
                             s.size, (const unsigned char *)key.at, key.size);
    (void)sodium_bin2hex(out, HASH_HEX_SIZE, digest, sizeof digest);
}

void hash_keyed_short(struct span key, struct span tag, struct span s,
                      unsigned char out[HASH_SHORT_SIZE]) {
    const unsigned char *keys = (const unsigned char *)key.at;
    unsigned char both[HASH_SHORT_SIZE + HASH_TAG_MAX];

    assert(key.size == 2 * crypto_shorthash_siphashx24_KEYBYTES &&
           tag.size <= HASH_TAG_MAX);
    (void)crypto_shorthash_siphashx24(both, (const unsigned char *)s.at, s.size,
                                      keys);
    memcpy(both + HASH_SHORT_SIZE, tag.at, tag.size);
    (void)crypto_shorthash_siphashx24(out, both, HASH_SHORT_SIZE + tag.size,
                                      keys +
                                          crypto_shorthash_siphashx24_KEYBYTES);
}

struct hash_stream *hash_stream_new(struct span key) {
    struct hash_stream *h = xalloc(sizeof *h);

    check_key(key);
    h->state =
        aligned_alloc(_Alignof(crypto_generichash_state), sizeof *h->state);
    if (!h->state) abort();
    (void)crypto_generichash_init(h->state, (const unsigned char *)key.at,
                                  key.size, crypto_generichash_BYTES);
    return h;
}

void hash_stream_free(struct hash_stream *h) {
    if (!h) return;
    free(h->state);
    free(h);
}

void hash_stream_add(struct hash_stream *h, struct span s) {
    (void)crypto_generichash_update(h->state, (const unsigned char *)s.at,
                                    s.size);
}

void hash_stream_hex(const struct hash_stream *h, char out[HASH_HEX_SIZE]) {
    unsigned char digest[crypto_generichash_BYTES];
    _Alignas(64) crypto_generichash_state copy = *h->state;

    (void)crypto_generichash_final(&copy, digest, sizeof digest);
    (void)sodium_bin2hex(out, HASH_HEX_SIZE, digest, sizeof digest);
}

void hash_random_id(char out[HASH_ID_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[(HASH_ID_SIZE - 1) / 2];

    pool_take(raw, sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[HASH_ID_SIZE - 1] = '\0';
}

uint64_t hash_random_u64(void) {
    uint64_t value;

    pool_take(&value, sizeof value);
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

bool hash_put_base64(struct bytes *out, const void *at, size_t size,
                     struct err *err) {
    size_t room;

    if (size > BYTES_LIMIT_DEFAULT)
        return err_set(err, ERR_LIMIT, "too large for base64");
    room = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    if (!bytes_reserve(out, room, err)) return false;
    (void)sodium_bin2base64(out->at + out->size, room, at, size,
                            sodium_base64_VARIANT_ORIGINAL);
    out->size += room - 1; /* without the NUL */
    return true;
}
