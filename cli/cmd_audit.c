/* cmd_audit.c - the audit, followed row by row or written out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/places.h"
#include "proxy/audit_chain.h"
#include "proxy/config.h"

struct audit_command {
    const char *config;
    const char *format;
    const char *key;
    const char *head;
};

/* The columns of CSV; what else a row has is JSON's. Sheets are read by place:
 * a new one comes last. */
static const char *const columns[] = {"seq",
                                      "at",
                                      "kind",
                                      "id",
                                      "request",
                                      "route",
                                      "key",
                                      "channel",
                                      "action",
                                      "cause",
                                      "policy",
                                      "text",
                                      "status",
                                      "ms",
                                      "decisions",
                                      "event",
                                      "detail",
                                      "prompt_tokens",
                                      "completion_tokens",
                                      "peer",
                                      "answer"};

/* After them: which checks found what the verdict rests on, and which would
 * have in earnest. */
static const char *const found[] = {"checks", "shadow_checks"};

enum { COLUMNS = sizeof columns / sizeof *columns };

static void on_problem(void *user, const char *text) {
    (void)printf("%s: %s\n", (const char *)user, text);
}

static int verify(const struct audit_command *o, struct db *db,
                  const struct audit_key *key, const char *path,
                  struct err *err) {
    struct audit_report r;

    if (!audit_chain_verify(db, key, on_problem, (void *)(uintptr_t)path, &r,
                            err))
        return -1;
    /* Who can write the file and has an old copy of it can put that back: only
     * a head that was kept elsewhere shows it. */
    if (o->head && strcmp(o->head, r.head) != 0) {
        (void)printf("%s: the last row is not %.64s\n", path, o->head);
        r.problem_count++;
    }
    (void)printf("%s: %s: %" PRId64 " rows, %" PRId64 " to %" PRId64
                 ", head %s\n",
                 path, r.problem_count ? "NOT SOUND" : "sound", r.rows, r.first,
                 r.last, *r.head ? r.head : "none");
    return r.problem_count ? EXIT_NO : EXIT_FINE;
}

static bool put_jsonl(void *user, struct span row) {
    (void)user;
    return fwrite(row.at, 1, row.size, stdout) == row.size &&
           putchar('\n') != EOF;
}

static void put_text(const char *text) {
    (void)putchar('"');
    /* A sheet would run what begins like a formula. */
    if (*text && strchr("=+-@\t\r", *text)) (void)putchar('\'');
    for (const char *c = text; *c; c++) {
        if (*c == '"') (void)putchar('"');
        (void)putchar(*c);
    }
    (void)putchar('"');
}

static void put_cell(const cJSON *item) {
    if (cJSON_IsNumber(item))
        (void)printf("%.15g", item->valuedouble);
    else if (cJSON_IsString(item))
        put_text(item->valuestring);
}

static const char *check_of(const cJSON *finding, bool shadow) {
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(finding, "check");

    if (shadow != cJSON_HasObjectItem(finding, "shadow")) return NULL;
    return cJSON_GetStringValue(id);
}

static bool seen_before(const cJSON *finding, const cJSON *findings,
                        const char *id, bool shadow) {
    for (const cJSON *f = findings->child; f != finding; f = f->next) {
        const char *other = check_of(f, shadow);

        if (other && !strcmp(other, id)) return true;
    }
    return false;
}

/* Each id once, in the order of what they found; `;` is in none of them. */
static void put_checks(const cJSON *row, bool shadow) {
    const cJSON *findings = cJSON_GetObjectItemCaseSensitive(row, "findings");
    struct bytes ids = {0};
    const cJSON *f;

    cJSON_ArrayForEach(f, findings) {
        const char *id = check_of(f, shadow);

        if (!id || seen_before(f, findings, id, shadow)) continue;
        if (ids.size) bytes_puts(&ids, ";");
        bytes_puts(&ids, id);
    }
    if (ids.size) {
        bytes_put(&ids, (struct span){"", 1});
        put_text(ids.at);
    }
    bytes_free(&ids);
}

static bool put_csv(void *user, struct span row) {
    cJSON *json = json_parse(row, user);

    if (!json) return false;
    for (int i = 0; i < COLUMNS; i++) {
        if (i) (void)putchar(',');
        put_cell(cJSON_GetObjectItemCaseSensitive(json, columns[i]));
    }
    for (int shadow = 0; shadow < 2; shadow++) {
        (void)putchar(',');
        put_checks(json, shadow);
    }
    (void)puts("\r");
    cJSON_Delete(json);
    return true;
}

static int export(const struct audit_command *o, struct db *db,
                  struct err *err) {
    bool csv = o->format && !strcmp(o->format, "csv");

    if (o->format && !csv && strcmp(o->format, "jsonl") != 0) {
        (void)err_set(err, ERR_INPUT, "--format: expected jsonl or csv");
        return -1;
    }
    for (int i = 0; csv && i < COLUMNS; i++)
        (void)printf("%s%s", i ? "," : "", columns[i]);
    for (size_t i = 0; csv && i < sizeof found / sizeof *found; i++)
        (void)printf(",%s", found[i]);
    if (csv) (void)puts("\r");
    if (!audit_chain_each(db, 0, INT64_MAX, INT64_MAX,
                          csv ? put_csv : put_jsonl, err, err) ||
        err->code)
        return -1;
    return EXIT_FINE;
}

/* FILE, or where the configuration's server has it. */
static char *find_file(const struct audit_command *o, const char *file,
                       struct err *err) {
    struct config config;
    struct bytes path = {0};
    char *folder = NULL;

    if (file) return xstrdup(file);
    config_init(&config);
    if (!o->config || config_load(&config, o->config, err))
        folder = places_data(config.data, err);
    config_clear(&config);
    if (!folder) return NULL;
    bytes_puts(&path, folder);
    bytes_put(&path, (struct span){"/audit.db", sizeof "/audit.db"});
    free(folder);
    return path.at;
}

/* --key, else audit.key beside the database. */
static bool find_key(const struct audit_command *o, const char *path,
                     struct audit_key *key, struct err *err) {
    const char *slash = strrchr(path, '/');
    struct bytes name = {0};
    bool ok;

    if (o->key) return audit_key_read(key, o->key, err);
    if (slash)
        bytes_put(&name, (struct span){path, (size_t)(slash - path) + 1});
    bytes_put(&name, (struct span){"audit.key", sizeof "audit.key"});
    ok = audit_key_read(key, name.at, err);
    bytes_free(&name);
    return ok;
}

static int act(const struct audit_command *o, const char *const *args,
               int count, struct err *err) {
    char *path = find_file(o, count > 1 ? args[1] : NULL, err);
    struct db *db = path ? audit_db_open(path, 0, true, err) : NULL;
    struct audit_key key;
    int code = -1;

    if (!db) goto out;
    if (!strcmp(args[0], "export"))
        code = export(o, db, err);
    else if (strcmp(args[0], "verify") != 0)
        (void)err_set(err, ERR_INPUT, "audit: expected verify or export");
    else if (find_key(o, path, &key, err))
        code = verify(o, db, &key, path, err);
out:
    db_close(db);
    free(path);
    return code;
}

int cmd_audit(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct audit_command o = {0};
    const struct option list[] = {
        {"config", 'c', OPTION_TEXT, &o.config, 0, 0, "FILE",
         "the server's configuration, whose `data:` has the audit"},
        {"key", 0, OPTION_TEXT, &o.key, 0, 0, "FILE",
         "verify: audit.key, when it is kept elsewhere"},
        {"head", 0, OPTION_TEXT, &o.head, 0, 0, "HASH",
         "verify: what the last row's hash must be"},
        {"format", 0, OPTION_TEXT, &o.format, 0, 0, "FORMAT",
         "export: jsonl or csv (jsonl)"},
    };
    const struct options options = {
        "corral audit verify|export [FILE] [OPTIONS]",
        "verify  follows the chain and names each row that was changed, "
        "removed or moved.\n        Exit code 1: there are some.\n"
        "export  writes the rows to standard output, the oldest first.\n"
        "A server may run meanwhile.",
        list,
        sizeof list / sizeof list[0],
        1,
        2,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    code = act(&o, args, count, &err);
    return code < 0 ? options_fail(&err) : code;
}
