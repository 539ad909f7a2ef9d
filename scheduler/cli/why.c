/* Why a balance run did what it did: what each move was good for and what it cost, who was no choice. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/core.h"

/* "2 hosts are of no use here (h3, h7)" by reason: "h3, h7 and 4 more: not enough memory". */
static void refused_print(FILE *f, const char *pad, const struct refused *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct refused *x = &list[i];
        char *s = NULL;
        for (size_t k = 0; k < x->n_some; k++)
            text_add(&s, "%s%s", k ? ", " : "", x->some[k]);
        if (x->n > (int64_t)x->n_some)
            text_add(&s, " and %lld more", (long long)x->n - (long long)x->n_some);
        text_line(f, "%s%s: %s", pad, s ? s : "?", reason_texts[reason_from_token(x->code)]);
        free(s);
    }
}

char *gain_words(const struct move_gain *g)
{
    if (!g->judged)
        return NULL;
    char *s = xasprintf("deviation of memory %.2f → %.2f", (double)g->before.deviation_ppm / 1e4,
                        (double)g->after.deviation_ppm / 1e4);
    if (g->measured_known && g->measured.deviation_ppm != g->after.deviation_ppm)
        text_add(&s, " (then %.2f)", (double)g->measured.deviation_ppm / 1e4);
    if (g->before.measured && g->after.measured)
        text_add(&s, ", of CPU %.2f → %.2f", (double)g->before.cpu_deviation_ppm / 1e4,
                 (double)g->after.cpu_deviation_ppm / 1e4);
    if (g->measured_known && g->before.measured && g->measured.measured)
        text_add(&s, " (then %.2f)", (double)g->measured.cpu_deviation_ppm / 1e4);
    if (g->before.broken != g->after.broken)
        text_add(&s, ", hard rules mended");
    if (g->before.soft != g->after.soft)
        text_add(&s, ", soft rules %lld → %lld", (long long)g->before.soft,
                 (long long)g->after.soft);
    return s;
}

static void add_cost(char **s, const struct move *m)
{
    char a[FMT_BYTES];
    if (m->bytes >= 0)
        text_add(s, "%s sent", fmt_bytes(a, m->bytes));
    else if (m->forecast.bytes >= 0)
        text_add(s, "≈%s to send", fmt_bytes(a, m->forecast.bytes));
    if (m->total_us > 0)
        text_add(s, " in %s", fmt_duration(a, m->total_us));
    if (m->downtime_us >= 0)
        text_add(s, ", paused %s", fmt_duration(a, m->downtime_us));
}

static void move_why(FILE *f, const struct move *m)
{
    cleanup(freep) char *gain = gain_words(&m->gain), *cost = NULL;
    add_cost(&cost, m);
    text_line(f, "vm/%s  %s → %s  %s%s%s", m->vm_name, m->from, m->to, move_word(m),
              m->error ? ": " : "", m->error ? m->error : "");
    if (m->why)
        text_line(f, "  why     %s", m->why);
    if (gain)
        text_line(f, "  gain    %s", gain);
    if (cost)
        text_line(f, "  cost    %s", cost);
    refused_print(f, "  not to  ", m->refused, m->n_refused);
}

static void room_why_print(FILE *f, const struct run *r)
{
    char a[FMT_BYTES], b[FMT_BYTES], e[FMT_BYTES];
    cleanup(freep) char *what = room_words(&r->room);
    text_line(f, "room     for %s on host/%s: %s free at first, %s as planned, %s now", what,
              r->room.host, fmt_bytes(a, r->room.before_bytes), fmt_bytes(b, r->room.planned_bytes),
              fmt_bytes(e, r->room.after_bytes));
}

void left_out_print(FILE *f, const struct left_out *list, size_t n, int64_t more)
{
    if (n)
        fputs("\nleft out, for it failed a short while ago:\n", f);
    for (size_t i = 0; i < n; i++) {
        cleanup(freep) char *text = left_out_words(&list[i]);
        text_line(f, "  %s", text);
    }
    if (more)
        text_line(f, "  and %lld more", (long long)more);
    if (n)
        text_line(f, "  drover balance --forget-failures tries it all the same");
}

void run_why_print(struct cli *c, const struct run_view *v)
{
    const struct run *r = &v->run;
    cleanup(freep) char *before = standing_words(&r->before),
                        *planned = standing_words(&r->planned), *after = standing_words(&r->after);
    text_line(c->out, "before   %s", before);
    text_line(c->out, "planned  %s", planned);
    text_line(c->out, "now      %s", after);
    if (room_wanted(r) && r->room.host)
        room_why_print(c->out, r);
    if (room_wanted(r) && r->n_stays)
        stays_print(c->out, r, "no room:");
    for (size_t i = 0; i < v->n_moves; i++) {
        fputc('\n', c->out);
        move_why(c->out, &v->moves[i]);
    }
    left_out_print(c->out, r->left_out, r->n_left_out, r->left_out_more);
    if (r->n_refused)
        fputs("\nVMs that were not asked:\n", c->out);
    refused_print(c->out, "  ", r->refused, r->n_refused);
}

int balance_print(struct cli *c, const struct run_view *v)
{
    cleanup(freep) char *before = standing_words(&v->run.before),
                        *after = standing_words(&v->run.planned);
    int code = plan_moves_print(c, v);
    if (code)
        return code;
    if (v->n_moves)
        fputc('\n', c->out);
    if (room_wanted(&v->run)) {
        stays_print(c->out, &v->run, "no room:");
        text_line(c->out, "%s", v->run.message ? v->run.message : "?");
        plan_total_print(c->out, v);
        return X_DONE;
    }
    text_line(c->out, "%s %s", v->n_moves ? "before:" : "nothing to do:", before);
    if (v->n_moves)
        text_line(c->out, "after:  %s", after);
    plan_total_print(c->out, v);
    left_out_print(c->out, v->run.left_out, v->run.n_left_out, v->run.left_out_more);
    cli_note(c, "nothing was changed · drover balance --mode %s does it · drover runs %lld --why",
             balance_mode_names[v->run.mode], (long long)v->run.id);
    return X_DONE;
}
