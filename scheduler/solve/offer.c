/* Kinds of items, classes of machines, and every small offer of a class: first what leaves, then what
 * comes, each list ascending, so that none is met twice. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/offer.h"

/* ---- kinds ------------------------------------------------------------------------------------- */

static bool same_kind(const struct problem *p, int a, int b)
{
    size_t bytes = (size_t)p->n_variants * (size_t)p->n_res * sizeof(*p->size);
    return !memcmp(solve_size(p, a, 0), solve_size(p, b, 0), bytes) &&
           (!p->variants || p->variants[a] == p->variants[b]) &&
           (!p->allow || p->allow[a] == p->allow[b]) &&
           (!p->move_cost || p->move_cost[a] == p->move_cost[b]);
}

/* What else the item's place matters to is not in an offer's worth. */
static bool is_free(const struct problem *p, int i)
{
    return p->home[i] >= 0 && !has_groups(p, i) &&
           (!p->prefer_start || p->prefer_start[i] == p->prefer_start[i + 1]) &&
           solve_allowed(p, i, p->home[i]);
}

static void find_kinds(struct offers *x, const bool *pinned)
{
    const struct problem *p = x->s->p;
    x->kind = xcalloc((size_t)p->n_items, sizeof(*x->kind));
    for (int i = 0; i < p->n_items; i++) {
        int k = 0;
        x->kind[i] = -1;
        if (pinned[i] || !is_free(p, i))
            continue;
        while (k < x->n_kinds && !same_kind(p, x->kind_of[k], i))
            k++;
        if (k == OFFER_KINDS)
            continue;
        if (k == x->n_kinds)
            x->kind_of[x->n_kinds++] = i;
        x->kind[i] = k;
    }
}

/* ---- one machine ------------------------------------------------------------------------------- */

/* An offer in the making; ways are kinds in a variant. */
struct making {
    struct offers *x;
    struct offer_class *c;
    struct offer o;
    int64_t left[OFFER_KINDS * SOLVE_MAX_VARIANTS]; /* items on the machine, per way */
    int64_t load[SOLVE_MAX_RES], room[SOLVE_MAX_RES];
    struct solve_score before;
    int64_t most;
};

static const int64_t *size_of(const struct making *g, int way)
{
    const struct problem *p = g->x->s->p;
    return solve_size(p, g->x->kind_of[way / p->n_variants], way % p->n_variants);
}

static uint32_t touches(const struct making *g, int way)
{
    const int64_t *size = size_of(g, way);
    uint32_t set = 0;
    for (int r = 0; r < g->x->s->p->n_res; r++)
        set |= (uint32_t)(size[r] != 0) << r;
    return set;
}

/* Items that leave may have to keep their room. */
static void put(struct making *g, int way, int sign, bool of_home)
{
    const struct solve_state *s = g->x->s;
    const int64_t *size = size_of(g, way);
    for (int r = 0; r < s->p->n_res; r++) {
        g->load[r] += sign * size[r];
        g->room[r] -= sign * size[r] & (of_home ? s->staying[r] : -1);
    }
}

static bool fits(const struct making *g)
{
    for (int r = 0; r < g->x->s->p->n_res; r++)
        if (g->room[r] < 0)
            return false;
    return true;
}

/* What the machine gains; less than nothing, as far as can be, if an earlier tier would be worse. */
static int64_t gain(struct making *g)
{
    struct solve_score now = price_machine(g->x->s, g->c->machine, g->load, g->room);
    g->x->asked++;
    for (int t = 0; t < g->x->tier; t++)
        if (now.tier[t] > g->before.tier[t])
            return INT64_MIN;
    return g->before.tier[g->x->tier] - now.tier[g->x->tier];
}

static int way_of(const struct making *g, int part)
{
    return g->o.part[part].kind * g->x->s->p->n_variants + g->o.part[part].variant;
}

static bool can_come(const struct making *g, int way)
{
    const struct problem *p = g->x->s->p;
    int item = g->x->kind_of[way / p->n_variants];
    if ((p->variants && !(p->variants[item] >> way % p->n_variants & 1)) ||
        !solve_allowed(p, item, g->c->machine))
        return false;
    for (int k = 0; k < g->o.n_leave; k++)
        if (way_of(g, k) == way)
            return false;
    const int64_t *size = size_of(g, way);
    for (int r = 0; r < p->n_res; r++)
        if (size[r] > g->room[r])
            return false;
    return true;
}

/* All parts hang together by the resources that they share. */
static bool is_one(struct making *g)
{
    uint32_t part[OFFER_PARTS], seen = 0, all = 0;
    for (int k = 0; k < g->o.n; k++)
        all |= part[k] = touches(g, way_of(g, k));
    seen = g->o.n ? part[0] : 0;
    for (int round = 1; round < g->o.n; round++)
        for (int k = 0; k < g->o.n; k++)
            seen |= part[k] & seen ? part[k] : 0;
    g->o.where = all;
    return g->o.n && seen == all;
}

/* Where nothing leaves more may come: who exchanges gains less by it. */
static int most_come(const struct making *g)
{
    return g->o.n_leave ? OFFER_CHANGE : OFFER_COME;
}

/* An item less could leave, or one more come, for the same gain. */
static bool others_do_as_well(struct making *g, int64_t worth)
{
    const struct problem *p = g->x->s->p;
    bool as_well = false;
    for (int k = 0; k < g->o.n_leave && !as_well; k++) {
        put(g, way_of(g, k), 1, true);
        as_well = fits(g) && gain(g) >= worth;
        put(g, way_of(g, k), -1, true);
    }
    bool full = g->o.n - g->o.n_leave == most_come(g);
    for (int way = 0; way < g->x->n_kinds * p->n_variants && !full && !as_well; way++) {
        if (touches(g, way) & ~g->o.where || !can_come(g, way))
            continue;
        put(g, way, 1, false);
        as_well = gain(g) >= worth;
        put(g, way, -1, false);
    }
    return as_well;
}

static void add_offer(struct making *g)
{
    struct offer_class *c = g->c;
    if (!fits(g) || !is_one(g))
        return;
    int64_t worth = gain(g);
    if (worth == INT64_MIN || others_do_as_well(g, worth))
        return;
    int w = 0;
    while (w < c->n_wheres && c->where[w] != g->o.where)
        w++;
    if (w == OFFER_WHERES)
        return;
    c->where[w] = g->o.where;
    c->n_wheres += w == c->n_wheres;
    const struct problem *p = g->x->s->p;
    for (int k = 0; k < g->o.n_leave && p->move_cost && g->x->tier == TIER_COST; k++)
        worth -= p->move_cost[g->x->kind_of[g->o.part[k].kind]];
    g->o.worth = worth * OFFER_FINE;
    g->o.n_where = (uint8_t)w;
    *vec_add(&c->offers, &c->n) = g->o;
}

static void add_part(struct making *g, int way)
{
    int n = g->x->s->p->n_variants;
    g->o.part[g->o.n++] =
        (struct offer_part){.kind = (uint8_t)(way / n), .variant = (uint8_t)(way % n)};
}

static void let_come(struct making *g, int from)
{
    add_offer(g);
    int ways = g->x->n_kinds * g->x->s->p->n_variants;
    if (g->o.n - g->o.n_leave == most_come(g))
        return;
    for (int way = from; way < ways && g->x->asked <= g->most; way++) {
        if (!can_come(g, way))
            continue;
        put(g, way, 1, false);
        add_part(g, way);
        let_come(g, way);
        g->o.n--;
        put(g, way, -1, false);
    }
}

static void let_leave(struct making *g, int from)
{
    let_come(g, 0);
    int ways = g->x->n_kinds * g->x->s->p->n_variants;
    if (g->o.n_leave == OFFER_LEAVE)
        return;
    for (int way = from; way < ways && g->x->asked <= g->most; way++) {
        if (!g->left[way])
            continue;
        g->left[way]--;
        put(g, way, -1, true);
        add_part(g, way);
        g->o.n_leave++;
        let_leave(g, way);
        g->o.n_leave--;
        g->o.n--;
        put(g, way, 1, true);
        g->left[way]++;
    }
}

static void make_offers(struct offers *x, struct offer_class *c, const int64_t *there, int64_t most)
{
    const struct solve_state *s = x->s;
    size_t n = (size_t)s->p->n_res, at = (size_t)c->machine * n;
    struct making g = {.x = x, .c = c, .most = most};
    memcpy(g.left, there, (size_t)x->n_kinds * (size_t)s->p->n_variants * sizeof(*there));
    memcpy(g.load, &s->load[at], n * sizeof(*g.load));
    memcpy(g.room, &s->room[at], n * sizeof(*g.room));
    g.before = s->machine[c->machine];
    let_leave(&g, 0);
}

/* ---- classes ----------------------------------------------------------------------------------- */

/* What makes machines alike, as a row of numbers; the items of each way come first. */
struct rows {
    size_t width;
    int64_t *row;
    uint64_t *hash;
};

static void fill_row(const struct offers *x, int m, int64_t *row)
{
    const struct solve_state *s = x->s;
    const struct problem *p = s->p;
    for (int i = s->first[m]; i >= 0; i = s->next[i])
        if (x->kind[i] >= 0)
            row[x->kind[i] * p->n_variants + s->variant[i]]++;
    row += x->n_kinds * p->n_variants;
    for (int k = 0; k < x->n_kinds; k++)
        *row++ = solve_allowed(p, x->kind_of[k], m);
    for (int k = 0; k < p->n_terms; k++)
        *row++ = p->terms[k].level ? p->terms[k].level[m] : 0;
    size_t n = (size_t)p->n_res;
    memcpy(row, &s->load[(size_t)m * n], n * sizeof(*row));
    memcpy(row + n, &s->room[(size_t)m * n], n * sizeof(*row));
}

static void rows_init(const struct offers *x, struct rows *r)
{
    const struct problem *p = x->s->p;
    size_t n = (size_t)p->n_machines;
    r->width = (size_t)x->n_kinds * (size_t)(p->n_variants + 1) + (size_t)p->n_terms +
               2 * (size_t)p->n_res;
    r->row = xcalloc(n * r->width, sizeof(*r->row));
    r->hash = xcalloc(n, sizeof(*r->hash));
    for (size_t m = 0; m < n; m++) {
        int64_t *row = &r->row[m * r->width];
        fill_row(x, (int)m, row);
        for (size_t k = 0; k < r->width; k++)
            r->hash[m] = (r->hash[m] ^ (uint64_t)row[k]) * 0x9e3779b97f4a7c15;
    }
}

static bool same_class(const struct rows *r, int a, int b)
{
    return r->hash[a] == r->hash[b] &&
           !memcmp(&r->row[(size_t)a * r->width], &r->row[(size_t)b * r->width],
                   r->width * sizeof(*r->row));
}

bool offers_init(struct offers *x, const struct solve_state *s, int tier, const bool *pinned,
                 int64_t most)
{
    struct rows r;
    size_t n = (size_t)s->p->n_machines;
    *x = (struct offers){.s = s, .tier = tier};
    find_kinds(x, pinned);
    rows_init(x, &r);
    x->class_of = xcalloc(n, sizeof(*x->class_of));
    x->classes = xcalloc(n, sizeof(*x->classes));
    for (int m = 0; m < s->p->n_machines; m++) {
        int c = 0;
        while (c < x->n_classes && !same_class(&r, x->classes[c].machine, m))
            c++;
        if (c == x->n_classes) {
            x->classes[x->n_classes++].machine = m;
            make_offers(x, &x->classes[c], &r.row[(size_t)m * r.width], most);
        }
        x->class_of[m] = c;
        x->classes[c].n_machines++;
    }
    free(r.row);
    free(r.hash);
    return x->asked <= most;
}

void offers_done(struct offers *x)
{
    for (int c = 0; c < x->n_classes; c++)
        free(x->classes[c].offers);
    free(x->classes);
    free(x->class_of);
    free(x->kind);
}
