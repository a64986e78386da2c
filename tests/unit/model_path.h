/* model_path.h - where scripts/setup put the default model. */
#ifndef CORRAL_TESTS_MODEL_PATH_H
#define CORRAL_TESTS_MODEL_PATH_H

#include <stdio.h>
#include <stdlib.h>

static const char *model_path(void) {
    static char path[1024];
    const char *home = getenv("CORRAL_HOME"), *user = getenv("HOME");

    if (home)
        (void)snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf",
                       home);
    else
        (void)snprintf(path, sizeof path,
                       "%s/.cache/corral/SmolLM2-135M-Instruct.Q4_1.gguf",
                       user ? user : "");
    return path;
}

#endif
