/* Hard rules that can never hold together are mistakes, and cheaper to hear of here than from a drain
 * that goes nowhere. Only what the text itself proves is said: selections are compared by their names
 * and labels, without a fleet. */
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"

/* Comparisons of two names, a second's worth: what a huge policy leaves unproved the planner will
 * refuse. */
enum { BUDGET = 20000000 };

struct proof {
    const struct policy *p;
    int64_t budget;
};

/* ---- selections ------------------------------------------------------------------------------- */

/* A selection is a union of parts: one name or pattern (NULL: any), always with all labels. */
static size_t parts(const struct selector *s)
{
    return s->n_names ? s->n_names : 1;
}

static const char *part(const struct selector *s, size_t i)
{
    return s->n_names ? s->names[i] : NULL;
}

static bool is_literal(const char *name)
{
    return name && !strpbrk(name, "*?[\\");
}

/* Is all that the part `name` of t selects in s too? */
static bool covers(struct proof *k, const struct selector *s, const struct selector *t,
                   const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!str_eq(label_get(t->labels, t->n_labels, s->labels[i].key), s->labels[i].value))
            return false;
    for (size_t i = 0; i < s->n_names && k->budget > 0; i++, k->budget--)
        if (str_eq(s->names[i], "*") || str_eq(s->names[i], name) ||
            (is_literal(name) && str_glob(s->names[i], name)))
            return true;
    return !s->n_names;
}

static bool covers_all(struct proof *k, const struct selector *s, const struct selector *t)
{
    for (size_t i = 0; i < parts(t); i++)
        if (!covers(k, s, t, part(t, i)))
            return false;
    return true;
}

static int64_t covered(struct proof *k, const struct selector *s, const struct selector *t)
{
    int64_t n = 0;
    for (size_t i = 0; i < parts(t) && k->budget > 0; i++) {
        const char *name = part(t, i);
        if (!covers(k, s, t, name))
            continue;
        k->budget -= (int64_t)i; /* is it named before? */
        if (!name || !str_in(name, t->names, i))
            n += is_literal(name) ? 1 : 2; /* a pattern: any number */
    }
    return n;
}

/* How many things both select for certain: 0 or 1, or at least so many. */
static int64_t shared(struct proof *k, const struct selector *a, const struct selector *b)
{
    int64_t x = covered(k, a, b), y = covered(k, b, a);
    return x > y ? x : y;
}

/* Nothing can be in both. */
static bool disjoint(struct proof *k, const struct selector *a, const struct selector *b)
{
    for (size_t i = 0; i < a->n_labels; i++) {
        const char *other = label_get(b->labels, b->n_labels, a->labels[i].key);
        if (other && !str_eq(other, a->labels[i].value))
            return true;
    }
    for (size_t i = 0; i < a->n_names; i++)
        for (size_t j = 0; j < b->n_names; j++, k->budget--) {
            const char *x = a->names[i], *y = b->names[j];
            if (k->budget <= 0 || (!is_literal(x) && !is_literal(y)) ||
                (is_literal(x) ? str_glob(y, x) : str_glob(x, y)))
                return false;
        }
    return a->n_names && b->n_names;
}

/* ---- two rules -------------------------------------------------------------------------------- */

/* a: affinity. Those who are in one domain are also in one of any wider level. */
static const char *against_affinity(struct proof *k, const struct rule *a, const struct rule *b)
{
    if (b->across < a->across)
        return NULL;
    if (b->kind == RULE_ANTI_AFFINITY && shared(k, &a->vms, &b->vms) >= 2)
        return "the same VMs cannot be together and apart";
    if (b->kind == RULE_SPREAD && covers_all(k, &a->vms, &b->vms) &&
        covered(k, &b->vms, &b->vms) >= 2)
        return "the same VMs cannot be together and spread";
    if (b->kind == RULE_MAX_VMS && !b->hosts.n_names && !b->hosts.n_labels &&
        shared(k, &a->vms, &b->vms) > (b->max ? b->max : 1))
        return "more VMs must be together than may be";
    return NULL;
}

/* a: host_required. */
static const char *against_required(struct proof *k, const struct rule *a, const struct rule *b)
{
    int64_t both = shared(k, &a->vms, &b->vms);
    if (!both)
        return NULL;
    if (b->kind == RULE_HOST_REQUIRED && disjoint(k, &a->hosts, &b->hosts))
        return "no host is in both";
    if (b->kind == RULE_HOST_FORBIDDEN && covers_all(k, &b->hosts, &a->hosts))
        return "every host that the VMs need is forbidden";
    if (b->kind == RULE_MAX_VMS && !b->max && covers_all(k, &b->hosts, &a->hosts))
        return "every host that the VMs need may hold none of them";
    if (b->kind == RULE_ANTI_AFFINITY && both >= 2 && a->hosts.n_names == 1 &&
        is_literal(a->hosts.names[0]))
        return "the VMs must be apart and have one host";
    return NULL;
}

static const char *clash(struct proof *k, const struct rule *a, const struct rule *b)
{
    const char *why = NULL;
    if (a->kind == RULE_AFFINITY)
        why = against_affinity(k, a, b);
    if (a->kind == RULE_HOST_REQUIRED)
        why = against_required(k, a, b);
    return why;
}

static int check_pairs(struct proof *k, struct err *e)
{
    const struct policy *p = k->p;
    for (size_t i = 0; i < p->n_rules; i++)
        for (size_t j = 0; j < i && k->budget > 0; j++) {
            const struct rule *a = &p->rules[j], *b = &p->rules[i];
            const char *why = NULL;
            if (a->hard && b->hard && !(why = clash(k, a, b)))
                why = clash(k, b, a);
            if (why)
                return err_set(e, -EBADMSG, "%s: rule '%.40s' contradicts rule '%.40s' at %s: %s",
                               b->where, b->name, a->name, a->where, why);
        }
    return 0;
}

/* ---- rules that are bound to each other by VMs they both name ----------------------------------- */

struct named {
    const char *vm;
    size_t rule;
};

static int by_vm(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int k = strcmp(x->vm, y->vm);
    return k ? k : (x->rule > y->rule) - (x->rule < y->rule);
}

static int by_vm_only(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->vm, ((const struct named *)b)->vm);
}

static size_t root(size_t *parent, size_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static bool by_names_only(const struct rule *r, int kind)
{
    return r->kind == kind && r->hard && !r->vms.n_labels;
}

/* VMs that hard affinity within `level` names, sorted; rules that name one VM get one root. */
static void bind(const struct policy *p, int level, size_t *parent, struct named **list, size_t *n)
{
    for (size_t r = 0; r < p->n_rules; r++) {
        parent[r] = r;
        const struct selector *s = &p->rules[r].vms;
        if (!by_names_only(&p->rules[r], RULE_AFFINITY) || p->rules[r].across > level)
            continue;
        for (size_t i = 0; i < s->n_names; i++)
            if (is_literal(s->names[i]))
                *vec_add(list, n) = (struct named){s->names[i], r};
    }
    if (*n)
        qsort(*list, *n, sizeof(**list), by_vm);
    for (size_t i = 1; i < *n; i++)
        if (str_eq((*list)[i].vm, (*list)[i - 1].vm))
            parent[root(parent, (*list)[i].rule)] = root(parent, (*list)[i - 1].rule);
}

static int find_bound(const struct policy *p, const struct rule *apart, size_t *parent,
                      const struct named *list, size_t n, struct err *e)
{
    cleanup(freep) const struct named **of = xcalloc(p->n_rules, sizeof(*of)); /* by root */
    for (size_t i = 0; n && i < apart->vms.n_names; i++) {
        struct named key = {.vm = apart->vms.names[i]};
        const struct named *x = bsearch(&key, list, n, sizeof(*list), by_vm_only);
        if (!x)
            continue;
        const struct named **first = &of[root(parent, x->rule)];
        if (*first && !str_eq((*first)->vm, x->vm)) {
            const struct rule *a = &p->rules[(*first)->rule], *b = &p->rules[x->rule];
            return err_set(e, -EBADMSG,
                           "%s: rule '%.40s' keeps %.40s and %.40s apart, which are bound together "
                           "by rule '%.40s' at %s and rule '%.40s' at %s",
                           apart->where, apart->name, (*first)->vm, x->vm, a->name, a->where,
                           b->name, b->where);
        }
        *first = x;
    }
    return 0;
}

static int check_chains(const struct policy *p, struct err *e)
{
    cleanup(freep) size_t *parent = xcalloc(p->n_rules, sizeof(*parent));
    int rc = 0;
    for (int level = ACROSS_HOST; level <= ACROSS_ZONE && rc == 0; level++) {
        cleanup(freep) struct named *list = NULL;
        size_t n = 0;
        bind(p, level, parent, &list, &n);
        for (size_t r = 0; r < p->n_rules && rc == 0; r++)
            if (by_names_only(&p->rules[r], RULE_ANTI_AFFINITY) && p->rules[r].across == level)
                rc = find_bound(p, &p->rules[r], parent, list, n, e);
    }
    return rc;
}

int rules_check(const struct policy *p, struct err *e)
{
    struct proof k = {.p = p, .budget = BUDGET};
    int rc = check_pairs(&k, e);
    return rc < 0 ? rc : check_chains(p, e);
}
