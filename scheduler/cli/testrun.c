/* A case, asked of the planner and compared with what was wanted. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/testask.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/broken.h"

enum { SHOWN = 12, REASONS_SHOWN = 4 }; /* lines of one kind */

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
    text_add(&s, "vm/%s stays", asking_vm(k, st->vm));
    for (size_t i = 0; i < st->n_reasons && i < REASONS_SHOWN; i++) {
        cleanup(freep) char *line = reason_line(&st->reasons[i]);
        text_add(&s, "%s%s [%s]", i ? "; " : ": ", line, reason_tokens[st->reasons[i].code]);
    }
    if (st->n_reasons > REASONS_SHOWN)
        text_add(&s, "; and %zu more", st->n_reasons - REASONS_SHOWN);
    return s;
}

/* The first journey that no other expectation has taken. */
static struct journey *find_wanted(const struct asking *k, const struct journeys *all,
                                   const struct want_move *m)
{
    for (size_t j = 0; j < all->n; j++) {
        struct journey *g = &all->list[j];
        if (!g->wanted && matches(m->vm, asking_vm(k, g->vm)) &&
            matches(m->from, asking_host(k, g->from)) && matches(m->to, asking_host(k, g->to)))
            return g;
    }
    return NULL;
}

/* Instead of the moves that did not come: who stays, unless the case speaks of that itself. */
static void say_instead(struct asking *k, size_t odd)
{
    size_t said = odd;
    for (size_t i = 0; !k->t->expect.has_blocked && i < k->plan.n_stays && i < SHOWN; i++) {
        if (!asking_blocked(k, &k->plan.stays[i]))
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
            got(k, "vm/%s moves from %s to %s%s%s%s", asking_vm(k, g->vm), asking_host(k, g->from),
                asking_host(k, g->to), g->why ? " (" : "", g->why ? g->why : "", g->why ? ")" : "");
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
    asking_journeys(k, &all);
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
    if (!matches(b->vm, asking_vm(k, st->vm)))
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
               (taken[j] || !asking_blocked(k, &p->stays[j]) || !stay_meets(k, &p->stays[j], b)))
            j++;
        if (j < p->n_stays)
            taken[j] = true;
        else if (missing++ < SHOWN)
            want(k, "vm/%s is blocked%s%s%s%s%s", b->vm, b->reason ? " [" : "",
                 b->reason ? reason_tokens[b->reason] : "", b->reason ? "]" : "",
                 b->rule ? " by rule " : "", b->rule ? b->rule : "");
    }
    for (size_t j = 0; x->has_blocked && j < p->n_stays; j++) {
        if (taken[j] || !asking_blocked(k, &p->stays[j]) || odd++ >= SHOWN)
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
    if (k->bad.code != R_NONE) {
        cleanup(freep) char *why = reason_line(&k->bad);
        want(k, "a plan that passes verification");
        got(k, "%s", why);
    }
    check_moves(k);
    check_blocked(k);
    check_rules(k);
    if (x->room_on &&
        (k->plan.room_on < 0 || !str_glob(x->room_on, asking_host(k, k->plan.room_on)))) {
        want(k, "room on %s", x->room_on);
        got(k, "%s%s", k->plan.room_on < 0 ? "no room" : "room on ",
            k->plan.room_on < 0 ? "" : asking_host(k, k->plan.room_on));
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
        const char *host = asking_host(k, list[i].host);
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
        while (i < n && !str_glob(fits->list[w], asking_host(k, list[i].host)))
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
    int vm = asking_find_vm(k, q->vm), host = vm < 0 ? -1 : asking_find_host(k, q->to.list[0]);
    if (host < 0)
        return;
    shape_init(&reason_shape, &why);
    bool allowed = asking_may_move(k, vm, host, &why);
    cleanup(freep) char *line = allowed ? xstrdup("it may") : reason_line(&why);
    bool right = allowed ? x->reason == R_NONE && !x->rule : reason_meets(&why, x->reason, x->rule);
    if ((x->allowed >= 0 && allowed != x->allowed) || !right) {
        want(k, "vm/%s may %smove to %s%s%s%s%s%s", q->vm, x->allowed == 1 ? "" : "not ",
             q->to.list[0], x->reason ? " [" : "", x->reason ? reason_tokens[x->reason] : "",
             x->reason ? "]" : "", x->rule ? ", by rule " : "", x->rule ? x->rule : "");
        got(k, "%s%s%s%s", line, allowed ? "" : " [", allowed ? "" : reason_tokens[why.code],
            allowed ? "" : "]");
    }
    shape_done(&reason_shape, &why);
}

static void (*const judge[])(struct asking *k) = {
    [CASE_DRAIN] = judge_plan, [CASE_FAILOVER] = judge_plan, [CASE_PLAN] = judge_plan,
    [CASE_FIT] = judge_fit,    [CASE_MOVE] = judge_move,     [CASE_MAKE_ROOM] = judge_plan,
};

char *testcase_run(const struct testcase *t, const struct policy *p)
{
    struct asking k;
    if (asking_begin(&k, t, p))
        judge[t->request.verb](&k);
    char *said = take(k.trouble);
    if (!said)
        said = take(k.said);
    size_t len = said ? strlen(said) : 0;
    if (len && said[len - 1] == '\n')
        said[len - 1] = '\0';
    asking_done(&k);
    return said;
}
