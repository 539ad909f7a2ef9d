/* The connection to libvirtd and its events. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/hv/hv_int.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* A dead libvirtd on a unix socket is seen at once; a hung one after 4 * 5 s without an answer, and
 * then every call that waits for it returns. */
enum { KEEPALIVE_S = 5, KEEPALIVE_COUNT = 3 };

/* hv outlives its connections: callbacks own nothing. */
static void no_free(void *arg)
{
    (void)arg;
}

static void quiet(void *arg, virErrorPtr err)
{
    (void)arg;
    (void)err; /* errors are returned; libvirt would print them to stderr as well */
}

static void *run_events(void *arg)
{
    (void)arg;
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            virResetLastError();
    return NULL;
}

static int events_result;

static void start_events(void)
{
    pthread_t t;
    pthread_attr_t at;
    virSetErrorFunc(NULL, quiet);
    events_result = virInitialize() < 0 || virEventRegisterDefaultImpl() < 0 ? -EIO : 0;
    if (events_result < 0)
        return;
    pthread_attr_init(&at);
    pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
    events_result = -pthread_create(&t, &at, run_events, NULL);
    pthread_attr_destroy(&at);
}

int hv_new(const struct hv_config *cfg, struct hv **ret, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_events);
    if (events_result < 0)
        return err_set(e, events_result, "libvirt's event loop cannot be started");
    struct hv *hv = xcalloc(1, sizeof(*hv));
    hv->uri = xstrdup(cfg->uri);
    hv->on_changed = cfg->on_changed;
    hv->on_lost = cfg->on_lost;
    hv->arg = cfg->arg;
    pthread_mutex_init(&hv->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&hv->stats_came, &attr);
    pthread_condattr_destroy(&attr);
    *ret = hv;
    return 0;
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};

static void open_gate(int timer, void *arg)
{
    struct gate *g = arg;
    virEventRemoveTimeout(timer);
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_signal(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

/* Events are told in libvirt's thread, one after the other: one may be under way when what asked for it
 * is deregistered. */
static void wait_for_events_under_way(void)
{
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    if (virEventAddTimeout(0, open_gate, &g, NULL) < 0)
        return;
    pthread_mutex_lock(&g.lock);
    while (!g.open)
        pthread_cond_wait(&g.opened, &g.lock);
    pthread_mutex_unlock(&g.lock);
    pthread_cond_destroy(&g.opened);
    pthread_mutex_destroy(&g.lock);
}

int hv_fail(struct err *e, const char *what)
{
    const virError *x = virGetLastError();
    int code = -EIO;
    if (x && x->code == VIR_ERR_NO_DOMAIN)
        code = -ENOENT;
    else if (x && (x->code == VIR_ERR_OPERATION_INVALID || x->code == VIR_ERR_INVALID_ARG))
        code = -EINVAL;
    else if (x && x->code == VIR_ERR_OPERATION_ABORTED)
        code = -ECANCELED;
    else if (x && (x->code == VIR_ERR_OPERATION_TIMEOUT || x->code == VIR_ERR_AGENT_UNRESPONSIVE))
        code = -ETIMEDOUT;
    else if (x && (x->code == VIR_ERR_NO_CONNECT || x->code == VIR_ERR_INVALID_CONN))
        code = -ENOTCONN;
    err_set(e, code, "%s: %s", what, x && x->message ? x->message : "unknown libvirt error");
    virResetLastError();
    return code;
}

int hv_if_alive(virConnectPtr c, int r, struct err *e)
{
    if (r >= 0 || virConnectIsAlive(c) == 1)
        return r;
    virResetLastError();
    if (e)
        e->code = -ENOTCONN;
    return -ENOTCONN;
}

int hv_use(struct hv *hv, struct hv_use *ret, struct err *e)
{
    for (;;) {
        pthread_mutex_lock(&hv->lock);
        bool up = hv->link != NULL;
        virConnectPtr c = up && hv->n_idle ? hv->idle[--hv->n_idle] : NULL;
        pthread_mutex_unlock(&hv->lock);
        if (!up)
            return err_set(e, -ENOTCONN, "no connection to libvirt (%s)", hv->uri);
        if (!c)
            c = hv_open(hv->uri, e);
        if (!c)
            return -ENOTCONN;
        if (virConnectIsAlive(c) == 1) {
            *ret = (struct hv_use){.hv = hv, .c = c};
            return 0;
        }
        virConnectClose(c);
    }
}

int hv_use_domain(struct hv *hv, const char *uuid, struct hv_use *ret, struct err *e)
{
    int r = hv_use(hv, ret, e);
    return r < 0 ? r : hv_domain(ret->c, uuid, &ret->d, e);
}

void hv_unuse(struct hv_use *u)
{
    if (!u->c)
        return;
    dom_unref(&u->d);
    bool keep = virConnectIsAlive(u->c) == 1;
    pthread_mutex_lock(&u->hv->lock);
    keep = keep && u->hv->link && u->hv->n_idle < HV_IDLE_MAX;
    if (keep)
        u->hv->idle[u->hv->n_idle++] = u->c;
    pthread_mutex_unlock(&u->hv->lock);
    if (!keep)
        virConnectClose(u->c);
    virResetLastError();
}

void conn_unref(virConnectPtr *c)
{
    if (*c)
        virConnectClose(*c);
}

void dom_unref(virDomainPtr *d)
{
    if (*d)
        virDomainFree(*d);
}

void params_free(virTypedParameterPtr *p, int n)
{
    if (*p)
        virTypedParamsFree(*p, n);
    *p = NULL;
}

bool hv_up(struct hv *hv)
{
    pthread_mutex_lock(&hv->lock);
    bool up = hv->link != NULL;
    pthread_mutex_unlock(&hv->lock);
    return up;
}

/* May wait for libvirtd. */
static void bury(struct hv_link *l)
{
    virConnectUnregisterCloseCallback(l->conn, NULL);
    for (size_t i = 0; i < ARRAY_LEN(l->domain_ids); i++)
        if (l->domain_ids[i] >= 0)
            virConnectDomainEventDeregisterAny(l->conn, l->domain_ids[i]);
    for (size_t i = 0; i < ARRAY_LEN(l->secret_ids); i++)
        if (l->secret_ids[i] >= 0)
            virConnectSecretEventDeregisterAny(l->conn, l->secret_ids[i]);
    if (l->network_id >= 0)
        virConnectNetworkEventDeregisterAny(l->conn, l->network_id);
    virConnectClose(l->conn);
    virResetLastError();
    free(l);
}

static void bury_all(struct hv *hv, bool also_living)
{
    pthread_mutex_lock(&hv->lock);
    struct hv_link *l = hv->dead;
    hv->dead = NULL;
    if (also_living && hv->link) {
        hv->link->next = l;
        l = hv->link;
        hv->link = NULL;
    }
    pthread_mutex_unlock(&hv->lock);
    while (l) {
        struct hv_link *next = l->next;
        bury(l);
        l = next;
    }
}

void hv_free(struct hv *hv)
{
    if (!hv)
        return;
    bury_all(hv, true);
    for (; hv->n_idle > 0; hv->n_idle--)
        virConnectClose(hv->idle[hv->n_idle - 1]);
    wait_for_events_under_way();
    pthread_cond_destroy(&hv->stats_came);
    pthread_mutex_destroy(&hv->lock);
    free(hv->cpu_xml);
    free(hv->uri);
    free(hv);
}

static void changed(struct hv *hv, virDomainPtr d)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    if (hv->on_changed && virDomainGetUUIDString(d, uuid) == 0)
        hv->on_changed(hv->arg, uuid);
}

static int on_lifecycle(virConnectPtr c, virDomainPtr d, int event, int detail, void *arg)
{
    (void)c;
    (void)event;
    (void)detail;
    changed(arg, d);
    return 0;
}

static void on_iteration(virConnectPtr c, virDomainPtr d, int iteration, void *arg)
{
    (void)c;
    /* the first pass tells of a migration that began, maybe another manager's; later ones are the
     * progress reader's business */
    if (iteration <= 1)
        changed(arg, d);
}

static void on_metadata(virConnectPtr c, virDomainPtr d, int type, const char *ns, void *arg)
{
    (void)c;
    (void)type;
    (void)ns;
    changed(arg, d);
}

static void on_device(virConnectPtr c, virDomainPtr d, const char *alias, void *arg)
{
    (void)c;
    (void)alias;
    changed(arg, d);
}

static void on_medium(virConnectPtr c, virDomainPtr d, const char *alias, int reason, void *arg)
{
    (void)c;
    (void)alias;
    (void)reason;
    changed(arg, d);
}

static void on_job_end(virConnectPtr c, virDomainPtr d, virTypedParameterPtr p, int n, void *arg)
{
    (void)c;
    struct hv *hv = arg;
    char uuid[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(d, uuid) == 0) {
        pthread_mutex_lock(&hv->lock);
        for (size_t i = 0; i < HV_EXPECT_MAX; i++)
            if (hv->stats[i].used && str_eq(hv->stats[i].uuid, uuid))
                hv_stats_from(&hv->stats[i], p, n);
        pthread_cond_broadcast(&hv->stats_came);
        pthread_mutex_unlock(&hv->lock);
    }
    changed(hv, d);
}

static void on_secret(virConnectPtr c, virSecretPtr s, int event, int detail, void *arg)
{
    (void)c;
    (void)s;
    (void)event;
    (void)detail;
    struct hv *hv = arg;
    if (hv->on_changed)
        hv->on_changed(hv->arg, NULL);
}

static void on_secret_value(virConnectPtr c, virSecretPtr s, void *arg)
{
    on_secret(c, s, 0, 0, arg);
}

static void on_network(virConnectPtr c, virNetworkPtr n, int event, int detail, void *arg)
{
    (void)n;
    on_secret(c, NULL, event, detail, arg);
}

static void on_close(virConnectPtr c, int reason, void *arg)
{
    static const char *const why[] = {"libvirtd closed the connection or failed",
                                      "libvirtd ended the connection",
                                      "libvirtd stopped answering", "closed here"};
    struct hv *hv = arg;
    pthread_mutex_lock(&hv->lock);
    struct hv_link *l = hv->link && hv->link->conn == c ? hv->link : NULL;
    if (l) {
        hv->link = NULL;
        l->next = hv->dead;
        hv->dead = l;
    }
    pthread_mutex_unlock(&hv->lock);
    if (l && hv->on_lost)
        hv->on_lost(hv->arg, why[reason >= 0 && reason < 4 ? reason : 0]);
}

static int ask_for_events(struct hv_link *l, struct hv *hv, struct err *e)
{
    virConnectPtr c = l->conn;
    const struct {
        int id;
        virConnectDomainEventGenericCallback fn;
    } events[] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
        {VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_end)},
        {VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(on_iteration)},
        {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_medium)},
        {VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
    };
    _Static_assert(ARRAY_LEN(events) == ARRAY_LEN(l->domain_ids), "one id per event");
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        l->domain_ids[i] =
            virConnectDomainEventRegisterAny(c, NULL, events[i].id, events[i].fn, hv, no_free);
        if (l->domain_ids[i] >= 0)
            continue;
        /* without lifecycle events we would be blind; the others depend on driver and version */
        if (events[i].id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
            return hv_fail(e, "ask libvirt for domain events");
        virResetLastError();
    }
    l->secret_ids[0] =
        virConnectSecretEventRegisterAny(c, NULL, VIR_SECRET_EVENT_ID_LIFECYCLE,
                                         VIR_SECRET_EVENT_CALLBACK(on_secret), hv, no_free);
    l->secret_ids[1] =
        virConnectSecretEventRegisterAny(c, NULL, VIR_SECRET_EVENT_ID_VALUE_CHANGED,
                                         VIR_SECRET_EVENT_CALLBACK(on_secret_value), hv, no_free);
    l->network_id = virConnectNetworkEventRegisterAny(c, NULL, VIR_NETWORK_EVENT_ID_LIFECYCLE, VIR_NETWORK_EVENT_CALLBACK(on_network), hv, no_free);
    virResetLastError();
    return 0;
}

virConnectPtr hv_open(const char *uri, struct err *e)
{
    virConnectPtr c = virConnectOpen(uri);
    if (!c) {
        hv_fail(e, "connect to libvirt");
        if (e)
            e->code = -ENOTCONN;
        return NULL;
    }
    /* drivers without a daemon (test:///) have nothing to keep alive */
    if (virConnectSetKeepAlive(c, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
        virResetLastError();
    return c;
}

int hv_connect(struct hv *hv, struct err *e)
{
    bury_all(hv, false);
    if (hv_up(hv))
        return 0;
    virConnectPtr c = hv_open(hv->uri, e);
    if (!c)
        return -ENOTCONN;
    struct hv_link *l = xcalloc(1, sizeof(*l));
    l->conn = c;
    l->network_id = l->secret_ids[0] = l->secret_ids[1] = -1;
    for (size_t i = 0; i < ARRAY_LEN(l->domain_ids); i++)
        l->domain_ids[i] = -1;
    if (virConnectRegisterCloseCallback(c, on_close, hv, no_free) < 0)
        virResetLastError(); /* test:/// has none */
    int r = ask_for_events(l, hv, e);
    pthread_mutex_lock(&hv->lock);
    bool keep = r == 0 && !hv->link && virConnectIsAlive(c) == 1;
    if (keep)
        hv->link = l;
    pthread_mutex_unlock(&hv->lock);
    if (keep)
        return 0;
    bury(l);
    return r < 0 ? r : hv_up(hv) ? 0 : err_set(e, -ENOTCONN, "libvirtd went away at once");
}

int hv_domain(virConnectPtr c, const char *uuid, virDomainPtr *ret, struct err *e)
{
    virDomainPtr d = virDomainLookupByUUIDString(c, uuid);
    if (!d)
        return hv_fail(e, "find domain");
    *ret = d;
    return 0;
}
