#include "proxy/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"

enum { SECRET_SIZE = 48, ID_SIZE = KEY_ID_SIZE - 1 };

/* Hashes of keys are no one's but ours: the same text hashed elsewhere, say
 * for the audit, must not give the same digest. */
static const char hash_domain[] = "corral: an API key, version 1";

static const struct {
    const char *name;
    enum key_scope scope;
} scopes[] = {{"chat", KEY_CHAT},
              {"guard", KEY_GUARD},
              {"admin", KEY_ADMIN},
              {"metrics", KEY_METRICS},
              {"approve", KEY_APPROVE}};

enum { SCOPES = sizeof scopes / sizeof *scopes };

static void hash_key(struct span text, char out[HASH_HEX_SIZE]) {
    hash_keyed_hex(span_of(hash_domain), text, out);
}

/* ---- texts ---- */

static bool is_hex(struct span s) {
    for (size_t i = 0; i < s.size; i++)
        if (!strchr("0123456789abcdef", s.at[i]) || !s.at[i]) return false;
    return true;
}

struct span key_text_id(struct span text) {
    struct span id = span_slice(text, 4, 4 + ID_SIZE);

    if (text.size != KEY_TEXT_SIZE - 1 || !span_starts(text, span_of("crl_")) ||
        text.at[4 + ID_SIZE] != '_' || !is_hex(id))
        return (struct span){NULL, 0};
    return id;
}

bool key_fits(const struct key *key, struct span text) {
    char hash[HASH_HEX_SIZE];

    hash_key(text, hash);
    return hash_equal_secret(span_of(hash), span_of(key->hash));
}

static unsigned scope_named(struct span name) {
    for (int i = 0; i < SCOPES; i++)
        if (span_is(name, scopes[i].name)) return scopes[i].scope;
    return 0;
}

bool key_scopes_from_text(const char *text, unsigned *out, struct err *err) {
    struct span rest = span_of(text);
    unsigned all = 0;

    while (rest.size) {
        size_t end = span_find(rest, span_of(","));
        unsigned one;

        if (end == SIZE_MAX) end = rest.size;
        one = scope_named(span_slice(rest, 0, end));
        if (!one)
            return err_set(err, ERR_INPUT,
                           "scopes: expected chat, guard, admin, metrics or "
                           "approve, with commas between them");
        all |= one;
        rest = span_slice(rest, end + 1, rest.size);
    }
    if (!all) return err_set(err, ERR_INPUT, "scopes: there is none");
    *out = all;
    return true;
}

void key_scopes_put(unsigned all, struct bytes *out) {
    size_t start = out->size;

    for (int i = 0; i < SCOPES; i++) {
        if (!(all & (unsigned)scopes[i].scope)) continue;
        if (out->size > start) bytes_puts(out, ",");
        bytes_puts(out, scopes[i].name);
    }
}

/* ---- reading ---- */

static bool read_name(const cJSON *line, struct key *key, struct err *err) {
    const char *name = "";

    if (!json_get_string(line, "", "name", &name, err)) return false;
    if (strlen(name) >= KEY_NAME_SIZE || !utf8_valid(span_of(name)))
        return err_set(err, ERR_INPUT, "name: not UTF-8 of %d bytes at most",
                       KEY_NAME_SIZE - 1);
    (void)snprintf(key->name, sizeof key->name, "%s", name);
    return true;
}

static bool read_hex(const cJSON *line, const char *member, size_t size,
                     char *out, struct err *err) {
    const char *text = "";

    if (!json_get_string(line, "", member, &text, err)) return false;
    if (strlen(text) != size || !is_hex(span_of(text)))
        return err_set(err, ERR_INPUT, "%s: expected %zu hex digits", member,
                       size);
    memcpy(out, text, size + 1);
    return true;
}

static bool read_limits(const cJSON *line, struct key_limits *l,
                        struct err *err) {
    const int64_t most = (int64_t)1 << 50;

    return json_get_int(line, "", "requests_per_minute", 0, most,
                        &l->requests_per_minute, err) &&
           json_get_int(line, "", "tokens_per_minute", 0, most,
                        &l->tokens_per_minute, err) &&
           json_get_int(line, "", "tokens_per_day", 0, most, &l->tokens_per_day,
                        err);
}

static bool read_key(const cJSON *line, struct key *key, struct err *err) {
    static const char *const members[] = {"id",
                                          "name",
                                          "hash",
                                          "scopes",
                                          "policy",
                                          "requests_per_minute",
                                          "tokens_per_minute",
                                          "tokens_per_day",
                                          "created",
                                          "expires",
                                          "revoked",
                                          NULL};
    const int64_t latest = (int64_t)1 << 40;
    const char *list = "", *policy = NULL;

    if (!json_only_keys(line, "", members, err) ||
        !read_hex(line, "id", ID_SIZE, key->id, err) ||
        !read_name(line, key, err) ||
        !read_hex(line, "hash", HASH_HEX_SIZE - 1, key->hash, err) ||
        !json_get_string(line, "", "scopes", &list, err) ||
        !key_scopes_from_text(list, &key->scopes, err) ||
        !read_limits(line, &key->limits, err) ||
        !json_get_string(line, "", "policy", &policy, err) ||
        !json_get_int(line, "", "created", 0, latest, &key->created_s, err) ||
        !json_get_int(line, "", "expires", 0, latest, &key->expires_s, err) ||
        !json_get_int(line, "", "revoked", 0, latest, &key->revoked_s, err))
        return false;
    if (policy) key->policy = xstrdup(policy);
    return true;
}

static struct key *push(struct keys *k) {
    k->list = xrealloc_array(k->list, (size_t)k->count + 1, sizeof *k->list);
    k->list[k->count] = (struct key){0};
    return &k->list[k->count++];
}

static const struct key *with_id(const struct keys *k, const char *id) {
    for (int i = 0; i < k->count; i++)
        if (!strcmp(k->list[i].id, id)) return &k->list[i];
    return NULL;
}

static bool read_line(struct keys *k, struct span text, struct err *err) {
    struct key key = {0};
    cJSON *line;
    bool ok;

    if (k->count == KEYS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d keys", KEYS_MAX);
    line = json_parse(text, err);
    ok = line && read_key(line, &key, err);
    cJSON_Delete(line);
    if (ok && with_id(k, key.id))
        ok = err_set(err, ERR_INPUT, "the id %s is there twice", key.id);
    if (ok)
        *push(k) = key;
    else
        free(key.policy);
    return ok;
}

bool keys_parse(struct keys *out, struct span text, const char *path,
                struct err *err) {
    struct keys k = {0};
    int number = 1;

    for (; text.size; number++) {
        size_t end = span_find(text, span_of("\n"));
        struct err why = {0};

        if (end == SIZE_MAX) end = text.size;
        if (end && !read_line(&k, span_slice(text, 0, end), &why)) {
            keys_clear(&k);
            return err_set(err, ERR_INPUT, "%s:%d: %s", path, number, why.text);
        }
        text = span_slice(text, end + 1, text.size);
    }
    *out = k;
    return true;
}

bool keys_read(struct keys *out, const char *path, struct err *err) {
    struct bytes text = {.limit = KEYS_BYTES_MAX};
    struct stat st;
    bool ok;

    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        *out = (struct keys){0};
        return true;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, ERR_INPUT,
                       "%s: others may write to it (mode %04o), and so give "
                       "themselves a key: chmod go-w",
                       path, (unsigned)st.st_mode & 07777);
    ok = bytes_read_file(&text, path, err) &&
         keys_parse(out, span_bytes(&text), path, err);
    bytes_free(&text);
    return ok;
}

void keys_clear(struct keys *k) {
    for (int i = 0; i < k->count; i++) free(k->list[i].policy);
    free(k->list);
    *k = (struct keys){0};
}

/* ---- writing ---- */

static void put_number(cJSON *line, const char *name, int64_t value) {
    if (value) (void)cJSON_AddNumberToObject(line, name, (double)value);
}

static bool put_key(const struct key *key, struct bytes *out, struct err *err) {
    cJSON *line = cJSON_CreateObject();
    struct bytes list = {0};
    bool ok;

    key_scopes_put(key->scopes, &list);
    bytes_put(&list, (struct span){"", 1});
    (void)cJSON_AddStringToObject(line, "id", key->id);
    (void)cJSON_AddStringToObject(line, "name", key->name);
    (void)cJSON_AddStringToObject(line, "hash", key->hash);
    (void)cJSON_AddStringToObject(line, "scopes", list.at);
    if (key->policy) (void)cJSON_AddStringToObject(line, "policy", key->policy);
    put_number(line, "requests_per_minute", key->limits.requests_per_minute);
    put_number(line, "tokens_per_minute", key->limits.tokens_per_minute);
    put_number(line, "tokens_per_day", key->limits.tokens_per_day);
    put_number(line, "created", key->created_s);
    put_number(line, "expires", key->expires_s);
    put_number(line, "revoked", key->revoked_s);
    ok = json_print(line, out, err) && bytes_append(out, "\n", 1, err);
    bytes_free(&list);
    cJSON_Delete(line);
    return ok;
}

static bool write_all(int fd, struct span s) {
    while (s.size) {
        ssize_t n = write(fd, s.at, s.size);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        s = span_slice(s, (size_t)n, s.size);
    }
    return fsync(fd) == 0;
}

/* Where a link leads to: a rename onto the link itself would leave whoever
 * reads the file behind it with the old one. */
static char *real_place(const char *path) {
    char *real = realpath(path, NULL);

    return real ? real : xstrdup(path);
}

/* A neighbour first, so that a full disk leaves the old file as it is. */
static bool replace(const char *link, struct span text, struct err *err) {
    struct bytes fresh = {0};
    char *path = real_place(link);
    int fd;
    bool ok;

    bytes_puts(&fresh, path);
    bytes_put(&fresh, (struct span){".new", 5});
    (void)unlink(fresh.at);
    fd = open(fresh.at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0 && close(fd) != 0) ok = false;
    ok = ok && rename(fresh.at, path) == 0;
    if (!ok) {
        (void)err_set(err, ERR_IO, "%s: %s", fresh.at, strerror(errno));
        if (fd >= 0) (void)unlink(fresh.at);
    }
    bytes_free(&fresh);
    free(path);
    return ok;
}

bool keys_write(const struct keys *k, const char *path, struct err *err) {
    struct bytes text = {.limit = KEYS_BYTES_MAX};
    bool ok = true;

    for (int i = 0; ok && i < k->count; i++)
        ok = put_key(&k->list[i], &text, err);
    ok = ok && replace(path, span_bytes(&text), err);
    bytes_free(&text);
    return ok;
}

int keys_lock(const char *path, struct err *err) {
    struct bytes name = {0};
    char *real = real_place(path);
    int fd;

    bytes_puts(&name, real);
    free(real);
    bytes_put(&name, (struct span){".lock", 6});
    fd = open(name.at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        (void)err_set(err, ERR_IO, "%s: %s", name.at, strerror(errno));
        if (fd >= 0) (void)close(fd);
        fd = -1;
    }
    bytes_free(&name);
    return fd;
}

/* ---- changing ---- */

bool keys_add(struct keys *k, const struct key *key, char text[KEY_TEXT_SIZE],
              struct err *err) {
    char id[HASH_ID_SIZE], secret[2][HASH_ID_SIZE];
    struct key *fresh;

    if (k->count == KEYS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d keys", KEYS_MAX);
    do {
        hash_random_id(id);
        id[ID_SIZE] = '\0';
    } while (with_id(k, id));
    hash_random_id(secret[0]);
    hash_random_id(secret[1]);
    (void)snprintf(text, KEY_TEXT_SIZE, "crl_%.8s_%s%s", id, secret[0],
                   secret[1]);
    fresh = push(k);
    *fresh = *key;
    memcpy(fresh->id, id, KEY_ID_SIZE);
    hash_key(span_of(text), fresh->hash);
    fresh->policy = key->policy ? xstrdup(key->policy) : NULL;
    return true;
}

bool key_name_fits(const char *name, struct err *err) {
    if (strlen(name) >= KEY_NAME_SIZE)
        return err_set_field(err, ERR_INPUT, "name",
                             "name: longer than %d bytes", KEY_NAME_SIZE - 1);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return err_set_field(err, ERR_INPUT, "name",
                                 "name: no control characters");
    return utf8_valid(span_of(name)) ||
           err_set_field(err, ERR_INPUT, "name", "name: not UTF-8");
}

char *key_policy_path(const char *keys_path, const char *policy) {
    const char *slash = strrchr(keys_path, '/');
    struct bytes path = {0};

    if (*policy != '/' && slash)
        bytes_put(&path,
                  (struct span){keys_path, (size_t)(slash - keys_path) + 1});
    bytes_puts(&path, policy);
    bytes_put(&path, (struct span){"", 1});
    return path.at;
}

struct key *keys_named(const struct keys *k, const char *name) {
    struct key *found = NULL;

    for (int i = 0; i < k->count; i++)
        if (!strcmp(k->list[i].id, name)) return &k->list[i];
    for (int i = 0; i < k->count; i++) {
        if (strcmp(k->list[i].name, name) != 0) continue;
        if (found) return NULL;
        found = &k->list[i];
    }
    return found;
}
