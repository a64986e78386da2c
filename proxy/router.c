#include "proxy/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROUTES_MAX = 8192 };

struct route {
    char *name;
    struct llm *llm;
};

struct router {
    struct route *routes;
    int count;
    int room;
    struct llm *any; /* "*" */
    int users;
};

struct router *router_new(void) {
    return xalloc(sizeof(struct router));
}

void router_free(struct router *r) {
    if (!r) return;
    assert(!r->users);
    for (int i = 0; i < r->count; i++) free(r->routes[i].name);
    free(r->routes);
    free(r);
}

struct router *router_use(struct router *r) {
    r->users++;
    return r;
}

void router_leave(struct router *r) {
    if (r) r->users--;
}

int router_users(const struct router *r) {
    return r->users;
}

static struct llm *find(const struct router *r, struct span name) {
    for (int i = 0; i < r->count; i++)
        if (span_is(name, r->routes[i].name)) return r->routes[i].llm;
    return NULL;
}

static void grow(struct router *r) {
    int room = r->room ? 2 * r->room : 16;
    struct route *routes = xalloc_array((size_t)room, sizeof *routes);

    if (r->count) memcpy(routes, r->routes, (size_t)r->count * sizeof *routes);
    free(r->routes);
    r->routes = routes;
    r->room = room;
}

bool router_add(struct router *r, const char *name, struct llm *llm,
                struct err *err) {
    bool any = !strcmp(name, "*");

    if (any ? r->any != NULL : find(r, span_of(name)) != NULL)
        return err_set(err, ERR_INPUT, "two models are called \"%.100s\"",
                       name);
    if (any) {
        r->any = llm;
        return true;
    }
    if (r->count == ROUTES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d models", ROUTES_MAX);
    if (r->count == r->room) grow(r);
    r->routes[r->count++] = (struct route){xstrdup(name), llm};
    return true;
}

struct llm *router_find(const struct router *r, struct span name) {
    struct llm *llm = find(r, name);

    return llm ? llm : r->any;
}

int router_count(const struct router *r) {
    return r->count ? r->count : r->any != NULL;
}

const char *router_name(const struct router *r, int index) {
    if (index < r->count) return r->routes[index].name;
    return r->any->name ? r->any->name : "default";
}
