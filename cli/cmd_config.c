/* cmd_config.c - a configuration file looked at before a server runs with it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/places.h"
#include "base/yaml.h"
#include "guard/policy.h"
#include "proxy/auth.h"
#include "proxy/config.h"
#include "tools/mcp_options.h"
#include "tools/options.h"
#include "tools/registry.h"

/* Put the place of a setting before what is wrong with it, which may be about a
 * file that it names. */
static bool blame(const struct config *c, const char *key, struct err *err) {
    const struct err why = *err;
    const cJSON *node =
        c->yaml ? cJSON_GetObjectItemCaseSensitive(yaml_root(c->yaml), key)
                : NULL;

    if (node) (void)yaml_fail(c->yaml, node, err, "%s", why.text);
    return false;
}

static bool check_tls(const struct config *c, struct err *err) {
    struct tls_context *tls;

    if (!c->tls.cert) return true;
    tls = tls_context_serve(c->tls.cert, c->tls.key, c->tls.client_ca, err);
    tls_context_close(tls);
    return tls != NULL || blame(c, "tls", err);
}

/* "keys.jsonl:3: ...": a file that has a line for what is wrong with it says
 * more than the one that names it. */
static bool has_line(const char *text, const char *path) {
    size_t size = strlen(path);

    return !strncmp(text, path, size) && text[size] == ':' &&
           isdigit((unsigned char)text[size + 1]);
}

/* With the policies that keys have of their own. */
static bool check_keys(const struct config *c, const char *path,
                       const char *key, struct err *err) {
    struct auth *auth = auth_open(path, err);
    bool ok = auth != NULL;

    auth_close(auth);
    if (!ok && !has_line(err->text, path)) (void)blame(c, key, err);
    return ok;
}

static bool check_policy(const struct config *c, struct err *err) {
    struct policy *policy;

    if (!c->policy) return true;
    if (access(c->policy, R_OK) != 0) {
        (void)err_set(err, ERR_NOT_FOUND, "%s: %s", c->policy, strerror(errno));
        return blame(c, "policy", err);
    }
    policy = policy_open(c->policy, err);
    policy_free(policy);
    return policy != NULL;
}

/* Not whether it is one: reading it takes longer than anybody waits here. */
static bool check_model(const struct config *c, struct err *err) {
    char *path;
    bool ok;

    if (c->backend != BACKEND_ENGINE || !c->model) return true;
    path = places_model(c->model);
    ok = access(path, R_OK) == 0;
    if (!ok) (void)err_set(err, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    free(path);
    return ok || blame(c, "model", err);
}

/* Keys of upstreams, names that are there twice, fallbacks that are not. */
static bool check_models(const struct config *c, struct err *err) {
    char *path = places_model(c->model), *name = models_name(path);
    const char *key =
        cJSON_GetObjectItemCaseSensitive(yaml_root(c->yaml), "upstreams")
            ? "upstreams"
            : "backend";
    struct llm own = {0}; /* stands for the file's, which nobody asks */
    struct model_set *models;
    uv_loop_t loop;

    (void)uv_loop_init(&loop);
    models = models_open(&loop, c, c->backend == BACKEND_ENGINE ? &own : NULL,
                         c->model_name ? c->model_name : name, err);
    models_close(models);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    free(name);
    free(path);
    return models != NULL || blame(c, key, err);
}

/* Opened as a server would, but that nothing is written. */
static bool open_tools(const struct config *c, struct registry *tools,
                       uv_loop_t *loop, struct err *err) {
    for (int i = 0; i < c->tool_count; i++) {
        const struct tool_options o = {
            .name = c->tools[i].name,
            .map = c->tools[i].options,
            .place = c->tools[i].place,
            .yaml = c->yaml,
            .loop = loop,
            .folder = c->folder,
            .artefacts = registry_artefacts(tools),
        };

        if (!registry_open(tools, &o, err)) return false;
    }
    return true;
}

static bool check_tools(const struct config *c, struct err *err) {
    struct registry *tools = registry_new();
    uv_loop_t loop;
    bool ok;

    (void)uv_loop_init(&loop);
    ok = open_tools(c, tools, &loop, err);
    registry_free(tools);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return ok;
}

/* What is said of them; none is started. */
static bool check_mcp(const struct config *c, struct err *err) {
    struct tool_options o = {
        .name = "mcp", .yaml = c->yaml, .folder = c->folder};

    cJSON_ArrayForEach(o.map, c->mcp) {
        struct mcp_options m = {0};
        bool ok;

        o.place = o.map;
        ok = cJSON_IsObject(o.map)
                 ? mcp_options_read(&m, &o, err)
                 : option_fail(&o, o.place, err, "a server is a map");
        mcp_options_clear(&m);
        if (!ok) return false;
    }
    return true;
}

/* What the file names is read, too: a server would not start without it. */
static bool check_named(const struct config *c, struct err *err) {
    return (!c->keys || check_keys(c, c->keys, "keys", err)) &&
           (!c->admin.keys || check_keys(c, c->admin.keys, "admin", err)) &&
           check_tls(c, err) && check_model(c, err) && check_models(c, err) &&
           check_policy(c, err) && check_tools(c, err) && check_mcp(c, err);
}

static bool check(const char *path, struct err *err) {
    struct config c;
    bool ok;

    config_init(&c);
    ok = config_load(&c, path, err) &&
         (config_check(&c, err) || blame(&c, err->field, err)) &&
         check_named(&c, err);
    config_clear(&c);
    if (ok) (void)printf("%s: fine\n", path);
    return ok;
}

int cmd_config(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    const struct options options = {
        "corral config check FILE",
        "Reads a configuration, and the policy, keys, certificates and tools "
        "that it names, and\nsays what is wrong, with line and column. "
        "Nothing is started.",
        NULL,
        0,
        2,
        2,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (strcmp(args[0], "check") != 0) {
        (void)err_set(&err, ERR_INPUT, "config: expected check");
        return options_fail(&err);
    }
    return check(args[1], &err) ? EXIT_FINE : options_fail(&err);
}
