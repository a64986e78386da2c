/* tls_peer.h - for tests: a certificate made on the spot, and the server's end
 * of a TLS connection held in memory. */
#ifndef CORRAL_TESTS_UNIT_TLS_PEER_H
#define CORRAL_TESTS_UNIT_TLS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/bytes.h"

struct tls_identity {
    EVP_PKEY *key;
    X509 *certificate;
    char ca_file[64]; /* it signs itself, so it is its own authority */
};

/* `names` as in "DNS:localhost,IP:127.0.0.1"; valid from now on for `days`
 * (negative: expired). */
static inline struct tls_identity tls_identity_new(const char *names,
                                                   int days) {
    struct tls_identity id = {.key = EVP_EC_gen("P-256"),
                              .certificate = X509_new(),
                              .ca_file = "/tmp/corral-ca-XXXXXX"};
    X509 *x = id.certificate;
    X509_EXTENSION *san;
    FILE *file;

    assert_non_null(id.key);
    assert_int_equal(X509_set_version(x, 2), 1);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -2 * 86400);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), days * 86400L);
    (void)X509_set_pubkey(x, id.key);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
                                     MBSTRING_ASC,
                                     (const unsigned char *)"test", -1, -1, 0);
    (void)X509_set_issuer_name(x, X509_get_subject_name(x));
    san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(san);
    (void)X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(x, id.key, EVP_sha256()) > 0);
    file = fdopen(mkstemp(id.ca_file), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, x), 1);
    (void)fclose(file);
    return id;
}

static inline void tls_identity_free(struct tls_identity *id) {
    (void)unlink(id->ca_file);
    EVP_PKEY_free(id->key);
    X509_free(id->certificate);
}

struct tls_peer {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in;
    BIO *out;
};

static inline struct tls_peer tls_peer_new(const struct tls_identity *id) {
    struct tls_peer p = {.context = SSL_CTX_new(TLS_server_method()),
                         .in = BIO_new(BIO_s_mem()),
                         .out = BIO_new(BIO_s_mem())};

    assert_int_equal(SSL_CTX_use_certificate(p.context, id->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p.context, id->key), 1);
    p.ssl = SSL_new(p.context);
    SSL_set_bio(p.ssl, p.in, p.out);
    SSL_set_accept_state(p.ssl);
    return p;
}

static inline void tls_peer_free(struct tls_peer *p) {
    SSL_free(p->ssl);
    SSL_CTX_free(p->context);
}

/* Take what came from the client; plain text is appended to `plain`. */
static inline void tls_peer_feed(struct tls_peer *p, struct span in,
                                 struct bytes *plain) {
    char part[4096];
    int n;

    if (in.size)
        assert_int_equal(BIO_write(p->in, in.at, (int)in.size), (int)in.size);
    while ((n = SSL_read(p->ssl, part, sizeof part)) > 0)
        bytes_put(plain, (struct span){part, (size_t)n});
}

/* What is to go to the client; the caller frees. */
static inline struct bytes tls_peer_output(struct tls_peer *p) {
    struct bytes out = {0};
    char *at;
    long size = BIO_get_mem_data(p->out, &at);

    if (size > 0) bytes_put(&out, (struct span){at, (size_t)size});
    (void)BIO_reset(p->out);
    return out;
}

#endif
