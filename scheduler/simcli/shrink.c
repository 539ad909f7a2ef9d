/* The smallest scenario that still goes wrong: lines of script, fleet and policy are left out as long as
 * the same kind of sentence is the outcome. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"

/* Texts as lists of lines: a scenario made by soak.c has one host, VM or rule in each. */
struct lines {
    char **at;
    size_t n;
};

static void lines_of(const char *text, struct lines *ret)
{
    cleanup(freep) char *copy = xstrdup(text ? text : "");
    char *rest = copy;
    *ret = (struct lines){0};
    for (char *x; (x = strsep(&rest, "\n")) != NULL;)
        if (*x)
            *(char **)vec_add(&ret->at, &ret->n) = xstrdup(x);
}

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at);
}

static char *text_of(const struct lines *l, size_t from, size_t n)
{
    char *text = xstrdup("");
    for (size_t i = 0; i < l->n; i++) {
        if (i >= from && i < from + n)
            continue;
        text_add(&text, "%s\n", l->at[i]);
    }
    return text;
}

/* Numbers and names aside: what a violation is about. */
static bool same_kind(const char *a, const char *b)
{
    const char *x = strstr(a, " s: "), *y = strstr(b, " s: ");
    x = x ? x + 4 : a;
    y = y ? y + 4 : b;
    for (int i = 0; *x && *y && i < 200; i++) { /* words without digits and slashes in turn */
        size_t n = strcspn(x, " "), m = strcspn(y, " ");
        bool named = strcspn(x, "/0123456789") < n;
        if (!named && (n != m || strncmp(x, y, n) != 0))
            return false;
        x += n + strspn(x + n, " ");
        y += m + strspn(y + m, " ");
    }
    return true;
}

static bool still(const struct scenario *sc, const struct twist *t, const char *violation)
{
    struct outcome o;
    struct err e = {0};
    if (scenario_run(sc, t, &o, &e) < 0)
        return false;
    bool same = o.violation && same_kind(violation, o.violation);
    outcome_done(&o);
    return same;
}

/* Leaves out what it can of one of the texts, in ever smaller pieces. */
static void thin(struct scenario *sc, char **slot, const struct twist *t, const char *violation)
{
    struct lines l;
    lines_of(*slot, &l);
    for (size_t piece = l.n / 2 ? l.n / 2 : 1; piece; piece /= 2)
        for (size_t from = 0; from < l.n;) {
            char *old = *slot;
            *slot = text_of(&l, from, piece);
            if (still(sc, t, violation)) {
                free(old);
                lines_done(&l);
                lines_of(*slot, &l);
            } else {
                free(*slot);
                *slot = old;
                from += piece;
            }
        }
    lines_done(&l);
}

static void thin_script(struct scenario *sc, const struct twist *t, const char *violation)
{
    for (size_t piece = sc->n_script / 2 ? sc->n_script / 2 : 1; piece; piece /= 2)
        for (size_t from = 0; from < sc->n_script;) {
            size_t n = piece < sc->n_script - from ? piece : sc->n_script - from;
            struct scenario_line *all = sc->script;
            size_t n_all = sc->n_script;
            sc->script = xcalloc(n_all, sizeof(*all));
            sc->n_script = 0;
            for (size_t i = 0; i < n_all; i++)
                if (i < from || i >= from + n)
                    sc->script[sc->n_script++] = all[i];
            if (still(sc, t, violation)) {
                for (size_t i = from; i < from + n; i++)
                    free(all[i].text);
                free(all);
            } else {
                free(sc->script);
                sc->script = all;
                sc->n_script = n_all;
                from += n;
            }
        }
}

void scenario_shrink(struct scenario *sc, const struct twist *t)
{
    struct outcome o;
    struct err e = {0};
    if (scenario_run(sc, t, &o, &e) < 0 || !o.violation)
        return;
    for (int round = 0; round < 2; round++) {
        thin_script(sc, t, o.violation);
        thin(sc, &sc->cluster, t, o.violation);
        if (sc->policy)
            thin(sc, &sc->policy, t, o.violation);
    }
    outcome_done(&o);
}
