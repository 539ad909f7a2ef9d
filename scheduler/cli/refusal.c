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
    if (st->stopped || st->off)
        text_line(f, "  %-*s  %s", pad, first ? name : "",
                  st->stopped ? "is shut off now, as allowed"
                              : "it is shut off: it keeps nobody from "
                                "working on the host");
    else if (first)
        text_line(f, "  %-*s  no reason was recorded", pad, name);
}

bool stay_halts(const struct run *r, const struct stay *st)
{
    if (st->stopped)
        return true;
    /* what would have happened; a run that was carried out says itself what was stopped */
    bool planned = r->state == RUN_PLANNED || r->state == RUN_REFUSED;
    return planned && r->on_blocked == BLOCKED_SHUTDOWN && !st->off &&
           (str_in("*", r->allow_shutdown, r->n_allow_shutdown) ||
            str_in(st->name, r->allow_shutdown, r->n_allow_shutdown));
}

bool stay_blocks(const struct run *r, const struct stay *st)
{
    return !st->off && !stay_halts(r, st);
}

size_t stays_blocking(const struct run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_stays; i++)
        n += stay_blocks(r, &r->stays[i]);
    return n;
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

void stays_print(FILE *f, const struct run *r)
{
    for (size_t i = 0; i < r->n_stays; i++)
        stay_print(f, &r->stays[i], pad_of(r));
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

static size_t cures(const struct run *r, const char **ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_stays; i++)
        for (size_t k = 0; stay_blocks(r, &r->stays[i]) && k < r->stays[i].n_reasons && n < max;
             k++) {
            const char *cure = r->stays[i].reasons[k].cure;
            bool seen = !cure || !*cure;
            for (size_t m = 0; m < n; m++)
                seen = seen || str_eq(ret[m], cure);
            if (!seen)
                ret[n++] = cure;
        }
    return n;
}

static void way(FILE *f, int pad, bool *first, const char *command, const char *what)
{
    text_line(f, "  %-*s  %s%s%s", pad, *first ? "ways out:" : "", command, what ? "   " : "",
              what ? what : "");
    *first = false;
}

/* One of the cures says so already. */
static bool said(const char *const *list, size_t n, const char *words)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(list[i], words))
            return true;
    return false;
}

void ways_out_print(FILE *f, const struct run *r)
{
    const char *list[CURES_SHOWN];
    size_t n = cures(r, list, CURES_SHOWN), blocking = stays_blocking(r), shown = 0;
    bool first = true;
    int pad = pad_of(r);
    for (size_t i = 0; i < n; i++)
        way(f, pad, &first, list[i], NULL);
    if (r->kind != RUN_DRAIN || (r->state != RUN_REFUSED && r->state != RUN_PLANNED) || !blocking)
        return;
    cleanup(freep) char *again = drain_command(r);
    int64_t rest = r->vms;
    for (size_t i = 0; i < r->n_stays; i++)
        rest -= !r->stays[i].off;
    if (rest > 0 && r->on_blocked != BLOCKED_LEAVE) {
        cleanup(freep) char *cmd = xasprintf("%s --on-blocked leave", again);
        cleanup(freep) char *what = xasprintf("drain the other %lld", (long long)rest);
        way(f, pad, &first, cmd, what);
    }
    for (size_t i = 0; i < r->n_stays && shown < WAIVERS_SHOWN; i++) {
        const struct stay *st = &r->stays[i];
        if (!stay_blocks(r, st) || !st->name)
            continue;
        cleanup(freep) char *cmd = xstrdup(again), *vm = xasprintf("vm/%s", st->name);
        cleanup(freep) char *words = xasprintf("--allow-shutdown %s", vm);
        for (size_t k = 0; k < r->n_allow_shutdown; k++)
            add_word(&cmd, "--allow-shutdown vm/", r->allow_shutdown[k]);
        add_word(&cmd, "--allow-shutdown ", vm);
        if (!said(list, n, words))
            way(f, pad, &first, cmd, "it may be shut off");
        shown++;
    }
}

void refusal_print(FILE *f, const struct run *r)
{
    const char *left = host_state_names[r->host_was];
    size_t blocking = stays_blocking(r);
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
    stays_print(f, r);
    ways_out_print(f, r);
}
