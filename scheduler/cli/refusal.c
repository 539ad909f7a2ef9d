/* Why VMs stay, and what to do about it. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/snapshot.h"

/* Hosts named one by one; more are counted. */
enum { HOSTS_SHOWN = 3, SAME_SHOWN = 8 };

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

/* Codes whose need names the host in question: one rule says it of many. */
static bool of_each_host(int code)
{
    return code == R_ANTI_AFFINITY || code == R_MAX_VMS || code == R_SPREAD || code == R_AFFINITY;
}

bool reason_same(const struct reason *a, const struct reason *b)
{
    return a->code == b->code && str_eq(a->what, b->what) && str_eq(a->where, b->where) &&
           !a->host == !b->host && (str_eq(a->need, b->need) || of_each_host(a->code));
}

/* "; kvm-03 has 61 GiB free, kvm-02 has 12 GiB free", "; at most 61 GiB free (kvm-03)": the first has
 * most. */
static void list_haves(char **s, const struct reason *const *group, size_t n)
{
    const struct reason *r = group[0];
    if (n > HOSTS_SHOWN && r->have_n >= 0 && r->have)
        text_add(s, "; at most %s (%s)", r->have, r->host);
    for (size_t i = 0; i < n && n <= HOSTS_SHOWN; i++)
        text_add(s, "%s%s has %s", i ? ", " : "; ", group[i]->host,
                 group[i]->have ? group[i]->have : "none");
}

char *reasons_hosts(const struct reason *const *group, size_t n)
{
    char *s = NULL;
    if (n > HOSTS_SHOWN)
        return xasprintf("%zu hosts", n);
    for (size_t i = 0; i < n; i++)
        text_add(&s, "%s%s", i ? ", " : "", group[i]->host);
    return s;
}

/* Do all say the same of what they have, and of what is needed? */
static void compare(const struct reason *const *group, size_t n, bool *ret_have, bool *ret_need)
{
    *ret_have = *ret_need = true;
    for (size_t i = 1; i < n; i++) {
        *ret_have = *ret_have && str_eq(group[0]->have, group[i]->have);
        *ret_need = *ret_need && str_eq(group[0]->need, group[i]->need);
    }
}

char *reasons_text(const struct reason *const *group, size_t n)
{
    const struct reason *r = group[0];
    char *s = NULL;
    bool same_have, same_need;
    compare(group, n, &same_have, &same_need);
    if (same_have && same_need)
        return reason_words(r);
    text_add(&s, "%s%s%s%s", reason_texts[r->code], r->what ? " (" : "", r->what ? r->what : "",
             r->what ? ")" : "");
    for (size_t i = 0; i < n && !same_need && n <= HOSTS_SHOWN; i++)
        text_add(&s, "%s%s", i ? ", " : ": ", group[i]->have ? group[i]->have : "?");
    if (same_need && r->need)
        text_add(&s, ": needs %s", r->need);
    if (same_need)
        list_haves(&s, group, n);
    add_where(&s, r);
    return s;
}

char *reasons_words(const struct reason *const *group, size_t n)
{
    bool same_have, same_need;
    cleanup(freep) char *text = reasons_text(group, n);
    compare(group, n, &same_have, &same_need);
    if (!group[0]->host || (!same_have && same_need && n <= HOSTS_SHOWN))
        return take(text); /* of no host, or it names them */
    cleanup(freep) char *hosts = reasons_hosts(group, n);
    return xasprintf("%s: %s", hosts, text);
}

int reason_most_first(const void *a, const void *b)
{
    const struct reason *x = *(const struct reason *const *)a,
                        *y = *(const struct reason *const *)b;
    if (x->have_n != y->have_n)
        return x->have_n > y->have_n ? -1 : 1;
    return strverscmp(x->host ? x->host : "", y->host ? y->host : "");
}

/* What is proven of this VM alone. */
static const struct shortage *shortage_of(const struct run *r, const struct stay *st)
{
    for (size_t i = 0; i < r->n_shortages; i++)
        if (r->shortages[i].n_vms == 1 && str_eq(r->shortages[i].vms[0], st->name))
            return &r->shortages[i];
    return NULL;
}

/* name: in the first line. */
static void stay_lines(FILE *f, const struct run *r, const struct stay *st, const char *name,
                       int pad)
{
    cleanup(freep) bool *done = xcalloc(st->n_reasons, sizeof(*done));
    cleanup(freep) const struct reason **group = xcalloc(st->n_reasons, sizeof(*group));
    bool first = true;
    const struct shortage *proven = shortage_of(r, st);
    if (proven) {
        text_line(f, "  %-*s  proven: %s", pad, name, proven->text);
        first = false;
    }
    for (int host_level = 0; host_level < 2; host_level++)
        for (size_t i = 0; i < st->n_reasons; i++) {
            const struct reason *why = &st->reasons[i];
            size_t n = 0;
            if (done[i] || (why->host != NULL) != (host_level == 1))
                continue;
            for (size_t k = i; k < st->n_reasons; k++)
                if (!done[k] && reason_same(why, &st->reasons[k])) {
                    done[k] = true;
                    group[n++] = &st->reasons[k];
                }
            qsort(group, n, sizeof(struct reason *), reason_most_first);
            cleanup(freep) char *words = reasons_words(group, n);
            text_line(f, "  %-*s  %s", pad, first ? name : "", words);
            first = false;
        }
    if (first)
        text_line(f, "  %-*s  no reason was recorded", pad, name);
    if (st->disobeyed)
        text_line(f, "  %-*s  it was asked to shut down, as allowed: %s", pad, "", st->disobeyed);
}

void stay_print(FILE *f, const struct run *r, const struct stay *st, int pad)
{
    cleanup(freep) char *name = xasprintf("vm/%s", st->name ? st->name : st->vm);
    stay_lines(f, r, st, name, pad);
}

/* What would be printed of it but for its name. Gives. */
static char *stay_text(const struct run *r, const struct stay *st)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    stay_lines(f, r, st, "", 0);
    fclose(f);
    return text;
}

/* VMs after the i-th of which the same is to be said, as one line; marks them. */
static void same_print(FILE *f, const struct run *r, size_t i, char *const *text, bool *done)
{
    char *s = NULL;
    size_t n = 0;
    for (size_t k = i + 1; k < r->n_stays; k++) {
        if (done[k] || !text[k] || !str_eq(text[i], text[k]))
            continue;
        done[k] = true;
        if (n++ < SAME_SHOWN)
            text_add(&s, "%svm/%s", n > 1 ? ", " : "",
                     r->stays[k].name ? r->stays[k].name : r->stays[k].vm);
    }
    if (n > SAME_SHOWN)
        text_add(&s, " and %zu more", n - SAME_SHOWN);
    if (n)
        text_line(f, "  %-*s  the same: %s", stays_pad(r), "", s);
    free(s);
}

int stays_pad(const struct run *r)
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
    cleanup(freep) char **text = xcalloc(r->n_stays, sizeof(*text));
    cleanup(freep) bool *done = xcalloc(r->n_stays, sizeof(*done));
    for (size_t i = 0; i < r->n_stays; i++)
        text[i] = stay_fate(r, &r->stays[i]) == fate ? stay_text(r, &r->stays[i]) : NULL;
    for (size_t i = 0; i < r->n_stays; i++) {
        if (!text[i] || done[i])
            continue;
        if (heading)
            text_line(f, "%s", heading);
        heading = NULL;
        stay_print(f, r, &r->stays[i], stays_pad(r));
        same_print(f, r, i, text, done);
    }
    for (size_t i = 0; i < r->n_stays; i++)
        free(text[i]);
}

void shortages_print(FILE *f, const struct shortage *list, size_t n, int pad)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (list[i].n_vms < 2)
            continue;
        text_line(f, "  %-*s  %s", pad, first ? "proven:" : "", list[i].text);
        first = false;
    }
}

void stays_print(FILE *f, const struct run *r, const char *blocked)
{
    stays_of_fate(f, r, FATE_BLOCKED, blocked);
    shortages_print(f, r->shortages, r->n_shortages, stays_pad(r));
    stays_of_fate(f, r, FATE_STOPS,
                  r->state == RUN_RUNNING ? "will be shut off, as allowed:" : "would be shut off:");
    stays_of_fate(f, r, FATE_STOPPED, "shut off now, as allowed:");
    stays_of_fate(f, r, FATE_OFF, "shut off, and in nobody's way on the host:");
}

void refusal_print(FILE *f, const struct run *r)
{
    cleanup(freep) char *place = run_place(r), *left = run_left_as(r);
    size_t blocking = stays_of(r, FATE_BLOCKED);
    if (!blocking) {
        text_line(f, "drover: %s not drained: %s; nothing was moved, %s", place,
                  r->message ? r->message : "the scheduler gave no reason", left);
        return;
    }
    text_line(f, "drover: %s not drained: %zu of %s cannot leave; nothing was moved, %s", place,
              blocking, text_count(r->vms, "VM", "VMs"), left);
    stays_print(f, r, NULL);
    ways_out_print(f, r);
}
