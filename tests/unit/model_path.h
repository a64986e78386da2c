/* model_path.h - the default model. */
#ifndef CORRAL_TESTS_MODEL_PATH_H
#define CORRAL_TESTS_MODEL_PATH_H

#include "tests/unit/home_path.h"

static const char *model_path(void) {
    return home_path("SmolLM2-135M-Instruct.Q4_1.gguf");
}

#endif
