/* cmd_config.c - a configuration file looked at before a server runs with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/places.h"
#include "guard/policy.h"
#include "proxy/config.h"
#include "proxy/keys.h"

static bool check_tls(const struct config *c, struct err *err) {
    struct tls_context *tls;

    if (!c->tls.cert) return true;
    tls = tls_context_serve(c->tls.cert, c->tls.key, c->tls.client_ca, err);
    tls_context_close(tls);
    return tls != NULL;
}

/* Keys of upstreams, names that are there twice, fallbacks that are not. */
static bool check_models(const struct config *c, struct err *err) {
    char *path = places_model(c->model), *name = models_name(path);
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
    return models != NULL;
}

/* What the file names is read, too: a server would not start without it. */
static bool check_named(const struct config *c, struct err *err) {
    struct keys keys = {0};
    struct policy *policy;

    if (c->keys && !keys_read(&keys, c->keys, err)) return false;
    keys_clear(&keys);
    if (!check_tls(c, err) || !check_models(c, err)) return false;
    if (!c->policy) return true;
    policy = policy_open(c->policy, err);
    policy_free(policy);
    return policy != NULL;
}

static bool check(const char *path, struct err *err) {
    struct config c;
    bool ok;

    config_init(&c);
    ok = config_load(&c, path, err) && config_check(&c, err) &&
         check_named(&c, err);
    config_clear(&c);
    if (ok) (void)printf("%s: fine\n", path);
    return ok;
}

int cmd_config(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    const struct options options = {
        "corral config check FILE",
        "Reads a configuration, the policy, keys and certificates that it "
        "names, and "
        "says what is\nwrong, with line and column. Nothing is started.",
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
