/* ollama_models.h - what Ollama's clients ask about models beside answers: GET
 * /api/tags, /api/ps, /api/version and POST /api/show. Only what is known is
 * said. `since`, in seconds since 1970, is when the models were opened. Pure
 * functions over memory. */
#ifndef CORRAL_PROXY_OLLAMA_MODELS_H
#define CORRAL_PROXY_OLLAMA_MODELS_H

#include "proxy/router.h"

/* {"models":[...]}, for /api/tags and /api/ps. */
MUST_USE bool ollama_put_models(const struct router *r, int64_t since,
                                struct bytes *out, struct err *err);
MUST_USE bool ollama_put_version(struct bytes *out, struct err *err);
/* The answer to `body`, {"model": NAME}. A name may end in ":latest", as
 * Ollama's clients write it. ERR_INPUT, ERR_NOT_FOUND. */
MUST_USE bool ollama_show(const struct router *r, int64_t since,
                          struct span body, struct bytes *out, struct err *err);

#endif
