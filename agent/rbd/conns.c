#include "agent/rbd/conns.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct conn {
    char *key; /* what tells one handle from another */
    pthread_mutex_t lock; /* held while connecting */
    rados_t cluster;
    bool connected, broken;
    struct err error; /* of connecting: all that waited for it get the same answer */
    const char *token;
    int refs;
    int64_t used_us;
    struct conn *next;
};
struct rbd_conns {
    pthread_mutex_t lock;
    struct conn *list;
};

struct rbd_conns *rbd_conns_new(void)
{
    struct rbd_conns *c = xcalloc(1, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void conn_free(struct conn *c)
{
    if (c->connected)
        rados_shutdown(c->cluster);
    pthread_mutex_destroy(&c->lock);
    if (c->key)
        explicit_bzero(c->key, strlen(c->key)); /* it holds the cephx key */
    free(c->key);
    free(c);
}

/* Close what matches: everything (all), or what is unused and broken or idle since before_us. */
static void close_where(struct rbd_conns *c, bool all, int64_t before_us)
{
    struct conn *dead = NULL;
    pthread_mutex_lock(&c->lock);
    for (struct conn **p = &c->list; *p;) {
        struct conn *x = *p;
        if (all || (x->refs == 0 && (x->broken || x->used_us < before_us))) {
            *p = x->next;
            x->next = dead;
            dead = x;
        } else {
            p = &x->next;
        }
    }
    pthread_mutex_unlock(&c->lock);
    while (dead) { /* rados_shutdown waits for its threads: not under the lock */
        struct conn *next = dead->next;
        conn_free(dead);
        dead = next;
    }
}

void rbd_conns_free(struct rbd_conns *c)
{
    if (!c)
        return;
    close_where(c, true, 0);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void rbd_conns_sweep(struct rbd_conns *c, int64_t now_us)
{
    close_where(c, false, now_us - RBD_IDLE_S * SEC);
}

static char *join_mons(const struct disk *d)
{
    char *s = xstrdup("");
    for (size_t i = 0; i < d->n_mons; i++)
        text_join(&s, ",", d->mons[i]);
    return s;
}

static char *conn_key(const struct rbd_ask *ask)
{
    cleanup(freep) char *mons = join_mons(&ask->disk);
    const char *conf = ask->disk.conf ? ask->disk.conf : ask->conf;
    return xasprintf("%s\n%s\n%s\n%s\n%lld", mons, ask->disk.user ? ask->disk.user : "",
                     ask->key ? ask->key : "", conf ? conf : "", (long long)ask->timeout_us);
}

struct setting {
    const char *name;
    char value[32];
};

static int set_all(rados_t cluster, const struct rbd_ask *ask, struct err *e)
{
    long long timeout_s = ask->timeout_us / SEC > 0 ? ask->timeout_us / SEC : 1;
    long long op_s = timeout_s > 1 ? timeout_s / 2 : 1;
    struct setting s[] = {
        {"client_mount_timeout", ""}, {"rados_mon_op_timeout", ""}, {"rados_osd_op_timeout", ""},
        {"log_file", ""}, {"log_to_stderr", "false"}, {"err_to_stderr", "false"},
        {"admin_socket", ""}, {"rbd_cache", "false"},
    };
    snprintf(s[0].value, sizeof(s[0].value), "%lld", timeout_s);
    snprintf(s[1].value, sizeof(s[1].value), "%lld", op_s);
    snprintf(s[2].value, sizeof(s[2].value), "%lld", op_s);
    for (size_t i = 0; i < ARRAY_LEN(s); i++) {
        int r = rados_conf_set(cluster, s[i].name, s[i].value);
        if (r < 0)
            return err_set(e, r, "librados option %s: %s", s[i].name, strerror(-r));
    }
    cleanup(freep) char *mons = join_mons(&ask->disk);
    int r = *mons ? rados_conf_set(cluster, "mon_host", mons) : 0;
    if (r < 0)
        return err_set(e, r, "monitors '%s' of the domain XML: %s", mons, strerror(-r));
    r = ask->key ? rados_conf_set(cluster, "key", ask->key) : 0;
    if (r < 0)
        return err_set(e, -EACCES, "the secret's value is no cephx key: %s", strerror(-r));
    return 0;
}

int conn_configure(const struct rbd_ask *ask, rados_t *ret, struct err *e)
{
    cleanup(freep) char *name = ask->disk.user ? xasprintf("client.%s", ask->disk.user) : NULL;
    rados_t cluster;
    int r = rados_create2(&cluster, "ceph", name ? name : "client.admin", 0);
    if (r < 0)
        return err_set(e, r, "librados: %s", strerror(-r));
    /* As QEMU does: a file that the XML names must be readable; the host's own is only a default,
     * and needed only where the XML names no monitors. */
    const char *conf = ask->disk.conf ? ask->disk.conf : ask->conf;
    r = conf ? rados_conf_read_file(cluster, conf) : -ENOENT;
    if (r < 0 && (ask->disk.conf || ask->disk.n_mons == 0)) {
        rados_shutdown(cluster);
        /* not -ENOENT, which would be read as "the image does not exist" */
        return err_set(e, -EIO, "Ceph configuration '%s': %s", conf ? conf : "(none)", strerror(-r));
    }
    r = set_all(cluster, ask, e);
    if (r < 0) {
        rados_shutdown(cluster);
        return r;
    }
    *ret = cluster;
    return 0;
}

static int do_connect(struct conn *conn, const struct rbd_ask *ask)
{
    struct err *e = &conn->error;
    rados_t cluster;
    int r = conn_configure(ask, &cluster, e);
    if (r < 0) {
        conn->token = rbd_error_token(r);
        return r;
    }
    r = rados_connect(cluster);
    if (r < 0) {
        rados_shutdown(cluster);
        const char *why = r == -ENOENT   ? "no key was found for this user"
                          : r == -EINVAL ? "the key is malformed"
                          : r == -ETIMEDOUT ? "the monitors do not answer"
                                         : strerror(-r);
        conn->token = r == -ENOENT || r == -EINVAL ? "ceph_auth" : rbd_error_token(r);
        return err_set(e, r, "connect to Ceph as client.%s: %s",
                       ask->disk.user ? ask->disk.user : "admin", why);
    }
    conn->cluster = cluster;
    conn->connected = true;
    return 0;
}

int conns_get(struct rbd_conns *c, const struct rbd_ask *ask, struct conn **ret,
              const char **ret_token, struct err *e)
{
    cleanup(freep) char *key = conn_key(ask);
    pthread_mutex_lock(&c->lock);
    struct conn *x = c->list;
    while (x && (x->broken || !str_eq(x->key, key)))
        x = x->next;
    if (!x) {
        x = xcalloc(1, sizeof(*x));
        x->key = take(key);
        pthread_mutex_init(&x->lock, NULL);
        x->next = c->list;
        c->list = x;
    }
    x->refs++;
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&x->lock);
    int r = x->error.code;
    if (r == 0 && !x->connected)
        r = do_connect(x, ask);
    pthread_mutex_unlock(&x->lock);
    if (r < 0) {
        *ret_token = x->token;
        err_set(e, r, "%s", x->error.msg);
        conns_put(c, x, true);
        return r;
    }
    *ret = x;
    return 0;
}

void conns_put(struct rbd_conns *c, struct conn *conn, bool broken)
{
    pthread_mutex_lock(&c->lock);
    conn->refs--;
    conn->used_us = clock_mono_us();
    if (broken)
        conn->broken = true;
    pthread_mutex_unlock(&c->lock);
}

rados_t conn_cluster(const struct conn *conn)
{
    return conn->cluster;
}
