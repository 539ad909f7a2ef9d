/* Ways out for people: what was tried and helps, and what may be waived. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

enum { CURES_SHOWN = 6, WAIVERS_SHOWN = 3, WAYS_PER_VM = 3, OTHERS_SHOWN = 2, NAMES_SHOWN = 3 };

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
    for (size_t i = 0; i < r->n_hosts; i++)
        add_word(&s, "", r->hosts[i].name);
    if (!r->n_hosts)
        add_word(&s, "", r->host ? r->host : "?");
    for (size_t i = 0; i < r->n_to; i++)
        add_word(&s, "--to ", r->to[i]);
    for (size_t i = 0; i < r->n_avoid; i++)
        add_word(&s, "--avoid ", r->avoid[i]);
    if (r->make_room)
        text_add(&s, " --make-room");
    if (r->parallel > 0)
        text_add(&s, " --parallel %lld", (long long)r->parallel);
    if (r->reason)
        add_word(&s, "-m ", r->reason);
    return s;
}

struct ways {
    char *list[CURES_SHOWN + WAIVERS_SHOWN + 2]; /* a command or what to do; what it is good for */
    size_t n, left_out;
};

/* Takes. */
static void add_way(struct ways *w, char *way, size_t most)
{
    bool seen = false;
    for (size_t i = 0; i < w->n; i++)
        seen = seen || str_eq(w->list[i], way);
    w->left_out += !seen && w->n >= most;
    if (seen || w->n >= most)
        free(way);
    else
        w->list[w->n++] = way;
}

/* A way out with the other hosts that would do. Gives. */
static char *way_words(const struct way *y)
{
    char *s = xstrdup(y->text);
    for (size_t i = 1; i < y->n_hosts && i <= OTHERS_SHOWN; i++)
        text_add(&s, "%s%s", i == 1 ? "; or " : ", ", y->hosts[i]);
    if (y->n_hosts > OTHERS_SHOWN + 1)
        text_add(&s, " and %zu more", y->n_hosts - OTHERS_SHOWN - 1);
    return s;
}

static bool helped_by(const struct stay *st, const struct way *y)
{
    for (size_t i = 0; i < st->n_ways; i++)
        if (str_eq(st->ways[i].text, y->text))
            return true;
    return false;
}

/* Whom it helps, where that is not plain: all of them together, or one of them. */
static char *way_for(const struct run *r, const struct way *y)
{
    char *s = way_words(y);
    size_t n = 0, named = 0;
    for (size_t i = 0; i < r->n_stays; i++)
        n += stay_fate(r, &r->stays[i]) == FATE_BLOCKED && helped_by(&r->stays[i], y);
    if (stays_of(r, FATE_BLOCKED) < 2)
        return s;
    text_add(&s, "   for %s", n > 1 && y->unblocks < 2 ? "one of " : "");
    for (size_t i = 0; i < r->n_stays && named < NAMES_SHOWN; i++) {
        const struct stay *st = &r->stays[i];
        if (stay_fate(r, st) == FATE_BLOCKED && helped_by(st, y))
            text_add(&s, "%svm/%s", named++ ? ", " : "", st->name ? st->name : st->vm);
    }
    if (n > NAMES_SHOWN)
        text_add(&s, " and %zu more", n - NAMES_SHOWN);
    if (y->unblocks > 1)
        text_add(&s, " together");
    return s;
}

/* The best of each VM, then the second of each, … To stop a VM is a word of its own: add_waiver. */
static void add_checked(struct ways *w, const struct run *r)
{
    for (size_t turn = 0; turn < WAYS_PER_VM; turn++)
        for (size_t i = 0; i < r->n_stays; i++) {
            const struct stay *st = &r->stays[i];
            if (stay_fate(r, st) == FATE_BLOCKED && turn < st->n_ways &&
                st->ways[turn].kind != WAY_COLD)
                add_way(w, way_for(r, &st->ways[turn]), CURES_SHOWN);
        }
    for (size_t i = 0; i < r->n_stays; i++)
        if (stay_fate(r, &r->stays[i]) == FATE_BLOCKED && r->stays[i].n_ways > WAYS_PER_VM)
            w->left_out += r->stays[i].n_ways - WAYS_PER_VM;
}

/* What each reason says of itself, where no single change is known to be enough. */
static void add_cures(struct ways *w, const struct run *r, const struct stay *st)
{
    for (size_t i = 0; i < st->n_reasons && !st->n_ways; i++) {
        const struct reason *why = &st->reasons[i];
        if (why->cure && *why->cure && !why->more)
            add_way(
                w, xasprintf("%s%s", why->cure, r->ways_tried && why->host ? "   not checked" : ""),
                CURES_SHOWN);
    }
}

/* A plan that was found: others move out of the way. */
static void add_room(struct ways *w, const struct run *r)
{
    if (r->room_moves <= 0 || r->make_room)
        return;
    cleanup(freep) char *again = drain_command(r);
    add_way(w,
            xasprintf("%s --make-room   all leave, after %s of other hosts", again,
                      text_count(r->room_moves, "move of a VM", "moves of VMs")),
            ARRAY_LEN(w->list));
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

/* Would it help to stop it for the move? Where ways were tried, this one was too. */
static bool may_be_cold(const struct run *r, const struct stay *st)
{
    bool planned = !r->ways_tried || (st->n_reasons && st->reasons[0].code == R_VM_STATE);
    for (size_t i = 0; i < st->n_ways; i++)
        planned = planned || st->ways[i].kind == WAY_COLD;
    return st->cold && planned;
}

/* The word that allows to stop this VM, beside those that were said: where it was not said, where a
 * guest can obey it, and where it would help. A run that ended partly has done all but this. */
static void add_waiver(struct ways *w, const struct run *r, const struct stay *st)
{
    bool cold = may_be_cold(r, st) && (r->on_blocked == BLOCKED_COLD || !r->n_allow_shutdown);
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

void ways_all_print(FILE *f, const struct way *list, size_t n, int pad)
{
    for (size_t i = 0; i < n; i++) {
        cleanup(freep) char *words = way_words(&list[i]);
        text_line(f, "  %-*s  %s%s", pad, i ? "" : "ways out:", words,
                  list[i].kind == WAY_COLD ? "   it may be shut down, moved and started" : "");
    }
}

void ways_out_print(FILE *f, const struct run *r)
{
    struct ways w = {0};
    bool leaves = r->kind == RUN_DRAIN && stays_of(r, FATE_BLOCKED) > 0;
    bool whole = r->state == RUN_REFUSED || r->state == RUN_PLANNED;
    add_checked(&w, r);
    for (size_t i = 0; i < r->n_stays; i++)
        if (stay_fate(r, &r->stays[i]) == FATE_BLOCKED)
            add_cures(&w, r, &r->stays[i]);
    size_t more = w.left_out;
    bool none = false;
    for (size_t i = 0; i < r->n_stays && r->ways_cut; i++)
        none = none || (stay_fate(r, &r->stays[i]) == FATE_BLOCKED && !r->stays[i].n_ways);
    if (leaves && whole) {
        add_room(&w, r);
        add_leave(&w, r);
    }
    for (size_t i = 0, shown = w.n; leaves && (whole || r->state == RUN_PARTLY) && i < r->n_stays &&
                                    w.n < shown + WAIVERS_SHOWN;
         i++)
        if (stay_fate(r, &r->stays[i]) == FATE_BLOCKED)
            add_waiver(&w, r, &r->stays[i]);
    for (size_t i = 0; i < w.n; i++) {
        text_line(f, "  %-*s  %s", stays_pad(r), i ? "" : "ways out:", w.list[i]);
        free(w.list[i]);
    }
    if (whole && leaves && (more || none)) {
        cleanup(freep) char *again = drain_command(r);
        text_line(f, "  %-*s  %s: drover plan %s --why-not", stays_pad(r), "",
                  more ? "more of them" : "not all could be tried", again + strlen("drover "));
    }
}
