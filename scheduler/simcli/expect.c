/* What a scenario expects of its end. */
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"

enum { WORDS = 8 };

static char *not_so(const char *line, const char *have)
{
    return xasprintf("not as expected (%s): %s", line, have ? have : "nothing of it");
}

static char *check_run(const struct sim *s, const char *line, char **w)
{
    int64_t id = 0;
    struct err e;
    if (parse_int(w[1], 1, INT64_MAX, &id, &e) < 0)
        return xasprintf("a run's number is missing: %s", line);
    const struct run *r = sim_run_of(s, id);
    return r && str_eq(run_state_names[r->state], w[2])
               ? NULL
               : not_so(line, r ? run_state_names[r->state] : NULL);
}

static char *check_vm(const struct sim *s, const char *line, char **w)
{
    const char *defined = NULL, *runs = sim_where(s, w[1], &defined);
    bool ok = str_eq(w[2], "off") ? !runs : str_eq(w[2], "on") && str_eq(runs, w[3]);
    return ok ? NULL : not_so(line, runs ? runs : "it runs nowhere");
}

static char *check_host(const struct sim *s, const char *line, char **w)
{
    const struct core *c = sim_core(s);
    const struct host_rec *h = c ? core_host_rec(c, w[1]) : NULL;
    return h && str_eq(host_state_names[h->state], w[2])
               ? NULL
               : not_so(line, h ? host_state_names[h->state] : NULL);
}

static char *check_log(const struct sim *s, const char *line, bool wanted)
{
    const char *from = strchr(line, '"'), *to = from ? strrchr(line, '"') : NULL;
    if (!from || to == from)
        return xasprintf("a text in quotes is missing: %s", line);
    cleanup(freep) char *text = xstrdup(from + 1);
    text[to - from - 1] = 0;
    return (strstr(sim_log(s), text) != NULL) == wanted
               ? NULL
               : not_so(line, wanted ? "the log does not say so" : "the log says so");
}

static char *check_end(const struct sim *s, const char *line, const char *text)
{
    char have[FMT_BYTES];
    int64_t us = 0;
    struct err e = {0};
    if (!text || parse_duration(text, &us, &e) < 0)
        return xasprintf("a duration is missing: %s", line);
    return sim_now(s) < us ? NULL : not_so(line, fmt_duration(have, sim_now(s)));
}

/* cpu HOST LOW%..HIGH% */
static char *check_cpu(const struct sim *s, const char *line, char **w)
{
    int low = 0, high = 0, end = 0;
    if (sscanf(w[2], "%d%%..%d%%%n", &low, &high, &end) != 2 || w[2][end])
        return xasprintf("a range such as 20%%..40%% is missing: %s", line);
    int64_t ppm = sim_load_ppm(s, w[1]);
    if (ppm >= low * INT64_C(10000) && ppm <= high * INT64_C(10000))
        return NULL;
    cleanup(freep) char *have =
        ppm < 0 ? xstrdup("unknown") : xasprintf("%.1f %%", (double)ppm / 1e4);
    return not_so(line, have);
}

char *expect_check(const struct sim *s, const char *line)
{
    cleanup(freep) char *copy = xstrdup(line);
    char *w[WORDS] = {NULL}, *rest = copy;
    size_t n = 0;
    strsep(&rest, " "); /* expect */
    for (char *x; n < WORDS && (x = strsep(&rest, " ")) != NULL;)
        if (*x)
            w[n++] = x;
    if (n >= 3 && str_eq(w[0], "run"))
        return check_run(s, line, w);
    if (n >= 3 && str_eq(w[0], "vm"))
        return check_vm(s, line, w);
    if (n >= 3 && str_eq(w[0], "host"))
        return check_host(s, line, w);
    if (n >= 3 && str_eq(w[0], "cpu"))
        return check_cpu(s, line, w);
    if (n >= 2 && str_eq(w[0], "log"))
        return check_log(s, line, true);
    if (n >= 3 && str_eq(w[0], "no") && str_eq(w[1], "log"))
        return check_log(s, line, false);
    if (n >= 3 && str_eq(w[0], "end") && str_eq(w[1], "before"))
        return check_end(s, line, w[2]);
    return xasprintf(
        "nothing that can be expected: %s (run N STATE, vm NAME on HOST, vm NAME off, host "
        "NAME STATE, cpu HOST 20%%..40%%, log \"TEXT\", no log \"TEXT\", end before DURATION)",
        line);
}
