#include "scheduler/simcli/scenario.h"

#include <errno.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/snap/snap.h"

enum { SCRIPT_MAX = 1 << 20 };
#define AFTER_LAST_US (3600 * SEC)

void scenario_done(struct scenario *sc)
{
    for (size_t i = 0; i < sc->n_script; i++)
        free(sc->script[i].text);
    free(sc->script);
    free(sc->name);
    free(sc->cluster);
    free(sc->policy);
    *sc = (struct scenario){0};
}

void outcome_done(struct outcome *o)
{
    free(o->violation);
    free(o->log);
    *o = (struct outcome){0};
}

/* ---- folders ------------------------------------------------------------------------------------------- */
static int read_part(const char *dir, const char *file, size_t max, char **ret, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, file);
    return file_read(path, max, ret, NULL, e);
}

static bool has_word(const char *line, const char *word)
{
    size_t n = strlen(word);
    return strncmp(line, word, n) == 0 && (line[n] == ' ' || !line[n]);
}

int scenario_load(const char *dir, struct scenario *ret, struct err *e)
{
    struct scenario sc = {.name = xstrdup(dir)};
    cleanup(freep) char *script = NULL;
    int r = read_part(dir, "cluster.json", LIM_SNAPSHOT_BYTES, &sc.cluster, e);
    if (r == 0)
        r = read_part(dir, "script", SCRIPT_MAX, &script, e);
    if (r == 0) {
        r = read_part(dir, "policy.yaml", LIM_POLICY_FILE_BYTES, &sc.policy, e);
        r = r == -ENOENT ? 0 : r;
    }
    char *rest = script;
    int64_t no = 0;
    for (char *line; r == 0 && (line = strsep(&rest, "\n")) != NULL;) {
        no++;
        line += strspn(line, " \t");
        if (*line && *line != '#')
            *(struct scenario_line *)vec_add(&sc.script, &sc.n_script) =
                (struct scenario_line){.text = xstrdup(line), .no = no};
    }
    if (r == 0)
        r = scenario_prepare(&sc, e);
    if (r < 0)
        scenario_done(&sc);
    else
        *ret = sc;
    return r;
}

static int write_part(const char *dir, const char *file, const char *text, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, file);
    cleanup(fclosep) FILE *f = fopen(path, "we");
    if (!f || fputs(text, f) < 0 || fflush(f) != 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

int scenario_save(const struct scenario *sc, const char *dir, const char *readme, struct err *e)
{
    char *script = xstrdup("");
    for (size_t i = 0; i < sc->n_script; i++)
        text_add(&script, "%s\n", sc->script[i].text);
    int r = dir_make(dir, 0755, e);
    if (r == 0)
        r = write_part(dir, "README", readme, e);
    if (r == 0)
        r = write_part(dir, "cluster.json", sc->cluster, e);
    if (r == 0 && sc->policy)
        r = write_part(dir, "policy.yaml", sc->policy, e);
    if (r == 0)
        r = write_part(dir, "script", script, e);
    free(script);
    return r;
}

static bool is_setting(const char *line)
{
    return has_word(line, "seed") || has_word(line, "until") || has_word(line, "crash") ||
           has_word(line, "expect");
}

int scenario_prepare(struct scenario *sc, struct err *e)
{
    sc->seed = 1;
    sc->until_us = 0;
    sc->crash = false;
    for (size_t i = 0; i < sc->n_script; i++) {
        const char *line = sc->script[i].text;
        int64_t seed = 1;
        int r = 0;
        if (has_word(line, "seed"))
            r = parse_int(line + strcspn(line, " ") + 1, 0, INT64_MAX, &seed, e);
        else if (has_word(line, "until"))
            r = parse_duration(line + strcspn(line, " ") + 1, &sc->until_us, e);
        if (r < 0)
            return err_wrap(e, "%s/script:%lld", sc->name, (long long)sc->script[i].no);
        if (has_word(line, "seed"))
            sc->seed = (uint64_t)seed;
        sc->crash |= has_word(line, "crash");
    }
    return 0;
}

/* ---- running --------------------------------------------------------------------------------------------- */
/* A folder beside the script, or by its full path. */
static int load_policy_of(const struct scenario *sc, const struct deed *d, const char *where,
                          struct policy **ret, struct err *e)
{
    bool beside = sc->name && d->policy[0] != '/';
    cleanup(freep) char *path =
        beside ? xasprintf("%s/%s", sc->name, d->policy) : xstrdup(d->policy);
    *ret = xcalloc(1, sizeof(**ret));
    int r = policy_load(path, *ret, e);
    if (r < 0) {
        free(take(*ret));
        return err_wrap(e, "%s", where);
    }
    return 0;
}

static int add_deeds(const struct scenario *sc, struct sim *s, int64_t *ret_last_us, struct err *e)
{
    *ret_last_us = 0;
    for (size_t i = 0; i < sc->n_script; i++) {
        const struct scenario_line *l = &sc->script[i];
        struct deed d;
        if (is_setting(l->text))
            continue;
        cleanup(freep) char *where =
            xasprintf("%s/script:%lld", sc->name ? sc->name : "scenario", (long long)l->no);
        int r = deed_parse(l->text, where, &d, e);
        if (r < 0)
            return r;
        if (d.kind == DEED_POLICY)
            r = load_policy_of(sc, &d, where, &d.loaded, e);
        if (r == 0 && sim_add(s, &d, e) < 0)
            r = err_wrap(e, "%s", where);
        *ret_last_us = d.at_us > *ret_last_us ? d.at_us : *ret_last_us;
        deed_done(&d);
        if (r < 0)
            return r;
    }
    return 0;
}

static void judge(const struct scenario *sc, struct sim *s, struct outcome *ret)
{
    for (size_t i = 0; i < sc->n_script && !ret->violation; i++)
        if (has_word(sc->script[i].text, "expect")) {
            cleanup(freep) char *no = expect_check(s, sc->script[i].text);
            if (no)
                ret->violation = xasprintf("%s/script:%lld: %s", sc->name ? sc->name : "scenario",
                                           (long long)sc->script[i].no, no);
        }
}

static int go(const struct scenario *sc, const struct twist *t, struct sim *s, struct outcome *ret,
              struct err *e)
{
    int64_t last_us;
    int r = add_deeds(sc, s, &last_us, e);
    if (r < 0)
        return r;
    sim_settle(s, sc->until_us ? sc->until_us : last_us + AFTER_LAST_US);
    sim_check_rest(s);
    ret->violation = xstrdup(sim_violation(s));
    if (!ret->violation && !t->kill_before) /* a crash may lead to other ends, all of them sound */
        judge(sc, s, ret);
    ret->log = t->log ? xstrdup(sim_log(s)) : NULL;
    ret->ended_us = sim_now(s);
    ret->effects = sim_effects(s);
    ret->events = sim_events(s);
    return 0;
}

int scenario_run(const struct scenario *sc, const struct twist *t, struct outcome *ret,
                 struct err *e)
{
    struct snap fleet;
    struct policy policy;
    cleanup(freep) char *where = xasprintf("%s/cluster.json", sc->name ? sc->name : "scenario");
    *ret = (struct outcome){0};
    int r = snap_parse(where, sc->cluster, strlen(sc->cluster), &fleet, e);
    if (r < 0)
        return r;
    const struct policy_file file = {.name = (char *)(uintptr_t) "policy.yaml", .text = sc->policy};
    if (sc->policy)
        r = policy_load_texts(&file, 1, &policy, e);
    else
        policy_default(&policy);
    if (r == 0) {
        struct sim *s = sim_new(&(struct sim_config){.fleet = &fleet.s,
                                                     .policy = &policy,
                                                     .seed = sc->seed,
                                                     .times = sim_times_default(),
                                                     .kill_before = t->kill_before,
                                                     .kill_early = t->kill_early});
        r = go(sc, t, s, ret, e);
        sim_free(s);
    }
    snap_done(&fleet);
    if (r < 0)
        outcome_done(ret);
    return r;
}
