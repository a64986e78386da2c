/* hash.h - digests, keyed hashes and random ids, by libsodium. */
#ifndef CORRAL_BASE_HASH_H
#define CORRAL_BASE_HASH_H

#include "base/bytes.h"

enum {
    HASH_HEX_SIZE = 65,
    HASH_ID_SIZE = 25,
    HASH_SHORT_SIZE = 16,
    HASH_TAG_MAX = 64
};

/* Call once before the threads start. False when the system has no entropy. */
MUST_USE bool hash_init(struct err *err);

/* SHA-256 as 64 lower-case hex digits and a NUL. */
void hash_sha256_hex(struct span s, char out[HASH_HEX_SIZE]);

/* BLAKE2b-256 under a key of 16 to 64 bytes, as hex: whoever lacks the key can
 * neither make one nor try texts against it. */
void hash_keyed_hex(struct span key, struct span s, char out[HASH_HEX_SIZE]);

/* SipHash-2-4-128 of `tag`, at most HASH_TAG_MAX bytes, and of SipHash of `s`,
 * each under its half of a key of 32 bytes: for tables of what has been seen.
 * Whoever lacks the key cannot find two texts that share a place. */
void hash_keyed_short(struct span key, struct span tag, struct span s,
                      unsigned char out[HASH_SHORT_SIZE]);

/* hash_keyed_hex() over a text that comes in pieces. */
struct hash_stream;
struct hash_stream *hash_stream_new(struct span key);
void hash_stream_free(struct hash_stream *h); /* NULL is fine */
void hash_stream_add(struct hash_stream *h, struct span s);
/* The digest of what came so far; more may follow. */
void hash_stream_hex(const struct hash_stream *h, char out[HASH_HEX_SIZE]);

/* A fresh id of 24 hex digits (96 random bits) and a NUL. */
void hash_random_id(char out[HASH_ID_SIZE]);
uint64_t hash_random_u64(void);

/* 64-bit FNV-1a: for tables and the n-gram features, never for secrets. */
uint64_t hash_fnv1a(uint64_t state, struct span s);
#define HASH_FNV1A_START 14695981039346656037ull

/* Equal or not, in time that does not depend on where they differ. */
bool hash_equal_secret(struct span a, struct span b);

/* Append in base64, the usual alphabet, padded. */
MUST_USE bool hash_put_base64(struct bytes *out, const void *at, size_t size,
                              struct err *err);

#endif
