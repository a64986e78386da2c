/* cmd_chat.c - a conversation in the terminal, with a server elsewhere or with
 * one of its own. */
#include <stdlib.h>
#include <string.h>

#include "cli/chat_server.h"
#include "cli/chat_talk.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/serving.h"

struct options_of_chat {
    struct serving serving;
    const char *url;
    const char *key_env;
    const char *system;
    const char *session;
};

static bool talk(const struct options_of_chat *o, const char *url,
                 const char *key, bool own, struct err *err) {
    struct chat_talk_options with = {.model = own ? NULL : o->serving.model,
                                     .system = o->system,
                                     .session = o->session,
                                     .own_server = own};
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
    ok = serving_apply(&o->serving, &config, err);
    /* Whatever the file says, the screen is the conversation's. */
    if (!o->serving.log) config.log = LOG_OFF;
    log_set_level(config.log);
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

    if (o->serving.config || o->serving.policy || o->serving.tools ||
        o->serving.upstream)
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
        {"config", 'c', OPTION_TEXT, &o.serving.config, 0, 0, "FILE",
         "the configuration, as for serve"},
        {"policy", 0, OPTION_TEXT, &o.serving.policy, 0, 0, "FILE",
         "policies/default.yaml"},
        {"model", 'm', OPTION_TEXT, &o.serving.model, 0, 0, "FILE",
         "the GGUF; with --url the model's name there"},
        {"upstream", 0, OPTION_TEXT, &o.serving.upstream, 0, 0, "URL",
         "an OpenAI-compatible server writes the answers"},
        {"tools", 0, OPTION_TEXT, &o.serving.tools, 0, 0, "LIST",
         "tools that run inside, such as time,calculator"},
        {"url", 0, OPTION_TEXT, &o.url, 0, 0, "URL",
         "talk to this server, and start none"},
        {"key-env", 0, OPTION_TEXT, &o.key_env, 0, 0, "NAME",
         "the variable with the key for it (CORRAL_API_KEY)"},
        {"system", 0, OPTION_TEXT, &o.system, 0, 0, "TEXT",
         "what the model is told first"},
        {"session", 0, OPTION_TEXT, &o.session, 0, 0, "ID",
         "go on with this conversation"},
        {"log", 0, OPTION_TEXT, &o.serving.log, 0, 0, "LEVEL",
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
