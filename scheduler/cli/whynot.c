/* drover plan drain HOST --why-not. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static bool called(const char *name, const char *uuid, const char *wanted)
{
    return !wanted || str_eq(name, wanted) || str_eq(uuid, wanted);
}

static void one_stay(FILE *f, const struct run *r, const struct stay *st)
{
    stay_print(f, r, st, stays_pad(r));
    ways_all_print(f, st->ways, st->n_ways, stays_pad(r));
    if (!st->n_ways && stay_fate(r, st) == FATE_BLOCKED && r->ways_tried)
        text_line(f, "  %-*s  %s", stays_pad(r), "",
                  r->ways_cut ? "no way out among the changes that could be tried"
                              : "no single change was found that lets it go");
}

static size_t stays(struct cli *c, const struct run *r, const char *vm)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_stays; i++)
        if (called(r->stays[i].name, r->stays[i].vm, vm)) {
            one_stay(c->out, r, &r->stays[i]);
            n++;
        }
    return n;
}

static size_t moves(struct cli *c, const struct run_view *v, const char *vm)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_moves && vm; i++) {
        const struct move *m = &v->moves[i];
        if (!called(m->vm_name, m->vm, vm))
            continue;
        text_line(c->out, "vm/%s can leave: to %s, %s", m->vm_name, m->to, m->why ? m->why : "?");
        n++;
    }
    return n;
}

int why_not_print(struct cli *c, const struct run_view *v, const char *vm)
{
    const struct run *r = &v->run;
    size_t n = stays(c, r, vm);
    cleanup(freep) char *place = run_place(r);
    if (r->state == RUN_FAILED || r->state == RUN_CANCELLED) {
        summary_print(c->err, v);
        return X_FAILED;
    }
    n += moves(c, v, vm);
    if (!n && vm)
        return cli_error(c, X_DENIED, "no VM '%s' among those of %s", vm, place);
    if (!n)
        text_line(c->out, "every VM of %s can leave", place);
    shortages_print(c->out, r->shortages, r->n_shortages, stays_pad(r));
    return stays_of(r, FATE_BLOCKED) ? X_BLOCKED : X_DONE;
}
