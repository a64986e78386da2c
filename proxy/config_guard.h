/* config_guard.h - the section of a configuration that says which models
 * guard: the built-in one's files, and a Llama Guard beside it. */
#ifndef CORRAL_PROXY_CONFIG_GUARD_H
#define CORRAL_PROXY_CONFIG_GUARD_H

#include "guard/peer.h"
#include "proxy/config_upstream.h"

/* Strings are owned. At most one of `model` and `upstream` is set. */
struct config_guard {
    char *models; /* a folder; NULL: guard/models at its built-in place */
    char *model;  /* a GGUF; NULL: none */
    enum llamaguard_format format;
    int context_tokens; /* of `model`; 0: the model's, within the default */
    bool has_upstream;
    struct config_upstream upstream;
    float thresholds[LEVEL_OFF]; /* of P(unsafe) */
};

void config_guard_init(struct config_guard *g);
void config_guard_clear(struct config_guard *g);
MUST_USE bool config_read_guard(const struct config_source *s,
                                const cJSON *root, struct config_guard *out);

#endif
