#include "lib/net/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

const char *const role_names[6] = {"none", "agent", "scheduler", "viewer", "operator", "admin"};
#define ROLE_URI "drover:role:"

struct tls {
    SSL_CTX *ctx;
    struct identity self;
    int64_t expires_s;
};

enum role role_from_name(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(role_names); i++)
        if (str_eq(name, role_names[i]))
            return (enum role)i;
    return ROLE_NONE;
}

/* ---- identity -------------------------------------------------------------------------------- */
static void subject_of(const X509 *cert, char *buf, size_t size)
{
    buf[0] = '\0';
    if (cert)
        X509_NAME_oneline(X509_get_subject_name(cert), buf, (int)size);
    if (!buf[0])
        snprintf(buf, size, "(no certificate)");
}

static int add_san(const GENERAL_NAME *gn, struct identity *id, struct err *e)
{
    if (gn->type != GEN_DNS && gn->type != GEN_URI)
        return 0;
    const ASN1_STRING *v = gn->d.ia5;
    const char *s = (const char *)ASN1_STRING_get0_data(v);
    size_t len = (size_t)ASN1_STRING_length(v);
    if (memchr(s, '\0', len) || len >= sizeof(id->name))
        return err_set(e, -EKEYREJECTED, "it has a name that is too long or contains a zero byte");
    char text[sizeof(id->name)] = "";
    memcpy(text, s, len);
    if (gn->type == GEN_DNS && !id->name[0])
        memcpy(id->name, text, sizeof(text));
    if (gn->type == GEN_URI && str_has_prefix(text, ROLE_URI)) {
        enum role role = role_from_name(text + strlen(ROLE_URI));
        if (role == ROLE_NONE)
            return err_set(e, -EKEYREJECTED, "its role '%.40s' is unknown",
                           text + strlen(ROLE_URI));
        if (id->role != ROLE_NONE)
            return err_set(e, -EKEYREJECTED, "it has two roles; one certificate, one role");
        id->role = role;
    }
    return 0;
}

int tls_identity(X509 *cert, struct identity *ret, struct err *e)
{
    char subject[200];
    subject_of(cert, subject, sizeof(subject));
    GENERAL_NAMES *sans = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    struct identity id = {0};
    int r = 0, n = sans ? sk_GENERAL_NAME_num(sans) : 0;
    for (int i = 0; i < n && i < LIM_SANS && r == 0; i++)
        r = add_san(sk_GENERAL_NAME_value(sans, i), &id, e);
    GENERAL_NAMES_free(sans);
    if (r == 0 && (!id.name[0] || id.role == ROLE_NONE))
        r = err_set(e, -EKEYREJECTED,
                    "it has no %s; make it with `drover pki issue ROLE --name NAME`",
                    id.name[0] ? "role (URI SAN " ROLE_URI "...)" : "name (DNS SAN)");
    if (r < 0)
        return err_wrap(e, "certificate %s", subject);
    *ret = id;
    return 0;
}

static void roles_text(unsigned roles, char *buf, size_t size)
{
    buf[0] = '\0';
    for (size_t i = 1, at = 0; i < ARRAY_LEN(role_names); i++)
        if (roles & ROLE_BIT(i)) {
            int n = snprintf(buf + at, size - at, "%s%s", at ? ", " : "", role_names[i]);
            at += n > 0 && (size_t)n < size - at ? (size_t)n : 0;
        }
}

int tls_peer(const SSL *ssl, unsigned roles, struct identity *ret, struct err *e)
{
    X509 *cert = SSL_get1_peer_certificate(ssl);
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK) {
        X509_free(cert);
        return err_set(e, -EKEYREJECTED, "the peer showed no certificate that we could verify");
    }
    int r = tls_identity(cert, ret, e);
    X509_free(cert);
    if (r == 0 && !(roles & ROLE_BIT(ret->role))) {
        char want[80];
        roles_text(roles, want, sizeof(want));
        r = err_set(e, -EKEYREJECTED,
                    "certificate of '%s' has the role %s, but here %s is expected: is it the wrong "
                    "port, or the wrong certificate?",
                    ret->name, role_names[ret->role], want);
    }
    return r;
}

/* ---- what went wrong ------------------------------------------------------------------------- */
static void day(const ASN1_TIME *t, char buf[32])
{
    struct tm tm;
    if (!t || !ASN1_TIME_to_tm(t, &tm) || !strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(buf, 32, "?");
}

static int explain_verify(int code, const X509 *cert, struct err *e)
{
    char subject[160], issuer[160] = "", when[32];
    subject_of(cert, subject, sizeof(subject));
    if (cert)
        X509_NAME_oneline(X509_get_issuer_name(cert), issuer, sizeof(issuer));
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        day(cert ? X509_get0_notAfter(cert) : NULL, when);
        return err_set(e, -EKEYEXPIRED,
                       "certificate %s expired on %s; issue a new one with "
                       "`drover pki issue` (or this machine's clock is wrong)",
                       subject, when);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        day(cert ? X509_get0_notBefore(cert) : NULL, when);
        return err_set(e, -EKEYEXPIRED,
                       "certificate %s is valid only from %s; compare the clocks of "
                       "both machines",
                       subject, when);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return err_set(e, -EKEYREJECTED,
                       "certificate %s was issued by %s, which is not our CA; all "
                       "certificates must come from the same `drover pki` directory",
                       subject, issuer[0] ? issuer : "?");
    default:
        return err_set(e, -EKEYREJECTED, "certificate %s: %s", subject,
                       X509_verify_cert_error_string(code));
    }
}

/* SSL_get_verify_result keeps the code of the failure but not its certificate: note the sentence.
 */
static int fail_index = -1;
static pthread_once_t fail_once = PTHREAD_ONCE_INIT;

static void free_note(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

static void make_index(void)
{
    fail_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_note);
    assert(fail_index >= 0);
}

static int on_verify(int ok, X509_STORE_CTX *sc)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ok || !ssl || SSL_get_ex_data(ssl, fail_index))
        return ok;
    struct err *note = xcalloc(1, sizeof(*note));
    explain_verify(X509_STORE_CTX_get_error(sc), X509_STORE_CTX_get_current_cert(sc), note);
    if (!SSL_set_ex_data(ssl, fail_index, note))
        free(note);
    return ok;
}

static const char *alert_text(int reason)
{
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "it was issued by another CA than the peer's";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it has expired (or the peer's clock is wrong)";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        return "it cannot be verified by the peer";
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        return "it is of a kind that the peer does not accept";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "it is revoked";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "we showed none";
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return "access is denied to it";
    default:
        return NULL;
    }
}

int tls_explain(const SSL *ssl, unsigned long code, struct err *e)
{
    const struct err *note = ssl ? SSL_get_ex_data(ssl, fail_index) : NULL;
    if (note)
        return err_set(e, note->code, "peer's %s", note->msg);
    int reason = ERR_GET_REASON(code);
    const char *text = ERR_GET_LIB(code) == ERR_LIB_SSL ? alert_text(reason) : NULL;
    if (text)
        return err_set(e, -EKEYREJECTED, "the peer refused our certificate: %s", text);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        switch (reason) {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return err_set(e, -EKEYREJECTED, "the peer showed no certificate");
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
        case SSL_R_UNEXPECTED_MESSAGE:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_BAD_RECORD_TYPE:
            return err_set(e, -EPROTO, "the peer does not speak TLS: is it the wrong port?");
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        case SSL_R_NO_SHARED_CIPHER:
            return err_set(e, -EPROTO, "the peer does not speak TLS 1.3");
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return err_set(e, -ECONNRESET, "the peer closed the connection");
        default:
            break;
        }
    }
    const char *s = code ? ERR_reason_error_string(code) : NULL;
    return err_set(e, -EPROTO, "TLS: %s", s ? s : "unknown failure");
}

/* ---- our own files --------------------------------------------------------------------------- */
static int ossl(struct err *e, int code, const char *what)
{
    unsigned long c = ERR_get_error();
    const char *s = c ? ERR_reason_error_string(c) : NULL;
    ERR_clear_error();
    return err_set(e, code, "%s: %s", what, s ? s : "unknown reason");
}

static BIO *read_pem(const char *path, const char *what, struct err *e)
{
    char *text = NULL;
    size_t len;
    int r = path ? file_read(path, LIM_CONFIG_BYTES, &text, &len, e)
                 : err_set(e, -ENOENT, "no file is configured");
    if (r < 0) {
        err_wrap(e, "%s", what);
        return NULL;
    }
    BIO *b = BIO_new(BIO_s_mem());
    assert(b);
    BIO_write(b, text, (int)len);
    OPENSSL_cleanse(text, len);
    free(text);
    return b;
}

/* Without it OpenSSL would ask on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return 0;
}

/* The first certificate of the file is ours (gives), the others go along as its chain. */
static int load_cert(SSL_CTX *ctx, const char *path, X509 **ret, struct err *e)
{
    BIO *b = read_pem(path, "certificate", e);
    if (!b)
        return e ? e->code : -EIO;
    int r = 0;
    X509 *cert = PEM_read_bio_X509(b, NULL, no_passphrase, NULL), *more;
    if (!cert || SSL_CTX_use_certificate(ctx, cert) != 1)
        r = ossl(e, -EKEYREJECTED, "no certificate in PEM form");
    while (r == 0 && (more = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)))
        if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
            X509_free(more);
            r = ossl(e, -EKEYREJECTED, "its chain");
        }
    BIO_free(b);
    ERR_clear_error(); /* the end of the file is reported as an error */
    if (r < 0) {
        X509_free(cert);
        return err_wrap(e, "certificate '%s'", path);
    }
    *ret = cert;
    return 0;
}

static int load_key(SSL_CTX *ctx, const struct tls_files *f, struct err *e)
{
    BIO *b = read_pem(f->key, "private key", e);
    if (!b)
        return e ? e->code : -EIO;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    BIO_free(b);
    if (!key) {
        ossl(e, -EKEYREJECTED, "no private key in PEM form without a passphrase");
        return err_wrap(e, "private key '%s'", f->key);
    }
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    int ok = X509_check_private_key(cert, key) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!ok)
        return err_set(e, -EKEYREJECTED,
                       "private key '%s' does not belong to certificate '%s'; both "
                       "files must come from the same `drover pki issue`",
                       f->key, f->cert);
    return 0;
}

static int load_ca(SSL_CTX *ctx, const char *path, struct err *e)
{
    BIO *b = read_pem(path, "CA", e);
    if (!b)
        return e ? e->code : -EIO;
    X509 *cert;
    int n = 0, r = 0;
    while (r == 0 && (cert = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
        if (X509_check_ca(cert) == 0)
            r = err_set(e, -EKEYREJECTED,
                        "CA '%s': holds a certificate that is no CA; was the "
                        "host's own certificate given?",
                        path);
        else if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1)
            r = ossl(e, -EKEYREJECTED, "CA");
        X509_free(cert);
        n++;
    }
    BIO_free(b);
    ERR_clear_error();
    if (r == 0 && n == 0)
        r = err_set(e, -EKEYREJECTED, "CA '%s': no certificate in PEM form", path);
    return r;
}

/* What each peer would do with our certificate: better refused at start than at each connection. */
static int check_self(SSL_CTX *ctx, X509 *cert, const char *path, struct err *e)
{
    X509_STORE_CTX *sc = X509_STORE_CTX_new();
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(ctx, &chain);
    int r = 0;
    if (!sc || X509_STORE_CTX_init(sc, SSL_CTX_get_cert_store(ctx), cert, chain) != 1)
        r = ossl(e, -EIO, "certificate check");
    else if (X509_verify_cert(sc) != 1)
        r = explain_verify(X509_STORE_CTX_get_error(sc), X509_STORE_CTX_get_current_cert(sc), e);
    X509_STORE_CTX_free(sc);
    ERR_clear_error();
    return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

static int load(struct tls *t, const struct tls_files *f, struct err *e)
{
    X509 *cert = NULL;
    int r = load_cert(t->ctx, f->cert, &cert, e);
    if (r == 0)
        r = load_key(t->ctx, f, e);
    if (r == 0)
        r = load_ca(t->ctx, f->ca, e);
    if (r == 0 && !f->unchecked)
        r = check_self(t->ctx, cert, f->cert, e);
    if (r == 0) {
        r = tls_identity(cert, &t->self, e);
        if (r < 0 && f->unchecked)
            r = 0;
        else if (r < 0)
            err_wrap(e, "'%s'", f->cert);
    }
    struct tm tm;
    if (r == 0 && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
        t->expires_s = timegm(&tm);
    X509_free(cert);
    return r;
}

static void configure(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    SSL_CTX_set_verify_depth(ctx, 4);
    /* 24 instead of 37 kB per idle agent */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* peers cut connections without close_notify; what is missing then, the framing tells */
    SSL_CTX_set_options(ctx,
                        SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    /* a resumed session would skip the check of the certificate's validity */
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

int tls_new(const struct tls_files *f, struct tls **ret, struct err *e)
{
    struct err own = {0}; /* the steps above pass codes through it, so it must be there */
    pthread_once(&fail_once, make_index);
    struct tls *t = xcalloc(1, sizeof(*t));
    t->ctx = SSL_CTX_new(TLS_method());
    assert(t->ctx);
    configure(t->ctx);
    int r = load(t, f, &own);
    if (r < 0) {
        tls_free(t);
        return err_set(e, r, "%s", own.msg);
    }
    *ret = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

const struct identity *tls_self(const struct tls *t)
{
    return &t->self;
}

int64_t tls_expires_wall_us(const struct tls *t)
{
    return t->expires_s * SEC;
}

SSL *tls_open(struct tls *t, bool server)
{
    SSL *ssl = SSL_new(t->ctx);
    assert(ssl);
    if (server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}
