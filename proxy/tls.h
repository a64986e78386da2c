/* tls.h - TLS on either side, as bytes in and bytes out: it knows no socket and
 * never waits. A server's certificate and the name in it are always checked.
 * Event-loop thread; making a context reads files. */
#ifndef CORRAL_PROXY_TLS_H
#define CORRAL_PROXY_TLS_H

#include "base/bytes.h"

struct tls_context; /* whom we trust, and on a server's side who we are */
struct tls;         /* one connection */

/* `ca_file` in PEM; NULL for the system's authorities. Reads files. */
MUST_USE struct tls_context *tls_context_open(const char *ca_file,
                                              struct err *err);
void tls_context_close(struct tls_context *context);

/* For a server's side: `cert_file` is the chain, ours first, and `key_file` its
 * key, in PEM. With `client_ca_file` only clients with a certificate of these
 * authorities get in; NULL: anybody. ERR_INPUT when they do not fit. */
MUST_USE struct tls_context *tls_context_serve(const char *cert_file,
                                               const char *key_file,
                                               const char *client_ca_file,
                                               struct err *err);
/* A server's side. The context may be closed while it lives. */
MUST_USE struct tls *tls_accept(const struct tls_context *context,
                                struct err *err);

/* A client's side; `host` is the name or address that the certificate must
 * carry. The context must outlive it. */
MUST_USE struct tls *tls_new(const struct tls_context *context,
                             const char *host, struct err *err);
void tls_free(struct tls *t);

/* Bytes from the network, in any pieces (none to begin). False when the
 * handshake failed (ERR_UNAVAILABLE, saying why). */
MUST_USE bool tls_feed(struct tls *t, struct span in, struct err *err);
bool tls_ready(const struct tls *t); /* the handshake is over */
/* Bytes for the network: appended to `out` and forgotten here. */
MUST_USE bool tls_take_output(struct tls *t, struct bytes *out,
                              struct err *err);

/* When ready: seal `plain` into the output. */
MUST_USE bool tls_write(struct tls *t, struct span plain, struct err *err);
/* When ready: say that nothing follows. */
void tls_end(struct tls *t);
/* When ready: up to `size` bytes of what has come, 0 when there is no more for
 * now. ERR_IO when it was tampered with. */
MUST_USE bool tls_read(struct tls *t, char *at, size_t size, size_t *got,
                       struct err *err);
/* The peer said that nothing follows. Without it the end of the connection is
 * no end that can be trusted. */
bool tls_ended(const struct tls *t);

#endif
