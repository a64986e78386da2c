/* inflate.h - a request's body that came as gzip, unpacked while it arrives.
 * What a client can make of few bytes is bounded twice: what goes in, and what
 * comes out. Event-loop thread. */
#ifndef CORRAL_PROXY_INFLATE_H
#define CORRAL_PROXY_INFLATE_H

#include "base/bytes.h"

struct inflate; /* opaque: one body */

/* At most `bytes_max` packed bytes are taken. */
struct inflate *inflate_new(size_t bytes_max);
void inflate_free(struct inflate *i); /* NULL is fine */

/* Take the next packed bytes and append what they say to `out`, up to its
 * limit. ERR_LIMIT past either limit, ERR_INPUT for what is not gzip; there is
 * no way on after that. */
MUST_USE bool inflate_push(struct inflate *i, struct span in, struct bytes *out,
                           struct err *err);
/* No more will come: was that all? False with ERR_INPUT when it was not. */
MUST_USE bool inflate_end(const struct inflate *i, struct err *err);

#endif
