/* The facts of one image, through librados and librbd (16.2 and later). */
#include <errno.h>
#include <rbd/features.h>
#include <rbd/librbd.h>
#include <string.h>

#include "agent/rbd/conns.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* What a question has opened so far. */
struct visit {
    const struct rbd_ask *ask;
    struct image_fact *fact;
    rados_ioctx_t io;
    rbd_image_t image;
    const char *token; /* set where -errno alone would name the wrong reason */
};

static int read_watchers(struct visit *v, struct err *e)
{
    rbd_image_watcher_t w[RBD_WATCHERS_MAX];
    size_t n = ARRAY_LEN(w);
    int r = rbd_watchers_list(v->image, w, &n);
    if (r < 0)
        return err_set(e, r, "list watchers: %s", strerror(-r));
    for (size_t i = 0; i < n; i++) {
        struct ceph_client *c = vec_add(&v->fact->watchers, &v->fact->n_watchers);
        c->address = rbd_plain_address(w[i].addr);
        c->entity = xasprintf("client.%lld", (long long)w[i].id);
    }
    rbd_watchers_list_cleanup(w, n);
    return 0;
}

/* The managed exclusive lock of librbd and advisory locks (rbd lock add) are one list. */
static int read_lockers(struct visit *v, struct err *e)
{
    enum { SIZE = 16 << 10 };
    char tag[256];
    cleanup(freep) char *clients = xcalloc(1, SIZE);
    cleanup(freep) char *cookies = xcalloc(1, SIZE);
    cleanup(freep) char *addrs = xcalloc(1, SIZE);
    size_t tag_len = sizeof(tag), clients_len = SIZE, cookies_len = SIZE, addrs_len = SIZE;
    int exclusive = 0;
    ssize_t n = rbd_list_lockers(v->image, &exclusive, tag, &tag_len, clients, &clients_len, cookies,
                                 &cookies_len, addrs, &addrs_len);
    if (n < 0)
        return err_set(e, (int)n, "list lock owners: %s", strerror((int)-n));
    const char *client = clients, *addr = addrs;
    for (ssize_t i = 0; i < n; i++) {
        struct ceph_client *c = vec_add(&v->fact->lockers, &v->fact->n_lockers);
        c->entity = xstrdup(client);
        c->address = rbd_plain_address(addr);
        client += strlen(client) + 1;
        addr += strlen(addr) + 1;
    }
    return 0;
}

static int read_mirror(struct visit *v, struct err *e)
{
    rbd_mirror_image_info_t info;
    int r = rbd_mirror_image_get_info(v->image, &info, sizeof(info));
    if (r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL)
        return 0; /* never enabled, or a cluster that does not know mirroring */
    if (r < 0)
        return err_set(e, r, "mirroring state: %s", strerror(-r));
    if (info.state == RBD_MIRROR_IMAGE_ENABLED)
        v->fact->mirror = xstrdup(info.primary ? "primary" : "non-primary");
    rbd_mirror_image_get_info_cleanup(&info);
    return 0;
}

static int read_image(struct visit *v, struct err *e)
{
    struct image_fact *f = v->fact;
    char id[128];
    int r = rbd_get_id(v->image, id, sizeof(id));
    if (r == -EINVAL) /* a format 1 image: it has no id, and cannot be told from its namesake */
        return err_set(e, r, "old image format 1 has no id; convert it with 'rbd migration'");
    if (r < 0)
        return err_set(e, r, "image id: %s", strerror(-r));
    f->image_id = xstrdup(id);
    uint64_t size = 0, features = 0;
    r = rbd_get_size(v->image, &size);
    if (r < 0)
        return err_set(e, r, "image size: %s", strerror(-r));
    r = rbd_get_features(v->image, &features);
    if (r < 0)
        return err_set(e, r, "image features: %s", strerror(-r));
    f->size_bytes = (int64_t)size;
    f->features = (int64_t)features;
    f->migrating = features & RBD_FEATURE_MIGRATING;
    r = read_watchers(v, e);
    if (r == 0)
        r = read_lockers(v, e);
    return r < 0 ? r : read_mirror(v, e);
}

/* Is the image in the trash? Its id goes into the fact. Failing to look is no answer: false. */
static bool find_in_trash(struct visit *v)
{
    size_t n = 64;
    for (int tries = 0; tries < 4; tries++) {
        cleanup(freep) rbd_trash_image_info_t *t = xcalloc(n, sizeof(*t));
        size_t got = n;
        int r = rbd_trash_list(v->io, t, &got);
        if (r == -ERANGE) {
            n = got > n ? got : n * 4;
            continue;
        }
        if (r < 0)
            return false;
        for (size_t i = 0; i < got && !v->fact->trashed; i++)
            if (str_eq(t[i].name, v->fact->image)) {
                v->fact->trashed = true;
                v->fact->image_id = xstrdup(t[i].id);
            }
        rbd_trash_list_cleanup(t, got);
        break;
    }
    return v->fact->trashed;
}

static int open_image(struct visit *v, struct err *e)
{
    const struct disk *d = &v->ask->disk;
    /* read-only: no watch, no lock, so the agent never appears among those who have it open */
    int r = rbd_open_read_only(v->io, d->image, &v->image, d->snap);
    if (r == -ENOENT && find_in_trash(v)) {
        v->token = "image_trashed";
        return err_set(e, r, "image '%s' is in the trash", d->image);
    }
    if (r == -EROFS)
        v->token = "ceph_error";
    if (r < 0)
        return err_set(e, r, "open image '%s%s%s': %s", d->image, d->snap ? "@" : "",
                       d->snap ? d->snap : "", strerror(-r));
    r = read_image(v, e);
    rbd_close(v->image);
    return r;
}

static int in_cluster(struct visit *v, rados_t cluster, struct err *e)
{
    const struct disk *d = &v->ask->disk;
    char fsid[64];
    int r = rados_cluster_fsid(cluster, fsid, sizeof(fsid));
    if (r < 0)
        return err_set(e, r, "cluster id: %s", strerror(-r));
    v->fact->fsid = xstrdup(fsid);
    r = rados_ioctx_create(cluster, d->pool, &v->io);
    if (r < 0)
        return err_set(e, r, "pool '%s': %s", d->pool, strerror(-r));
    v->fact->pool_id = rados_ioctx_get_id(v->io);
    if (d->ns)
        rados_ioctx_set_namespace(v->io, d->ns);
    r = open_image(v, e);
    rados_ioctx_destroy(v->io);
    return r;
}

static int answer_conf(struct visit *v, struct err *e)
{
    rados_t cluster;
    int r = conn_configure(v->ask, &cluster, e);
    if (r < 0)
        return r;
    char fsid[64] = "";
    r = rados_conf_get(cluster, "fsid", fsid, sizeof(fsid));
    rados_shutdown(cluster);
    if (r < 0)
        return err_set(e, r, "fsid of '%s': %s", v->ask->conf, strerror(-r));
    if (str_eq(fsid, "00000000-0000-0000-0000-000000000000"))
        return err_set(e, -ENODATA, "'%s' names no fsid", v->ask->conf);
    v->fact->fsid = xstrdup(fsid);
    return 0;
}

static int answer(struct rbd_conns *c, struct visit *v, struct err *e)
{
    const struct disk *d = &v->ask->disk;
    if (v->ask->conf_only)
        return answer_conf(v, e);
    if (!d->pool || !d->image)
        return err_set(e, -EINVAL, "the domain XML names no pool and image");
    struct conn *conn = NULL;
    int r = conns_get(c, v->ask, &conn, &v->token, e);
    if (r < 0)
        return r;
    r = in_cluster(v, conn_cluster(conn), e);
    /* errors that speak of the image, not of the connection, leave the handle in use */
    conns_put(c, conn, r < 0 && r != -ENOENT && r != -EPERM && r != -EACCES);
    return r;
}

void rbd_ask_fact(struct rbd_conns *c, const struct rbd_ask *ask, struct image_fact *ret)
{
    struct visit v = {.ask = ask, .fact = ret};
    struct err e = {0};
    rbd_fact_error(&ask->disk, NULL, NULL, ret);
    int64_t start_us = clock_mono_us();
    int r = answer(c, &v, &e);
    if (r < 0) {
        ret->code = xstrdup(v.token ? v.token : rbd_error_token(r));
        ret->error = xstrdup(e.msg);
        return;
    }
    /* facts gathered over more than the deadline are not of one moment */
    if (ask->timeout_us && clock_mono_us() - start_us > ask->timeout_us) {
        ret->code = xstrdup("ceph_timeout");
        ret->error = xasprintf("Ceph needed more than %lld s", (long long)(ask->timeout_us / SEC));
        return;
    }
    ret->ok = true;
}

/* Readable for everybody who may use an image: `profile rbd` grants reading of "mon". */
static int read_health(rados_t cluster, struct ceph_told *ret, struct err *e)
{
    const char *cmd = "{\"prefix\": \"status\", \"format\": \"json\"}";
    char *text = NULL, *said = NULL;
    size_t len = 0, said_len = 0;
    int r = rados_mon_command(cluster, &cmd, 1, NULL, 0, &text, &len, &said, &said_len);
    if (r < 0)
        err_set(e, r, "status: %s", r == -ETIMEDOUT ? "the monitors do not answer" : strerror(-r));
    else if (len > RBD_STATUS_BYTES)
        r = err_set(e, -EFBIG, "Ceph's status is too long");
    else
        r = rbd_read_status(text, len, ret, e);
    rados_buffer_free(text);
    rados_buffer_free(said);
    return r;
}

void rbd_ask_health(struct rbd_conns *c, const struct rbd_ask *ask, struct ceph_told *ret)
{
    struct conn *conn = NULL;
    const char *token = NULL;
    struct err e = {0};
    shape_init(&ceph_told_shape, ret);
    int r = conns_get(c, ask, &conn, &token, &e);
    if (r == 0) {
        r = read_health(conn_cluster(conn), ret, &e);
        conns_put(c, conn, r < 0 && r != -EPERM && r != -EACCES && r != -EBADMSG);
    }
    if (r == 0)
        return;
    ret->code = xstrdup(token ? token : rbd_error_token(r));
    ret->error = xstrdup(e.msg);
}
