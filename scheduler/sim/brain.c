/* The scheduler's process: the real core, a store that keeps what it is told to keep, and the order of
 * scheduler/io: decide, commit, only then act. */
#include <string.h>

#include "scheduler/sim/world.h"

#define TICK_US        (250 * MSEC)
#define IDLE_TICK_US   SEC
#define STORE_RETRY_US (5 * SEC)
#define TIME_BASE_US   (3600 * SEC)
#define HEARTBEAT_US   (5 * SEC)

static int64_t core_time(const struct sim *s)
{
    return TIME_BASE_US + s->now_us;
}

/* ---- the store ------------------------------------------------------------------------------------- */
static void keep_host(struct brain *b, const struct host_rec *rec)
{
    size_t at = lower_bound(i, b->n_hosts, strcmp(b->hosts[i].name, rec->name) < 0);
    if (at == b->n_hosts || !str_eq(b->hosts[at].name, rec->name)) {
        vec_add(&b->hosts, &b->n_hosts);
        memmove(&b->hosts[at + 1], &b->hosts[at], (b->n_hosts - 1 - at) * sizeof(*b->hosts));
    } else {
        shape_done(&host_rec_shape, &b->hosts[at]);
    }
    shape_copy(&host_rec_shape, &b->hosts[at], rec);
}

void brain_knows_host(struct sim *s, const struct host *facts, int state)
{
    struct host_rec rec = {.name = facts->name, .state = state, .last = *facts};
    keep_host(&s->brain, &rec); /* copies */
}

static int row_cmp(const struct kept_vm *r, const char *host, const char *uuid)
{
    int c = strcmp(r->host, host);
    return c ? c : strcmp(r->vm.uuid, uuid);
}

static size_t vm_row(const struct brain *b, const char *host, const char *uuid)
{
    return lower_bound(i, b->n_vms, row_cmp(b->vms[i], host, uuid) < 0);
}

static void row_done(struct kept_vm *r)
{
    free(r->host);
    shape_done(&vm_shape, &r->vm);
    free(r);
}

static void keep_vm(struct brain *b, const char *host, const struct vm *v, int64_t since)
{
    size_t i = vm_row(b, host, v->uuid);
    if (i == b->n_vms || row_cmp(b->vms[i], host, v->uuid) != 0) {
        vec_add(&b->vms, &b->n_vms);
        memmove(&b->vms[i + 1], &b->vms[i], (b->n_vms - 1 - i) * sizeof(*b->vms));
    } else {
        row_done(b->vms[i]);
    }
    b->vms[i] = xcalloc(1, sizeof(**b->vms));
    *b->vms[i] = (struct kept_vm){.host = xstrdup(host), .since_wall_us = since};
    shape_copy(&vm_shape, &b->vms[i]->vm, v);
}

static void drop_vm(struct brain *b, const char *host, const char *uuid)
{
    size_t i = vm_row(b, host, uuid);
    if (i == b->n_vms || row_cmp(b->vms[i], host, uuid) != 0)
        return;
    row_done(b->vms[i]);
    vec_del(b->vms, &b->n_vms, i);
}

/* Ids begin at 1 and have no gaps: the row of id is id - 1. */
static void keep_run(struct brain *b, const struct run *r)
{
    while ((int64_t)b->n_runs < r->id)
        vec_add(&b->runs, &b->n_runs);
    shape_done(&run_shape, &b->runs[r->id - 1]);
    shape_copy(&run_shape, &b->runs[r->id - 1], r);
}

static void keep_move(struct brain *b, const struct move *m)
{
    while ((int64_t)b->n_moves < m->id)
        vec_add(&b->moves, &b->n_moves);
    shape_done(&move_shape, &b->moves[m->id - 1]);
    shape_copy(&move_shape, &b->moves[m->id - 1], m);
}

/* ---- texts of VMs' XML ------------------------------------------------------------------------------ */
bool brain_has_xml(const struct brain *b, const char *digest)
{
    return !digest || lookup_get(&b->xml_by, digest);
}

static void look_for_xml(struct brain *b, const char *host, const struct vm *v)
{
    const char *const digests[] = {v->xml_digest, v->xml_inactive_digest};
    for (size_t i = 0; i < ARRAY_LEN(digests); i++)
        if (!brain_has_xml(b, digests[i]))
            *vec_add(&b->lacks, &b->n_lacks) =
                (struct sim_lack){xstrdup(host), xstrdup(digests[i])};
}

static void keep_xml(struct sim *s, const char *digest)
{
    struct brain *b = &s->brain;
    for (size_t i = 0; b->came && i < b->came->n_texts; i++) {
        const struct xml_text *x = &b->came->texts[i];
        if (!str_eq(x->digest, digest) || !x->text)
            continue;
        sim_say(s, "store: keeps the XML %.60s", x->text);
        if (brain_has_xml(b, digest))
            return;
        struct kept_xml *k = xcalloc(1, sizeof(*k));
        *k = (struct kept_xml){xstrdup(digest), xstrdup(x->text)};
        *vec_add(&b->xml, &b->n_xml) = k;
        lookup_set(&b->xml_by, k->digest, k);
        return;
    }
    sim_wrong(s, "the XML %s is to be kept, and nobody has sent it", digest);
}

static void forget_lacks(struct brain *b)
{
    for (size_t i = 0; i < b->n_lacks; i++) {
        free(b->lacks[i].host);
        free(b->lacks[i].digest);
    }
    free(take(b->lacks));
    b->n_lacks = 0;
}

static void tell_lacks(struct sim *s)
{
    struct sim_lack *list = take(s->brain.lacks);
    size_t n = s->brain.n_lacks;
    s->brain.n_lacks = 0;
    for (size_t i = 0; i < n; i++) {
        struct xml_names names = {.digests = &list[i].digest, .n_digests = 1};
        brain_event(s, &(struct core_event){
                           .type = CEV_XML_LACKS, .host = list[i].host, .xml = &names});
        free(list[i].host);
        free(list[i].digest);
    }
    free(list);
}

static void keep(struct sim *s, const struct core_fx *f)
{
    struct brain *b = &s->brain;
    int64_t since = 0;
    const struct host_rec *h = f->type == FX_SAVE_HOST ? core_host_rec(b->core, f->host) : NULL;
    const struct vm *v = f->type == FX_SAVE_VM ? core_vm(b->core, f->host, f->vm, &since) : NULL;
    const struct run *r = f->type == FX_SAVE_RUN ? core_run(b->core, f->id) : NULL;
    const struct move *m = f->type == FX_SAVE_MOVE ? core_move(b->core, f->id) : NULL;
    if (h)
        keep_host(b, h);
    if (v) {
        keep_vm(b, f->host, v, since);
        look_for_xml(b, f->host, v);
    }
    if (f->type == FX_SAVE_XML)
        keep_xml(s, f->digest);
    if (r) {
        const struct run *was = sim_run_of(s, r->id);
        if (r->message && !run_ended(r->state) && (!was || !str_eq(was->message, r->message)))
            sim_say(s, "… run/%lld: %s", (long long)r->id, r->message);
        keep_run(b, r);
    }
    if (m) {
        const struct move *was = m->id <= (int64_t)b->n_moves ? &b->moves[m->id - 1] : NULL;
        if (m->note && (!was || !str_eq(was->note, m->note)))
            sim_say(s, "… vm/%s: %s", m->vm_name, m->note);
        keep_move(b, m);
    }
    if (f->type == FX_SAVE_SUSPENSION) {
        shape_done(&suspension_shape, &b->suspension);
        shape_copy(&suspension_shape, &b->suspension, core_suspension(b->core));
    }
    if (f->type == FX_SAVE_LOAD)
        load_keep_row(b, f->host, f->vm);
    if (f->type == FX_DROP_VM) {
        drop_vm(b, f->host, f->vm);
        load_drop_row(b, f->host, f->vm);
    }
    if (f->type == FX_JOURNAL) {
        b->next_seq = f->entry.seq + 1;
        sim_say(s, "%s", f->entry.text);
    }
}

/* ---- steps ----------------------------------------------------------------------------------------- */
static void store_try(struct sim *s, void *arg);

static void store_failed(struct sim *s)
{
    sim_say(s, "store: a commit failed; nothing is started until it works again");
    s->brain.failed = true;
    sim_later(s, STORE_RETRY_US, (struct sim_due){.run = store_try});
}

/* After the commit. Dies before the effect that it was to die before. */
static void perform(struct sim *s, struct core_effects *fx)
{
    struct brain *b = &s->brain;
    for (size_t i = 0; i < fx->n_fx; i++) {
        struct core_fx *f = &fx->fx[i];
        if (f->type != FX_SEND && f->type != FX_REPLY)
            continue;
        if (b->kill_after >= 0 && b->effects >= b->kill_after) {
            b->kill_after = -1;
            brain_kill(s, false);
            return;
        }
        b->effects++;
        if (f->type == FX_REPLY) {
            sim_say(s, "answer: %s", f->reply.message ? f->reply.message : "ok");
            continue;
        }
        struct sim_host *h = host_named(s, f->host);
        check_send(s, f->host, &f->msg);
        if (h)
            wire_to_agent(s, h->id, &f->msg);
    }
}

/* Everything a batch decided is durable, or nothing. */
static void commit(struct sim *s, struct core_effects *fx)
{
    struct brain *b = &s->brain;
    bool writes = false;
    int64_t effects = 0;
    for (size_t i = 0; i < fx->n_fx; i++) {
        bool effect = fx->fx[i].type == FX_SEND || fx->fx[i].type == FX_REPLY;
        writes |= !effect;
        effects += effect;
    }
    if (b->kill_after >= 0 && b->kill_early && b->effects + effects > b->kill_after) {
        b->kill_after = -1;
        brain_kill(s, false);
    } else if (writes && b->store_fails) {
        store_failed(s);
    } else {
        for (size_t i = 0; i < fx->n_fx; i++)
            keep(s, &fx->fx[i]);
        perform(s, fx);
    }
    core_effects_done(fx);
}

void brain_event(struct sim *s, struct core_event *ev)
{
    struct core_effects fx = {0};
    if (!s->brain.core || s->brain.failed)
        return; /* dropped: agents report again after the recovery */
    ev->now_us = core_time(s);
    ev->wall_us = sim_wall(s);
    s->brain.came = ev->type == CEV_MSG && ev->msg->type == MSG_XML ? ev->msg->body : NULL;
    core_step(s->brain.core, ev, &fx);
    commit(s, &fx);
    s->brain.came = NULL;
    if (s->brain.n_lacks)
        tell_lacks(s);
}

struct life {
    int64_t life;
};

static bool runs_under_way(const struct brain *b)
{
    for (size_t i = b->n_runs; i-- > 0;)
        if (b->runs[i].id && !run_ended(b->runs[i].state))
            return true;
    return false;
}

static void tick(struct sim *s, void *arg)
{
    if (((struct life *)arg)->life != s->brain.life)
        return;
    brain_event(s, &(struct core_event){.type = CEV_TICK});
    if (!s->brain.core || ((struct life *)arg)->life != s->brain.life)
        return;
    sim_later(s, runs_under_way(&s->brain) ? TICK_US : IDLE_TICK_US,
              (struct sim_due){.run = tick, .arg = xmemdup(arg, sizeof(struct life))});
}

/* ---- life ------------------------------------------------------------------------------------------ */
static void build(struct sim *s)
{
    struct brain *b = &s->brain;
    struct core_effects fx = {0};
    b->term++;
    b->life++;
    b->core = core_new(&(struct core_config){
        .term = b->term, .heartbeat_us = HEARTBEAT_US, .seed = s->cfg.seed + (uint64_t)b->term});
    for (size_t i = 0; i < b->n_hosts; i++)
        core_restore_host(b->core, &b->hosts[i]);
    for (size_t i = 0; i < b->n_vms; i++)
        core_restore_vm(b->core, b->vms[i]->host, &b->vms[i]->vm, b->vms[i]->since_wall_us);
    load_restore(s);
    core_restore_suspension(b->core, &b->suspension);
    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].id)
            core_restore_run(b->core, &b->runs[i]);
    for (size_t i = 0; i < b->n_moves; i++)
        if (b->moves[i].id)
            core_restore_move(b->core, &b->moves[i]);
    core_restore_policy(b->core, &b->policy);
    core_restored(b->core, b->next_seq, core_time(s), sim_wall(s), &fx);
    commit(s, &fx);
    for (size_t i = 0; i < b->n_vms; i++)
        look_for_xml(b, b->vms[i]->host, &b->vms[i]->vm);
    tell_lacks(s);
    struct life *l = xcalloc(1, sizeof(*l));
    l->life = b->life;
    sim_later(s, TICK_US, (struct sim_due){.run = tick, .arg = l});
}

void brain_start(struct sim *s)
{
    if (!s->brain.core)
        build(s);
}

/* Its connections are closed by its machine: agents learn of it, where the network lets them. */
static void hang_up(struct sim *s)
{
    for (size_t i = 0; i < s->n_hosts; i++)
        wire_close_scheduler(s, (int)i);
}

static void unbuild(struct sim *s)
{
    struct brain *b = &s->brain;
    struct core *old = take(b->core);
    b->failed = false;
    forget_lacks(b);
    core_take_policy(old, &b->policy);
    core_free(old);
    hang_up(s);
}

static void restart(struct sim *s, void *arg)
{
    if (((struct life *)arg)->life == s->brain.life)
        brain_start(s);
}

void brain_kill(struct sim *s, bool stays)
{
    if (!s->brain.core)
        return;
    sim_say(s, "world: the scheduler %s", stays ? "is stopped" : "dies");
    unbuild(s);
    struct life *l = xcalloc(1, sizeof(*l));
    l->life = s->brain.life;
    if (stays)
        free(l);
    else
        sim_later(s, s->cfg.times.restart_us, (struct sim_due){.run = restart, .arg = l});
}

static void store_try(struct sim *s, void *arg)
{
    (void)arg;
    if (!s->brain.failed)
        return;
    if (s->brain.store_fails) {
        sim_later(s, STORE_RETRY_US, (struct sim_due){.run = store_try});
        return;
    }
    sim_say(s, "store: works again");
    unbuild(s);
    build(s);
}

void brain_free(struct brain *b)
{
    core_free(b->core);
    policy_done(&b->policy);
    for (size_t i = 0; i < b->n_hosts; i++)
        shape_done(&host_rec_shape, &b->hosts[i]);
    for (size_t i = 0; i < b->n_vms; i++)
        row_done(b->vms[i]);
    for (size_t i = 0; i < b->n_runs; i++)
        shape_done(&run_shape, &b->runs[i]);
    for (size_t i = 0; i < b->n_moves; i++)
        shape_done(&move_shape, &b->moves[i]);
    free(b->hosts);
    free(b->vms);
    free(b->runs);
    free(b->moves);
    free(b->told);
    load_done(b);
    shape_done(&suspension_shape, &b->suspension);
    forget_lacks(b);
    for (size_t i = 0; i < b->n_xml; i++) {
        free(b->xml[i]->digest);
        free(b->xml[i]->text);
        free(b->xml[i]);
    }
    free(b->xml);
    lookup_done(&b->xml_by);
}

const struct core *sim_core(const struct sim *s)
{
    return s->brain.core;
}

int64_t sim_effects(const struct sim *s)
{
    return s->brain.effects;
}

const struct run *sim_run_of(const struct sim *s, int64_t id)
{
    const struct brain *b = &s->brain;
    return id > 0 && id <= (int64_t)b->n_runs && b->runs[id - 1].id ? &b->runs[id - 1] : NULL;
}

const struct move *sim_move_of(const struct sim *s, int64_t id)
{
    const struct brain *b = &s->brain;
    return id > 0 && id <= (int64_t)b->n_moves && b->moves[id - 1].id ? &b->moves[id - 1] : NULL;
}
