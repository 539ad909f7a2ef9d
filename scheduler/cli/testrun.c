/* A case, asked of the planner and compared with what was wanted. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/testcase.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/planned.h"
#include "scheduler/plan/broken.h"

enum { SHOWN = 12, REASONS_SHOWN = 4 }; /* lines of one kind */

struct ints {
    int *list;
    size_t n;
};
struct asking {
    const struct testcase *t;
    const struct policy *p;
    struct snap *f;
    struct snapshot s; /* the fleet, and a new VM behind it */
    struct snap_vm *vms;
    struct plan_request r;
    struct ints who, to, avoid, rank;
    struct plan plan;
    char *said;    /* what is wrong with the answer */
    char *trouble; /* the question cannot be asked */
};

static void asking_done(struct asking *k)
{
    free(k->vms);
    free(k->who.list);
    free(k->to.list);
    free(k->avoid.list);
    free(k->rank.list);
    plan_done(&k->plan);
    snap_done(k->f);
}

static void __attribute__((format(printf, 2, 3))) want(struct asking *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    text_add(&k->said, "want: %s\n", text);
}

static void __attribute__((format(printf, 2, 3))) got(struct asking *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    text_add(&k->said, "got:  %s\n", text);
}

static const char *vm_name(const struct asking *k, int vm)
{
    return k->s.vms[vm].v->name;
}

static const char *host_name(const struct asking *k, int host)
{
    return host >= 0 ? k->s.hosts[host].h->name : "nowhere";
}

/* ---- the question ------------------------------------------------------------------------------ */
static int find_host(struct asking *k, const char *name)
{
    cleanup(freep) const char **names = xcalloc(k->s.n_hosts, sizeof(*names));
    for (size_t i = 0; i < k->s.n_hosts; i++) {
        names[i] = k->s.hosts[i].h->name;
        if (str_eq(names[i], name))
            return (int)i;
    }
    const char *near = str_did_you_mean(name, names, k->s.n_hosts);
    free(k->trouble);
    k->trouble = xasprintf("no host '%s' in the snapshot%s%s%s", name,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return -1;
}

static bool find_hosts(struct asking *k, const struct words *names, struct ints *ret)
{
    for (size_t i = 0; i < names->n; i++) {
        int host = find_host(k, names->list[i]);
        if (host < 0)
            return false;
        *vec_add(&ret->list, &ret->n) = host;
    }
    return true;
}

static int find_vm(struct asking *k, const char *name)
{
    int found = -1, n = 0;
    for (size_t i = 0; i < k->s.n_vms; i++)
        if (planned_vm_called(&k->s, (int)i, name)) {
            found = (int)i;
            n++;
        }
    if (n == 1)
        return found;
    free(k->trouble);
    k->trouble = n ? xasprintf("%d VMs of the snapshot are called '%s'", n, name)
                   : xasprintf("no VM '%s' in the snapshot", name);
    return -1;
}

static bool ask_drain(struct asking *k)
{
    cleanup(freep) int *hosts = NULL;
    struct ints list = {0};
    bool good = find_hosts(k, &k->t->request.hosts, &list);
    hosts = list.list;
    for (size_t h = 0; good && h < list.n; h++) {
        k->f->s.hosts[hosts[h]].state = HOST_DRAINING;
        for (size_t i = 0; i < k->s.n_vms; i++)
            if (k->s.vms[i].host == hosts[h])
                *vec_add(&k->who.list, &k->who.n) = (int)i;
    }
    k->r.allow_cold = k->t->request.cold || k->p->drain.on_blocked == BLOCKED_COLD;
    k->r.make_room = k->t->request.make_room || k->p->drain.make_room;
    return good;
}

static bool ask_failover(struct asking *k)
{
    struct ints list = {0};
    bool good = find_hosts(k, &k->t->request.hosts, &list);
    for (size_t h = 0; good && h < list.n; h++)
        plan_host_dies(&k->f->s, list.list[h]);
    free(list.list);
    k->s = k->f->s;
    for (size_t i = 0; good && i < k->s.n_vms; i++)
        if (k->s.vms[i].nowhere) {
            *vec_add(&k->who.list, &k->who.n) = (int)i;
            *vec_add(&k->rank.list, &k->rank.n) = plan_rank(k->s.vms[i].v, k->p->failover.priority);
        }
    return good;
}

static bool ask_plan(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    k->r.goal = balance_goal(q->word, k->p);
    k->r.purpose = PURPOSE_BALANCE;
    k->r.max_moves = q->max_moves;
    k->r.hosts_free = q->hosts_free;
    if (k->r.goal != GOAL_ROOM)
        return true;
    k->trouble = xstrdup("the policy's balance.mode is make-room: ask {make_room: {memory: ...}}");
    return false;
}

/* The VM in question: one that there is, or a new one. */
static bool ask_room(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    k->r.goal = GOAL_ROOM;
    k->r.purpose = PURPOSE_BALANCE;
    k->r.max_moves = q->max_moves;
    if (q->vm) {
        k->r.room_for = find_vm(k, q->vm);
        return k->r.room_for >= 0;
    }
    struct vm *v = (struct vm *)(uintptr_t)&q->fresh; /* only read */
    v->state = VM_RUNNING;
    v->persistent = true;
    k->vms = xcalloc(k->s.n_vms + 1, sizeof(*k->vms));
    if (k->s.n_vms)
        memcpy(k->vms, k->s.vms, k->s.n_vms * sizeof(*k->vms));
    k->vms[k->s.n_vms] = (struct snap_vm){.v = v, .host = -1, .moving_to = -1, .nowhere = true};
    k->r.room_for = (int)k->s.n_vms;
    k->s.vms = k->vms;
    k->s.n_vms++;
    return true;
}

static bool ask_nothing(struct asking *k)
{
    (void)k;
    return true;
}

/* ---- moves ------------------------------------------------------------------------------------- */
struct journey { /* of one VM in the plan, parked on the way or not */
    int vm, from, to;
    bool wanted;
    const char *why;
};
struct journeys {
    struct journey *list;
    size_t n;
};

static void find_journeys(const struct asking *k, struct journeys *ret)
{
    for (size_t i = 0; i < k->plan.n_moves; i++) {
        const struct plan_move *m = &k->plan.moves[i];
        size_t j = 0;
        while (j < ret->n && ret->list[j].vm != m->vm)
            j++;
        if (j < ret->n)
            ret->list[j].to = m->to;
        else
            *(struct journey *)vec_add(&ret->list, &ret->n) =
                (struct journey){m->vm, m->from, m->to, false, m->why};
    }
}

static bool matches(const char *pattern, const char *name)
{
    return !pattern || str_glob(pattern, name);
}

static char *want_move_text(const struct want_move *m)
{
    return xasprintf("vm/%s moves%s%s%s%s", m->vm, m->from ? " from " : "", m->from ? m->from : "",
                     m->to ? " to " : "", m->to ? m->to : "");
}

static char *stay_text(const struct asking *k, const struct plan_stay *st)
{
    char *s = NULL;
    text_add(&s, "vm/%s stays", vm_name(k, st->vm));
    for (size_t i = 0; i < st->n_reasons && i < REASONS_SHOWN; i++) {
        cleanup(freep) char *line = reason_line(&st->reasons[i]);
        text_add(&s, "%s%s [%s]", i ? "; " : ": ", line, reason_tokens[st->reasons[i].code]);
    }
    if (st->n_reasons > REASONS_SHOWN)
        text_add(&s, "; and %zu more", st->n_reasons - REASONS_SHOWN);
    return s;
}

static bool is_blocked(const struct asking *k, const struct plan_stay *st)
{
    return k->s.vms[st->vm].v->state != VM_SHUTOFF;
}

/* The first journey that no other expectation has taken. */
static struct journey *find_wanted(const struct asking *k, const struct journeys *all,
                                   const struct want_move *m)
{
    for (size_t j = 0; j < all->n; j++) {
        struct journey *g = &all->list[j];
        if (!g->wanted && matches(m->vm, vm_name(k, g->vm)) &&
            matches(m->from, host_name(k, g->from)) && matches(m->to, host_name(k, g->to)))
            return g;
    }
    return NULL;
}

/* Instead of the moves that did not come: who stays, unless the case speaks of that itself. */
static void say_instead(struct asking *k, size_t odd)
{
    size_t said = odd;
    for (size_t i = 0; !k->t->expect.has_blocked && i < k->plan.n_stays && i < SHOWN; i++) {
        if (!is_blocked(k, &k->plan.stays[i]))
            continue;
        cleanup(freep) char *text = stay_text(k, &k->plan.stays[i]);
        got(k, "%s", text);
        said++;
    }
    if (!said)
        got(k, "%s", k->plan.n_moves ? "no other move" : "no move");
}

static void check_journeys(struct asking *k, const struct journeys *all)
{
    const struct case_expect *x = &k->t->expect;
    size_t missing = 0, odd = 0, shown = 0;
    for (size_t i = 0; i < x->n_moves; i++) {
        struct journey *g = find_wanted(k, all, &x->moves[i]);
        cleanup(freep) char *text = want_move_text(&x->moves[i]);
        if (g)
            g->wanted = true;
        else if (missing++ < SHOWN)
            want(k, "%s", text);
    }
    for (size_t j = 0; j < all->n; j++)
        odd += !all->list[j].wanted;
    if (!missing && odd)
        want(k, "%s", x->n_moves ? "no other move" : "no move");
    for (size_t j = 0; j < all->n; j++) {
        const struct journey *g = &all->list[j];
        if (!g->wanted && shown++ < SHOWN)
            got(k, "vm/%s moves from %s to %s%s%s%s", vm_name(k, g->vm), host_name(k, g->from),
                host_name(k, g->to), g->why ? " (" : "", g->why ? g->why : "", g->why ? ")" : "");
    }
    if (missing)
        say_instead(k, odd);
}

static void check_moves(struct asking *k)
{
    const struct case_expect *x = &k->t->expect;
    struct journeys all = {0};
    if (x->at_most >= 0 && (int64_t)k->plan.n_moves > x->at_most) {
        want(k, "at most %s", text_count(x->at_most, "move", "moves"));
        got(k, "%s", text_count((int64_t)k->plan.n_moves, "move", "moves"));
    }
    find_journeys(k, &all);
    if (x->has_moves)
        check_journeys(k, &all);
    free(all.list);
}

/* ---- who stays --------------------------------------------------------------------------------- */
static bool reason_meets(const struct reason *r, int code, const char *rule)
{
    cleanup(freep) char *what = rule ? xasprintf("rule %s", rule) : NULL;
    return (code == R_NONE || r->code == code) && (!rule || str_eq(r->what, what));
}

static bool stay_meets(const struct asking *k, const struct plan_stay *st,
                       const struct want_blocked *b)
{
    if (!matches(b->vm, vm_name(k, st->vm)))
        return false;
    bool met = b->reason == R_NONE && !b->rule;
    for (size_t i = 0; i < st->n_reasons && !met; i++)
        met = reason_meets(&st->reasons[i], b->reason, b->rule);
    return met;
}

static void check_blocked(struct asking *k)
{
    const struct case_expect *x = &k->t->expect;
    const struct plan *p = &k->plan;
    cleanup(freep) bool *taken = xcalloc(p->n_stays + 1, sizeof(*taken));
    size_t missing = 0, odd = 0;
    for (size_t i = 0; x->has_blocked && i < x->n_blocked; i++) {
        const struct want_blocked *b = &x->blocked[i];
        size_t j = 0;
        while (j < p->n_stays &&
               (taken[j] || !is_blocked(k, &p->stays[j]) || !stay_meets(k, &p->stays[j], b)))
            j++;
        if (j < p->n_stays)
            taken[j] = true;
        else if (missing++ < SHOWN)
            want(k, "vm/%s is blocked%s%s%s%s%s", b->vm, b->reason ? " [" : "",
                 b->reason ? reason_tokens[b->reason] : "", b->reason ? "]" : "",
                 b->rule ? " by rule " : "", b->rule ? b->rule : "");
    }
    for (size_t j = 0; x->has_blocked && j < p->n_stays; j++) {
        if (taken[j] || !is_blocked(k, &p->stays[j]) || odd++ >= SHOWN)
            continue;
        cleanup(freep) char *text = stay_text(k, &p->stays[j]);
        if (!missing && odd == 1)
            want(k, "nobody else is blocked");
        got(k, "%s", text);
    }
    if (missing && !odd)
        got(k, "%s blocked", p->n_stays ? "nobody else is" : "nobody is");
}

/* ---- rules at the end -------------------------------------------------------------------------- */
static bool asked_about(const struct case_expect *x, const struct rule *r)
{
    return x->holding.n ? str_in(r->name, x->holding.list, x->holding.n) : r->hard;
}

static void check_rules(struct asking *k)
{
    const struct case_expect *x = &k->t->expect;
    struct snapshot after;
    struct plan_broken *list;
    size_t n, bad = 0;
    if (x->rules_hold < 0)
        return;
    for (size_t i = 0; i < x->holding.n; i++) {
        size_t r = 0;
        while (r < k->p->n_rules && !str_eq(k->p->rules[r].name, x->holding.list[i]))
            r++;
        if (r == k->p->n_rules)
            want(k, "rule '%s' holds\ngot:  the policy has no such rule", x->holding.list[i]);
    }
    plan_apply(&k->s, &k->plan, &after);
    struct plan_index *index = plan_index_new(&after, k->p);
    plan_find_broken(index, &list, &n);
    for (size_t i = 0; i < n; i++) {
        const struct rule *r = list[i].rule >= 0 ? &k->p->rules[list[i].rule] : NULL;
        if (!r || !asked_about(x, r) || !x->rules_hold || bad++ >= SHOWN) {
            bad += r && asked_about(x, r) && !x->rules_hold;
            continue;
        }
        want(k, "rule '%s' holds (%s)", r->name, r->where);
        got(k, "%s", list[i].what);
    }
    if (!x->rules_hold && !bad) {
        want(k, "a rule is broken");
        got(k, "all of them hold");
    }
    plan_broken_done(list, n);
    plan_index_free(index);
    free(after.vms);
}

/* ---- answers by verb ---------------------------------------------------------------------------- */
static void judge_plan(struct asking *k)
{
    const struct case_expect *x = &k->t->expect;
    struct reason bad = {0};
    plan_make(&k->s, k->p, &k->r, 0, &k->plan);
    if (!plan_verify(&k->s, k->p, &k->r, &k->plan, &bad)) {
        cleanup(freep) char *why = reason_line(&bad);
        want(k, "a plan that passes verification");
        got(k, "%s", why);
    }
    shape_done(&reason_shape, &bad);
    check_moves(k);
    check_blocked(k);
    check_rules(k);
    if (x->room_on &&
        (k->plan.room_on < 0 || !str_glob(x->room_on, host_name(k, k->plan.room_on)))) {
        want(k, "room on %s", x->room_on);
        got(k, "%s%s", k->plan.room_on < 0 ? "no room" : "room on ",
            k->plan.room_on < 0 ? "" : host_name(k, k->plan.room_on));
    }
}

static void judge_fit(struct asking *k)
{
    const struct words *fits = &k->t->expect.fits;
    struct plan_fitting *list;
    size_t n;
    cleanup(freep) bool *met = xcalloc(fits->n + 1, sizeof(*met));
    plan_fittings(&k->s, k->p, &k->r, &list, &n);
    for (size_t i = 0; i < n; i++) {
        const char *host = host_name(k, list[i].host);
        bool wanted = false;
        for (size_t w = 0; w < fits->n; w++)
            if (str_glob(fits->list[w], host)) {
                wanted = true;
                met[w] = met[w] || list[i].fits;
            }
        if (wanted == list[i].fits)
            continue;
        want(k, "%s on %s", wanted ? "room" : "no room", host);
        cleanup(freep) char *why = list[i].fits ? NULL : reason_line(&list[i].why);
        got(k, "%s", why ? why : "it has room");
    }
    for (size_t w = 0; w < fits->n; w++) {
        size_t i = 0;
        while (i < n && !str_glob(fits->list[w], host_name(k, list[i].host)))
            i++;
        if (i == n) {
            want(k, "room on %s", fits->list[w]);
            got(k, "no such host is asked about");
        }
    }
    plan_fittings_done(list, n);
}

static void judge_move(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    const struct case_expect *x = &k->t->expect;
    struct reason why;
    int vm = find_vm(k, q->vm), host = vm < 0 ? -1 : find_host(k, q->to.list[0]);
    if (host < 0)
        return;
    shape_init(&reason_shape, &why);
    struct plan_index *index = plan_index_new(&k->s, k->p);
    bool allowed =
        plan_vm_movable(&k->s, k->p, vm, &why) && plan_allows_from(index, vm, host, &why);
    cleanup(freep) char *line = allowed ? xstrdup("it may") : reason_line(&why);
    bool right = allowed ? x->reason == R_NONE && !x->rule : reason_meets(&why, x->reason, x->rule);
    if ((x->allowed >= 0 && allowed != x->allowed) || !right) {
        want(k, "vm/%s may %smove to %s%s%s%s%s%s", q->vm, x->allowed == 1 ? "" : "not ",
             q->to.list[0], x->reason ? " [" : "", x->reason ? reason_tokens[x->reason] : "",
             x->reason ? "]" : "", x->rule ? ", by rule " : "", x->rule ? x->rule : "");
        got(k, "%s%s%s%s", line, allowed ? "" : " [", allowed ? "" : reason_tokens[why.code],
            allowed ? "" : "]");
    }
    plan_index_free(index);
    shape_done(&reason_shape, &why);
}

static const struct {
    bool (*ask)(struct asking *k);
    void (*judge)(struct asking *k);
} verbs[] = {
    [CASE_DRAIN] = {ask_drain, judge_plan},  [CASE_FAILOVER] = {ask_failover, judge_plan},
    [CASE_PLAN] = {ask_plan, judge_plan},    [CASE_FIT] = {ask_room, judge_fit},
    [CASE_MOVE] = {ask_nothing, judge_move}, [CASE_MAKE_ROOM] = {ask_room, judge_plan},
};

char *testcase_run(const struct testcase *t, const struct policy *p)
{
    struct snap fleet;
    struct err e = {0};
    if (testcase_fleet(t, &fleet, &e) < 0)
        return xasprintf("its snapshot cannot be read: %s", e.msg);
    snap_doubt(&fleet);
    struct asking k = {.t = t, .p = p, .f = &fleet, .s = fleet.s};
    int verb = t->request.verb;
    if (find_hosts(&k, &t->request.avoid, &k.avoid) &&
        (verb == CASE_MOVE || find_hosts(&k, &t->request.to, &k.to)) && verbs[verb].ask(&k)) {
        k.r.vms = k.who.list, k.r.n_vms = k.who.n;
        k.r.rank = k.rank.list;
        k.r.to = k.to.list, k.r.n_to = k.to.n;
        k.r.avoid = k.avoid.list, k.r.n_avoid = k.avoid.n;
        verbs[verb].judge(&k);
    }
    char *said = k.said;
    if (said)
        said[strlen(said) - 1] = '\0'; /* the last newline */
    if (k.trouble) {
        free(said);
        said = k.trouble;
    }
    asking_done(&k);
    return said;
}
