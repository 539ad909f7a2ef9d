/* What must always be true (docs/simulator.md, "What is checked"). Reads the truth, the store and the
 * policy's text of rules; shares no code with planner and core. */
#include <string.h>

#include "scheduler/sim/copy.h"

enum { SPREAD_MAX = 12 }; /* VMs of a rule of spread that are looked at in all their ways */

static const struct policy *policy_of(const struct sim *s)
{
    return s->brain.core ? core_policy(s->brain.core) : &s->brain.policy;
}

static const char *host_name(const struct sim *s, int host)
{
    return s->hosts[host].facts.name;
}

/* ---- one instance, one writer, nothing lost ---------------------------------------------------------- */
static void check_instances(struct sim *s, const struct sim_vm *v)
{
    const struct qemu *runs = NULL;
    for (size_t i = 0; i < v->n_qemus; i++) {
        if (v->qemus[i].state != QEMU_RUNNING)
            continue;
        if (runs)
            sim_wrong(s, "vm/%s runs on %s and on %s", v->facts.name, host_name(s, runs->host),
                      host_name(s, v->qemus[i].host));
        runs = &v->qemus[i];
    }
    if (v->excused)
        return;
    size_t alive = 0;
    for (size_t i = 0; i < v->n_qemus; i++)
        alive += v->qemus[i].state != QEMU_INCOMING;
    if (v->wanted && !alive)
        sim_wrong(s, "vm/%s is down, and nobody told it to stop", v->facts.name);
    if (!v->wanted && runs && v->n_defs == 0)
        sim_wrong(s, "vm/%s runs without a definition", v->facts.name);
    if (!v->n_qemus && !v->n_defs)
        sim_wrong(s, "vm/%s is lost: neither running nor defined anywhere", v->facts.name);
}

/* ---- capacity ------------------------------------------------------------------------------------------ */
int64_t check_room(const struct sim *s, int host)
{
    const struct policy *p = policy_of(s);
    int64_t bytes = s->hosts[host].facts.mem_bytes - p->capacity.mem_reserve_bytes;
    return (int64_t)((double)bytes * (double)p->capacity.mem_overcommit_ppm / 1e6);
}

static void check_capacity(struct sim *s, int host)
{
    const struct sim_host *h = &s->hosts[host];
    char a[FMT_BYTES], b[FMT_BYTES];
    int64_t ours = 0;
    bool excused = false;
    for (size_t i = 0; i < h->n_here; i++)
        if (qemu_on(&s->vms[h->here[i]], host)) {
            excused |= s->vms[h->here[i]].excused;
            ours += vm_need_bytes(&s->vms[h->here[i]].facts);
        }
    int64_t room = check_room(s, host) + h->excess_bytes;
    if (ours > room && !excused)
        sim_wrong(s, "host/%s holds VMs that need %s, it may hold %s", h->facts.name,
                  fmt_bytes(a, ours), fmt_bytes(b, room));
}

static void check_world(struct sim *s)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        const struct sim_vm *v = &s->vms[s->touched[i]];
        check_instances(s, v);
        for (size_t k = 0; k < v->n_qemus; k++)
            check_capacity(s, v->qemus[k].host);
    }
    s->n_touched = 0;
    free(take(s->touched));
}

/* ---- rules --------------------------------------------------------------------------------------------- */
static bool selects(const struct selector *sel, const char *name, const struct label *labels,
                    size_t n)
{
    bool named = sel->n_names == 0;
    for (size_t i = 0; i < sel->n_names && !named; i++)
        named = str_glob(sel->names[i], name);
    for (size_t i = 0; i < sel->n_labels && named; i++)
        named = str_eq(label_get(labels, n, sel->labels[i].key), sel->labels[i].value);
    return named;
}

static bool has_vm(const struct rule *r, const struct sim_vm *v)
{
    return selects(&r->vms, v->facts.name, v->facts.labels, v->facts.n_labels);
}

static bool has_host(const struct rule *r, const struct host *h)
{
    return selects(&r->hosts, h->name, h->labels, h->n_labels);
}

static bool same_domain(const struct sim *s, int a, int b, int across)
{
    const struct host *x = &s->hosts[a].facts, *y = &s->hosts[b].facts;
    if (a == b)
        return true;
    if (across == ACROSS_ZONE)
        return x->zone && str_eq(x->zone, y->zone);
    return across == ACROSS_RACK && x->rack && str_eq(x->rack, y->rack) && str_eq(x->zone, y->zone);
}

static void check_apart(struct sim *s, const struct rule *r, const struct sim_vm *v, int from,
                        int to)
{
    for (size_t i = 0; i < s->n_vms; i++) {
        const struct sim_vm *o = &s->vms[i];
        if (o == v || o->excused || !has_vm(r, o))
            continue;
        for (size_t k = 0; k < o->n_qemus; k++)
            if (same_domain(s, o->qemus[k].host, to, r->across) &&
                !same_domain(s, o->qemus[k].host, from, r->across))
                sim_wrong(s, "rule %s (%s): vm/%s comes to %s, where vm/%s is", r->name,
                          r->where ? r->where : "?", v->facts.name, host_name(s, to),
                          o->facts.name);
    }
}

static void check_max(struct sim *s, const struct rule *r, const struct sim_vm *v, int to)
{
    const struct sim_host *h = &s->hosts[to];
    int64_t n = 1;
    for (size_t i = 0; i < h->n_here; i++) {
        const struct sim_vm *o = &s->vms[h->here[i]];
        n += o != v && qemu_on(o, to) && has_vm(r, o);
    }
    if (n > r->max && (!r->hosts.n_names || has_host(r, &h->facts)))
        sim_wrong(s, "rule %s (%s): vm/%s is one too many on %s", r->name,
                  r->where ? r->where : "?", v->facts.name, host_name(s, to));
}

/* Where it is, by rules: they count what is shut off, too. */
static int place_of(const struct sim_vm *v)
{
    for (size_t i = 0; i < v->n_qemus; i++)
        if (v->qemus[i].state != QEMU_INCOMING)
            return v->qemus[i].host;
    return defined_on(v, v->ran_on) ? v->ran_on : v->n_defs ? v->defs[0] : -1;
}

/* The move that Drover has in hand of it; NULL: none. */
static const struct move *open_move(const struct sim *s, const struct sim_vm *v)
{
    const struct brain *b = &s->brain;
    for (size_t i = b->n_moves; i-- > 0;) {
        const struct run *r = b->moves[i].id ? sim_run_of(s, b->moves[i].run) : NULL;
        if (r && !run_ended(r->state) && str_eq(b->moves[i].vm, v->facts.uuid) &&
            !job_final((enum job_state)b->moves[i].state))
            return &b->moves[i];
    }
    return NULL;
}

/* Where it will be: what is stored of the move that has it in hand. */
static int end_of(struct sim *s, const struct sim_vm *v)
{
    const struct move *m = open_move(s, v);
    const struct sim_host *h = m ? host_named(s, m->to) : NULL;
    return m ? (h ? h->id : -1) : place_of(v);
}

/* No plan leaves one of its group behind: who is where it was, is to follow. */
static void check_together(struct sim *s, const struct rule *r, const struct sim_vm *v, int from,
                           int to)
{
    for (size_t i = 0; i < s->n_vms; i++) {
        const struct sim_vm *o = &s->vms[i];
        int end = o == v || o->excused || !has_vm(r, o) ? -1 : end_of(s, o);
        if (end >= 0 && same_domain(s, end, from, r->across) && !same_domain(s, end, to, r->across))
            sim_wrong(s, "rule %s (%s): vm/%s goes to %s, and vm/%s stays behind", r->name,
                      r->where ? r->where : "?", v->facts.name, host_name(s, to), o->facts.name);
    }
}

struct spread { /* the places of a rule's VMs: one, or two while a move is under way */
    int at[SPREAD_MAX][2];
    size_t n;
};

static bool names_place(const struct sim *s, int host, int across)
{
    const struct host *h = &s->hosts[host].facts;
    return across == ACROSS_HOST || (across == ACROSS_RACK ? h->rack : h->zone) != NULL;
}

/* Different places, with bit i of `way` telling at which of its two the i-th counts. */
static int64_t places(const struct sim *s, const struct spread *p, int across, unsigned way)
{
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        int at = p->at[i][way >> i & 1];
        bool counts = at >= 0 && names_place(s, at, across);
        for (size_t k = 0; k < i && counts; k++) {
            int o = p->at[k][way >> k & 1];
            counts = o < 0 || !same_domain(s, at, o, across);
        }
        n += counts;
    }
    return n;
}

static int64_t fewest_places(const struct sim *s, const struct spread *p, int across)
{
    int64_t least = INT64_MAX;
    for (unsigned way = 0; way < 1U << p->n; way++) {
        int64_t n = places(s, p, across, way);
        least = n < least ? n : least;
    }
    return least;
}

/* Where it was when the run began that moves v: a plan may end as broken as it found a rule. */
static int began_at(struct sim *s, const struct sim_vm *v, const struct sim_vm *o)
{
    const struct brain *b = &s->brain;
    const struct move *mine = open_move(s, v);
    for (size_t i = 0; mine && i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        if (m->id && m->run == mine->run && m->state == JOB_DONE && str_eq(m->vm, o->facts.uuid)) {
            const struct sim_host *h = host_named(s, m->from);
            return h ? h->id : -1;
        }
    }
    return place_of(o);
}

static void check_spread(struct sim *s, const struct rule *r, const struct sim_vm *v, int from,
                         int to)
{
    struct spread before = {.n = 0}, after = {.n = 0};
    for (size_t i = 0; i < s->n_vms; i++) {
        const struct sim_vm *o = &s->vms[i];
        if (!has_vm(r, o))
            continue;
        if (before.n == SPREAD_MAX)
            return; /* too many ways to look at */
        int at = place_of(o), other = at;
        for (size_t k = 0; k < o->n_qemus && o != v; k++)
            other = o->qemus[k].host != at ? o->qemus[k].host : other;
        after.at[after.n][0] = at;
        after.at[after.n++][1] = o == v ? to : other;
        bool foreign = o->copy && o->copy->foreign;
        before.at[before.n][0] = o == v ? from : began_at(s, v, o);
        before.at[before.n][1] = foreign ? other : before.at[before.n][0];
        before.n++;
    }
    int64_t had = fewest_places(s, &before, r->across), has = fewest_places(s, &after, r->across);
    int64_t want = r->min < (int64_t)before.n ? r->min : (int64_t)before.n;
    if (has < want && has < had)
        sim_wrong(s, "rule %s (%s): with vm/%s on %s its VMs may be in %lld places only", r->name,
                  r->where ? r->where : "?", v->facts.name, host_name(s, to), (long long)has);
}

void check_arrival(struct sim *s, const struct sim_vm *v, int from, int host)
{
    const struct policy *p = policy_of(s);
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct rule *r = &p->rules[i];
        const char *where = r->where ? r->where : "?";
        if (!r->hard || v->excused || !has_vm(r, v))
            continue;
        if (r->kind == RULE_EXCLUDE)
            sim_wrong(s, "rule %s (%s): vm/%s is moved", r->name, where, v->facts.name);
        if ((r->kind == RULE_HOST_REQUIRED && !has_host(r, &s->hosts[host].facts)) ||
            (r->kind == RULE_HOST_FORBIDDEN && has_host(r, &s->hosts[host].facts)))
            sim_wrong(s, "rule %s (%s): vm/%s must not come to %s", r->name, where, v->facts.name,
                      host_name(s, host));
        if (r->kind == RULE_ANTI_AFFINITY)
            check_apart(s, r, v, from, host);
        if (r->kind == RULE_MAX_VMS)
            check_max(s, r, v, host);
        if (r->kind == RULE_AFFINITY)
            check_together(s, r, v, from, host);
        if (r->kind == RULE_SPREAD)
            check_spread(s, r, v, from, host);
    }
}

/* ---- nothing before its journal, nothing twice ----------------------------------------------------------- */
static void check_known(struct sim *s, const struct msg *m, int64_t job, int64_t attempt)
{
    const struct brain *b = &s->brain;
    if (job <= 0)
        return; /* a run's own word to a VM, not a move's */
    if (job < 1 || job > (int64_t)b->n_moves || !b->moves[job - 1].id)
        sim_wrong(s, "'%s' is sent for move %lld, which is not stored", msg_name(m->type),
                  (long long)job);
    else if (b->moves[job - 1].attempt != attempt)
        sim_wrong(s, "'%s' is sent for try %lld of move %lld, stored is try %lld",
                  msg_name(m->type), (long long)attempt, (long long)job,
                  (long long)b->moves[job - 1].attempt);
}

static void check_once(struct sim *s, const struct msg *m, int64_t job, int64_t attempt)
{
    struct brain *b = &s->brain;
    for (size_t i = 0; i < b->n_told; i++)
        if (b->told[i].type == m->type && b->told[i].job == job && b->told[i].attempt == attempt)
            sim_wrong(s, "'%s' is sent a second time for try %lld of move %lld", msg_name(m->type),
                      (long long)attempt, (long long)job);
    *(struct told *)vec_add(&b->told, &b->n_told) =
        (struct told){.type = m->type, .job = job, .attempt = attempt};
}

/* A shutdown needs a word: the run's own, or a cold move that the run allows. */
static void check_stop(struct sim *s, const struct power *q)
{
    const struct brain *b = &s->brain;
    const struct sim_vm *v = vm_named(s, q->vm);
    if (q->op != POWER_SHUTDOWN || !v)
        return;
    for (size_t i = 0; i < b->n_runs; i++) {
        const struct run *r = &b->runs[i];
        if (!r->id || run_ended(r->state))
            continue;
        if (r->stop_all || r->on_blocked == BLOCKED_COLD)
            return;
        for (size_t k = 0; k < r->n_allow_shutdown; k++)
            if (vm_named(s, r->allow_shutdown[k]) == v ||
                str_has_prefix(r->allow_shutdown[k], v->facts.name))
                return;
    }
    sim_wrong(s, "vm/%s is told to shut down, and no word of the operator names it", v->facts.name);
}

void check_send(struct sim *s, const char *host, const struct msg *m)
{
    (void)host;
    switch ((int)m->type) {
    case MSG_MIGRATE: {
        const struct migrate *q = m->body;
        check_known(s, m, q->job, q->attempt);
        check_once(s, m, q->job, q->attempt);
        break;
    }
    case MSG_POWER: {
        const struct power *q = m->body;
        check_known(s, m, q->job, q->attempt);
        check_stop(s, q);
        break;
    }
    case MSG_TIDY: {
        const struct tidy *q = m->body;
        check_known(s, m, q->job, q->attempt);
        break;
    }
    case MSG_ABORT: {
        const struct abort_job *q = m->body;
        check_known(s, m, q->job, q->attempt);
        break;
    }
    default:
        break;
    }
}

/* ---- at rest ------------------------------------------------------------------------------------------------ */
static bool moves(const struct brain *b, const struct sim_vm *v)
{
    for (size_t i = 0; i < b->n_moves; i++)
        if (b->moves[i].id && str_eq(b->moves[i].vm, v->facts.uuid) &&
            !job_final((enum job_state)b->moves[i].state)) {
            const struct run *r =
                b->moves[i].run <= (int64_t)b->n_runs ? &b->runs[b->moves[i].run - 1] : NULL;
            if (r && !run_ended(r->state))
                return true;
        }
    return false;
}

static void check_belief(struct sim *s, const struct sim_host *h)
{
    for (size_t i = 0; i < h->n_here; i++) {
        const struct sim_vm *v = &s->vms[h->here[i]];
        const struct vm *known = core_vm(s->brain.core, h->facts.name, v->facts.uuid, NULL);
        struct vm seen = {0};
        if (moves(&s->brain, v))
            continue; /* its old place is believed in until the new one is proven */
        bool there = vm_seen(s, v, h->id, &seen);
        if (there != (known != NULL))
            sim_wrong(s, "vm/%s is %son %s, the scheduler believes otherwise", v->facts.name,
                      there ? "" : "not ", h->facts.name);
        else if (there && (known->state != seen.state || known->persistent != seen.persistent))
            sim_wrong(s, "vm/%s is %s on %s, the scheduler believes %s", v->facts.name,
                      vm_state_names[seen.state], h->facts.name, vm_state_names[known->state]);
        if (there)
            shape_done(&vm_shape, &seen);
    }
}

/* Of a VM that an agent can tell of, the store has what its XML is called by. */
static bool xml_is_kept(const struct sim *s, const struct sim_host *h)
{
    bool kept = true;
    for (size_t i = 0; i < h->n_here && kept; i++) {
        const struct vm *v =
            core_vm(s->brain.core, h->facts.name, s->vms[h->here[i]].facts.uuid, NULL);
        kept = !v || (brain_has_xml(&s->brain, v->xml_digest) &&
                      brain_has_xml(&s->brain, v->xml_inactive_digest));
    }
    return kept;
}

static void check_texts(struct sim *s)
{
    for (size_t i = 0; i < s->brain.n_xml; i++) {
        const struct kept_xml *k = s->brain.xml[i];
        cleanup(freep) char *really = xml_name(k->text);
        if (!str_eq(really, k->digest))
            sim_wrong(s, "the store keeps as %s what is no such XML", k->digest);
    }
}

/* A run that cannot end says why: it waits for a word, or one of its moves does. */
static bool names_blocker(const struct brain *b, const struct run *r)
{
    bool named = r->message != NULL;
    for (size_t i = 0; i < b->n_moves && !named; i++)
        named = b->moves[i].run == r->id && !job_final((enum job_state)b->moves[i].state) &&
                b->moves[i].note;
    return named;
}

/* One of its moves was not made, and says why. */
static bool names_a_move(const struct brain *b, const struct run *r)
{
    bool named = false;
    for (size_t i = 0; i < b->n_moves && !named; i++)
        named = b->moves[i].run == r->id && b->moves[i].state != JOB_DONE && b->moves[i].error;
    return named;
}

static void check_stays(struct sim *s, const struct run *r)
{
    bool balance = r->kind == RUN_BALANCE;
    if (r->id && r->state == RUN_PARTLY && (balance ? !names_a_move(&s->brain, r) : !r->n_stays))
        sim_wrong(s, "run/%lld is partly done and names nobody", (long long)r->id);
    for (size_t i = 0; i < r->n_stays; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(r->stays[i].vm, r->stays[k].vm))
                sim_wrong(s, "run/%lld says twice that vm/%s stays", (long long)r->id,
                          r->stays[i].name);
}

void sim_check_rest(struct sim *s)
{
    const struct brain *b = &s->brain;
    for (size_t i = 0; i < b->n_runs && b->core; i++) {
        const struct run *r = &b->runs[i];
        if (r->id && !run_ended(r->state) && !names_blocker(b, r))
            sim_wrong(s, "run/%lld has not ended: %s: %s", (long long)r->id,
                      run_state_names[r->state], r->message ? r->message : "no word why");
        check_stays(s, r);
    }
    for (size_t i = 0; i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        const struct run *r = m->id ? sim_run_of(s, m->run) : NULL;
        if (r && run_ended(r->state) && r->state != RUN_PLANNED && r->state != RUN_REFUSED &&
            !job_final((enum job_state)m->state))
            sim_wrong(s, "run/%lld has ended, its move of vm/%s has not (%s)", (long long)r->id,
                      m->vm_name, job_state_names[m->state]);
    }
    for (size_t i = 0; i < s->n_hosts; i++)
        if (b->core && s->hosts[i].wire.up && s->hosts[i].libvirtd)
            check_belief(s, &s->hosts[i]);
    check_texts(s);
    for (size_t i = 0; i < s->n_vms; i++)
        if (s->vms[i].wanted && !s->vms[i].excused && !sim_where(s, s->vms[i].facts.uuid, NULL))
            sim_wrong(s, "vm/%s does not run at the end", s->vms[i].facts.name);
}

/* ---- running ------------------------------------------------------------------------------------------------ */
int64_t sim_events(const struct sim *s)
{
    return s->n_events;
}

void sim_run(struct sim *s, int64_t until_us)
{
    while (!s->violation && sim_next(s, until_us))
        if (s->n_touched)
            check_world(s);
}

static bool fleet_rests(const struct sim *s)
{
    for (size_t i = 0; i < s->n_hosts; i++) {
        const struct sim_host *h = &s->hosts[i];
        bool can = h->agent.up && !h->wire.cut_in && !h->wire.cut_out;
        if (can && h->wire.up && h->libvirtd && !xml_is_kept(s, h))
            return false; /* asked for, one after the other */
        if ((can && !h->wire.welcome) || h->wire.up != h->wire.welcome || h->agent.read_due)
            return false;
    }
    return true;
}

static bool rests(const struct sim *s)
{
    const struct brain *b = &s->brain;
    if (s->n_deeds_left || s->ops || !b->core || b->failed)
        return false;
    for (size_t i = 0; i < s->n_copies; i++)
        if (s->copies[i]->stage != COPY_BROKEN) /* that one waits for a person */
            return false;
    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].id && !run_ended(b->runs[i].state))
            return false;
    return fleet_rests(s);
}

/* Rest must last: what was just sent is on its way, and a run's last word may follow. */
bool sim_settle(struct sim *s, int64_t until_us)
{
    int64_t calm_us = 0;
    while (!s->violation && s->now_us < until_us) {
        int64_t step = s->now_us + SEC;
        sim_run(s, step < until_us ? step : until_us);
        calm_us = rests(s) ? calm_us + SEC : 0;
        if (calm_us >= 3 * SEC)
            return true;
    }
    return false;
}
