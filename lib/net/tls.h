/* lib/net/tls.h: who we are and whom we believe: TLS 1.3, both sides verified against one CA.
 * Shapes   identity = the certificate's first DNS SAN (name) and its URI SAN "drover:role:ROLE".
 * Errors   sentences that name the certificate, the reason and the cure. -ENOENT/-EACCES unreadable
 *          file, -EKEYREJECTED key or certificate that is no use, -EKEYEXPIRED outside its validity.
 * Thread   loop thread (tls_new: any). */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "lib/base/err.h"

enum role { ROLE_NONE, ROLE_AGENT, ROLE_SCHEDULER, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };
extern const char *const role_names[6];
#define ROLE_BIT(r) (1U << (r))
#define ROLES_HUMAN (ROLE_BIT(ROLE_VIEWER) | ROLE_BIT(ROLE_OPERATOR) | ROLE_BIT(ROLE_ADMIN))
/* ROLE_NONE for a word that is no role. */
enum role role_from_name(const char *name);

struct identity {
    char name[254];
    enum role role;
};

struct tls_files {
    const char *cert, *key, *ca; /* PEM; cert may hold a chain */
    bool unchecked; /* tests: show even a certificate that no peer will accept */
};
struct tls;

/* Read and check the three files: key belongs to certificate, certificate was issued by ca, is valid
 * today and has a name and a role. One struct tls serves both directions. Copies paths. */
int tls_new(const struct tls_files *f, struct tls **ret, struct err *e);
void tls_free(struct tls *t); /* connections made from it live on */
const struct identity *tls_self(const struct tls *t);
int64_t tls_expires_wall_us(const struct tls *t); /* of our own certificate */

/* Who a certificate says it is. -EKEYREJECTED when it has no DNS SAN, no role, or two roles. */
int tls_identity(X509 *cert, struct identity *ret, struct err *e);
/* Is the verified peer of this connection one of roles (ROLE_BITs)? Fills *ret either way it can. */
int tls_peer(const SSL *ssl, unsigned roles, struct identity *ret, struct err *e);

/* For conn and http: a new side of a connection. Never NULL. */
SSL *tls_open(struct tls *t, bool server);
/* What ended a handshake or a connection: verification result of ssl and OpenSSL's error code (0:
 * none). Returns e->code. */
int tls_explain(const SSL *ssl, unsigned long openssl_error, struct err *e);
