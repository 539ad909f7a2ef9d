/* Operator verbs. Each is answered exactly once; a refusal says what was left as it was. */
#include <stdarg.h>
#include <string.h>

#include "scheduler/core/internal.h"

static void answer(struct core *c, int64_t id, struct reply *r)
{
    struct core_fx *f = fx_add(c, FX_REPLY);
    f->request_id = id;
    f->reply = *r;
    memset(r, 0, sizeof(*r));
}

void answer_text(struct core *c, int64_t id, int http, int exit_code, const char *code, int64_t run,
                 const char *fmt, ...)
{
    struct reply r = {.http = http, .exit = exit_code, .code = xstrdup(code), .run = run};
    va_list ap;
    va_start(ap, fmt);
    r.message = xvasprintf(fmt, ap);
    va_end(ap);
    answer(c, id, &r);
}

/* The host named by the request, or NULL after an answer that helps to find the right one. */
static struct host_slot *known_host(struct core *c, int64_t id, const char *name)
{
    struct host_slot *h = host_find(c, name);
    if (h)
        return h;
    const char **names = xcalloc(c->n_hosts, sizeof(*names));
    for (size_t i = 0; i < c->n_hosts; i++)
        names[i] = c->hosts[i]->rec.name;
    const char *near = name ? str_did_you_mean(name, names, c->n_hosts) : NULL;
    answer_text(c, id, 404, 6, "unknown_host", 0,
                "no host '%s'%s%s%s; `drover hosts` lists the %zu known", name ? name : "",
                near ? "; did you mean '" : "", near ? near : "", near ? "'" : "", c->n_hosts);
    free(names);
    return NULL;
}

bool hosts_exist(struct core *c, int64_t id, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!known_host(c, id, names[i]))
            return false;
    return true;
}

/* A name that is not there was meant to be another's: refuse, before that one is in the way. */
static bool name_stops(struct core *c, int64_t id, struct request *req)
{
    struct snapshot_store snap;
    if (!req->n_allow_shutdown)
        return true;
    snapshot_make(c, 0, 0, &snap);
    const char *odd = planned_name_stops(req, &snap.s);
    const char **here = NULL;
    size_t n_here = 0;
    bool twice = false;
    for (size_t i = 0; odd && i < snap.s.n_vms; i++) {
        const char *name = snap.s.vms[i].v->name;
        if (!str_in(snap.s.hosts[snap.s.vms[i].host].h->name, req->hosts, req->n_hosts))
            continue;
        twice = twice || planned_vm_called(&snap.s, (int)i, odd);
        *vec_add(&here, &n_here) = name;
    }
    const char *near = odd && !twice ? str_did_you_mean(odd, here, n_here) : NULL;
    cleanup(freep) char *on = request_place(req);
    if (odd && twice)
        answer_text(
            c, id, 409, 6, "ambiguous_vm", 0,
            "--allow-shutdown vm/%s: several VMs on %s are called so, and all of them would "
            "be stopped; nothing was changed. Drain these hosts one at a time",
            odd, on);
    else if (odd)
        answer_text(c, id, 404, 6, "unknown_vm", 0,
                    "--allow-shutdown vm/%s: no such VM on %s%s%s%s; nothing was changed (drover "
                    "vms --host HOST lists them)",
                    odd, on, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
    free(here);
    snapshot_done(&snap);
    return !odd;
}

/* To stop whatever cannot move takes the hosts' names twice. */
static bool confirmed(struct core *c, int64_t id, const struct request *req)
{
    if (!req->confirm || request_confirms(req))
        return true;
    cleanup(freep) char *on = request_place(req);
    answer_text(c, id, 400, 6, "not_confirmed", 0,
                "'%s' is not %s, to be drained: not confirmed; nothing was changed", req->confirm,
                on);
    return false;
}

static bool on_blocked_known(struct core *c, int64_t id, const struct request *req)
{
    if (!req->on_blocked)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(on_blocked_names); i++)
        if (str_eq(req->on_blocked, on_blocked_names[i]))
            return true;
    answer_text(c, id, 400, 64, "bad_option", 0,
                "--on-blocked %s: expected refuse, leave, cold or shutdown", req->on_blocked);
    return false;
}

void answer_joined(struct core *c, int64_t id, const struct run_slot *r)
{
    struct reply rep = {.http = 200, .code = xstrdup("joined"), .run = r->run.id, .joined = true};
    char t[FMT_BYTES];
    rep.message =
        xasprintf("joined run/%lld, started by %s at %s", (long long)r->run.id,
                  r->run.actor ? r->run.actor : "?", fmt_rfc3339(t, r->run.created_wall_us));
    answer(c, id, &rep);
}

/* The run that is at work on this host already. */
static void answer_busy(struct core *c, int64_t id, const struct run_slot *r, const char *host)
{
    long long run = (long long)r->run.id;
    if (r->run.kind == RUN_HOME)
        answer_text(c, id, 409, 6, "busy", r->run.id,
                    "run/%lld brings VMs home to host/%s; nothing was changed (drover cancel %lld "
                    "stops it)",
                    run, host, run);
    else
        answer_text(c, id, 409, 6, "busy", r->run.id,
                    "host/%s is being drained by run/%lld already; nothing was changed. Leave it "
                    "out, or wait for that run (drover attach %lld)",
                    host, run, run);
}

/* Some host is taken by another run: all by one drain is joined, else it is refused. */
static bool taken(struct core *c, int64_t id, const struct request *req)
{
    const struct run_slot *first = run_active_on(c, req->hosts[0]);
    bool same = first && first->run.kind == RUN_DRAIN;
    for (size_t i = 0; i < req->n_hosts; i++)
        same = same && run_active_on(c, req->hosts[i]) == first;
    if (same) {
        answer_joined(c, id, first);
        return true;
    }
    for (size_t i = 0; i < req->n_hosts; i++) {
        const struct run_slot *r = run_active_on(c, req->hosts[i]);
        if (r) {
            answer_busy(c, id, r, req->hosts[i]);
            return true;
        }
    }
    return false;
}

static bool reachable(struct core *c, int64_t id, const struct host_slot *h)
{
    char t[FMT_BYTES];
    if (h->connected)
        return true;
    answer_text(c, id, 409, 6, "host_unreachable", 0,
                "the agent of host/%s is not connected (last heard %s); nothing was changed. "
                "Start drover-agent there, or check its network",
                h->rec.name, h->rec.seen_wall_us ? fmt_rfc3339(t, h->rec.seen_wall_us) : "never");
    return false;
}

static void drain(struct core *c, int64_t id, struct request *req)
{
    if (!req->n_hosts) {
        answer_text(c, id, 400, 64, "no_host", 0, "which host is to be drained is missing");
        return;
    }
    if (!hosts_exist(c, id, req->hosts, req->n_hosts) || !hosts_exist(c, id, req->to, req->n_to) ||
        !hosts_exist(c, id, req->avoid, req->n_avoid) || !on_blocked_known(c, id, req) ||
        !confirmed(c, id, req) || !name_stops(c, id, req) || (!req->dry_run && taken(c, id, req)))
        return;
    for (size_t i = 0; i < req->n_hosts; i++)
        if (!reachable(c, id, host_find(c, req->hosts[i])))
            return;
    struct run_slot *r = run_new(c, RUN_DRAIN, req);
    cleanup(freep) char *place = run_place(&r->run);
    say(c, (struct about){.r = r, .actor = req->actor}, "run.created",
        "run/%lld: %s of %s asked for by %s%s%s", (long long)r->run.id,
        req->dry_run ? "dry run of a drain" : "drain", place, req->actor ? req->actor : "?",
        req->reason ? ": " : "", req->reason ? req->reason : "");
    answer_text(c, id, 202, 0, "created", r->run.id, "run/%lld", (long long)r->run.id);
}

static void do_drain(struct core *c, int64_t id, const struct request *req)
{
    struct request own; /* with the VMs by their names, and every host once */
    char **hosts;
    size_t n;
    request_hosts(req, &hosts, &n);
    shape_copy(&request_shape, &own, req);
    names_done(own.hosts, own.n_hosts);
    own.hosts = hosts;
    own.n_hosts = n;
    drain(c, id, &own);
    shape_done(&request_shape, &own);
}

static void do_cordon(struct core *c, int64_t id, const struct request *req)
{
    struct host_slot *h = known_host(c, id, req->host);
    if (!h)
        return;
    if (h->rec.state != HOST_UP) {
        answer_text(c, id, 200, 0, "already", 0, "host/%s is %s already; nothing was changed",
                    req->host, host_state_names[h->rec.state]);
        return;
    }
    host_set_state(c, h, HOST_CORDONED, 0, req->actor, req->reason);
    answer_text(
        c, id, 200, 0, "cordoned", 0,
        "host/%s cordoned: it takes no new VMs; its %zu domains stay (drover resume %s opens "
        "it)",
        req->host, h->n_vms, req->host);
}

static void do_resume(struct core *c, int64_t id, const struct request *req)
{
    struct host_slot *h = known_host(c, id, req->host);
    if (!h)
        return;
    struct run_slot *busy = run_active_on(c, req->host);
    if (busy) {
        answer_text(c, id, 409, 6, "busy", busy->run.id,
                    "run/%lld (%s) is still at work on host/%s; nothing was changed. drover cancel "
                    "%lld stops it, drover attach %lld follows it",
                    (long long)busy->run.id, run_kind_names[busy->run.kind], req->host,
                    (long long)busy->run.id, (long long)busy->run.id);
        return;
    }
    bool was_up = h->rec.state == HOST_UP;
    if (!was_up)
        host_set_state(c, h, HOST_UP, 0, req->actor, req->reason);
    if (!req->bring_home && !c->policy.drain.bring_home) {
        answer_text(c, id, 200, 0, was_up ? "already" : "resumed", 0, "host/%s is %s", req->host,
                    was_up ? "up already; nothing was changed" : "up again and takes VMs");
        return;
    }
    struct run_slot *r = run_new(c, RUN_HOME, req);
    r->run.on_blocked = BLOCKED_LEAVE;
    say(c, (struct about){.r = r, .actor = req->actor}, "run.created",
        "run/%lld: host/%s is up; bringing its VMs home, asked for by %s", (long long)r->run.id,
        req->host, req->actor ? req->actor : "?");
    answer_text(c, id, 202, 0, "created", r->run.id, "run/%lld", (long long)r->run.id);
}

static bool run_in_flight(const struct run_slot *r)
{
    bool any = false;
    for (size_t i = 0; i < r->n_moves; i++)
        any = any || (r->moves[i]->m.state != JOB_QUEUED &&
                      !job_final((enum job_state)r->moves[i]->m.state));
    return any;
}

static void do_cancel(struct core *c, int64_t id, const struct request *req)
{
    struct run_slot *r = run_find(c, req->run);
    if (!r) {
        answer_text(c, id, 404, 6, "unknown_run", 0, "no run/%lld; `drover runs` lists them",
                    (long long)req->run);
    } else if (run_ended(r->run.state)) {
        answer_text(c, id, 200, 0, "already", r->run.id, "run/%lld has ended already: %s",
                    (long long)r->run.id, run_state_names[r->run.state]);
    } else {
        if (r->run.state != RUN_CANCELLING)
            run_cancel(c, r, req->actor ? req->actor : "?");
        if (run_ended(r->run.state))
            answer_text(c, id, 202, 0, "cancelled", r->run.id, "run/%lld: %s",
                        (long long)r->run.id, r->run.message);
        else
            answer_text(c, id, 202, 0, "cancelling", r->run.id, "run/%lld is being cancelled%s",
                        (long long)r->run.id,
                        run_in_flight(r) ? "; VMs in flight are settled first" : "");
    }
}

/* ---- checks: answered when the agents have ------------------------------------------------------ */

struct pending *pending_find(struct core *c, int64_t id)
{
    for (size_t i = 0; i < c->n_pending; i++)
        if (c->pending[i].request_id == id)
            return &c->pending[i];
    return NULL;
}

void pending_drop(struct core *c, struct pending *p)
{
    shape_done(&reply_shape, &p->reply);
    vec_del(c->pending, &c->n_pending, (size_t)(p - c->pending));
}

static void add_item(struct reply *r, const char *name, int64_t verdict, const char *text,
                     const char *cure)
{
    struct check_item *it = vec_add(&r->items, &r->n_items);
    it->name = xstrdup(name);
    it->verdict = verdict;
    it->text = xstrdup(text);
    it->cure = xstrdup(cure);
}

static void finish_check(struct core *c, struct pending *p)
{
    if (p->waiting > 0)
        return;
    int64_t worst = 0;
    for (size_t i = 0; i < p->reply.n_items; i++)
        if (p->reply.items[i].verdict > worst)
            worst = p->reply.items[i].verdict;
    p->reply.http = 200;
    p->reply.exit = worst;
    p->reply.code = xstrdup("checked");
    int64_t id = p->request_id;
    answer(c, id, &p->reply);
    pending_drop(c, p);
}

static void ask_check_host(struct core *c, struct pending *p, struct host_slot *h)
{
    struct check_host *b = body_new(MSG_CHECK_HOST);
    b->term = c->cfg.term;
    struct ask want = {.what = ASK_CHECK_HOST, .host = h->rec.name, .request_id = p->request_id};
    if (ask(c, want, MSG_CHECK_HOST, b))
        p->waiting++;
    else
        add_item(&p->reply, "agent", 2, "its agent is not connected",
                 "start drover-agent there, check its log and its network");
}

static void ask_check_peer(struct core *c, struct pending *p, struct host_slot *from,
                           struct host_slot *to, enum ask_for what)
{
    cleanup(freep) char *name = xasprintf("%s to %s", from->rec.name, to->rec.name);
    if (!to->rec.last.migrate_uri) {
        add_item(&p->reply, name, 2, "the target has reported no migration URI",
                 "set migration.uri in its agent.yaml");
        return;
    }
    struct check_peer *b = body_new(MSG_CHECK_PEER);
    b->term = c->cfg.term;
    b->uri = xstrdup(to->rec.last.migrate_uri);
    struct ask want = {
        .what = what, .host = from->rec.name, .vm = to->rec.name, .request_id = p->request_id};
    if (ask(c, want, MSG_CHECK_PEER, b))
        p->waiting++;
    else
        add_item(&p->reply, name, 2, "the agent is not connected", "start drover-agent there");
}

static void same_item(struct reply *r, const char *name, const char *a, const char *b, bool fail,
                      const char *cure)
{
    cleanup(freep) char *text = str_eq(a, b)
                                    ? xasprintf("both %s", a ? a : "none")
                                    : xasprintf("%s against %s", a ? a : "none", b ? b : "none");
    add_item(r, name, str_eq(a, b) ? 0 : fail ? 2 : 1, text, str_eq(a, b) ? NULL : cure);
}

/* The names that a has and b has not. Gives; NULL: none. */
static char *only_on(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    char *only = NULL;
    for (size_t i = 0; i < n_a; i++)
        if (!str_in(a[i], b, n_b))
            set_fmt(&only, "%s%s%s", only ? only : "", only ? ", " : "", a[i]);
    return only;
}

struct named { /* what a host has of a kind */
    const char *host;
    char *const *list;
    size_t n;
};

/* cure: with the names, and the host that lacks them. */
static void both_have(struct reply *r, const char *name, struct named a, struct named b,
                      const char *verb)
{
    const struct named side[2] = {a, b};
    bool same = true;
    for (int i = 0; i < 2; i++) {
        const struct named *has = &side[i], *lacks = &side[1 - i];
        cleanup(freep) char *only = only_on(has->list, has->n, lacks->list, lacks->n);
        if (!only)
            continue;
        same = false;
        cleanup(freep) char *text = xasprintf("only on %s: %s", has->host, only);
        cleanup(freep) char *cure = xasprintf("%s on %s: %s", verb, lacks->host, only);
        add_item(r, name, 1, text, cure);
    }
    cleanup(freep) char *text = xasprintf("all %zu are on both", a.n);
    if (same)
        add_item(r, name, 0, text, NULL);
}

static bool uses_secret(const struct host_slot *h, const struct secret *s)
{
    for (size_t i = 0; i < h->n_vms; i++)
        for (size_t k = 0; k < h->vms[i]->vm.n_disks; k++) {
            const struct disk *d = &h->vms[i]->vm.disks[k];
            if (d->secret_uuid ? str_eq(d->secret_uuid, s->uuid)
                               : d->secret_usage && str_eq(d->secret_usage, s->usage))
                return true;
        }
    return false;
}

static const struct secret *secret_of(const struct host *h, const char *uuid)
{
    for (size_t i = 0; i < h->n_secrets; i++)
        if (str_eq(h->secrets[i].uuid, uuid))
            return &h->secrets[i];
    return NULL;
}

static void secret_item(struct reply *r, const struct host_slot *const side[2],
                        const struct secret *s)
{
    const char *usage = s->usage ? s->usage : "?";
    bool used = uses_secret(side[0], s) || uses_secret(side[1], s), both = true;
    for (int i = 0; i < 2; i++) {
        const char *host = side[i]->rec.name;
        const struct secret *has = secret_of(&side[i]->rec.last, s->uuid);
        if (has && has->readable)
            continue;
        both = false;
        cleanup(freep) char *text =
            xasprintf("%s (%s): %s %s%s", s->uuid, usage, has ? "without value on" : "missing on",
                      host, used ? ", and VMs use it" : "");
        cleanup(freep) char *cure = xasprintf(
            "%s on %s: %svirsh secret-set-value %s --file KEYFILE", has ? "set it" : "define it",
            host, has ? "" : "virsh secret-define FILE.xml, then ", s->uuid);
        add_item(r, "secret", used ? 2 : 1, text, cure);
    }
    cleanup(freep) char *text = xasprintf("%s (%s): on both", s->uuid, usage);
    if (both)
        add_item(r, "secret", 0, text, NULL);
}

/* The comparison is of what was reported: say how old that is. */
static void age_item(const struct core *c, struct reply *r, const struct host_slot *h)
{
    char age[FMT_BYTES];
    cleanup(freep) char *name = xasprintf("inventory of %s", h->rec.name);
    bool known = h->rec.seen_wall_us > 0;
    cleanup(freep) char *text = known
                                    ? xasprintf("as its agent reported %s ago",
                                                fmt_duration(age, c->wall_us - h->rec.seen_wall_us))
                                    : xstrdup("its agent has never reported");
    add_item(r, name, h->connected && known ? 0 : 2, text,
             h->connected && known ? NULL : "start drover-agent there");
}

static void compare_pair(const struct core *c, struct reply *r, const struct host_slot *ha,
                         const struct host_slot *hb)
{
    const struct host *a = &ha->rec.last, *b = &hb->rec.last;
    const char *an = ha->rec.name, *bn = hb->rec.name;
    age_item(c, r, ha);
    age_item(c, r, hb);
    same_item(r, "ceph cluster", a->ceph_fsid, b->ceph_fsid, true,
              "make /etc/ceph/ceph.conf name the same cluster on both");
    same_item(r, "architecture", a->arch, b->arch, true, "VMs cannot move between architectures");
    same_item(r, "libvirt", a->libvirt_version, b->libvirt_version, false,
              "moving to an older libvirt may fail: upgrade it");
    same_item(r, "qemu", a->qemu_version, b->qemu_version, false,
              "moving to an older QEMU may fail: upgrade it");
    both_have(r, "bridges", (struct named){an, a->bridges, a->n_bridges},
              (struct named){bn, b->bridges, b->n_bridges}, "create");
    both_have(r, "networks", (struct named){an, a->networks, a->n_networks},
              (struct named){bn, b->networks, b->n_networks}, "define and start");
    for (size_t i = 0; i < a->n_secrets; i++)
        secret_item(r, (const struct host_slot *const[]){ha, hb}, &a->secrets[i]);
    for (size_t i = 0; i < b->n_secrets; i++)
        if (!secret_of(a, b->secrets[i].uuid))
            secret_item(r, (const struct host_slot *const[]){ha, hb}, &b->secrets[i]);
}

static void do_check(struct core *c, int64_t id, const struct request *req)
{
    struct host_slot *a = known_host(c, id, req->host);
    struct host_slot *b = a && req->verb == VERB_CHECK_PAIR ? known_host(c, id, req->host2) : NULL;
    if (!a || (req->verb == VERB_CHECK_PAIR && !b))
        return;
    struct pending *p = vec_add(&c->pending, &c->n_pending);
    p->request_id = id;
    if (!b) {
        ask_check_host(c, p, a);
    } else {
        compare_pair(c, &p->reply, a, b);
        ask_check_peer(c, p, a, b, ASK_CHECK_PEER_AB);
        ask_check_peer(c, p, b, a, ASK_CHECK_PEER_BA);
    }
    finish_check(c, p);
}

void request_check_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct pending *p = pending_find(c, a->request_id);
    if (!p)
        return;
    p->waiting--;
    const struct host_checked *h = m && m->type == MSG_HOST_CHECKED ? m->body : NULL;
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (h) {
        for (size_t i = 0; i < h->n_items; i++)
            add_item(&p->reply, h->items[i].name, h->items[i].verdict, h->items[i].text,
                     h->items[i].cure);
    } else if (a->what == ASK_CHECK_HOST) {
        add_item(&p->reply, "agent", 2,
                 d && d->error ? d->error : "its agent did not answer in time",
                 "see the agent's log");
    } else {
        cleanup(freep) char *name = xasprintf("%s to %s", a->host, a->vm);
        cleanup(freep) char *text =
            d && d->ok ? xasprintf("libvirtd reached in %lld ms", (long long)(d->took_us / 1000))
                       : xstrdup(d && d->error ? d->error : "no answer");
        add_item(&p->reply, name, d && d->ok ? 0 : 2, text,
                 d && d->ok ? NULL : "check that libvirtd listens there, and the TLS certificates");
    }
    finish_check(c, p);
}

void request_do(struct core *c, int64_t id, const struct request *req)
{
    switch ((enum verb)req->verb) {
    case VERB_DRAIN:
        do_drain(c, id, req);
        break;
    case VERB_CORDON:
        do_cordon(c, id, req);
        break;
    case VERB_RESUME:
        do_resume(c, id, req);
        break;
    case VERB_CANCEL:
        do_cancel(c, id, req);
        break;
    case VERB_LABEL:
        label_do(c, id, req);
        break;
    case VERB_CHECK_HOST:
    case VERB_CHECK_PAIR:
        do_check(c, id, req);
        break;
    case VERB_BALANCE:
        balance_request(c, id, req);
        break;
    case VERB_APPLY:
        apply_request(c, id, req);
        break;
    case VERB_SUSPEND_BALANCE:
        suspend_request(c, id, req);
        break;
    case VERB_RESUME_BALANCE:
        unsuspend_request(c, id, req);
        break;
    case VERB_COUNT_:
        answer_text(c, id, 400, 64, "bad_verb", 0, "unknown verb");
        break;
    }
}
