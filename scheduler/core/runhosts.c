#include "scheduler/core/runhosts.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/snapshot.h"

enum { NAMED = 6, NAMED_OF_MANY = 3 }; /* more would fill the line */

static void add_name(char ***list, size_t *n, const char *name, size_t len)
{
    cleanup(freep) char *own = xasprintf("%.*s", (int)len, name);
    if (*own && !str_in(own, *list, *n))
        *(char **)vec_add(list, n) = take(own);
}

void request_hosts(const struct request *req, char ***ret, size_t *ret_n)
{
    *ret = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < req->n_hosts; i++)
        add_name(ret, ret_n, req->hosts[i], strlen(req->hosts[i]));
    if (!*ret_n && req->host)
        add_name(ret, ret_n, req->host, strlen(req->host));
}

void names_done(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

bool request_confirms(const struct request *req)
{
    char **asked, **said = NULL;
    size_t n, n_said = 0;
    const char *at = req->confirm;
    request_hosts(req, &asked, &n);
    while (at && *at) {
        size_t gap = strspn(at, " ,"), len;
        at += gap;
        at += str_has_prefix(at, "host/") ? strlen("host/") : 0;
        len = strcspn(at, " ,");
        add_name(&said, &n_said, at, len);
        at += len;
    }
    bool same = n == n_said;
    for (size_t i = 0; i < n_said; i++)
        same = same && str_in(said[i], asked, n);
    names_done(asked, n);
    names_done(said, n_said);
    return same && n;
}

void run_add_host(struct run *r, const char *name, int was)
{
    struct run_host *h = vec_add(&r->hosts, &r->n_hosts);
    shape_init(&run_host_shape, h);
    h->name = xstrdup(name);
    h->was = was;
    free(r->host);
    r->host = r->n_hosts == 1 ? xstrdup(name) : NULL;
    r->host_was = r->hosts[0].was;
}

void run_upgrade(struct run *r)
{
    if (r->n_hosts || !r->host)
        return;
    cleanup(freep) char *name = take(r->host);
    run_add_host(r, name, r->host_was);
    struct run_host *h = &r->hosts[0];
    h->proof = r->proof;
    h->ended_wall_us = run_ended(r->state) ? r->ended_wall_us : 0;
    for (size_t i = 0; i < r->n_stays; i++)
        if (!r->stays[i].host)
            r->stays[i].host = xstrdup(name);
}

struct run_host *run_host(const struct run *r, const char *name)
{
    for (size_t i = 0; i < r->n_hosts; i++)
        if (str_eq(r->hosts[i].name, name))
            return &r->hosts[i];
    return NULL;
}

bool run_leaves(const struct run *r, const char *host)
{
    const struct run_host *h = r->kind == RUN_DRAIN ? run_host(r, host) : NULL;
    return h && !h->ended_wall_us;
}

void run_sum_proof(struct run *r)
{
    struct proof sum = {.taken = r->n_hosts > 0};
    for (size_t i = 0; i < r->n_hosts; i++) {
        const struct proof *p = &r->hosts[i].proof;
        sum.taken = sum.taken && p->taken;
        sum.wall_us = p->wall_us > sum.wall_us ? p->wall_us : sum.wall_us;
        sum.running += p->running;
        sum.defined += p->defined;
        sum.jobs += p->jobs;
        sum.watchers += p->watchers;
    }
    r->proof = sum;
}

static char *list(const struct run *r, const char *between, size_t most)
{
    char *s = NULL;
    for (size_t i = 0; i < r->n_hosts && i < most; i++)
        text_join(&s, between, r->hosts[i].name);
    return s;
}

char *run_host_list(const struct run *r, const char *between)
{
    if (!r->n_hosts && r->host)
        return xstrdup(r->host);
    return list(r, between, r->n_hosts);
}

char *run_place(const struct run *r)
{
    if (r->n_hosts == 1)
        return xasprintf("host/%s", r->hosts[0].name);
    if (!r->n_hosts)
        return r->host ? xasprintf("host/%s", r->host) : xstrdup("the fleet");
    if (r->n_hosts > NAMED) {
        cleanup(freep) char *some = list(r, ", ", NAMED_OF_MANY);
        return xasprintf("%zu hosts (%s, ...)", r->n_hosts, some);
    }
    cleanup(freep) char *all = list(r, ", ", r->n_hosts);
    return xasprintf("hosts %s", all);
}

char *run_left_as(const struct run *r)
{
    return r->n_hosts > 1 ? xstrdup("the hosts are as before")
                          : xasprintf("the host is %s as before", host_state_names[r->host_was]);
}

char *request_place(const struct request *req)
{
    struct run r = {0};
    char **names;
    size_t n;
    request_hosts(req, &names, &n);
    for (size_t i = 0; i < n; i++)
        run_add_host(&r, names[i], HOST_UP);
    char *s = run_place(&r);
    names_done(names, n);
    shape_done(&run_shape, &r);
    return s;
}
