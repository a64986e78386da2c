#include "cli/models.h"

#include <libgen.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proxy/fleet.h"
#include "proxy/router.h"

struct model_set {
    struct config_upstream *upstreams;
    int count;
    bool owns; /* these */
    struct fleet *fleets[UPSTREAMS_MAX];
    struct router *router;
    char fingerprint[HASH_HEX_SIZE];
    struct model_set *lender; /* of `upstreams`; or NULL */
    atomic_int borrowers;
};

/* ---- what they are made of ---- */

static void add_file(struct bytes *out, const char *path) {
    struct bytes text = {0};

    /* One that cannot be read is no matter here: fleet_open() says so. */
    if (path && bytes_read_file(&text, path, NULL))
        bytes_put(out, span_bytes(&text));
    bytes_puts(out, "\n");
    bytes_free(&text);
}

static void add_member(struct bytes *out, const struct config_member *m) {
    const char *key = m->key.env ? getenv(m->key.env) : NULL;

    bytes_puts(out, key ? key : "");
    add_file(out, m->key.file);
}

/* Of the sections, and of the files and variables that they name: a key that
 * was renewed is another upstream. */
static void fingerprint(const struct config *c, char out[HASH_HEX_SIZE]) {
    static const char *const sections[] = {"backend", "upstreams"};
    const cJSON *root = c->yaml ? yaml_root(c->yaml) : NULL;
    struct bytes all = {0};

    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const cJSON *node = cJSON_GetObjectItemCaseSensitive(root, sections[i]);

        if (!node || !json_print(node, &all, NULL)) bytes_puts(&all, "-");
        bytes_puts(&all, "\n");
    }
    for (int u = 0; u < c->upstream_count; u++) {
        add_file(&all, c->upstreams[u].ca_file);
        for (int i = 0; i < c->upstreams[u].member_count; i++)
            add_member(&all, &c->upstreams[u].members[i]);
    }
    hash_sha256_hex(span_bytes(&all), out);
    bytes_free(&all);
}

static bool open_fleets(struct model_set *s, uv_loop_t *loop, struct err *err) {
    for (int u = 0; u < s->count; u++) {
        const struct config_upstream *from = &s->upstreams[u];

        s->fleets[u] = fleet_open(loop, from, err);
        if (!s->fleets[u]) return false;
        for (int i = 0; i < from->model_count; i++)
            if (!router_add(s->router, from->models[i].name,
                            fleet_llm(s->fleets[u], i), err))
                return false;
    }
    return true;
}

static bool open_fallbacks(struct model_set *s, struct err *err) {
    for (int u = 0; u < s->count; u++) {
        const struct config_upstream *from = &s->upstreams[u];

        for (int i = 0; i < from->fallback_count; i++) {
            struct llm *to =
                router_find(s->router, span_of(from->fallbacks[i]));

            if (!to)
                return err_set(err, ERR_INPUT,
                               "upstream %.64s: there is no model \"%.64s\" "
                               "to fall back to",
                               from->name, from->fallbacks[i]);
            fleet_fall_back(s->fleets[u], to);
        }
    }
    return true;
}

static bool add_own(struct model_set *s, struct llm *own, const char *name,
                    struct err *err) {
    return !own || (router_add(s->router, name, own, err) &&
                    /* Alone, it answers to whatever an app calls its model. */
                    (s->count || router_add(s->router, "*", own, err)));
}

/* ---- its life ---- */

void models_close(struct model_set *s) {
    if (!s) return;
    for (int u = 0; u < s->count; u++) fleet_close(s->fleets[u]);
    router_free(s->router);
    if (s->owns) config_upstreams_free(s->upstreams, s->count);
    if (s->lender) atomic_fetch_sub(&s->lender->borrowers, 1);
    free(s);
}

void models_divide(struct model_set *s, int count) {
    for (int u = 0; u < s->count; u++) fleet_divide(s->fleets[u], 0, count);
}

struct model_set *models_share(uv_loop_t *loop, struct model_set *s, int index,
                               int count, struct err *err) {
    struct model_set *out = xalloc(sizeof *out);

    out->upstreams = s->upstreams;
    out->count = s->count;
    out->router = router_new();
    out->lender = s;
    atomic_fetch_add(&s->borrowers, 1);
    if (!open_fleets(out, loop, err) || !open_fallbacks(out, err)) {
        models_close(out);
        return NULL;
    }
    for (int u = 0; u < out->count; u++)
        fleet_divide(out->fleets[u], index, count);
    return out;
}

bool models_lent(const struct model_set *s) {
    return atomic_load(&s->borrowers) > 0;
}

struct model_set *models_open(uv_loop_t *loop, const struct config *c,
                              struct llm *own, const char *own_name,
                              struct err *err) {
    struct model_set *s = xalloc(sizeof *s);

    s->upstreams = c->upstreams;
    s->count = c->upstream_count;
    s->router = router_new();
    fingerprint(c, s->fingerprint);
    if (add_own(s, own, own_name, err) && open_fleets(s, loop, err) &&
        open_fallbacks(s, err))
        return s;
    models_close(s);
    return NULL;
}

void models_own(struct model_set *s) {
    s->owns = true;
}

struct router *models_router(const struct model_set *s) {
    return s->router;
}

bool models_same(const struct model_set *s, const struct config *c) {
    char now[HASH_HEX_SIZE];

    fingerprint(c, now);
    return !strcmp(now, s->fingerprint);
}

int models_sum(const struct model_set *s, int (*of)(const struct fleet *f)) {
    int sum = 0;

    for (int i = 0; i < s->count; i++) sum += of(s->fleets[i]);
    return sum;
}

int models_count(const struct model_set *s) {
    return s->count;
}

char *models_name(const char *path) {
    char *copy = xstrdup(path);
    const char *base = basename(copy);
    size_t size = strlen(base);
    char *name;

    if (size > 5 && !strcmp(base + size - 5, ".gguf")) size -= 5;
    name = span_dup((struct span){base, size});
    free(copy);
    return name;
}
