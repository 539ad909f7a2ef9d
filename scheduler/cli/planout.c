/* What a dry run found. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static int moves_table(struct cli *c, const struct run_view *v)
{
    static const struct column cols[] = {
        {"VM", false, false},    {"FROM", false, false}, {"TO", false, false},
        {"MEMORY", false, true}, {"HOW", false, false},  {"WHY", false, false},
        {"UUID", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        table_fmt(&t, C_NONE, "vm/%s", m->vm_name);
        table_text(&t, C_NONE, m->from);
        table_text(&t, C_NONE, m->to);
        table_bytes(&t, m->mem_bytes);
        table_text(&t, m->live || m->offline ? C_NONE : C_WARN,
                   m->live      ? "live"
                   : m->offline ? "shut off"
                                : "COLD");
        table_text(&t, C_NONE, m->why);
        table_text(&t, C_NONE, m->vm);
    }
    int code = v->n_moves ? table_print(c, &t) : X_DONE;
    table_done(&t);
    return code;
}

/* Plan: 8 moves, 0 blocked, 0 stopped · ... */
static void plan_line(FILE *f, const struct run_view *v, int64_t stopped, int64_t blocked)
{
    const struct run *r = &v->run;
    char a[FMT_BYTES], *s = NULL;
    int64_t bytes = 0, cold = 0;
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        bytes += m->offline ? 0 : m->mem_bytes;
        cold += !m->live && !m->offline;
    }
    text_add(&s, "Plan: %s, %lld blocked, %lld stopped",
             text_count((int64_t)v->n_moves, "move", "moves"), (long long)blocked,
             (long long)stopped);
    if (cold)
        text_add(&s, ", %lld cold", (long long)cold);
    if (v->n_moves && r->parallel > 0)
        text_add(&s, " · at most %lld at once", (long long)r->parallel);
    if (v->n_moves && r->bound_us >= 0)
        text_add(&s, " · not faster than %s (link)", fmt_duration(a, r->bound_us));
    if (v->n_moves)
        text_add(&s, " · %s of memory", fmt_bytes(a, bytes));
    if (r->policy_commit)
        text_add(&s, " · policy %.7s %s", r->policy_commit,
                 r->policy_clean ? "clean" : "with local changes");
    text_line(f, "%s", s);
    free(s);
}

int plan_print(struct cli *c, const struct run_view *v, bool detailed)
{
    const struct run *r = &v->run;
    int64_t stopped = 0, blocked = 0;
    for (size_t i = 0; i < r->n_stays; i++) {
        stopped += stay_halts(r, &r->stays[i]);
        blocked += stay_blocks(r, &r->stays[i]);
    }
    if (r->state == RUN_FAILED || r->state == RUN_CANCELLED) {
        summary_print(c->err, v);
        return X_FAILED;
    }
    int code = moves_table(c, v);
    if (code)
        return code;
    if (r->n_stays) {
        if (v->n_moves)
            fputc('\n', c->out);
        text_line(c->out, "%s",
                  blocked   ? "cannot leave:"
                  : stopped ? "would be shut off:"
                            : "stay here:");
        stays_print(c->out, r);
        ways_out_print(c->out, r);
    } else if (r->state == RUN_REFUSED) {
        refusal_print(c->err, r);
    }
    if (v->n_moves || r->n_stays)
        fputc('\n', c->out);
    plan_line(c->out, v, stopped, blocked);
    if (r->state == RUN_REFUSED || blocked > 0)
        return X_BLOCKED;
    cleanup(freep) char *again = drain_command(r);
    bool any = str_in("*", r->allow_shutdown, r->n_allow_shutdown);
    if (r->on_blocked != BLOCKED_REFUSE)
        text_add(&again, " --on-blocked %s", on_blocked_names[r->on_blocked]);
    for (size_t i = 0; i < r->n_allow_shutdown && !any; i++)
        text_add(&again, " --allow-shutdown %s", r->allow_shutdown[i]);
    cli_note(c, "nothing was changed · %s does it", again);
    return detailed && (v->n_moves || stopped) ? X_CHANGES : X_DONE;
}
