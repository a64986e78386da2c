/* cmd_key.c - API keys: made, listed, taken back. A running server reads the
 * file again by itself. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/options.h"
#include "proxy/auth.h"
#include "proxy/config.h"
#include "proxy/keys.h"

struct key_options {
    const char *config;
    const char *file;
    const char *name;
    const char *scopes;
    const char *policy;
    int requests_per_minute;
    int tokens_per_minute;
    double tokens_per_day;
    int expires_days;
};

/* --file, else what the configuration names. */
static bool find_file(const struct key_options *o, struct config *config,
                      const char **out, struct err *err) {
    if (o->config && !config_load(config, o->config, err)) return false;
    *out = o->file ? o->file : config->keys;
    if (*out) return true;
    return err_set(err, ERR_INPUT,
                   "key: where are the keys? Give --file FILE, or --config "
                   "FILE with a `keys:` in it");
}

static bool add(const struct key_options *o, const char *path,
                struct err *err) {
    struct key key = {.scopes = KEY_CHAT | KEY_GUARD,
                      .limits = {o->requests_per_minute, o->tokens_per_minute,
                                 (int64_t)o->tokens_per_day},
                      .created_s = clock_wall_s()};
    char text[KEY_TEXT_SIZE];
    struct keys keys = {0};
    bool ok;

    /* A key whose policy cannot be read would keep all keys from being read. */
    if (!key_name_fits(o->name ? o->name : "", err) ||
        !auth_check_policy(path, o->policy, err))
        return false;
    (void)snprintf(key.name, sizeof key.name, "%s", o->name ? o->name : "");
    if (o->scopes && !key_scopes_from_text(o->scopes, &key.scopes, err))
        return false;
    if (o->expires_days)
        key.expires_s = key.created_s + (int64_t)o->expires_days * 86400;
    key.policy = (char *)(uintptr_t)o->policy; /* copied */
    ok = keys_read(&keys, path, err) && keys_add(&keys, &key, text, err) &&
         keys_write(&keys, path, err);
    keys_clear(&keys);
    if (ok) (void)puts(text);
    return ok;
}

static void print_day(int64_t when, const char *never) {
    time_t t = (time_t)when;
    struct tm tm;
    char text[16] = "?";

    if (when && gmtime_r(&t, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%d", &tm);
    (void)printf("  %-10s", when ? text : never);
}

static bool list(const char *path, struct err *err) {
    struct keys keys = {0};

    if (!keys_read(&keys, path, err)) return false;
    (void)printf("%-8s  %-8s  %-10s  %-10s  %-24s  %s\n", "ID", "STATE",
                 "CREATED", "EXPIRES", "SCOPES", "NAME");
    for (int i = 0; i < keys.count; i++) {
        const struct key *k = &keys.list[i];
        struct bytes scopes = {0};
        bool old = k->expires_s && k->expires_s <= clock_wall_s();

        key_scopes_put(k->scopes, &scopes);
        (void)printf("%-8s  %-8s", k->id,
                     k->revoked_s ? "revoked"
                     : old        ? "expired"
                                  : "good");
        print_day(k->created_s, "?");
        print_day(k->expires_s, "never");
        (void)printf("  %-24.*s  %s\n", (int)scopes.size, scopes.at, k->name);
        bytes_free(&scopes);
    }
    keys_clear(&keys);
    return true;
}

static bool take_back(const char *name, const char *path, struct err *err) {
    struct keys keys = {0};
    struct key *key;
    bool ok;

    if (!keys_read(&keys, path, err)) return false;
    key = keys_named(&keys, name);
    if (!key) {
        keys_clear(&keys);
        return err_set(err, ERR_NOT_FOUND,
                       "%s: no single key has the id or name %.64s", path,
                       name);
    }
    if (!key->revoked_s) key->revoked_s = clock_wall_s();
    ok = keys_write(&keys, path, err);
    if (ok) (void)printf("%s: revoked\n", key->id);
    keys_clear(&keys);
    return ok;
}

static bool act(const struct key_options *o, const char *const *args, int count,
                struct err *err) {
    struct config config;
    const char *path;
    bool change = strcmp(args[0], "list") != 0, ok = false;
    int lock = -1;

    config_init(&config);
    if (!find_file(o, &config, &path, err)) goto out;
    if (change) lock = keys_lock(path, err);
    if (change && lock < 0) goto out;
    if (!strcmp(args[0], "add") && count == 1)
        ok = add(o, path, err);
    else if (!strcmp(args[0], "list") && count == 1)
        ok = list(path, err);
    else if (!strcmp(args[0], "revoke") && count == 2)
        ok = take_back(args[1], path, err);
    else
        (void)err_set(err, ERR_INPUT,
                      "key: expected add, list or revoke with an ID");
out:
    if (lock >= 0) (void)close(lock);
    config_clear(&config);
    return ok;
}

int cmd_key(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct key_options o = {0};
    const struct option table[] = {
        {"config", 'c', OPTION_TEXT, &o.config, 0, 0, "FILE",
         "the server's configuration, whose `keys:` names the file"},
        {"file", 0, OPTION_TEXT, &o.file, 0, 0, "FILE", "the file of keys"},
        {"name", 0, OPTION_TEXT, &o.name, 0, 0, "NAME", "add: whose key it is"},
        {"scopes", 0, OPTION_TEXT, &o.scopes, 0, 0, "LIST",
         "add: of chat, guard, admin, metrics, approve (chat,guard)"},
        {"policy", 0, OPTION_TEXT, &o.policy, 0, 0, "FILE",
         "add: judged by this policy, relative to the file of keys"},
        {"requests-per-minute", 0, OPTION_INT, &o.requests_per_minute, 0, 1e9,
         "N", "add: 0 for no limit"},
        {"tokens-per-minute", 0, OPTION_INT, &o.tokens_per_minute, 0, 1e9, "N",
         "add: 0 for no limit"},
        {"tokens-per-day", 0, OPTION_NUMBER, &o.tokens_per_day, 0, 1e15, "N",
         "add: UTC days; 0 for no limit"},
        {"expires-days", 0, OPTION_INT, &o.expires_days, 0, 36500, "N",
         "add: days from now; 0 for never"},
    };
    const struct options options = {
        "corral key add|list|revoke [ID] -c FILE [OPTIONS]",
        "add     makes a key and prints it, the only time it can be seen.\n"
        "list    shows the keys there are, never the keys themselves.\n"
        "revoke  takes one back, by its id or name.\n"
        "A running server sees the change within a second.",
        table,
        sizeof table / sizeof table[0],
        1,
        2,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    return act(&o, args, count, &err) ? EXIT_FINE : options_fail(&err);
}
