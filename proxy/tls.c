#include "proxy/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    BIO *in;  /* from the network; SSL owns both */
    BIO *out; /* for it */
    bool ready;
    bool ended;
};

/* OpenSSL's own words for what went wrong last; clears its queue. */
static bool fail(struct err *err, enum err_code code, const char *what) {
    unsigned long reason = ERR_get_error();
    const char *text = reason ? ERR_reason_error_string(reason) : NULL;

    ERR_clear_error();
    return err_set(err, code, "TLS: %s%s%s", what, text ? ": " : "",
                   text ? text : "");
}

struct tls_context *tls_context_open(const char *ca_file, struct err *err) {
    struct tls_context *context = xalloc(sizeof *context);
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    bool ok;

    context->ssl = ssl;
    ok = ssl && SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_alpn_protos(ssl, protocols, sizeof protocols - 1) == 0;
    if (!ok) {
        (void)fail(err, ERR_INTERNAL, "cannot start");
    } else {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
        ok = ca_file ? SSL_CTX_load_verify_file(ssl, ca_file) == 1
                     : SSL_CTX_set_default_verify_paths(ssl) == 1;
        if (!ok) {
            (void)err_set(err, ERR_INPUT, "%s: no certificates can be read",
                          ca_file ? ca_file : "the system's authorities");
            ERR_clear_error();
        }
    }
    if (ok) return context;
    tls_context_close(context);
    return NULL;
}

/* One protocol is spoken here; who offers others only is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out,
                           unsigned char *out_size, const unsigned char *in,
                           unsigned in_size, void *user) {
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)user;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in,
                              in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool load_identity(SSL_CTX *ssl, const char *cert_file,
                          const char *key_file, struct err *err) {
    if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INPUT, "%s: no certificate can be read",
                       cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ssl) == 1)
        return true;
    ERR_clear_error();
    return err_set(err, ERR_INPUT, "%s: not the key of %s", key_file,
                   cert_file);
}

static bool demand_clients(SSL_CTX *ssl, const char *ca_file, struct err *err) {
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);

    if (!names || SSL_CTX_load_verify_file(ssl, ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        ERR_clear_error();
        return err_set(err, ERR_INPUT, "%s: no certificates can be read",
                       ca_file);
    }
    SSL_CTX_set_client_CA_list(ssl, names);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
    return true;
}

struct tls_context *tls_context_serve(const char *cert_file,
                                      const char *key_file,
                                      const char *client_ca_file,
                                      struct err *err) {
    static const unsigned char id[] = "corral";
    struct tls_context *context = xalloc(sizeof *context);
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    bool ok;

    context->ssl = ssl;
    ok = ssl && SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1) == 1;
    if (!ok) {
        (void)fail(err, ERR_INTERNAL, "cannot start");
    } else {
        SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
        ok = load_identity(ssl, cert_file, key_file, err) &&
             (!client_ca_file || demand_clients(ssl, client_ca_file, err));
    }
    if (ok) return context;
    tls_context_close(context);
    return NULL;
}

void tls_context_close(struct tls_context *context) {
    if (!context) return;
    SSL_CTX_free(context->ssl);
    free(context);
}

static bool set_host(SSL *ssl, const char *host) {
    unsigned char address[16];

    if (inet_pton(AF_INET, host, address) == 1 ||
        inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* Without a side yet. */
static struct tls *begin(const struct tls_context *context, struct err *err) {
    struct tls *t = xalloc(sizeof *t);

    t->ssl = SSL_new(context->ssl);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl && t->in && t->out) {
        SSL_set_bio(t->ssl, t->in, t->out);
        return t;
    }
    BIO_free(t->in);
    BIO_free(t->out);
    SSL_free(t->ssl);
    free(t);
    (void)fail(err, ERR_INTERNAL, "cannot begin");
    return NULL;
}

struct tls *tls_new(const struct tls_context *context, const char *host,
                    struct err *err) {
    struct tls *t = begin(context, err);

    if (!t) return NULL;
    if (!set_host(t->ssl, host)) {
        (void)fail(err, ERR_INTERNAL, "cannot begin");
        tls_free(t);
        return NULL;
    }
    SSL_set_connect_state(t->ssl);
    return t;
}

struct tls *tls_accept(const struct tls_context *context, struct err *err) {
    struct tls *t = begin(context, err);

    if (t) SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls *t) {
    if (!t) return;
    SSL_free(t->ssl);
    free(t);
}

static bool shake(struct tls *t, struct err *err) {
    long verdict;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->ready = true;
        return true;
    }
    if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ) return true;
    verdict = SSL_get_verify_result(t->ssl);
    if (verdict == X509_V_OK) return fail(err, ERR_UNAVAILABLE, "no handshake");
    ERR_clear_error();
    return err_set(err, ERR_UNAVAILABLE, "TLS: the certificate is refused: %s",
                   X509_verify_cert_error_string(verdict));
}

bool tls_feed(struct tls *t, struct span in, struct err *err) {
    if (in.size > INT_MAX ||
        (in.size && BIO_write(t->in, in.at, (int)in.size) != (int)in.size))
        return fail(err, ERR_INTERNAL, "out of memory");
    return t->ready || shake(t, err);
}

bool tls_ready(const struct tls *t) {
    return t->ready;
}

bool tls_take_output(struct tls *t, struct bytes *out, struct err *err) {
    char *at;
    long size = BIO_get_mem_data(t->out, &at);

    if (size <= 0) return true;
    if (!bytes_append(out, at, (size_t)size, err)) return false;
    (void)BIO_reset(t->out);
    return true;
}

bool tls_write(struct tls *t, struct span plain, struct err *err) {
    size_t written;

    ERR_clear_error();
    if (!plain.size) return true;
    if (SSL_write_ex(t->ssl, plain.at, plain.size, &written) == 1 &&
        written == plain.size)
        return true;
    return fail(err, ERR_IO, "cannot write");
}

void tls_end(struct tls *t) {
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_read(struct tls *t, char *at, size_t size, size_t *got,
              struct err *err) {
    int why;

    *got = 0;
    ERR_clear_error();
    if (SSL_read_ex(t->ssl, at, size, got) == 1) return true;
    *got = 0;
    why = SSL_get_error(t->ssl, 0);
    if (why == SSL_ERROR_ZERO_RETURN) t->ended = true;
    if (why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_WANT_READ) return true;
    return fail(err, ERR_IO, "broken bytes");
}

bool tls_ended(const struct tls *t) {
    return t->ended;
}
