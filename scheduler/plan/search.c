/* Placements that the greedy way misses: ejection, then a complete search under a budget. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/pack.h"

/* Questions (VM fits host?) that a search may ask. One takes 0.1 to 0.3 µs: a drain that has no
 * solution costs the scheduler well under a second. */
enum { EJECT_BUDGET = 200000, FULL_BUDGET = 600000, PARTIAL_BUDGET = 600000, PARTIAL_ITEMS = 12 };

struct search {
    struct plan_pack *k;
    int group;      /* -1: all items */
    int64_t cost;   /* of what is left out so far */
    int64_t limit;  /* solutions above it are no use */
    bool *left_out; /* per item: given up in this branch */
};

/* Leaving a running VM behind is worse than leaving any number of shut-off ones. */
static int64_t left_out_cost(const struct plan_pack *k, const struct plan_item *it)
{
    return plan_counts(k->w->s, it->vm) ? (int64_t)k->n + 1 : 1;
}

/* The hosts that fit, best first. Returns how many. */
static size_t candidates(struct plan_pack *k, const struct plan_item *it, int *ret)
{
    size_t n = 0, n_hosts = k->w->s->n_hosts;
    cleanup(freep) struct plan_score *scores = xcalloc(n_hosts, sizeof(*scores));
    for (size_t i = 0; i < n_hosts; i++) {
        int h = (int)((i + k->seed % n_hosts) % n_hosts);
        if (!pack_fits(k, it, h))
            continue;
        struct plan_score score = pack_score(k, it, h);
        size_t at = n++;
        for (; at > 0 && pack_score_cmp(&score, &scores[at - 1]) < 0; at--) {
            scores[at] = scores[at - 1];
            ret[at] = ret[at - 1];
        }
        scores[at] = score;
        ret[at] = h;
    }
    return n;
}

static size_t count_fits(struct plan_pack *k, const struct plan_item *it, size_t enough)
{
    size_t n = 0;
    for (size_t h = 0; h < k->w->s->n_hosts && n < enough; h++)
        n += pack_fits(k, it, (int)h);
    return n;
}

static bool open_item(const struct search *s, size_t i)
{
    const struct plan_item *it = &s->k->items[i];
    return it->to < 0 && !s->left_out[i] && (s->group < 0 || it->group == s->group);
}

/* The open item with the fewest hosts: what is hardest to place is placed first. */
static size_t hardest(struct search *s)
{
    size_t best = s->k->n, fewest = SIZE_MAX;
    for (size_t i = 0; i < s->k->n; i++) {
        if (!open_item(s, i))
            continue;
        size_t n = count_fits(s->k, &s->k->items[i], fewest);
        if (n >= fewest)
            continue;
        best = i;
        fewest = n;
        if (n == 0)
            break;
    }
    return best;
}

/* With it staying behind, do the groups of the placed ones still hold? */
static bool groups_hold(struct search *s)
{
    for (size_t i = 0; s->k->groups && i < s->k->n; i++) {
        const struct plan_item *it = &s->k->items[i];
        struct plan_ask q = {.vm = it->vm, .host = it->to};
        if (it->to >= 0 && !plan_filter(s->k->w, &q, PF_COMPANY, NULL))
            return false;
    }
    return true;
}

static bool descend(struct search *s);

static bool leave_out(struct search *s, size_t i)
{
    struct plan_item *it = &s->k->items[i];
    int64_t cost = left_out_cost(s->k, it);
    if (s->cost + cost > s->limit)
        return false;
    s->cost += cost;
    s->left_out[i] = true;
    s->k->w->f.leaving[it->vm] = false;
    if (groups_hold(s) && descend(s))
        return true;
    s->k->w->f.leaving[it->vm] = true;
    s->left_out[i] = false;
    s->cost -= cost;
    return false;
}

/* Depth first. True: all open items are placed (or left out within the limit) and stay so. */
static bool descend(struct search *s)
{
    if (s->k->budget <= 0)
        return false;
    size_t i = hardest(s);
    if (i == s->k->n)
        return true;
    cleanup(freep) int *hosts = xcalloc(s->k->w->s->n_hosts, sizeof(*hosts));
    size_t n = candidates(s->k, &s->k->items[i], hosts);
    for (size_t c = 0; c < n; c++) {
        pack_put(s->k, &s->k->items[i], hosts[c]);
        if (descend(s))
            return true;
        pack_take(s->k, &s->k->items[i]);
        if (s->k->budget <= 0)
            return false;
    }
    return leave_out(s, i);
}

bool search_place(struct plan_pack *k, int group, int64_t budget)
{
    cleanup(freep) bool *left_out = xcalloc(k->n, sizeof(*left_out));
    struct search s = {.k = k, .group = group, .left_out = left_out};
    k->budget = budget;
    return descend(&s);
}

/* ---- ejection --------------------------------------------------------------------------------- */

static bool eject(struct plan_pack *k, struct plan_item *it, int depth);

/* Put `it` where `other` is, and other elsewhere. */
static bool displace(struct plan_pack *k, struct plan_item *it, struct plan_item *other, int depth)
{
    int host = other->to;
    pack_take(k, other);
    if (pack_fits(k, it, host)) {
        pack_put(k, it, host);
        int elsewhere = pack_best(k, other);
        if (elsewhere >= 0) {
            pack_put(k, other, elsewhere);
            return true;
        }
        if (depth > 0 && eject(k, other, depth - 1))
            return true;
        pack_take(k, it);
    }
    pack_put(k, other, host);
    return false;
}

static bool eject(struct plan_pack *k, struct plan_item *it, int depth)
{
    for (size_t i = 0; i < k->n && k->budget > 0; i++) {
        struct plan_item *other = &k->items[i];
        if (other != it && other->to >= 0 && it->ok[other->to] != HOST_NO &&
            displace(k, it, other, depth))
            return true;
    }
    return false;
}

static bool alone(const struct plan_pack *k, const struct plan_item *it)
{
    for (size_t i = 0; k->groups && i < k->n; i++)
        if (&k->items[i] != it && k->items[i].group == it->group)
            return false;
    return true;
}

bool search_eject(struct plan_pack *k, struct plan_item *it, int depth)
{
    k->budget = EJECT_BUDGET;
    return alone(k, it) && eject(k, it, depth);
}

/* ---- from scratch ----------------------------------------------------------------------------- */

static int64_t unplaced_cost(const struct plan_pack *k)
{
    int64_t cost = 0;
    for (size_t i = 0; i < k->n; i++)
        if (k->items[i].to < 0)
            cost += left_out_cost(k, &k->items[i]);
    return cost;
}

/* Cheap proof that not all fit: together they need more than all hosts have. */
static bool hopeless(const struct plan_pack *k)
{
    int64_t need = 0, have = 0;
    for (size_t i = 0; i < k->n; i++) {
        if (k->items[i].n_ok == 0)
            return true;
        if (k->items[i].to < 0 && plan_counts(k->w->s, k->items[i].vm))
            need += vm_need_bytes(k->w->s->vms[k->items[i].vm].v);
    }
    for (size_t h = 0; h < k->w->s->n_hosts; h++) {
        bool used = false;
        for (size_t i = 0; i < k->n && !used; i++)
            used = k->items[i].ok[h] != HOST_NO;
        int64_t room = plan_mem_capacity(k->w, (int)h) - k->w->load[h].mem_bytes;
        have += used && room > 0 ? room : 0;
    }
    return need > have;
}

/* A placement that leaves out at most `limit`, replacing the present one if it exists. */
static bool try_limit(struct plan_pack *k, int64_t limit)
{
    cleanup(freep) bool *left_out = xcalloc(k->n, sizeof(*left_out));
    cleanup(freep) int *before = xcalloc(k->n, sizeof(*before));
    struct search s = {.k = k, .group = -1, .limit = limit, .left_out = left_out};
    for (size_t i = 0; i < k->n; i++) {
        before[i] = k->items[i].to;
        if (before[i] >= 0)
            pack_take(k, &k->items[i]);
        k->w->f.leaving[k->items[i].vm] = true;
    }
    bool found = descend(&s);
    for (size_t i = 0; i < k->n; i++) {
        k->w->f.leaving[k->items[i].vm] = true;
        if (!found && before[i] >= 0)
            pack_put(k, &k->items[i], before[i]);
    }
    return found;
}

void search_all(struct plan_pack *k)
{
    k->budget = FULL_BUDGET;
    if (!hopeless(k) && try_limit(k, 0))
        return;
    k->budget = PARTIAL_BUDGET;
    while (k->n <= PARTIAL_ITEMS && unplaced_cost(k) > 1 && try_limit(k, unplaced_cost(k) - 1))
        ;
}
