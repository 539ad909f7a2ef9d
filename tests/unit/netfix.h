/* tests/unit/netfix.h: a throw-away directory with two CAs and all kinds of certificates, and a
 * loop that fails the test instead of hanging. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/loop.h"
#include "lib/net/pki.h"
#include "lib/net/tls.h"

static char fix_dir[64];

static inline int fix_rm(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

static inline void fix_remove(void)
{
    nftw(fix_dir, fix_rm, 16, FTW_DEPTH | FTW_PHYS);
}

/* DIR/ca/NAME/{cert,key,ca}.pem */
static inline void fix_issue(const char *ca, enum role role, const char *name, int64_t now_s,
                             int days)
{
    char ca_dir[128], out[160];
    snprintf(ca_dir, sizeof(ca_dir), "%s/%s", fix_dir, ca);
    snprintf(out, sizeof(out), "%s/%s", ca_dir, name);
    struct pki_leaf leaf = {.role = role, .name = name, .now_s = now_s, .days = days};
    struct err e;
    if (pki_issue(ca_dir, &leaf, out, &e) < 0)
        fail_msg("%s", e.msg);
}

static inline int fix_setup(void **state)
{
    (void)state;
    snprintf(fix_dir, sizeof(fix_dir), "/tmp/drover-test-XXXXXX");
    assert_non_null(mkdtemp(fix_dir));
    static const char *const cas[] = {"ours", "other"};
    int64_t now = time(NULL);
    for (int i = 0; i < 2; i++) {
        char dir[128];
        snprintf(dir, sizeof(dir), "%s/%s", fix_dir, cas[i]);
        assert_int_equal(pki_init(dir, 10, now, NULL), 0);
        fix_issue(cas[i], ROLE_SCHEDULER, "s1", now, 2);
        fix_issue(cas[i], ROLE_AGENT, "h1", now, 2);
    }
    fix_issue("ours", ROLE_AGENT, "h2", now, 2);
    fix_issue("ours", ROLE_OPERATOR, "olga", now, 2);
    fix_issue("ours", ROLE_AGENT, "late", now - 30 * 86400, 10);
    fix_issue("ours", ROLE_AGENT, "early", now + 86400, 10);
    return 0;
}

static inline int fix_teardown(void **state)
{
    (void)state;
    fix_remove();
    return 0;
}

/* "ours/h1" with the CA of ca. */
static inline struct tls *fix_tls(const char *who, const char *ca, bool unchecked)
{
    char cert[160], key[160], ca_file[160];
    snprintf(cert, sizeof(cert), "%s/%s/cert.pem", fix_dir, who);
    snprintf(key, sizeof(key), "%s/%s/key.pem", fix_dir, who);
    snprintf(ca_file, sizeof(ca_file), "%s/%s/ca.pem", fix_dir, ca);
    struct tls_files f = {cert, key, ca_file, unchecked};
    struct tls *t;
    struct err e;
    if (tls_new(&f, &t, &e) < 0)
        fail_msg("%s", e.msg);
    return t;
}

static inline void fix_stuck(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 20 s");
}

/* Serve until *done; a guard against hanging, not a time that a good run takes. */
static inline void fix_run(struct loop *l, const bool *done)
{
    struct timer *guard = timer_new(l, fix_stuck, NULL);
    timer_set(guard, 20 * SEC);
    while (!*done)
        loop_run(l);
    timer_free(guard);
}
