#include "tools/mcp_pins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PINS_BYTES_MAX = 4 << 20, DEFINITION_BYTES_MAX = 256 << 10 };

struct mcp_pins {
    char *path;  /* NULL: none */
    cJSON *root; /* server to tool to digest */
    bool changed;
};

bool mcp_definition_hash(const cJSON *definition, char out[HASH_HEX_SIZE],
                         struct err *err) {
    static const char *const keys[] = {"name", "description", "inputSchema"};
    struct bytes text = {.limit = DEFINITION_BYTES_MAX};
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++) {
        const cJSON *part =
            cJSON_GetObjectItemCaseSensitive(definition, keys[i]);

        ok = (!part || json_print(part, &text, err)) &&
             bytes_append(&text, "\n", 1, err);
    }
    if (ok) hash_sha256_hex(span_bytes(&text), out);
    bytes_free(&text);
    return ok;
}

static bool check_file(const cJSON *root) {
    const cJSON *server, *tool;

    if (!cJSON_IsObject(root)) return false;
    cJSON_ArrayForEach(server, root) {
        if (!cJSON_IsObject(server)) return false;
        cJSON_ArrayForEach(tool,
                           server) if (!cJSON_IsString(tool)) return false;
    }
    return true;
}

static bool read_file(struct mcp_pins *pins, struct err *err) {
    struct bytes text = {.limit = PINS_BYTES_MAX};
    struct err inner = {0};
    bool ok = true;

    if (pins->path && !access(pins->path, F_OK)) {
        ok = bytes_read_file(&text, pins->path, err);
        if (ok) {
            cJSON_Delete(pins->root);
            pins->root = json_parse(span_bytes(&text), &inner);
            ok = check_file(pins->root) ||
                 err_set(err, ERR_INPUT, "%.200s: no file of approved tools",
                         pins->path);
        }
    }
    bytes_free(&text);
    return ok;
}

struct mcp_pins *mcp_pins_open(const char *path, struct err *err) {
    struct mcp_pins *pins = xalloc(sizeof *pins);

    pins->path = path ? xstrdup(path) : NULL;
    pins->root = cJSON_CreateObject();
    if (read_file(pins, err)) return pins;
    mcp_pins_close(pins);
    return NULL;
}

void mcp_pins_close(struct mcp_pins *pins) {
    if (!pins) return;
    cJSON_Delete(pins->root);
    free(pins->path);
    free(pins);
}

const char *mcp_pins_get(const struct mcp_pins *pins, const char *server,
                         const char *tool) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(pins->root, server), tool));
}

void mcp_pins_set(struct mcp_pins *pins, const char *server, const char *tool,
                  const char *hash) {
    cJSON *map = cJSON_GetObjectItemCaseSensitive(pins->root, server);

    if (!map) map = cJSON_AddObjectToObject(pins->root, server);
    cJSON_DeleteItemFromObjectCaseSensitive(map, tool);
    cJSON_AddStringToObject(map, tool, hash);
    pins->changed = true;
}

static bool write_all(int fd, struct span s) {
    while (s.size) {
        ssize_t n = write(fd, s.at, s.size);

        if (n < 0 && errno != EINTR) return false;
        if (n > 0) s = span_slice(s, (size_t)n, s.size);
    }
    return fsync(fd) == 0;
}

static bool replace_file(const char *path, struct span text, struct err *err) {
    struct bytes temp = {0};
    int fd;
    bool ok;

    bytes_puts(&temp, path);
    bytes_put(&temp, (struct span){".new", 5});
    fd = open(temp.at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0) ok = !close(fd) && ok;
    ok = ok && !rename(temp.at, path);
    if (!ok)
        (void)err_set(err, ERR_IO, "%.200s cannot be written: %s", path,
                      strerror(errno));
    bytes_free(&temp);
    return ok;
}

bool mcp_pins_save(struct mcp_pins *pins, struct err *err) {
    char *text;
    bool ok;

    if (!pins->path || !pins->changed) return true;
    text = cJSON_Print(pins->root);
    ok = replace_file(pins->path, span_of(text), err);
    cJSON_free(text);
    if (ok) pins->changed = false;
    return ok;
}
