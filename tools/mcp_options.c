#include "tools/mcp_options.h"

#include <stdlib.h>
#include <string.h>

#include "tools/mcp.h"
#include "tools/headers.h"

enum {
    TIMEOUT_S_DEFAULT = 60,
    LONGEST_S_DEFAULT = 300,
    START_S_DEFAULT = 30,
    DIGEST_SIZE = 64
};

static char *joined(const char *a, const char *between, const char *b) {
    struct bytes text = {0};
    char *out;

    bytes_puts(&text, a);
    bytes_puts(&text, between);
    bytes_puts(&text, b);
    out = span_dup(span_bytes(&text));
    bytes_free(&text);
    return out;
}

static bool take_text(const struct tool_options *o, const char *key, char **out,
                      struct err *err) {
    const char *text = NULL;

    if (!option_text(o, key, &text, err)) return false;
    if (text) *out = xstrdup(text);
    return true;
}

/* It begins the tools' names, and is written into logs and the file of pins. */
static bool read_name(struct mcp_options *m, const struct tool_options *o,
                      struct err *err) {
    static const char fine[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    if (!take_text(o, "name", &m->name, err)) return false;
    if (m->name && strlen(m->name) <= MCP_SERVER_NAME_MAX &&
        strspn(m->name, fine) == strlen(m->name) && !strstr(m->name, "__"))
        return true;
    return option_fail(o, option_get(o, "name"), err,
                       "a server's name has 1 to %d of a-z A-Z 0-9 _ -, and "
                       "no \"__\"",
                       MCP_SERVER_NAME_MAX);
}

/* ---- a process ---- */

static bool read_command(struct mcp_options *m, const struct tool_options *o,
                         struct err *err) {
    const cJSON *list = option_get(o, "command");
    const cJSON *item;
    int count = 0;

    if (cJSON_IsString(list) && *list->valuestring) {
        m->command[0] = xstrdup(list->valuestring);
        return true;
    }
    if (list && (!cJSON_IsArray(list) || !list->child))
        return option_fail(o, list, err,
                           "command is a program, or a list that begins with "
                           "one");
    cJSON_ArrayForEach(item, list) {
        const char *word = NULL;

        if (count == MCP_WORDS_MAX)
            return option_fail(o, item, err, "more than %d words",
                               MCP_WORDS_MAX);
        if (!option_line(o, item, &word, err)) return false;
        m->command[count++] = xstrdup(word);
    }
    return true;
}

/* Of our own environment a server gets what a program needs to run at all, and
 * none of our secrets. */
static int inherit(struct mcp_options *m) {
    static const char *const names[] = {"PATH",   "HOME", "LANG", "LC_ALL",
                                        "TMPDIR", "TZ",   "USER"};
    int count = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value) m->environment[count++] = joined(names[i], "=", value);
    }
    return count;
}

static bool read_environment(struct mcp_options *m,
                             const struct tool_options *o, struct err *err) {
    const cJSON *map = option_get(o, "env");
    const cJSON *item;
    int count = inherit(m);

    if (map && !cJSON_IsObject(map))
        return option_fail(o, map, err, "env must be a map");
    cJSON_ArrayForEach(item, map) {
        const char *value = NULL;

        if (!*item->string || strchr(item->string, '='))
            return option_fail(o, item, err, "this is no variable");
        if (count == MCP_VARIABLES_MAX)
            return option_fail(o, item, err, "more than %d variables",
                               MCP_VARIABLES_MAX);
        if (!option_line(o, item, &value, err)) return false;
        m->environment[count++] = joined(item->string, "=", value);
    }
    return true;
}

/* ---- tools and pins ---- */

static bool read_wanted(struct mcp_options *m, const struct tool_options *o,
                        struct err *err) {
    const cJSON *list = option_get(o, "tools");
    const cJSON *item;

    if (!list) return true;
    if (!cJSON_IsArray(list))
        return option_fail(o, list, err, "tools must be a list of names");
    cJSON_ArrayForEach(item, list) if (
        !cJSON_IsString(item)) return option_fail(o, item, err,
                                                  "a tool's name is a text");
    m->wanted = cJSON_Duplicate(list, true);
    return true;
}

static bool read_pins(struct mcp_options *m, const struct tool_options *o,
                      struct err *err) {
    const cJSON *map = option_get(o, "pins");
    const cJSON *item;
    const char *how = "first_use";

    if (!option_text(o, "pin", &how, err)) return false;
    m->strict = !strcmp(how, "strict");
    if (!m->strict && strcmp(how, "first_use") != 0)
        return option_fail(o, option_get(o, "pin"), err,
                           "pin is first_use or strict");
    if (map && !cJSON_IsObject(map))
        return option_fail(o, map, err, "pins must be a map");
    cJSON_ArrayForEach(item, map) {
        const char *text = cJSON_GetStringValue(item);

        if (!text || strlen(text) != DIGEST_SIZE ||
            strspn(text, "0123456789abcdef") != DIGEST_SIZE)
            return option_fail(o, item, err,
                               "a pin is a SHA-256 of 64 lower-case digits");
    }
    m->pins = map ? cJSON_Duplicate(map, true) : NULL;
    if (o->data) m->pins_path = joined(o->data, "/", "mcp-pins.json");
    return true;
}

/* ---- all of it ---- */

static bool read_way(struct mcp_options *m, const struct tool_options *o,
                     struct err *err) {
    if (!read_command(m, o, err) || !take_text(o, "url", &m->url, err))
        return false;
    if (!m->command[0] == !m->url)
        return option_fail(o, NULL, err, "needs one of command and url");
    if (m->url && (option_get(o, "env") || option_get(o, "folder")))
        return option_fail(o, NULL, err, "env and folder belong to a command");
    if (m->command[0] && (option_get(o, "headers") || option_get(o, "ca_file")))
        return option_fail(o, NULL, err, "headers and ca_file belong to a url");
    if (m->url && strncmp(m->url, "http://", 7) &&
        strncmp(m->url, "https://", 8))
        return option_fail(o, option_get(o, "url"), err,
                           "this is not an http or https URL");
    return true;
}

bool mcp_options_read(struct mcp_options *m, const struct tool_options *o,
                      struct err *err) {
    static const char *const keys[] = {
        "name",      "command",   "env",     "folder",   "url",
        "headers",   "ca_file",   "tools",   "pins",     "pin",
        "timeout_s", "longest_s", "start_s", "optional", NULL};

    *m = (struct mcp_options){.timeout_s = TIMEOUT_S_DEFAULT,
                              .longest_s = LONGEST_S_DEFAULT,
                              .start_s = START_S_DEFAULT};
    return option_only(o, keys, err) && read_name(m, o, err) &&
           read_way(m, o, err) && read_environment(m, o, err) &&
           option_path(o, "folder", &m->folder, err) &&
           headers_by_options(o, m->headers, MCP_HEADERS_MAX, &m->header_count,
                              err) &&
           option_path(o, "ca_file", &m->ca_file, err) &&
           read_wanted(m, o, err) && read_pins(m, o, err) &&
           option_int(o, "timeout_s", 1, 3600, &m->timeout_s, err) &&
           option_int(o, "longest_s", 1, 3600, &m->longest_s, err) &&
           option_int(o, "start_s", 1, 600, &m->start_s, err) &&
           option_bool(o, "optional", &m->optional, err);
}

void mcp_options_clear(struct mcp_options *m) {
    for (char **word = m->command; *word; word++) free(*word);
    for (char **variable = m->environment; *variable; variable++)
        free(*variable);
    headers_clear(m->headers, m->header_count);
    free(m->name);
    free(m->folder);
    free(m->url);
    free(m->ca_file);
    free(m->pins_path);
    cJSON_Delete(m->wanted);
    cJSON_Delete(m->pins);
    *m = (struct mcp_options){0};
}

bool mcp_options_wants(const struct mcp_options *m, const char *tool) {
    const cJSON *item;

    if (!m->wanted) return true;
    cJSON_ArrayForEach(
        item, m->wanted) if (!strcmp(item->valuestring, tool)) return true;
    return false;
}

const char *mcp_options_pin(const struct mcp_options *m, const char *tool) {
    return cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(m->pins, tool));
}
