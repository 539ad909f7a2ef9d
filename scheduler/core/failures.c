/* What failed is left alone by balance runs for a while: a VM's way to a host; the VM, when it failed on
 * several hosts; a host, when several VMs failed to come; longer with each run in which it fails again, and
 * no more once it succeeds. Nothing is kept for that: the moves themselves tell, and what runs were told by
 * the real checks, also after a restart. Failures of drains count; drains are not held back, but take other
 * ways first. A run under way leaves a host that two of its VMs failed to reach. */
#include <stdlib.h>
#include <string.h>

#include "scheduler/core/internal.h"

#define FIRST_WAIT_US   (600 * SEC)
#define LONGEST_WAIT_US (1 * 86400 * SEC)
#define REMEMBER_US     (7 * 86400 * SEC) /* what is older says nothing of the fleet as it is */
enum { SEVERAL = 2, LEFT_OUT_KEPT = 16, TOLD_NO_KEPT = 64 };

enum about_what { A_PAIR, A_VM, A_HOST }; /* that it is known to fail */

struct failed {
    const char *vm, *name; /* NULL: any VM on from */
    const char *from, *to; /* to NULL: wherever it would go */
    int64_t run, wall_us;
    bool tried; /* not only refused by a check: may be the VM's fault, or the host's */
    const char *error;
};
struct past {
    struct failed *list;
    size_t n;
    int64_t from_run, from_wall_us;
};

static void remember(const struct core *c, struct past *p, struct failed f)
{
    bool known = !f.vm || lookup_get(&c->vms, f.vm); /* else it is gone */
    if (known && f.run >= p->from_run && f.wall_us > p->from_wall_us && f.wall_us <= c->wall_us)
        *(struct failed *)vec_add(&p->list, &p->n) = f;
}

static enum reason_code code_of(const char *token)
{
    return token ? reason_from_token(token) : R_MIGRATE_FAILED;
}

/* What a source that nobody heard of any more, or a host's silence, says of neither VM nor target. */
static bool says_nothing(enum reason_code code)
{
    return run_no_answer(code) || code == R_UNREACHABLE_SOURCE || code == R_LIBVIRT_DOWN;
}

static void remember_move(const struct core *c, struct past *p, const struct move *m)
{
    struct failed f = {.vm = m->vm, .name = m->vm_name, .from = m->from, .run = m->run};
    f.tried = true;
    for (size_t i = 0; i < m->n_tried; i++) {
        f.to = m->tried[i].to;
        f.wall_us = m->tried[i].wall_us;
        f.error = m->tried[i].error;
        if (code_of(m->tried[i].code) == R_MIGRATE_FAILED)
            remember(c, p, f);
    }
    const struct run_slot *r = run_find(c, m->run);
    enum reason_code code = code_of(m->code);
    bool asked = m->copy_wall_us || m->code; /* else its place was lost to others */
    if (m->state != JOB_FAILED || m->cancel || !asked || says_nothing(code) || !r ||
        r->run.kind != RUN_BALANCE)
        return;
    f.to = m->to;
    f.wall_us = m->ended_wall_us;
    f.error = m->error;
    f.tried = m->copy_wall_us;
    remember(c, p, f);
}

static void remember_run(const struct core *c, struct past *p, const struct run *r)
{
    for (size_t i = 0; i < r->n_told_no; i++) {
        const struct told_no *t = &r->told_no[i];
        remember(c, p,
                 (struct failed){.vm = t->vm,
                                 .name = t->vm_name,
                                 .from = t->from,
                                 .to = t->host,
                                 .run = r->id,
                                 .wall_us = t->wall_us,
                                 .error = t->error});
    }
}

static void recall_moves(const struct core *c, struct past *p, struct move_slot *const *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m[i]->m.state == JOB_FAILED || m[i]->m.n_tried)
            remember_move(c, p, &m[i]->m);
}

static void recall(const struct core *c, struct past *p)
{
    *p = (struct past){.from_wall_us = c->wall_us - REMEMBER_US};
    for (size_t i = 0; i < c->n_runs; i++)
        if (c->runs[i]->run.forget_failures && !c->runs[i]->run.dry_run)
            p->from_run = c->runs[i]->run.id;
    for (size_t i = 0; i < c->n_runs; i++)
        remember_run(c, p, &c->runs[i]->run);
    recall_moves(c, p, c->moves, c->n_moves);
}

/* When a VM last moved so; NULL: any. */
static int64_t last_success(const struct core *c, const char *vm, const char *from, const char *to)
{
    int64_t last = 0;
    const struct move_slot *m = vm ? lookup_get(&c->moved, vm) : NULL;
    for (size_t i = 0; vm ? m != NULL : i < c->n_moves; i++) {
        const struct move *x = vm ? &m->m : &c->moves[i]->m;
        if (x->state == JOB_DONE && !x->offline && (!from || str_eq(x->from, from)) &&
            (!to || str_eq(x->to, to)) && x->ended_wall_us > last)
            last = x->ended_wall_us;
        m = vm ? m->before : NULL;
    }
    return last;
}

/* ---- from failures to what is left out ----------------------------------------------------------------- */

static int by_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

/* A pair is of a VM and a host, or of two hosts; what was only refused by a check is about no more. */
static int by_key(const struct failed *a, const struct failed *b, enum about_what what)
{
    int d = what == A_PAIR ? 0 : b->tried - a->tried;
    if (!d && what != A_HOST)
        d = by_name(a->vm, b->vm);
    if (!d && !a->vm)
        d = by_name(a->from, b->from);
    return d || what == A_VM ? d : by_name(a->to, b->to);
}

static int by_time(const struct failed *a, const struct failed *b)
{
    int64_t d = a->wall_us != b->wall_us ? a->wall_us - b->wall_us : a->run - b->run;
    return d < 0 ? -1 : d > 0;
}

static int sort_pairs(const void *a, const void *b)
{
    int d = by_key(a, b, A_PAIR);
    return d ? d : by_time(a, b);
}
static int sort_vms(const void *a, const void *b)
{
    int d = by_key(a, b, A_VM);
    return d ? d : by_time(a, b);
}
static int sort_hosts(const void *a, const void *b)
{
    int d = by_key(a, b, A_HOST);
    return d ? d : by_time(a, b);
}

static int64_t wait_of(int64_t times)
{
    int64_t wait = FIRST_WAIT_US;
    while (--times > 0 && wait < LONGEST_WAIT_US)
        wait *= 2;
    return wait < LONGEST_WAIT_US ? wait : LONGEST_WAIT_US;
}

/* All of one key, in the order of time. */
static void judge(const struct core *c, const struct failed *f, size_t n, enum about_what what,
                  struct left_out **list, size_t *n_list)
{
    const struct failed *last = &f[n - 1];
    int64_t ok = last_success(c, what == A_HOST ? NULL : last->vm, last->vm ? NULL : last->from,
                              what == A_VM ? NULL : last->to);
    while (n && f->wall_us <= ok) {
        f++;
        n--;
    }
    int64_t times = 0, others = 0;
    for (size_t i = 0; i < n; i++) {
        bool same_run = false, same_other = false;
        for (size_t k = 0; k < i; k++) {
            same_run = same_run || f[k].run == f[i].run;
            same_other = same_other ||
                         str_eq(what == A_VM ? f[k].to : f[k].vm, what == A_VM ? f[i].to : f[i].vm);
        }
        times += !same_run;
        others += !same_other;
    }
    int64_t until = last->wall_us + wait_of(times);
    if (!n || until <= c->wall_us || (what != A_PAIR && others < SEVERAL))
        return;
    struct left_out *x = vec_add(list, n_list);
    *x = (struct left_out){.times = times,
                           .others = what == A_PAIR ? 0 : others,
                           .since_wall_us = f->wall_us,
                           .until_wall_us = until,
                           .error = xstrdup(last->error)};
    if (what != A_HOST) {
        x->vm = xstrdup(last->vm);
        x->vm_name = xstrdup(last->name);
    }
    x->from = last->vm ? NULL : xstrdup(last->from);
    x->host = what == A_VM ? NULL : xstrdup(last->to);
}

static void judge_all(const struct core *c, struct past *p, enum about_what what,
                      struct left_out **list, size_t *n)
{
    static int (*const sorts[])(const void *, const void *) = {
        [A_PAIR] = sort_pairs, [A_VM] = sort_vms, [A_HOST] = sort_hosts};
    size_t end;
    if (p->n)
        qsort(p->list, p->n, sizeof(*p->list), sorts[what]);
    for (size_t i = 0; i < p->n && (what == A_PAIR || p->list[i].tried); i = end) {
        for (end = i + 1; end < p->n && !by_key(&p->list[i], &p->list[end], what);)
            end++;
        judge(c, &p->list[i], end - i, what, list, n);
    }
}

struct left_out *core_left_out(const struct core *c, size_t *ret_n)
{
    struct left_out *list = NULL;
    struct past p;
    *ret_n = 0;
    recall(c, &p);
    judge_all(c, &p, A_HOST, &list, ret_n);
    judge_all(c, &p, A_VM, &list, ret_n);
    judge_all(c, &p, A_PAIR, &list, ret_n);
    free(p.list);
    return list;
}

struct left_out *failures_in_run(const struct core *c, const struct run_slot *r, size_t *ret_n)
{
    struct left_out *list = NULL;
    struct past p = {.from_wall_us = c->wall_us - REMEMBER_US};
    *ret_n = 0;
    recall_moves(c, &p, r->moves, r->n_moves);
    judge_all(c, &p, A_HOST, &list, ret_n);
    free(p.list);
    return list;
}

void left_out_done(struct left_out *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shape_done(&left_out_shape, &list[i]);
    free(list);
}

bool left_out_concerns(const struct left_out *x, const char *vm, const char *on)
{
    return x->vm ? str_eq(x->vm, vm) : !x->from || str_eq(x->from, on);
}

/* ---- words --------------------------------------------------------------------------------------------- */

static char *how_it_failed(const struct left_out *x)
{
    char since[FMT_BYTES];
    const char *error = x->error ? x->error : "?";
    fmt_rfc3339(since, x->since_wall_us);
    if (x->others)
        return xasprintf("failed %s %lld %s since %s, last: %s", x->vm ? "on" : "with",
                         (long long)x->others, x->vm ? "hosts" : "VMs", since, error);
    if (x->times > 1)
        return xasprintf("failed %lld times since %s, last: %s", (long long)x->times, since, error);
    return xasprintf("failed at %s: %s", since, error);
}

char *left_out_words(const struct left_out *x)
{
    char until[FMT_BYTES];
    cleanup(freep) char *how = how_it_failed(x);
    cleanup(freep) char *who = x->vm     ? xasprintf("vm/%s", x->vm_name ? x->vm_name : x->vm)
                               : x->from ? xasprintf("VMs of %s", x->from)
                                         : xstrdup("any VM");
    return xasprintf("%s %s%s until %s: %s", who, x->host ? "to " : "to any host",
                     x->host ? x->host : "", fmt_rfc3339(until, x->until_wall_us), how);
}

char *run_left_out_words(const struct run *r)
{
    char *s = NULL;
    for (size_t i = 0; i < r->n_left_out && i < 3; i++) {
        cleanup(freep) char *one = left_out_words(&r->left_out[i]);
        set_fmt(&s, "%s%s%s", s ? s : "", s ? "; " : "", one);
    }
    long long more = r->left_out_more + (long long)r->n_left_out - 3;
    if (more > 0)
        set_fmt(&s, "%s; and %lld more", s, more);
    return s;
}

char *failures_at_words(const struct core *c, const struct run_slot *r, const char *host)
{
    size_t n;
    char *s = NULL;
    struct left_out *list = failures_in_run(c, r, &n);
    for (size_t i = 0; i < n && !s; i++) {
        cleanup(freep) char *how = how_it_failed(&list[i]);
        if (str_eq(list[i].host, host))
            s = xasprintf("in this run moves to %s %s", host, how);
    }
    left_out_done(list, n);
    return s;
}

/* ---- in runs ------------------------------------------------------------------------------------------- */

void failures_refuse(const struct core *c, struct run_slot *r)
{
    size_t n;
    struct left_out *list = r->run.forget_failures ? NULL : core_left_out(c, &n);
    for (size_t i = 0; list && i < n; i++) {
        struct left_out *x = &list[i];
        cleanup(freep) char *how = how_it_failed(x);
        struct reason why;
        shape_init(&reason_shape, &why);
        reason_set(&why, R_FAILED_LATELY, x->host, NULL, NULL, how,
                   "wait, or mend it and say drover balance --forget-failures");
        run_refuse(r, x->vm, x->host, &why, false);
        set_str(&r->refusals[r->n_refusals - 1].from, x->from);
        shape_done(&reason_shape, &why);
        if (r->run.n_left_out < LEFT_OUT_KEPT)
            shape_copy(&left_out_shape, vec_add(&r->run.left_out, &r->run.n_left_out), x);
        else
            r->run.left_out_more++;
    }
    if (list)
        left_out_done(list, n);
    r->n_held = r->n_refusals;
}

/* From one libvirtd to another: that is asked anew. */
void failures_list(const struct core *c, const struct snapshot *s, struct plan_failed **ret,
                   size_t *ret_n)
{
    size_t n;
    struct left_out *list = core_left_out(c, &n);
    for (size_t i = 0; i < n; i++) {
        const struct left_out *x = &list[i];
        int vm = x->vm ? snap_vm_id(c, s, x->vm) : -1;
        int host = x->host ? snap_host_id(s, x->host) : -1;
        if (host >= 0 && !x->from && (vm >= 0 || !x->vm))
            *vec_add(ret, ret_n) = (struct plan_failed){vm, host, how_it_failed(x)};
    }
    left_out_done(list, n);
}

static void keep_told_no(struct core *c, struct run_slot *r, const struct refusal *f)
{
    const struct vm_slot *v = f->vm ? lookup_get(&c->vms, f->vm) : NULL;
    struct told_no *t = vec_add(&r->run.told_no, &r->run.n_told_no);
    *t = (struct told_no){.vm = xstrdup(f->vm),
                          .vm_name = xstrdup(v ? v->vm.name : f->vm),
                          .from = xstrdup(f->from),
                          .host = xstrdup(f->host),
                          .code = xstrdup(reason_tokens[f->why.code]),
                          .error = reason_sentence(&f->why),
                          .wall_us = c->wall_us};
    say(c, (struct about){.r = r, .vm = t->vm_name}, "run.told_no",
        "run/%lld: a real check refused %s%s: %s", (long long)r->run.id, t->vm ? "vm/" : "VMs of ",
        t->vm ? t->vm_name : t->from, t->error);
}

void failures_note(struct core *c, struct run_slot *r)
{
    cleanup(freep) char *text = run_left_out_words(&r->run);
    if (text)
        say(c, (struct about){.r = r}, "run.left_out",
            "run/%lld leaves out what failed: %s (drover balance --forget-failures tries it all "
            "the same)",
            (long long)r->run.id, text);
    for (size_t i = r->n_held; i < r->n_refusals && r->run.n_told_no < TOLD_NO_KEPT; i++)
        if (!r->run.dry_run && !run_no_answer((enum reason_code)r->refusals[i].why.code))
            keep_told_no(c, r, &r->refusals[i]);
}

char *failures_after(const struct core *c, const struct move *m)
{
    size_t n;
    char *s = xstrdup(""), until[FMT_BYTES];
    struct left_out *list = core_left_out(c, &n);
    for (size_t i = 0; i < n; i++) {
        const struct left_out *x = &list[i];
        if (left_out_concerns(x, m->vm, m->from) && (!x->host || str_eq(x->host, m->to)))
            set_fmt(&s, "%s; balance leaves out %s %s%s until %s", s,
                    x->vm ? "its way" : "all ways", x->host ? "to " : "to any host",
                    x->host ? x->host : "", fmt_rfc3339(until, x->until_wall_us));
    }
    left_out_done(list, n);
    return s;
}
