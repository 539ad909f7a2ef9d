/* drover plan balance --why-not VM. */
#include "scheduler/plan/unmoved.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

/* What the best move would bring, against what it costs. Gives. */
static char *worth(const struct plan_unmoved *u)
{
    if (u->mends)
        return xstrdup("it mends what is broken or too full");
    if (u->gain <= 0 || u->price <= 0)
        return xstrdup(u->gain < 0 ? "it would make things worse" : "it would change nothing");
    if (u->gain >= 2 * u->price)
        return xasprintf("it brings %lld times what it costs", (long long)(u->gain / u->price));
    return xasprintf("it brings %lld %% of what it costs",
                     (long long)((__int128)u->gain * 100 / u->price));
}

static char *because(const struct plan_unmoved *u, const struct plan *p)
{
    switch ((enum unmoved_why)u->why) {
    case UNMOVED_MOVES:
        return xstrdup("it is moved");
    case UNMOVED_CANNOT:
        return xstrdup(u->n_reasons ? "it cannot move" : "it is shut off and takes nothing");
    case UNMOVED_NOWHERE:
        return xstrdup("no other host may take it");
    case UNMOVED_PRICE:
        return xstrdup(u->gain > 0 ? "its best move brings less than it costs"
                                   : "no move of it would make anything better");
    case UNMOVED_LIMIT:
        return xasprintf("it would be worth it, but the plan has its %s already "
                         "(--max-moves, balance.max_moves)",
                         text_count((int64_t)p->n_moves, "move", "moves"));
    case UNMOVED_LEFT_BE:
        return xstrdup("the fleet is even enough to be let be "
                       "(balance.imbalance, balance.min_gain)");
    case UNMOVED_BETTER:
    case UNMOVED_WHYS:
        break;
    }
    return xstrdup("it would be worth it by itself, but the plan found moves that bring more");
}

static void hosts_print(FILE *f, const struct plan_unmoved *u)
{
    cleanup(freep) bool *done = xcalloc(u->n_reasons, sizeof(*done));
    cleanup(freep) const struct reason **group = xcalloc(u->n_reasons, sizeof(*group));
    for (size_t i = 0; i < u->n_reasons; i++) {
        size_t n = 0;
        for (size_t k = i; k < u->n_reasons; k++)
            if (!done[k] && reason_same(&u->reasons[i], &u->reasons[k])) {
                done[k] = true;
                group[n++] = &u->reasons[k];
            }
        if (!n)
            continue;
        qsort(group, n, sizeof(*group), reason_most_first);
        cleanup(freep) char *words = reasons_words(group, n);
        text_line(f, "  %s", words);
    }
}

static void text_print(FILE *f, const struct snapshot *s, int vm, const struct plan *p,
                       const struct plan_unmoved *u)
{
    cleanup(freep) char *why = because(u, p);
    bool moves = u->why == UNMOVED_MOVES;
    text_line(f, "vm/%s on host/%s: %s%s%s", s->vms[vm].v->name, s->hosts[s->vms[vm].host].h->name,
              why, moves ? " to " : "", moves ? s->hosts[u->best].h->name : "");
    if (!moves && u->best >= 0) {
        cleanup(freep) char *brings = worth(u);
        text_line(f, "  best move: to %s; %s", s->hosts[u->best].h->name, brings);
    }
    hosts_print(f, u);
}

static json_t *encode(const struct snapshot *s, int vm, const struct plan_unmoved *u)
{
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s?, s:I, s:I, s:[]}", "schema",
                          "drover.unmoved/1", "vm", s->vms[vm].v->name, "host",
                          s->hosts[s->vms[vm].host].h->name, "why", unmoved_why_names[u->why],
                          "mends", u->mends, "best", u->best < 0 ? NULL : s->hosts[u->best].h->name,
                          "gain", (json_int_t)u->gain, "price", (json_int_t)u->price, "reasons");
    for (size_t i = 0; i < u->n_reasons; i++)
        json_array_append_new(json_object_get(j, "reasons"),
                              codec_encode_public(&reason_shape, &u->reasons[i]));
    return j;
}

int unmoved_print(struct cli *c, const struct offline *o, const struct plan_request *r,
                  const char *vm)
{
    int id = offline_vm(c, o, vm);
    if (id < 0)
        return X_DENIED;
    struct plan p;
    struct plan_unmoved u;
    struct plan_index *x = plan_index_new(&o->fleet.s, &o->policy);
    plan_make_from(x, r, 0, &p);
    plan_unmoved(x, r, &p, id, &u);
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j = encode(&o->fleet.s, id, &u);
        out_data(c, j, NULL);
    } else {
        text_print(c->out, &o->fleet.s, id, &p, &u);
    }
    plan_unmoved_done(&u);
    plan_done(&p);
    plan_index_free(x);
    return X_DONE;
}
