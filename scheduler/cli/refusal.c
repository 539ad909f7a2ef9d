/* Why VMs stay, and what to do about it. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/snapshot.h"

enum { HOSTS_SHOWN = 8, CURES_SHOWN = 6, WAIVERS_SHOWN = 3 };

static void add_where(char **s, const struct reason *r)
{
    if (r->where)
        text_add(s, " (policy %s)", r->where);
}

char *reason_words(const struct reason *r)
{
    char *s = NULL;
    const char *text = reason_texts[r->code];
    text_add(&s, "%s", *text ? text : reason_tokens[r->code]);
    if (r->what)
        text_add(&s, " (%s)", r->what);
    if (r->need && r->have)
        text_add(&s, ": needs %s, has %s", r->need, r->have);
    else if (r->need)
        text_add(&s, ": needs %s", r->need);
    else if (r->have)
        text_add(&s, ": %s", r->have);
    add_where(&s, r);
    return s;
}

char *reason_line(const struct reason *r)
{
    cleanup(freep) char *words = reason_words(r);
    return r->host ? xasprintf("%s: %s", r->host, words) : xstrdup(words);
}

/* Two hosts that say the same but for how much they have. */
static bool same_no(const struct reason *a, const struct reason *b)
{
    return a->code == b->code && str_eq(a->what, b->what) && str_eq(a->need, b->need) &&
           str_eq(a->where, b->where) && !a->host == !b->host;
}

static void list_hosts(char **s, const struct reason *const *group, size_t n, bool with_have)
{
    for (size_t i = 0; i < n && i < HOSTS_SHOWN; i++) {
        text_add(s, "%s%s", i ? ", " : "", group[i]->host);
        if (with_have && group[i]->have)
            text_add(s, " has %s", group[i]->have);
    }
    if (n > HOSTS_SHOWN)
        text_add(s, " and %zu more", n - HOSTS_SHOWN);
}

static char *group_words(const struct reason *const *group, size_t n)
{
    const struct reason *r = group[0];
    char *s = NULL;
    bool same_have = true;
    for (size_t i = 1; i < n; i++)
        same_have = same_have && str_eq(r->have, group[i]->have);
    if (!r->host)
        return reason_words(r);
    if (same_have) {
        cleanup(freep) char *words = reason_words(r);
        list_hosts(&s, group, n, false);
        text_add(&s, ": %s", words);
        return s;
    }
    text_add(&s, "%s%s%s%s", reason_texts[r->code], r->what ? " (" : "", r->what ? r->what : "",
             r->what ? ")" : "");
    if (r->need)
        text_add(&s, ": needs %s; ", r->need);
    else
        text_add(&s, ": ");
    list_hosts(&s, group, n, true);
    add_where(&s, r);
    return s;
}

static int most_first(const void *a, const void *b)
{
    const struct reason *x = *(const struct reason *const *)a,
                        *y = *(const struct reason *const *)b;
    if (x->have_n != y->have_n)
        return x->have_n > y->have_n ? -1 : 1;
    return strverscmp(x->host ? x->host : "", y->host ? y->host : "");
}

static void stay_print(FILE *f, const struct stay *st, int pad)
{
    cleanup(freep) bool *done = xcalloc(st->n_reasons, sizeof(*done));
    cleanup(freep) const struct reason **group = xcalloc(st->n_reasons, sizeof(*group));
    cleanup(freep) char *name = xasprintf("vm/%s", st->name ? st->name : st->vm);
    bool first = true;
    for (int host_level = 0; host_level < 2; host_level++)
        for (size_t i = 0; i < st->n_reasons; i++) {
            const struct reason *r = &st->reasons[i];
            size_t n = 0;
            if (done[i] || (r->host != NULL) != (host_level == 1))
                continue;
            for (size_t k = i; k < st->n_reasons; k++)
                if (!done[k] && same_no(r, &st->reasons[k])) {
                    done[k] = true;
                    group[n++] = &st->reasons[k];
                }
            qsort(group, n, sizeof(struct reason *), most_first);
            cleanup(freep) char *words = group_words(group, n);
            text_line(f, "  %-*s  %s", pad, first ? name : "", words);
            first = false;
        }
    if (first)
        text_line(f, "  %-*s  no reason was recorded", pad, name);
    if (st->disobeyed)
        text_line(f, "  %-*s  it was asked to shut down, as allowed: %s", pad, "", st->disobeyed);
}

static int pad_of(const struct run *r)
{
    size_t pad = strlen("ways out:");
    for (size_t i = 0; i < r->n_stays; i++) {
        const char *name = r->stays[i].name ? r->stays[i].name : r->stays[i].vm;
        size_t w = name ? text_width(name) + 3 : 0;
        pad = w > pad && w <= 40 ? w : pad;
    }
    return (int)pad;
}

static void stays_of_fate(FILE *f, const struct run *r, enum fate fate, const char *heading)
{
    for (size_t i = 0; i < r->n_stays; i++) {
        if (stay_fate(r, &r->stays[i]) != fate)
            continue;
        if (heading)
            text_line(f, "%s", heading);
        heading = NULL;
        stay_print(f, &r->stays[i], pad_of(r));
    }
}

void stays_print(FILE *f, const struct run *r, const char *blocked)
{
    stays_of_fate(f, r, FATE_BLOCKED, blocked);
    stays_of_fate(f, r, FATE_STOPS,
                  r->state == RUN_RUNNING ? "will be shut off, as allowed:" : "would be shut off:");
    stays_of_fate(f, r, FATE_STOPPED, "shut off now, as allowed:");
    stays_of_fate(f, r, FATE_OFF, "shut off, and in nobody's way on the host:");
}

/* A word for a shell: as it is, or quoted. */
static void add_word(char **s, const char *option, const char *word)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/@:,+=";
    if (strspn(word, plain) == strlen(word)) {
        text_add(s, " %s%s", option, word);
        return;
    }
    text_add(s, " %s'", option);
    for (; *word; word++)
        if (*word == '\'')
            text_add(s, "'\\''");
        else
            text_add(s, "%c", *word);
    text_add(s, "'");
}

char *drain_command(const struct run *r)
{
    char *s = xasprintf("drover drain");
    add_word(&s, "", r->host ? r->host : "?");
    for (size_t i = 0; i < r->n_to; i++)
        add_word(&s, "--to ", r->to[i]);
    for (size_t i = 0; i < r->n_avoid; i++)
        add_word(&s, "--avoid ", r->avoid[i]);
    if (r->parallel > 0)
        text_add(&s, " --parallel %lld", (long long)r->parallel);
    if (r->reason)
        add_word(&s, "-m ", r->reason);
    return s;
}

struct ways {
    char *list[CURES_SHOWN + WAIVERS_SHOWN + 1]; /* a command or what to do; what it is good for */
    size_t n;
};

/* Takes. */
static void add_way(struct ways *w, char *way, size_t most)
{
    bool seen = w->n >= most;
    for (size_t i = 0; i < w->n; i++)
        seen = seen || str_eq(w->list[i], way);
    if (seen)
        free(way);
    else
        w->list[w->n++] = way;
}

static void add_cures(struct ways *w, const struct stay *st)
{
    for (size_t i = 0; i < st->n_reasons; i++)
        if (st->reasons[i].cure && *st->reasons[i].cure && !st->reasons[i].more)
            add_way(w, xstrdup(st->reasons[i].cure), CURES_SHOWN);
}

/* All but the VMs that cannot move. */
static void add_leave(struct ways *w, const struct run *r)
{
    int64_t rest = r->vms;
    for (size_t i = 0; i < r->n_stays; i++)
        rest -= !r->stays[i].off;
    if (rest <= 0 || r->on_blocked == BLOCKED_LEAVE)
        return;
    cleanup(freep) char *again = drain_command(r);
    add_way(w, xasprintf("%s --on-blocked leave   drain the other %lld", again, (long long)rest),
            ARRAY_LEN(w->list));
}

/* The word that allows to stop this VM, beside those that were said: where it was not said, where a
 * guest can obey it, and where it would help. A run that ended partly has done all but this. */
static void add_waiver(struct ways *w, const struct run *r, const struct stay *st)
{
    bool cold = st->cold && (r->on_blocked == BLOCKED_COLD || !r->n_allow_shutdown);
    if (!st->name || st->deaf || st->disobeyed || (r->stop_all && cold) ||
        (r->state == RUN_PARTLY && !cold))
        return;
    char *s = drain_command(r);
    if (cold || r->on_blocked == BLOCKED_COLD)
        text_add(&s, " --on-blocked %s", cold ? "cold" : "shutdown");
    for (size_t i = 0; i < r->n_allow_shutdown && !r->stop_all; i++)
        add_word(&s, "--allow-shutdown vm/", r->allow_shutdown[i]);
    if (!r->stop_all) /* else the question is asked anew */
        add_word(&s, "--allow-shutdown vm/", st->name);
    text_add(&s, "   it may be %s", cold ? "shut down, moved and started" : "shut off");
    add_way(w, s, ARRAY_LEN(w->list));
}

void ways_out_print(FILE *f, const struct run *r)
{
    struct ways w = {0};
    bool leaves = r->kind == RUN_DRAIN && stays_of(r, FATE_BLOCKED) > 0;
    bool whole = r->state == RUN_REFUSED || r->state == RUN_PLANNED;
    for (size_t i = 0; i < r->n_stays; i++)
        if (stay_fate(r, &r->stays[i]) == FATE_BLOCKED)
            add_cures(&w, &r->stays[i]);
    if (leaves && whole)
        add_leave(&w, r);
    for (size_t i = 0, shown = w.n; leaves && (whole || r->state == RUN_PARTLY) && i < r->n_stays &&
                                    w.n < shown + WAIVERS_SHOWN;
         i++)
        if (stay_fate(r, &r->stays[i]) == FATE_BLOCKED)
            add_waiver(&w, r, &r->stays[i]);
    for (size_t i = 0; i < w.n; i++) {
        text_line(f, "  %-*s  %s", pad_of(r), i ? "" : "ways out:", w.list[i]);
        free(w.list[i]);
    }
}

void refusal_print(FILE *f, const struct run *r)
{
    const char *left = host_state_names[r->host_was];
    size_t blocking = stays_of(r, FATE_BLOCKED);
    if (!blocking) {
        text_line(f, "drover: host/%s not drained: %s; nothing was moved, the host is %s as before",
                  r->host, r->message ? r->message : "the scheduler gave no reason", left);
        return;
    }
    text_line(
        f,
        "drover: host/%s not drained: %zu of %s cannot leave; nothing was moved, the host is %s as "
        "before",
        r->host, blocking, text_count(r->vms, "VM", "VMs"), left);
    stays_print(f, r, NULL);
    ways_out_print(f, r);
}
