/* serving.h - what `serve` and `chat` are told alike on the command line about
 * the server that they start. */
#ifndef CORRAL_CLI_SERVING_H
#define CORRAL_CLI_SERVING_H

#include "proxy/config.h"

/* NULL: not given. */
struct serving {
    const char *config;
    const char *policy;
    const char *model;
    const char *upstream;
    const char *tools;
    const char *log;
};

/* The configuration file into `c`, which is initialised, and these over it. */
MUST_USE bool serving_apply(const struct serving *s, struct config *c,
                            struct err *err);

#endif
