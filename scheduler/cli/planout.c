/* What a dry run found. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static void forecast_cells(struct table *t, const struct move_forecast *f)
{
    char starts[TIME_BYTES], takes[TIME_BYTES], pause[FMT_BYTES];
    bool ends = f->end_us >= 0;
    table_text(t, C_NONE, f->start_us < 0 ? "?" : time_about(starts, f->start_us));
    table_text(t, f->never ? C_WARN : C_NONE,
               f->never ? "never"
               : ends   ? time_about(takes, f->end_us - f->start_us)
                        : "?");
    table_text(t, C_NONE, f->pause_us < 0 ? "?" : fmt_duration(pause, f->pause_us));
}

enum { WAITS_SHOWN = 3 };

/* "vm/a, vm/b and 3 more": what the move waits for; NULL: nothing. Gives. */
static char *waits_text(const struct move *m)
{
    char *s = NULL;
    for (size_t i = 0; i < m->n_after && i < WAITS_SHOWN; i++)
        text_add(&s, "%svm/%s", i ? ", " : "", m->after[i].vm);
    if (m->n_after > WAITS_SHOWN)
        text_add(&s, " and %zu more", m->n_after - WAITS_SHOWN);
    return s;
}

/* "after vm/x: into the room that vm/x gives up" */
static void why_cell(struct table *t, const struct move *m)
{
    cleanup(freep) char *waits = waits_text(m);
    if (waits)
        table_fmt(t, C_NONE, "after %s: %s", waits, m->why ? m->why : "");
    else
        table_text(t, C_NONE, m->why);
}

int plan_moves_print(struct cli *c, const struct run_view *v)
{
    static const struct column cols[] = {
        {"VM", false, false},   {"FROM", false, false}, {"TO", false, false},
        {"NEED", false, true},  {"HOW", false, false},  {"WHY", false, false},
        {"STARTS", true, true}, {"TAKES", true, true},  {"PAUSE", true, true},
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
        why_cell(&t, m);
        forecast_cells(&t, &m->forecast);
        table_text(&t, C_NONE, m->vm);
    }
    int code = v->n_moves ? table_print(c, &t) : X_DONE;
    table_done(&t);
    return code;
}

enum { BLIND_SHOWN = 3 };

static void add_blind(char **s, const struct run_forecast *f)
{
    text_add(s, " · time unknown: no link speed of ");
    for (size_t i = 0; i < f->n_blind && i < BLIND_SHOWN; i++)
        text_add(s, "%s%s", i ? ", " : "", f->blind[i]);
    if (f->n_blind > BLIND_SHOWN)
        text_add(s, " and %zu more", f->n_blind - BLIND_SHOWN);
    text_add(s, " (migration.link of agent.yaml)");
}

/* How many, and the one that would need most. */
static void add_never(char **s, const struct run_view *v)
{
    const struct move *worst = NULL;
    char a[FMT_BYTES];
    text_add(s, " · %lld would not converge", (long long)v->run.forecast.never);
    for (size_t i = 0; i < v->n_moves; i++)
        if (!worst || v->moves[i].forecast.need_Bps > worst->forecast.need_Bps)
            worst = &v->moves[i];
    if (worst && worst->forecast.need_Bps > 0)
        text_add(s, " (vm/%s needs more than %s/s)", worst->vm_name,
                 fmt_bytes(a, worst->forecast.need_Bps));
}

/* What nobody knows is said, not guessed. */
static void add_forecast(char **s, const struct run_view *v, int64_t cold)
{
    const struct run_forecast *f = &v->run.forecast;
    char a[FMT_BYTES], t[TIME_BYTES];
    if (f->peak > 0)
        text_add(s, " · peak %lld at once", (long long)f->peak);
    else if (v->run.parallel > 0)
        text_add(s, " · at most %lld at once", (long long)v->run.parallel);
    if (f->n_blind)
        add_blind(s, f);
    else if (f->makespan_us >= 0)
        text_add(s, " · ≈%s%s%s", time_about(t, f->makespan_us),
                 f->writers ? " if guests write little" : "",
                 cold ? ", and as long as cold ones take" : "");
    if (f->never)
        add_never(s, v);
    if (f->bytes > 0)
        text_add(s, " · %s over the wire", fmt_bytes(a, f->bytes));
    if (f->pause_us > 0)
        text_add(s, " · worst pause ≈%s", fmt_duration(a, f->pause_us));
    else if (f->pause_limit_us > 0 && f->bytes > 0)
        text_add(s, " · pauses up to %s", fmt_duration(a, f->pause_limit_us));
}

static void finish_line(FILE *f, const struct run_view *v, char *s, int64_t cold)
{
    const struct run *r = &v->run;
    if (v->n_moves)
        add_forecast(&s, v, cold);
    if (r->policy_commit)
        text_add(&s, " · policy %.7s %s", r->policy_commit,
                 r->policy_clean ? "clean" : "with local changes");
    text_line(f, "%s", s);
    free(s);
}

void plan_total_print(FILE *f, const struct run_view *v)
{
    char *s = NULL;
    text_add(&s, "Plan: %s", text_count((int64_t)v->n_moves, "move", "moves"));
    finish_line(f, v, s, 0);
}

/* Plan: 8 moves, 0 blocked, 0 stopped · ... */
static void plan_line(FILE *f, const struct run_view *v, int64_t stopped, int64_t blocked)
{
    char *s = NULL;
    int64_t cold = 0;
    for (size_t i = 0; i < v->n_moves; i++)
        cold += !v->moves[i].live && !v->moves[i].offline;
    text_add(&s, "Plan: %s, %lld blocked, %lld stopped",
             text_count((int64_t)v->n_moves, "move", "moves"), (long long)blocked,
             (long long)stopped);
    if (cold)
        text_add(&s, ", %lld cold", (long long)cold);
    finish_line(f, v, s, cold);
}

int plan_print(struct cli *c, const struct run_view *v, bool detailed)
{
    const struct run *r = &v->run;
    int64_t stopped = (int64_t)stays_of(r, FATE_STOPS) + (int64_t)stays_of(r, FATE_STOPPED);
    int64_t blocked = (int64_t)stays_of(r, FATE_BLOCKED);
    if (r->state == RUN_FAILED || r->state == RUN_CANCELLED) {
        summary_print(c->err, v);
        return X_FAILED;
    }
    int code = plan_moves_print(c, v);
    if (code)
        return code;
    if (r->n_stays) {
        if (v->n_moves)
            fputc('\n', c->out);
        stays_print(c->out, r, "cannot leave:");
        ways_out_print(c->out, r);
    } else if (r->state == RUN_REFUSED) {
        refusal_print(c->err, r);
    }
    if (v->n_moves || r->n_stays)
        fputc('\n', c->out);
    plan_line(c->out, v, stopped, blocked);
    if (r->interrupts)
        cli_note(c,
                 "run/%lld (balance) is at work: for a drain it begins nothing more, and what it is "
                 "moving ends first",
                 (long long)r->interrupts);
    if (r->state == RUN_REFUSED || blocked > 0)
        return X_BLOCKED;
    cleanup(freep) char *again = drain_command(r);
    if (r->on_blocked != BLOCKED_REFUSE)
        text_add(&again, " --on-blocked %s", on_blocked_names[r->on_blocked]);
    for (size_t i = 0; i < r->n_allow_shutdown; i++)
        text_add(&again, " --allow-shutdown vm/%s", r->allow_shutdown[i]);
    cli_note(c, "nothing was changed · %s does it", again);
    return detailed && (v->n_moves || stopped) ? X_CHANGES : X_DONE;
}
