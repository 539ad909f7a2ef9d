#include "lib/net/pki.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum {
    SERIAL_BYTES = 20, /* the most that RFC 5280 allows; 159 random bits never repeat */
    CN_MAX = 64,       /* ub-common-name */
};
/* Certificates are valid from a little before they were made: clocks of a fleet differ. */
#define BACKDATE_S (5 * 60)
#define DAY_S      INT64_C(86400)

static void pkeyp(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
static void x509p(X509 **c)
{
    X509_free(*c);
}
static void biop(BIO **b)
{
    BIO_free(*b);
}

static int ossl(struct err *e, const char *what)
{
    unsigned long c = ERR_get_error();
    const char *s = c ? ERR_reason_error_string(c) : NULL;
    ERR_clear_error();
    return err_set(e, -EIO, "%s: %s", what, s ? s : "OpenSSL gave no reason");
}

/* ---- files ----------------------------------------------------------------------------------- */
static int refuse_existing(const char *dir, const char *name, const char *cure, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return err_set(e, -EEXIST, "'%s' exists already and is not overwritten; %s", path, cure);
}

static int write_bio(const char *dir, const char *name, BIO *b, mode_t mode, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    char *data;
    long len = BIO_get_mem_data(b, &data);
    return file_write(path, data, (size_t)len, mode, e);
}

static int write_cert(const char *dir, const char *name, X509 *cert, struct err *e)
{
    cleanup(biop) BIO *b = BIO_new(BIO_s_mem());
    if (!b || PEM_write_bio_X509(b, cert) != 1)
        return ossl(e, "write certificate");
    return write_bio(dir, name, b, 0644, e);
}

static int write_key(const char *dir, const char *name, EVP_PKEY *key, struct err *e)
{
    cleanup(biop) BIO *b = BIO_new(BIO_s_secmem());
    if (!b || PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1)
        return ossl(e, "write key");
    return write_bio(dir, name, b, 0600, e);
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return 0;
}

static int open_pem(const char *path, BIO **ret, struct err *e)
{
    char *text;
    size_t len;
    int r = file_read(path, LIM_CONFIG_BYTES, &text, &len, e);
    if (r < 0)
        return r;
    *ret = BIO_new(BIO_s_mem());
    assert(*ret);
    BIO_write(*ret, text, (int)len);
    OPENSSL_cleanse(text, len);
    free(text);
    return 0;
}

static int read_cert(const char *path, X509 **ret, struct err *e)
{
    cleanup(biop) BIO *b = NULL;
    int r = open_pem(path, &b, e);
    if (r < 0)
        return r;
    *ret = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
    ERR_clear_error();
    return *ret ? 0 : err_set(e, -EINVAL, "'%s' holds no certificate in PEM form", path);
}

static int read_ca(const char *dir, X509 **ret_cert, EVP_PKEY **ret_key, struct err *e)
{
    cleanup(freep) char *cert_path = xasprintf("%s/ca.pem", dir);
    cleanup(freep) char *key_path = xasprintf("%s/ca-key.pem", dir);
    cleanup(x509p) X509 *cert = NULL;
    cleanup(pkeyp) EVP_PKEY *key = NULL;
    cleanup(biop) BIO *b = NULL;
    int r = read_cert(cert_path, &cert, e);
    if (r == 0)
        r = open_pem(key_path, &b, e);
    if (r < 0)
        return err_wrap(
            e, r == -ENOENT ? "no CA in '%s' (`drover pki init --dir` makes one)" : "CA in '%s'",
            dir);
    key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    ERR_clear_error();
    if (!key)
        return err_set(e, -EINVAL, "'%s' holds no private key in PEM form", key_path);
    if (X509_check_private_key(cert, key) != 1) {
        ERR_clear_error();
        return err_set(e, -EINVAL, "'%s' is not the key of '%s'", key_path, cert_path);
    }
    *ret_cert = take(cert);
    *ret_key = take(key);
    return 0;
}

/* ---- certificates ---------------------------------------------------------------------------- */
static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value, struct err *e)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : ossl(e, OBJ_nid2sn(nid));
}

static int set_name(X509_NAME *n, const char *unit, const char *cn)
{
    const unsigned char *o = (const unsigned char *)"Drover", *u = (const unsigned char *)unit,
                        *c = (const unsigned char *)cn;
    return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8, o, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(n, "OU", MBSTRING_UTF8, u, -1, -1, 0) == 1 &&
           (strlen(cn) > CN_MAX || /* the identity is the SAN, the subject is for people */
            X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, c, -1, -1, 0) == 1);
}

static int set_serial(X509 *cert)
{
    unsigned char raw[SERIAL_BYTES];
    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return 0;
    raw[0] = (raw[0] & 0x7f) | 0x40; /* positive, and always of full length */
    BIGNUM *bn = BN_bin2bn(raw, sizeof(raw), NULL);
    int ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
    BN_free(bn);
    return ok;
}

/* A certificate with key, serial and validity; extensions and signature follow. */
static int begin(EVP_PKEY *key, const char *unit, const char *cn, int64_t now_s, int days,
                 X509 **ret, struct err *e)
{
    cleanup(x509p) X509 *cert = X509_new();
    assert(cert);
    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), now_s - BACKDATE_S) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), now_s + days * DAY_S) ||
        X509_set_pubkey(cert, key) != 1 || !set_name(X509_get_subject_name(cert), unit, cn))
        return ossl(e, "certificate");
    *ret = take(cert);
    return 0;
}

static int new_key(EVP_PKEY **ret, struct err *e)
{
    *ret = EVP_EC_gen("P-256");
    return *ret ? 0 : ossl(e, "make a P-256 key");
}

static int check_days(int days, struct err *e)
{
    /* 100 years: beyond it ASN.1 time and common sense end */
    return days > 0 && days <= 36500 ? 0
                                     : err_set(e, -EINVAL, "days must be 1 to 36500, not %d", days);
}

int pki_init(const char *dir, int days, int64_t now_s, struct err *e)
{
    static const char cure[] = "every certificate of the fleet depends on it; take another --dir";
    cleanup(pkeyp) EVP_PKEY *key = NULL;
    cleanup(x509p) X509 *cert = NULL;
    int r = check_days(days, e);
    if (r < 0 || (r = dir_make(dir, 0700, e)) < 0 ||
        (r = refuse_existing(dir, "ca.pem", cure, e)) < 0 ||
        (r = refuse_existing(dir, "ca-key.pem", cure, e)) < 0 || (r = new_key(&key, e)) < 0)
        return r;
    char cn[64], t[FMT_BYTES];
    unsigned char mark[3];
    if (RAND_bytes(mark, sizeof(mark)) != 1)
        return ossl(e, "random bytes");
    /* two CAs made on one day must differ in messages about the wrong one */
    snprintf(cn, sizeof(cn), "Drover CA %.10s %02x%02x%02x", fmt_rfc3339(t, now_s * SEC), mark[0],
             mark[1], mark[2]);
    if ((r = begin(key, "ca", cn, now_s, days, &cert, e)) < 0)
        return r;
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    if ((r = add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", e)) < 0 ||
        (r = add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign", e)) < 0 ||
        (r = add_ext(cert, cert, NID_subject_key_identifier, "hash", e)) < 0)
        return r;
    if (!X509_sign(cert, key, EVP_sha256()))
        return ossl(e, "sign");
    if ((r = write_key(dir, "ca-key.pem", key, e)) < 0)
        return r;
    return write_cert(dir, "ca.pem", cert, e);
}

/* Names go into the textual form of an extension, where ',' and ':' have a meaning. */
static int check_name(const char *name, struct err *e)
{
    size_t len = strlen(name);
    if (!len || len > LIM_NAME_BYTES)
        return err_set(e, -EINVAL, "a name must have 1 to %d characters", LIM_NAME_BYTES);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != len ||
        name[0] == '-' || name[0] == '.')
        return err_set(e, -EINVAL,
                       "name '%s': only letters, digits, '.', '-' and '_', and no '-' or '.' "
                       "at the beginning",
                       name);
    return 0;
}

static bool is_ip(const char *s)
{
    unsigned char buf[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

static int add_sans(X509 *cert, X509 *ca, const struct pki_leaf *leaf, struct err *e)
{
    if (leaf->n_sans > LIM_SANS - 2)
        return err_set(e, -E2BIG, "%zu names, the limit is %d", leaf->n_sans, LIM_SANS - 2);
    char *text = xasprintf("DNS:%s,URI:drover:role:%s", leaf->name, role_names[leaf->role]);
    int r = 0;
    for (size_t i = 0; i < leaf->n_sans && r == 0; i++) {
        bool ip = is_ip(leaf->sans[i]);
        r = ip ? 0 : check_name(leaf->sans[i], e);
        char *longer = xasprintf("%s,%s:%s", text, ip ? "IP" : "DNS", leaf->sans[i]);
        free(text);
        text = longer;
    }
    if (r == 0)
        r = add_ext(cert, ca, NID_subject_alt_name, text, e);
    free(text);
    return r;
}

static int make_leaf(const struct pki_leaf *leaf, X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *key,
                     X509 **ret, struct err *e)
{
    cleanup(x509p) X509 *cert = NULL;
    int r = begin(key, role_names[leaf->role], leaf->name, leaf->now_s, leaf->days, &cert, e);
    if (r < 0)
        return r;
    X509_set_issuer_name(cert, X509_get_subject_name(ca));
    if ((r = add_ext(cert, ca, NID_basic_constraints, "critical,CA:FALSE", e)) < 0 ||
        (r = add_ext(cert, ca, NID_key_usage, "critical,digitalSignature", e)) < 0 ||
        (r = add_ext(cert, ca, NID_ext_key_usage, "serverAuth,clientAuth", e)) < 0 ||
        (r = add_ext(cert, ca, NID_subject_key_identifier, "hash", e)) < 0 ||
        (r = add_ext(cert, ca, NID_authority_key_identifier, "keyid", e)) < 0 ||
        (r = add_sans(cert, ca, leaf, e)) < 0)
        return r;
    if (!X509_sign(cert, ca_key, EVP_sha256()))
        return ossl(e, "sign");
    *ret = take(cert);
    return 0;
}

int pki_issue(const char *dir, const struct pki_leaf *leaf, const char *out_dir, struct err *e)
{
    static const char *const files[] = {"cert.pem", "key.pem", "ca.pem"};
    cleanup(pkeyp) EVP_PKEY *key = NULL, *ca_key = NULL;
    cleanup(x509p) X509 *cert = NULL, *ca = NULL;
    int r = check_name(leaf->name, e);
    if (r == 0)
        r = check_days(leaf->days, e);
    if (r == 0 && leaf->role == ROLE_NONE)
        r = err_set(e, -EINVAL, "a certificate needs a role");
    if (r < 0 || (r = read_ca(dir, &ca, &ca_key, e)) < 0)
        return r;
    if (X509_cmp_timeframe(NULL, X509_get0_notBefore(ca), X509_get0_notAfter(ca)) != 0)
        return err_set(e, -EKEYEXPIRED,
                       "the CA in '%s' is outside its validity; see `drover pki show "
                       "%s/ca.pem`",
                       dir, dir);
    if ((r = dir_make(out_dir, 0755, e)) < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if ((r = refuse_existing(out_dir, files[i], "remove the old files or take another --out",
                                 e)) < 0)
            return r;
    if ((r = new_key(&key, e)) < 0 || (r = make_leaf(leaf, ca, ca_key, key, &cert, e)) < 0)
        return r;
    if ((r = write_key(out_dir, "key.pem", key, e)) < 0 ||
        (r = write_cert(out_dir, "ca.pem", ca, e)) < 0)
        return r;
    return write_cert(out_dir, "cert.pem", cert, e);
}

/* ---- reading --------------------------------------------------------------------------------- */
static char *name_text(const X509_NAME *n)
{
    cleanup(biop) BIO *b = BIO_new(BIO_s_mem());
    char *data;
    assert(b);
    X509_NAME_print_ex(b, n, 0, XN_FLAG_RFC2253 & ~(unsigned long)XN_FLAG_DN_REV);
    long len = BIO_get_mem_data(b, &data);
    return xasprintf("%.*s", (int)len, data);
}

static char *sha256_text(const X509 *cert)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    X509_digest(cert, EVP_sha256(), md, &n);
    char *hex = OPENSSL_buf2hexstr(md, (long)n), *copy = xstrdup(hex ? hex : "");
    OPENSSL_free(hex);
    return copy;
}

static char *serial_text(const X509 *cert)
{
    BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = bn ? BN_bn2hex(bn) : NULL, *copy = xstrdup(hex ? hex : "");
    OPENSSL_free(hex);
    BN_free(bn);
    return copy;
}

static void read_sans(X509 *cert, struct pki_info *i)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int k = 0; sans && k < sk_GENERAL_NAME_num(sans) && k < LIM_SANS; k++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(sans, k);
        if (gn->type == GEN_IPADD) {
            const ASN1_OCTET_STRING *ip = gn->d.iPAddress;
            char text[INET6_ADDRSTRLEN] = "?";
            int len = ASN1_STRING_length(ip);
            if (len == 4 || len == 16)
                inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text,
                          sizeof(text));
            *vec_add(&i->sans, &i->n_sans) = xasprintf("IP:%s", text);
        } else if (gn->type == GEN_DNS || gn->type == GEN_URI) {
            *vec_add(&i->sans, &i->n_sans) = xasprintf(
                "%s:%.*s", gn->type == GEN_DNS ? "DNS" : "URI", ASN1_STRING_length(gn->d.ia5),
                (const char *)ASN1_STRING_get0_data(gn->d.ia5));
        }
    }
    GENERAL_NAMES_free(sans);
}

int pki_read(const char *file, struct pki_info *ret, struct err *e)
{
    cleanup(x509p) X509 *cert = NULL;
    int r = read_cert(file, &cert, e);
    if (r < 0)
        return r;
    struct pki_info i = {.is_ca = X509_check_ca(cert) != 0};
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &tm))
        i.not_before_s = timegm(&tm);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
        i.not_after_s = timegm(&tm);
    i.subject = name_text(X509_get_subject_name(cert));
    i.issuer = name_text(X509_get_issuer_name(cert));
    i.serial = serial_text(cert);
    i.sha256 = sha256_text(cert);
    read_sans(cert, &i);
    if (tls_identity(cert, &i.id, NULL) < 0)
        i.id = (struct identity){.role = ROLE_NONE};
    *ret = i;
    return 0;
}

void pki_info_done(struct pki_info *i)
{
    free(i->subject);
    free(i->issuer);
    free(i->serial);
    free(i->sha256);
    for (size_t k = 0; k < i->n_sans; k++)
        free(i->sans[k]);
    free(i->sans);
    memset(i, 0, sizeof(*i));
}
