/* agent/hv/hv_int.h: what the hv_*.c files share. Not for others. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

#include "agent/hv/hv.h"

enum { HV_EXPECT_MAX = 64, HV_IDLE_MAX = 3 };

/* Statistics of a migration that ended, as its event brought them. */
struct hv_stats {
    char uuid[VIR_UUID_STRING_BUFLEN];
    bool used, have;
    int64_t total_us, setup_us, downtime_us, bytes, iterations, rate_Bps;
};
/* A connection with what was asked of it: registrations hold references, so that closing alone
 * would leak the whole connection. */
struct hv_link {
    virConnectPtr conn;
    int domain_ids[8], secret_ids[2], network_id;
    struct hv_link *next;
};
struct hv {
    char *uri;
    void (*on_changed)(void *arg, const char *uuid);
    void (*on_lost)(void *arg, const char *why);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t stats_came;
    struct hv_link *link; /* NULL: not connected */
    struct hv_link *dead; /* lost; buried by the next hv_connect, where waiting is allowed */
    virConnectPtr idle[HV_IDLE_MAX]; /* for hv_use; the link itself is for events only */
    int n_idle;
    char *cpu_xml; /* host-model CPU, as last read: what host-passthrough guests really have */
    struct hv_stats stats[HV_EXPECT_MAX];
};

/* A connection for this thread alone, until hv_unuse. Never shared: when the keepalive of libvirt 9.0's
 * client ends a connection in which several threads wait, one returns, the others hang, and the process
 * crashes when they wake up (virNetClient passes "the buck" to a thread whose event loop is gone). */
struct hv_use {
    struct hv *hv;
    virConnectPtr c;
    virDomainPtr d; /* NULL: none was asked for, or there is none */
};
/* -ENOTCONN: hv is not connected. */
int hv_use(struct hv *hv, struct hv_use *ret, struct err *e);
/* The same, with this domain: -ENOENT if there is no such one, and then c is there all the same. */
int hv_use_domain(struct hv *hv, const char *uuid, struct hv_use *ret, struct err *e);
void hv_unuse(struct hv_use *u); /* accepts zeroed */
void conn_unref(virConnectPtr *c);
void dom_unref(virDomainPtr *d);
void params_free(virTypedParameterPtr *p, int n);
/* -errno of libvirt's last error, with "what: its words". */
int hv_fail(struct err *e, const char *what);
/* A call on c failed with r: -ENOTCONN instead if the connection is broken. libvirt has many words for
 * that, and none of them says anything about the domain. */
int hv_if_alive(virConnectPtr c, int r, struct err *e);
/* Gives (virDomainFree). -ENOENT if there is no such domain. */
int hv_domain(virConnectPtr c, const char *uuid, virDomainPtr *ret, struct err *e);
/* A new connection of its own: libvirtd serves only a few calls of one client at a time
 * (max_client_requests), and a migration occupies one for as long as it takes. */
virConnectPtr hv_open(const char *uri, struct err *e);
/* The job libvirt runs on the domain. ret_params (may be NULL) gives the statistics, *ret_n of them. */
int hv_job(virDomainPtr d, enum vm_job *ret, virTypedParameterPtr *ret_params, int *ret_n,
           struct err *e);
int64_t hv_param(virTypedParameterPtr p, int n, const char *name, int64_t scale);
const char *hv_state_reason(int state, int reason);
enum vm_state hv_state(int state);
/* hv_move.c: the event's statistics. */
void hv_stats_from(struct hv_stats *s, virTypedParameterPtr p, int n);
