/* keys.h - the file of API keys: one JSON object a line, hashes only. Any
 * thread, nothing shared; reading and writing wait for the disk.
 *
 * A key is "crl_", eight hex digits that name it and may be shown, "_" and 48
 * hex digits that nobody but its holder knows. These are 192 random bits, so
 * there is no dictionary to try: one keyed BLAKE2b is enough where a password
 * would need a slow hash, and it can be paid for each request. */
#ifndef CORRAL_PROXY_KEYS_H
#define CORRAL_PROXY_KEYS_H

#include "base/bytes.h"
#include "base/hash.h"

enum key_scope {
    KEY_CHAT = 1,  /* everything that asks a model */
    KEY_GUARD = 2, /* verdicts alone: moderations, guard check */
    KEY_ADMIN = 4,
    KEY_METRICS = 8,
    KEY_APPROVE = 16 /* say yes or no where the policy asks a person */
};

enum {
    KEYS_MAX = 10000,
    KEYS_BYTES_MAX = 8 << 20,
    KEY_ID_SIZE = 9,
    KEY_NAME_SIZE = 65,
    KEY_TEXT_SIZE = 4 + 8 + 1 + 48 + 1
};

/* 0: no limit. */
struct key_limits {
    int64_t requests_per_minute;
    int64_t tokens_per_minute;
    int64_t tokens_per_day; /* UTC days */
};

struct key {
    char id[KEY_ID_SIZE];
    char name[KEY_NAME_SIZE];
    char hash[HASH_HEX_SIZE]; /* of the whole key */
    unsigned scopes;          /* of enum key_scope */
    char *policy;             /* as written; NULL: the server's */
    struct key_limits limits;
    int64_t created_s; /* seconds since 1970 */
    int64_t expires_s; /* 0: never */
    int64_t revoked_s; /* 0: it was not. Its line stays: records name it */
};

struct keys {
    struct key *list;
    int count;
};

/* Read all of a file; no file is no keys. `out` is written only on success.
 * Errors are "path:line: reason". A file that others may write to is refused:
 * whoever can add a line has a key. */
MUST_USE bool keys_read(struct keys *out, const char *path, struct err *err);
MUST_USE bool keys_parse(struct keys *out, struct span text, const char *path,
                         struct err *err);
/* Replace the file (mode 0600; what a link leads to, not the link) in one step.
 * Whoever reads, changes and writes holds keys_lock() meanwhile, so that no
 * change is lost. */
MUST_USE bool keys_write(const struct keys *k, const char *path,
                         struct err *err);
/* A descriptor to close(); -1 with `err`. */
MUST_USE int keys_lock(const char *path, struct err *err);
void keys_clear(struct keys *k);

/* Add a copy of `key` under a fresh id and hash; `text` is the key itself and
 * is nowhere else. */
MUST_USE bool keys_add(struct keys *k, const struct key *key,
                       char text[KEY_TEXT_SIZE], struct err *err);
/* May a new key be called that? Lists of keys are read on terminals. */
MUST_USE bool key_name_fits(const char *name, struct err *err);
/* Where the policy of a key of this file is; the caller's to free. */
char *key_policy_path(const char *keys_path, const char *policy);
/* By id or, when it is the only one, by name; NULL when there is none. */
struct key *keys_named(const struct keys *k, const char *name);

/* The id within a key's text; an empty span when it has not a key's form. */
struct span key_text_id(struct span text);
/* In time that does not depend on the secret. */
bool key_fits(const struct key *key, struct span text);

/* "chat,guard" */
MUST_USE bool key_scopes_from_text(const char *text, unsigned *out,
                                   struct err *err);
void key_scopes_put(unsigned scopes, struct bytes *out);

#endif
