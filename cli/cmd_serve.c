/* cmd_serve.c - the configuration file, then the command line over it. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/options.h"
#include "cli/serving.h"

struct serve_options {
    struct serving serving;
    const char *listen;
    const char *model_name;
    const char *guard_models;
    int threads;
    int loops;
};

static bool apply(struct config *c, const struct serve_options *o,
                  struct err *err) {
    if (!serving_apply(&o->serving, c, err)) return false;
    if (o->model_name) config_set_string(&c->model_name, o->model_name);
    if (o->guard_models) config_set_string(&c->guard.models, o->guard_models);
    if (o->threads) c->threads = o->threads;
    if (o->loops) c->loops = o->loops;
    return !o->listen || config_listen(c, o->listen, err);
}

/* Again, on a SIGHUP. */
static bool read_config(void *user, struct config *out, struct err *err) {
    return apply(out, user, err) && config_check(out, err);
}

static bool serve(struct serve_options *o, struct err *err) {
    const struct daemon_source again = {read_config, o};
    struct config config;
    bool ok;

    config_init(&config);
    ok = read_config(o, &config, err);
    if (ok) {
        log_set_level(config.log);
        log_set_format(config.log_format);
        ok = daemon_run(&config, o->serving.config ? &again : NULL, err);
    }
    config_clear(&config);
    return ok;
}

int cmd_serve(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct serve_options o = {0};
    const struct option list[] = {
        {"config", 'c', OPTION_TEXT, &o.serving.config, 0, 0, "FILE",
         "the configuration; docs/configuration.md has its keys"},
        {"listen", 0, OPTION_TEXT, &o.listen, 0, 0, "HOST:PORT",
         "127.0.0.1:8080; port 0 takes any free one"},
        {"policy", 0, OPTION_TEXT, &o.serving.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"model", 'm', OPTION_TEXT, &o.serving.model, 0, 0, "FILE", "the GGUF"},
        {"model-name", 0, OPTION_TEXT, &o.model_name, 0, 0, "NAME",
         "what clients call it"},
        {"guard-models", 0, OPTION_TEXT, &o.guard_models, 0, 0, "DIR",
         "the guard's own models (guard/models)"},
        {"upstream", 0, OPTION_TEXT, &o.serving.upstream, 0, 0, "URL",
         "an OpenAI-compatible server writes the answers"},
        {"tools", 0, OPTION_TEXT, &o.serving.tools, 0, 0, "LIST",
         "tools that run inside, such as time,calculator"},
        {"threads", 't', OPTION_INT, &o.threads, 0, 1024, "N",
         "compute threads; 0: all cores"},
        {"loops", 0, OPTION_INT, &o.loops, 1, CONFIG_LOOPS_MAX, "N",
         "event loops that serve clients"},
        {"log", 0, OPTION_TEXT, &o.serving.log, 0, 0, "LEVEL",
         "debug, info, warn, error or off"},
    };
    const struct options options = {
        "corral serve [-c FILE] [OPTIONS]",
        "Serves the guarded model until SIGTERM or Ctrl-C, which finish what "
        "runs; a second\none ends at once. SIGHUP reads the configuration "
        "again, with\n"
        "all that it names. The "
        "first line on standard output\nis the URL, printed once requests are "
        "taken.",
        list,
        sizeof list / sizeof list[0],
        0,
        0,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    return serve(&o, &err) ? EXIT_FINE : options_fail(&err);
}
