/* The picture of a run: a header and a line for each VM that matters now. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/follow.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

#define STILL_US (5 * SEC) /* progress comes each second */
enum { QUEUED_SHOWN = 3, VM_COLUMNS = 28, PHASE_COLUMNS = 15, STUCK_PASSES = 3 };

char *follow_counts(const struct run_view *v)
{
    const struct run *r = &v->run;
    char *s = r->dry_run
                  ? xasprintf("%lld of %lld would move, none is", (long long)r->queued,
                              (long long)r->vms)
                  : xasprintf("%lld/%lld moved · %lld moving · %lld queued", (long long)r->moved,
                              (long long)r->vms, (long long)r->moving, (long long)r->queued);
    if (r->blocked)
        text_add(&s, " · %lld blocked", (long long)r->blocked);
    if (r->stopped)
        text_add(&s, " · %lld stopped", (long long)r->stopped);
    if (!run_ended(r->state) && r->eta_wall_us > v->wall_us) {
        char at[TIME_BYTES], in[TIME_BYTES];
        text_add(&s, "   ends ≈%s (in %s)", time_minute(at, r->eta_wall_us),
                 time_about(in, r->eta_wall_us - v->wall_us));
    }
    return s;
}

static char *header(const struct run_view *v)
{
    const struct run *r = &v->run;
    const char *word = r->state == RUN_PLANNING     ? "planning"
                       : r->state == RUN_CANCELLING ? "cancelling"
                       : r->state != RUN_RUNNING    ? run_state_names[r->state]
                       : r->kind == RUN_HOME        ? "coming home"
                       : r->kind == RUN_BALANCE     ? "balancing"
                                                    : "draining";
    cleanup(freep) char *counts = follow_counts(v);
    cleanup(freep) char *place = run_place(r);
    char *s = xasprintf("%s %s  run/%lld", place, word, (long long)r->id);
    if (r->reason)
        text_add(&s, "  \"%s\"", r->reason);
    text_add(&s, "   %s", counts);
    return s;
}

/* "1.1 of 32 GiB left": the unit once when it is the same. */
static void add_left(char **s, const struct progress *p)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    fmt_bytes(a, p->remaining_bytes);
    fmt_bytes(b, p->total_bytes);
    char *ua = strchr(a, ' '), *ub = strchr(b, ' ');
    if (ua && ub && str_eq(ua, ub))
        *ua = '\0';
    text_add(s, "%s of %s left", a, b);
}

/* Will it end, and when: from what is left, what was left pass by pass, the rate and that of new dirt. */
static void add_verdict(char **s, const struct move *m, bool *ret_bad)
{
    char t[TIME_BYTES], pause[FMT_BYTES];
    const struct progress *p = &m->progress;
    if (p->postcopy) {
        text_add(s, "post-copy: runs at the destination");
        return;
    }
    if (p->rate_Bps <= 0) {
        text_add(s, "starting");
        return;
    }
    if ((p->dirty_Bps >= p->rate_Bps && p->iteration > 1) || m->stuck >= STUCK_PASSES) {
        *ret_bad = true;
        text_add(s, "NOT converging");
        return;
    }
    int64_t net = p->rate_Bps - (p->dirty_Bps > 0 && p->iteration > 1 ? p->dirty_Bps : 0);
    text_add(s, "%s", p->iteration > 1 && p->dirty_Bps >= 0 ? "converging, " : "");
    text_add(s, "≈%s",
             time_about(t, (int64_t)((double)p->remaining_bytes * 1e6 / (double)(net ? net : 1))));
    if (p->downtime_us > 0)
        text_add(s, ", pause ≈%s", fmt_duration(pause, p->downtime_us));
}

static size_t rbd_disks(const struct move *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_disks; i++)
        n += m->disks[i].kind == DISK_RBD;
    return n;
}

static void add_rates(char **s, const struct progress *p)
{
    char a[FMT_BYTES];
    if (p->rate_Bps > 0)
        text_add(s, "  %s/s", fmt_bytes(a, p->rate_Bps));
    if (p->dirty_Bps >= 0 && p->iteration > 1)
        text_add(s, "  dirty %s/s", fmt_bytes(a, p->dirty_Bps));
}

/* What is left, how fast, and the verdict; on a narrow screen the verdict first, so that it is not what
 * is cut off. */
static void add_copying(char **s, const struct move *m, int64_t now_us, bool narrow, bool *ret_bad)
{
    char t[TIME_BYTES];
    const struct progress *p = &m->progress;
    if (p->total_bytes <= 0) {
        text_add(s, "%s", m->note ? m->note : "starting");
        return;
    }
    bool still = m->sent_wall_us && now_us - m->sent_wall_us >= STILL_US;
    if (!narrow)
        add_left(s, p);
    if (still) {
        *ret_bad = true;
        text_add(s, "%sno progress for %s", narrow ? "" : "  ",
                 time_about(t, now_us - m->sent_wall_us));
    } else if (narrow) {
        add_verdict(s, m, ret_bad);
    }
    if (narrow) {
        text_add(s, "  ");
        add_left(s, p);
    }
    if (still && m->note)
        text_add(s, "%s%s", narrow ? "  " : ": ", m->note);
    if (still)
        return;
    add_rates(s, p);
    if (!narrow) {
        text_add(s, "  ");
        add_verdict(s, m, ret_bad);
    }
}

/* Everything after the phase word. */
static char *facts(const struct move *m, int64_t now_us, bool narrow, bool *ret_bad)
{
    char *s = xstrdup("");
    char a[FMT_BYTES];
    *ret_bad = false;
    switch (m->state) {
    case JOB_COPYING:
        add_copying(&s, m, now_us, narrow, ret_bad);
        break;
    case JOB_CONFIRMING:
        text_add(&s, "RBD writer on %s: %zu/%zu images", m->to, m->n_ceph_after, rbd_disks(m));
        if (m->note)
            text_add(&s, "  %s", m->note);
        break;
    case JOB_UNCERTAIN:
        *ret_bad = true;
        text_add(&s, "%s", m->note ? m->note : "asking both hosts and Ceph where it runs");
        break;
    case JOB_QUEUED:
        text_add(&s, "%s%s", fmt_bytes(a, m->mem_bytes), m->note ? "  " : "");
        text_add(&s, "%s", m->note ? m->note : "");
        break;
    default:
        text_add(&s, "%s",
                 m->note                     ? m->note
                 : m->state == JOB_PREPARING ? "asking both hosts and Ceph"
                                             : "");
        break;
    }
    return s;
}

/* Name, cut to the width of its column and padded. Gives. */
static char *name_cell(const char *name, size_t width)
{
    char *s = xasprintf("vm/%s", name ? name : "?");
    size_t w = text_width(s);
    if (w > width) {
        s[text_fit(s, width - 1)] = '\0';
        text_add(&s, "…");
        w = text_width(s);
    }
    text_add(&s, "%*s", w < width ? (int)(width - w) : 0, "");
    return s;
}

static size_t name_width(const struct run_view *v)
{
    size_t width = 8;
    for (size_t i = 0; i < v->n_moves; i++) {
        size_t w = text_width(v->moves[i].vm_name ? v->moves[i].vm_name : "") + 3;
        if (!job_final((enum job_state)v->moves[i].state) && w > width)
            width = w;
    }
    for (size_t i = 0; i < v->run.n_stays; i++) {
        size_t w = text_width(v->run.stays[i].name ? v->run.stays[i].name : "") + 3;
        width = w > width ? w : width;
    }
    return width < VM_COLUMNS ? width : VM_COLUMNS;
}

struct lines {
    char **list;
    size_t n, width, rows;
    bool colours;
};

/* Takes text. The word in the middle (bytes [from, to)) is doubled by a colour. */
static void add_line(struct lines *l, char *text, size_t from, size_t to, int colour)
{
    static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    text_safe(text);
    if (text_width(text) > l->width) {
        text[text_fit(text, l->width - 1)] = '\0';
        text_add(&text, "…");
    }
    size_t len = strlen(text);
    if (l->n >= l->rows) {
        free(text);
        return;
    }
    char *out = text;
    if (l->colours && colour != C_NONE && to <= len && from < to) {
        out = xasprintf("%.*s%s%.*s\033[0m%s", (int)from, text, codes[colour], (int)(to - from),
                        text + from, text + to);
        free(text);
    }
    *vec_add(&l->list, &l->n) = out;
}

static void add_move(struct lines *l, const struct move *m, int64_t now_us, size_t name_w,
                     size_t to_w)
{
    bool bad;
    char phase[48];
    cleanup(freep) char *name = name_cell(m->vm_name, name_w);
    if (m->state == JOB_COPYING && m->progress.iteration > 0)
        snprintf(phase, sizeof(phase), "copying pass %lld", (long long)m->progress.iteration);
    else
        snprintf(phase, sizeof(phase), "%s", m->cancel ? "aborting" : move_word(m));
    char *s = xasprintf(" %s  → %-*s  ", name, (int)to_w, m->to ? m->to : "?");
    size_t from = strlen(s);
    cleanup(freep) char *what = facts(m, now_us, false, &bad);
    if (text_width(s) + PHASE_COLUMNS + 2 + text_width(what) > l->width) {
        free(what);
        what = facts(m, now_us, true, &bad);
    }
    text_add(&s, "%-*s  %s", PHASE_COLUMNS, phase, what);
    add_line(l, s, from, from + strlen(phase),
             bad                      ? C_BAD
             : m->state == JOB_QUEUED ? C_DIM
                                      : C_GOOD);
}

static void add_stay(struct lines *l, const struct stay *st, enum fate fate, size_t name_w,
                     size_t to_w)
{
    cleanup(freep) char *name = name_cell(st->name, name_w);
    cleanup(freep) char *why = st->n_reasons ? reason_line(&st->reasons[0]) : xstrdup("");
    char *s = xasprintf(" %s    %-*s  ", name, (int)to_w, "");
    size_t from = strlen(s);
    static const struct {
        const char *word;
        int colour;
    } looks[FATES_] = {
        {"blocked", C_BAD}, {"stops", C_WARN}, {"stopped", C_WARN}, {"stays off", C_DIM}};
    const char *word = looks[fate].word;
    text_add(&s, "%-15s  %s  (drover explain vm/%s)", word, why, st->name ? st->name : st->vm);
    add_line(l, s, from, from + strlen(word), looks[fate].colour);
}

size_t follow_block(const struct run_view *v, size_t width, size_t rows, bool colours,
                    char ***ret_lines)
{
    struct lines l = {.width = width, .rows = rows, .colours = colours};
    size_t name_w = name_width(v), to_w = 2, queued = 0;
    for (size_t i = 0; i < v->n_moves; i++) {
        size_t w = v->moves[i].to ? strlen(v->moves[i].to) : 0;
        to_w = w > to_w && w <= 24 ? w : to_w;
    }
    add_line(&l, header(v), 0, 0, C_NONE);
    if (v->run.message)
        add_line(&l, xasprintf(" %s", v->run.message), 0, 0, C_NONE);
    for (size_t i = 0; i < v->run.n_stays; i++)
        add_stay(&l, &v->run.stays[i], stay_fate(&v->run, &v->run.stays[i]), name_w, to_w);
    for (int uncertain = 1; uncertain >= 0; uncertain--) /* what needs an eye comes first */
        for (size_t i = 0; i < v->n_moves; i++) {
            const struct move *m = &v->moves[i];
            if (m->state != JOB_QUEUED && !job_final((enum job_state)m->state) &&
                (m->state == JOB_UNCERTAIN) == (uncertain == 1))
                add_move(&l, m, v->wall_us, name_w, to_w);
        }
    for (size_t i = 0; i < v->n_moves; i++) {
        if (v->moves[i].state != JOB_QUEUED)
            continue;
        if (queued++ < QUEUED_SHOWN)
            add_move(&l, &v->moves[i], v->wall_us, name_w, to_w);
    }
    if (queued > QUEUED_SHOWN)
        add_line(&l, xasprintf(" … and %zu more queued", queued - QUEUED_SHOWN), 0, 0, C_NONE);
    *ret_lines = l.list;
    return l.n;
}
