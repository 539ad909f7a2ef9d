/* The real checks of a plan: every pair of VM and host that it proposes is asked about once, at both
 * ends; what was answered is part of every further plan of the run. */
#include "scheduler/core/internal.h"

static struct known *known_find(const struct run_slot *r, const char *vm, const char *host)
{
    for (size_t i = 0; i < r->n_known; i++)
        if (str_eq(r->known[i].vm, vm) && str_eq(r->known[i].host, host))
            return &r->known[i];
    return NULL;
}

static void check_unanswered(struct run_slot *r, const char *host, bool source, const char *why)
{
    for (size_t i = 0; i < r->n_known; i++) {
        struct known *k = &r->known[i];
        if (k->answered || k->source != source || !str_eq(k->host, host))
            continue;
        k->answered = true;
        struct reason *no = vec_add(&k->said.reasons, &k->said.n_reasons);
        reason_set(no, R_CHECK_FAILED, NULL, NULL, NULL, why, "try again when its agent answers");
    }
}

/* Send one host the VMs of the plan that it has not been asked about yet. */
static void ask_host(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan *p, const char *host, bool source)
{
    struct check_vms *b = NULL;
    for (size_t i = 0; i <= p->n_moves; i++) {
        if (b && (i == p->n_moves || b->n_vms == CHECK_BATCH)) {
            struct ask want = {.what = source ? ASK_PLAN_SRC : ASK_PLAN_DST,
                               .run = r->run.id,
                               .host = (char *)(uintptr_t)host};
            if (ask(c, want, MSG_CHECK_VMS, b))
                r->waiting++;
            else
                check_unanswered(r, host, source, "its agent is not connected");
            b = NULL;
        }
        if (i == p->n_moves)
            break;
        const struct plan_move *mv = &p->moves[i];
        const struct vm *v = s->vms[mv->vm].v;
        bool parked =
            mv->from != s->vms[mv->vm].host; /* not there yet: nothing to ask its source */
        if (!str_eq(s->hosts[source ? mv->from : mv->to].h->name, host) || (source && parked) ||
            known_find(r, v->uuid, host))
            continue;
        struct known *k = vec_add(&r->known, &r->n_known);
        k->vm = xstrdup(v->uuid);
        k->host = xstrdup(host);
        k->source = source;
        if (!b) {
            b = body_new(MSG_CHECK_VMS);
            b->term = c->cfg.term;
            b->as_source = source;
        }
        shape_copy(&vm_shape, vec_add(&b->vms, &b->n_vms), v);
    }
}

static void ask_peer(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan_move *mv)
{
    const struct host *from = s->hosts[mv->from].h, *to = s->hosts[mv->to].h;
    char *pair = xasprintf("%s→%s", from->name, to->name);
    if (str_in(pair, r->peers, r->n_peers)) {
        free(pair);
        return;
    }
    *(char **)vec_add(&r->peers, &r->n_peers) = pair;
    struct check_peer *b = body_new(MSG_CHECK_PEER);
    b->term = c->cfg.term;
    b->uri = xstrdup(to->migrate_uri);
    struct ask want = {.what = ASK_PLAN_PEER, .run = r->run.id, .host = from->name, .vm = to->name};
    if (ask(c, want, MSG_CHECK_PEER, b))
        r->waiting++;
}

bool run_ask_unknown(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan *p)
{
    int64_t before = r->waiting;
    size_t known = r->n_known;
    for (size_t h = 0; h < s->n_hosts; h++) {
        ask_host(c, r, s, p, s->hosts[h].h->name, true);
        ask_host(c, r, s, p, s->hosts[h].h->name, false);
    }
    for (size_t i = 0; i < p->n_moves; i++)
        ask_peer(c, r, s, &p->moves[i]);
    return r->waiting > before || r->n_known > known;
}

static void peer_answer(struct run_slot *r, const struct ask *a, const struct msg *m)
{
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (d && d->ok)
        return;
    struct reason why = {0};
    reason_set(&why, R_PEER, a->vm, NULL, NULL,
               d && d->error ? d->error : "the source's agent did not answer", NULL);
    run_refuse(r, NULL, a->vm, &why, false);
    r->refusals[r->n_refusals - 1].from = xstrdup(a->host);
    shape_done(&reason_shape, &why);
}

void run_plan_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct run_slot *r = run_find(c, a->run);
    if (!r || run_ended(r->run.state))
        return;
    r->waiting--;
    if (a->what == ASK_PLAN_PEER) {
        peer_answer(r, a, m);
        return;
    }
    bool source = a->what == ASK_PLAN_SRC;
    const struct vms_checked *v = m && m->type == MSG_VMS_CHECKED ? m->body : NULL;
    for (size_t i = 0; v && i < v->n_verdicts; i++) {
        struct known *k = known_find(r, v->verdicts[i].uuid, a->host);
        if (!k || k->answered)
            continue;
        k->answered = true;
        shape_copy(&verdict_shape, &k->said, &v->verdicts[i]);
    }
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (!v)
        check_unanswered(r, a->host, source, d && d->error ? d->error : "its agent did not answer");
}

/* Turn answers into refusals, once each: first what the sources say, then the targets. */
void run_judge_answers(struct core *c, struct run_slot *r, const struct snapshot *s)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < r->n_known; i++) {
            struct known *k = &r->known[i];
            int vm = snap_vm_id(c, s, k->vm);
            if (k->judged || !k->answered || k->source != (pass == 0) || vm < 0)
                continue;
            k->judged = true;
            const char *src = s->hosts[s->vms[vm].host].h->name;
            const struct known *from = known_find(r, k->vm, src);
            struct reason why = {0};
            bool ok = k->source ? check_source(c, s->vms[vm].v, src, &k->said, &why)
                                : check_target(&k->said, k->host, from ? from->said.images : NULL,
                                               from ? from->said.n_images : 0, &why);
            if (!ok)
                run_refuse(r, k->vm, k->source ? NULL : k->host, &why, false);
            shape_done(&reason_shape, &why);
        }
}
