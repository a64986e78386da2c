/* cmd_chat.c - a conversation in the terminal, with a server elsewhere or with
 * one of its own. */
#include <stdlib.h>
#include <string.h>

#include "cli/chat_server.h"
#include "cli/chat_talk.h"
#include "cli/command.h"
#include "cli/options.h"

struct options_of_chat {
    const char *config;
    const char *policy;
    const char *model;
    const char *upstream;
    const char *tools;
    const char *log;
    const char *url;
    const char *key_env;
    const char *system;
    const char *session;
};

static bool apply(struct config *c, const struct options_of_chat *o,
                  struct err *err) {
    if (o->policy) config_set_string(&c->policy, o->policy);
    if (o->model) config_set_string(&c->model, o->model);
    if (o->tools && !config_set_tools(c, o->tools, err)) return false;
    c->log = LOG_OFF;
    if (o->log && !log_level_from_name(o->log, &c->log))
        return err_set(err, ERR_INPUT, "--log %s: no such level", o->log);
    log_set_level(c->log);
    return !o->upstream || config_upstream_url(c, o->upstream, err);
}

static bool talk(const struct options_of_chat *o, const char *url,
                 const char *key, bool own, struct err *err) {
    const struct chat_talk_options talk = {.model = own ? NULL : o->model,
                                           .system = o->system,
                                           .session = o->session,
                                           .own_server = own};
    struct chat_talk_options with = talk;
    bool ok;

    with.link = chat_link_open(url, key, err);
    ok = with.link && chat_talk(&with, err);
    chat_link_close(with.link);
    return ok;
}

static bool talk_to_our_own(const struct options_of_chat *o, struct err *err) {
    struct chat_server *server = NULL;
    struct config config;
    bool ok;

    config_init(&config);
    ok = (!o->config || config_load(&config, o->config, err)) &&
         apply(&config, o, err);
    if (ok) server = chat_server_open(&config, err);
    ok = server &&
         talk(o, chat_server_url(server), chat_server_key(server), true, err);
    chat_server_close(server);
    config_clear(&config);
    return ok;
}

static bool talk_elsewhere(const struct options_of_chat *o, struct err *err) {
    const char *name = o->key_env ? o->key_env : "CORRAL_API_KEY";
    const char *key = getenv(name);

    if (o->config || o->policy || o->tools || o->upstream)
        return err_set(err, ERR_INPUT,
                       "--url: the server there has a configuration of its "
                       "own");
    if (o->key_env && !key)
        return err_set(err, ERR_INPUT, "--key-env %s: not set", name);
    return talk(o, o->url, key && *key ? key : NULL, false, err);
}

int cmd_chat(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    struct options_of_chat o = {0};
    const struct option list[] = {
        {"config", 'c', OPTION_TEXT, &o.config, 0, 0, "FILE",
         "the configuration, as for serve"},
        {"policy", 0, OPTION_TEXT, &o.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"model", 'm', OPTION_TEXT, &o.model, 0, 0, "FILE",
         "the GGUF; with --url the model's name there"},
        {"upstream", 0, OPTION_TEXT, &o.upstream, 0, 0, "URL",
         "an OpenAI-compatible server writes the answers"},
        {"tools", 0, OPTION_TEXT, &o.tools, 0, 0, "LIST",
         "tools that run inside, such as calculator,time"},
        {"url", 0, OPTION_TEXT, &o.url, 0, 0, "URL",
         "talk to this server, and start none"},
        {"key-env", 0, OPTION_TEXT, &o.key_env, 0, 0, "NAME",
         "the variable with the key for it (CORRAL_API_KEY)"},
        {"system", 0, OPTION_TEXT, &o.system, 0, 0, "TEXT",
         "what the model is told first"},
        {"session", 0, OPTION_TEXT, &o.session, 0, 0, "ID",
         "go on with this conversation"},
        {"log", 0, OPTION_TEXT, &o.log, 0, 0, "LEVEL",
         "of the server started: debug, info, warn, error or off"},
    };
    const struct options options = {
        "corral chat [-c FILE | --url URL] [OPTIONS]",
        "Talks to the agent. Without --url a server is started for the time "
        "of the chat.\nShows calls of tools, what the policy blocks, and asks "
        "where it wants a person.\n/help lists the commands.",
        list,
        sizeof list / sizeof list[0],
        0,
        0,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (o.url ? talk_elsewhere(&o, &err) : talk_to_our_own(&o, &err))
        return EXIT_FINE;
    return options_fail(&err);
}
