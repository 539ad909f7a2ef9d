/* lib/net/pki.h: a small certificate authority: EC P-256, X.509 v3.
 * Shapes   CA directory: ca.pem, ca-key.pem. Issued directory: cert.pem, key.pem, ca.pem. Keys are
 *          written 0600, certificates 0644.
 * Errors   -EEXIST rather than overwrite; otherwise a sentence with file and reason.
 * Time     now_s, seconds of wall time, is an argument.   Thread any. */
#pragma once

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/tls.h"

struct pki_leaf {
    enum role role;
    const char *name;         /* becomes the first DNS SAN: the identity */
    const char *const *sans;  /* further DNS names or IP addresses */
    size_t n_sans;
    int64_t now_s;
    int days;
};
struct pki_info {
    char *subject, *issuer, *serial, *sha256; /* sha256 of the certificate, hex with colons */
    char **sans;                              /* "DNS:h1" "IP:10.0.0.1" "URI:drover:role:agent" */
    size_t n_sans;
    struct identity id; /* role ROLE_NONE for a CA */
    bool is_ca;
    int64_t not_before_s, not_after_s;
};

/* Make DIR (0700) with a new CA. */
int pki_init(const char *dir, int days, int64_t now_s, struct err *e);
/* Sign a new key pair with the CA in dir, into out_dir. */
int pki_issue(const char *dir, const struct pki_leaf *leaf, const char *out_dir, struct err *e);
/* Read the first certificate of a PEM file. Gives *ret. */
int pki_read(const char *file, struct pki_info *ret, struct err *e);
void pki_info_done(struct pki_info *i);
