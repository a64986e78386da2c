/* config.h - what `corral serve` is told by its one YAML file. Filled before
 * the loop starts, read-only afterwards. docs/configuration.md has every key.
 */
#ifndef CORRAL_PROXY_CONFIG_H
#define CORRAL_PROXY_CONFIG_H

#include "base/json.h"
#include "agent/compact.h"
#include "base/log.h"
#include "base/yaml.h"
#include "proxy/config_guard.h"
#include "proxy/config_traces.h"
#include "proxy/config_upstream.h"
#include "proxy/limits.h"
#include "proxy/proxy_header.h"

enum {
    CONFIG_TOOLS_MAX = 64,
    CONFIG_ORIGINS_MAX = 16,
    CONFIG_HOSTS_MAX = 16,
    CONFIG_LOOPS_MAX = 64
};

/* What serves models beside `upstreams`, where backend.openai is the first. */
enum config_backend { BACKEND_ENGINE, BACKEND_OPENAI, BACKEND_NONE };

/* An item of `tools:`. Which options there are is the tool's own business, so
 * it reads and checks them when it is opened. */
struct config_tool {
    char *name;
    const cJSON *options; /* a map, NULL: only the name was given */
    const cJSON *place;   /* of the item; NULL: from the command line */
};

/* Strings are owned (malloc), so that the command line may replace them with
 * config_set_string(). Paths have been resolved against the file's folder. */
struct config {
    char *host; /* "127.0.0.1", or "unix:/path" */
    int port;
    struct {
        char *cert; /* NULL: no TLS */
        char *key;
        char *client_ca; /* only clients with a certificate of theirs */
    } tls;
    struct proxy_trust proxy_trust;
    bool allow_remote; /* listen beyond loopback although there are no keys */
    struct {
        bool on; /* `audit` was there */
        bool closed;
        bool addresses;    /* of clients, in the rows */
        int days;          /* 0: for good */
        int64_t bytes_max; /* of the database; 0: no limit */
    } audit;
    struct {
        bool memory; /* not on the disk */
        int days;    /* 0: for good, or until they are too many */
    } responses;
    struct {
        char *host; /* as above; NULL: there is no such listener */
        int port;
        char *keys; /* a file of keys for it alone; NULL: `keys` */
    } admin;
    char *keys;         /* the file of API keys; NULL: none are asked for */
    char *model;        /* a path, or "default" */
    char *model_name;   /* what clients call it; NULL: from the model */
    char *tool_prompt;  /* json, function_tag, python_list; NULL: the file's */
    int loops;          /* event loops that serve clients, each a thread */
    int threads;        /* 0: all cores */
    int context_tokens; /* 0: the model's, within the engine's default */
    int kv_tokens;      /* 0: the engine's default */
    bool kv_q8;         /* keep it in Q8_0, not in 16 bits */
    char *policy;       /* NULL: the built-in place of policies/default.yaml */
    struct config_guard guard;
    char *data; /* a folder for databases; NULL: $CORRAL_HOME/data */
    enum config_backend backend;
    struct config_upstream *upstreams; /* room for UPSTREAMS_MAX */
    int upstream_count;
    struct config_tool tools[CONFIG_TOOLS_MAX];
    int tool_count;
    const cJSON *mcp; /* a list of servers, of `yaml`; NULL: none */
    struct {
        int steps;
        int tool_calls;
        int seconds;
        int tokens;
        struct compact_options compact;
    } agent;
    struct config_traces traces;
    struct limits limits;
    char *hosts[CONFIG_HOSTS_MAX]; /* see hosts.h */
    int host_count;
    char *origins[CONFIG_ORIGINS_MAX];
    int origin_count;
    struct yaml *yaml; /* the file, whose nodes `tools` names; or NULL */
    char *folder;      /* of the file, "" for where we are; NULL: no file */
    int drain_ms;      /* how long running answers may take after SIGTERM */
    enum log_level log;
    enum log_format log_format;
    bool log_access; /* a line for each request */
    bool console;    /* the web console is served */
};

void config_init(struct config *c); /* the defaults */
void config_clear(struct config *c);
/* The tools of the command line, "calculator,time", in place of the file's. */
MUST_USE bool config_set_tools(struct config *c, const char *list,
                               struct err *err);
/* Replace an owned string by a copy. */
void config_set_string(char **at, const char *text);

/* Read a file over the defaults. `out` (initialised or zeroed) is replaced
 * only on success. Errors are "path:line:column: reason". */
MUST_USE bool config_load(struct config *out, const char *path,
                          struct err *err);
/* The same from text; `name` stands for the path in errors, its folder for the
 * place of relative paths. */
MUST_USE bool config_parse(struct config *out, struct span text,
                           const char *name, struct err *err);

/* "127.0.0.1:8080", "[::1]:8080", ":8080" (loopback), "8080", "unix:/path": in
 * parts. `host` is replaced. */
MUST_USE bool config_address(const char *text, char **host, int *port,
                             struct err *err);
/* The same for where clients come in. */
MUST_USE bool config_listen(struct config *c, const char *text,
                            struct err *err);
/* --upstream: in the place of backend.openai.base_url, or of all upstreams. */
MUST_USE bool config_upstream_url(struct config *c, const char *text,
                                  struct err *err);
/* What no single key can tell: a listen address beyond loopback without
 * allow_remote, water marks in the wrong order. Call after the command line
 * had its say; config_load() does not. */
MUST_USE bool config_check(const struct config *c, struct err *err);
bool config_is_loopback(const char *host);

#endif
