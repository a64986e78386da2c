#include "proxy/hosts.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_SIZE = 254 };

/* Without the port, and without the dot that may end a full name. */
static bool name_of(struct span host, char out[NAME_MAX_SIZE]) {
    size_t colon = span_find(host, span_of(":"));
    struct span name = colon == SIZE_MAX ? host : span_slice(host, 0, colon);

    if (name.size && name.at[name.size - 1] == '.') name.size--;
    if (name.size >= NAME_MAX_SIZE) return false;
    if (name.size) memcpy(out, name.at, name.size);
    out[name.size] = '\0';
    return strlen(out) == name.size;
}

static bool ends_with(const char *name, const char *end) {
    size_t size = strlen(name), tail = strlen(end);

    return size > tail && !strcasecmp(name + size - tail, end);
}

static bool is_here(const char *name) {
    struct in_addr four;

    return !strchr(name, '.') || inet_pton(AF_INET, name, &four) == 1 ||
           ends_with(name, ".localhost") || ends_with(name, ".internal");
}

bool hosts_know(const struct hosts *h, struct span host) {
    char name[NAME_MAX_SIZE];

    if (h->any || !host.size || host.at[0] == '[') return true;
    if (!name_of(host, name)) return false;
    for (int i = 0; i < h->count; i++)
        if (!strcmp(h->list[i], "*") || !strcasecmp(h->list[i], name))
            return true;
    return is_here(name);
}
