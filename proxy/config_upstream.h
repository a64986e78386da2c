/* config_upstream.h - the other model servers that a configuration names, and
 * what clients call the models there. */
#ifndef CORRAL_PROXY_CONFIG_UPSTREAM_H
#define CORRAL_PROXY_CONFIG_UPSTREAM_H

#include "proxy/config_read.h"
#include "proxy/http_client.h"

enum {
    UPSTREAMS_MAX = 32,
    UPSTREAM_MEMBERS_MAX = 32,
    UPSTREAM_MODELS_MAX = 256,
    UPSTREAM_FALLBACKS_MAX = 8,
    UPSTREAM_RETRIES_MAX = 10
};

/* A key is told by its place, never by itself. At most one is set. */
struct config_key {
    char *env;  /* a variable's name */
    char *file; /* a path */
};

struct config_member {
    struct http_url url;
    int weight; /* its part of the load, against the others' */
    struct config_key key;
};

struct config_model {
    char *name;  /* for clients; "*": any other name */
    char *model; /* asked of the upstream; NULL: the client's word */
};

/* Servers that are as good as each other. Strings and lists are owned. */
struct config_upstream {
    char *name; /* for errors and logs */
    struct config_member *members;
    int member_count;
    struct config_model *models;
    int model_count;
    char *ca_file; /* NULL: the system's */
    int connect_ms;
    int first_byte_ms;
    int idle_ms;
    struct {
        int connections; /* that wait for the next request; 0: none does */
        int idle_ms;     /* each for so long */
    } keep_alive;
    int concurrency; /* calls at a time; 0: as many as come */
    struct {
        int calls;   /* that wait for their turn; -1: as many as run */
        int wait_ms; /* each for so long */
    } queue;
    bool speculative; /* asked while the classifier still reads the request */
    int retries;      /* other members tried while nothing has come */
    char *fallbacks[UPSTREAM_FALLBACKS_MAX]; /* models, as clients call them */
    int fallback_count;
    struct {
        char *path;      /* below the member's base_url; "/models" */
        int interval_ms; /* 0: no questions, as for backend.openai */
        int failures;    /* in a row, until a member rests */
        int rest_ms;     /* from then to the next try */
    } health;
};

/* backend.openai: one member, which any name of a model is good for. */
MUST_USE bool config_read_openai(const struct config_source *s,
                                 const cJSON *node,
                                 struct config_upstream *out);
/* The list `upstreams`, appended to `list` (UPSTREAMS_MAX long). What was read
 * is the caller's to clear, even on failure. */
MUST_USE bool config_read_upstreams(const struct config_source *s,
                                    const cJSON *root,
                                    struct config_upstream *list, int *count);
void config_upstream_init(struct config_upstream *u);
void config_upstream_clear(struct config_upstream *u);
/* A whole list; NULL is fine. */
void config_upstreams_free(struct config_upstream *list, int count);
/* By default, with one member, which any name of a model is good for. */
void config_upstream_any(struct config_upstream *u, const struct http_url *url);

#endif
