/* drover-sim drain: how long a drain will take, which pauses it brings, and what if something dies
 * meanwhile. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/simcli/simcli.h"
#include "scheduler/simcli/timeline.h"
#include "scheduler/snap/snap.h"

#define DRAIN_AT_US (20 * SEC) /* every agent has reported by then */
#define LONGEST_US  (7 * 24 * 3600 * SEC)

struct whatif {
    const char *host, *snapshot, *policy, *picture, *on_blocked, *links, *writes;
    char **deeds; /* of --at and --die, as script lines without the drain's own time */
    size_t n_deeds;
    bool log, json;
    int64_t seed;
};

static const char usage[] =
    "drain HOST --snapshot FILE [--policy DIR] [--links 25Gbit] [--writes 50MiB] [--on-blocked "
    "HOW]\n"
    "      [--die HOST@30s] [--at '30s DEED'] [--seed N] [--picture FILE.svg] [--log]\n"
    "      [-o json]";

/* "h3@30s" is "30s power h3 off", counted from the drain's beginning. */
static int add_death(struct whatif *w, const char *text, struct err *e)
{
    const char *at = strchr(text, '@');
    if (!at || at == text || !at[1])
        return err_set(e, -EINVAL, "--die wants HOST@WHEN, such as kvm-07@90s, not '%s'", text);
    *(char **)vec_add(&w->deeds, &w->n_deeds) =
        xasprintf("%s power %.*s off", at + 1, (int)(at - text), text);
    return 0;
}

static int options(struct whatif *w, int argc, char **argv, struct err *e)
{
    static const struct option longs[] = {{"snapshot", required_argument, NULL, 's'},
                                          {"policy", required_argument, NULL, 'p'},
                                          {"links", required_argument, NULL, 'l'},
                                          {"writes", required_argument, NULL, 'w'},
                                          {"on-blocked", required_argument, NULL, 'b'},
                                          {"die", required_argument, NULL, 'd'},
                                          {"at", required_argument, NULL, 'a'},
                                          {"seed", required_argument, NULL, 'r'},
                                          {"picture", required_argument, NULL, 'i'},
                                          {"log", no_argument, NULL, 'v'},
                                          {0}};
    int r = 0;
    for (int c; r == 0 && (c = getopt_long(argc, argv, "o:", longs, NULL)) != -1;)
        switch (c) {
        case 's':
            w->snapshot = optarg;
            break;
        case 'p':
            w->policy = optarg;
            break;
        case 'l':
            w->links = optarg;
            break;
        case 'w':
            w->writes = optarg;
            break;
        case 'b':
            w->on_blocked = optarg;
            break;
        case 'd':
            r = add_death(w, optarg, e);
            break;
        case 'a':
            *(char **)vec_add(&w->deeds, &w->n_deeds) = xstrdup(optarg);
            break;
        case 'r':
            r = parse_int(optarg, 0, INT64_MAX, &w->seed, e);
            break;
        case 'i':
            w->picture = optarg;
            break;
        case 'v':
            w->log = true;
            break;
        case 'o':
            w->json = str_eq(optarg, "json");
            if (!w->json)
                r = err_set(e, -EINVAL, "-o knows json, not '%s'", optarg);
            break;
        default:
            return err_set(e, -EINVAL, "usage: drover-sim %s", usage);
        }
    if (r == 0 && (optind + 1 != argc || !w->snapshot))
        return err_set(e, -EINVAL, "a host and --snapshot are needed; usage: drover-sim %s", usage);
    w->host = r == 0 ? argv[optind] : NULL;
    return r;
}

/* ---- what happens ------------------------------------------------------------------------------ */
static int add_line(struct sim *s, const char *line, int64_t shift_us, struct err *e)
{
    struct deed d;
    int r = deed_parse(line, "command line", &d, e);
    if (r < 0)
        return r;
    d.at_us += shift_us;
    r = sim_add(s, &d, e);
    deed_done(&d);
    return r;
}

static int add_all(const struct whatif *w, struct sim *s, struct err *e)
{
    cleanup(freep) char *drain =
        xasprintf("0s drain %s%s%s", w->host, w->on_blocked ? " --on-blocked " : "",
                  w->on_blocked ? w->on_blocked : "");
    cleanup(freep) char *links = w->links ? xasprintf("0s link all %s", w->links) : NULL;
    cleanup(freep) char *writes = w->writes ? xasprintf("0s guest all writes %s", w->writes) : NULL;
    int r = add_line(s, drain, DRAIN_AT_US, e);
    if (r == 0 && links)
        r = add_line(s, links, 0, e);
    if (r == 0 && writes)
        r = add_line(s, writes, 0, e);
    for (size_t i = 0; r == 0 && i < w->n_deeds; i++)
        r = add_line(s, w->deeds[i], DRAIN_AT_US, e);
    return r;
}

/* ---- what came of it --------------------------------------------------------------------------- */
static void print_move(const struct move *m)
{
    char took[FMT_BYTES], pause[FMT_BYTES], sent[FMT_BYTES], at[FMT_BYTES];
    bool done = m->state == JOB_DONE;
    int64_t start = m->copy_wall_us ? sim_wall_to_us(m->copy_wall_us) - DRAIN_AT_US : -1;
    printf("%-20s %-12s %-12s %-10s %10s %12s %10s %10s\n", m->vm_name, m->from, m->to,
           job_state_names[m->state], start < 0 ? "-" : fmt_duration(at, start),
           done ? fmt_duration(took, m->ended_wall_us - m->copy_wall_us) : "-",
           done && m->downtime_us >= 0 ? fmt_duration(pause, m->downtime_us) : "-",
           done ? fmt_bytes(sent, m->bytes) : "-");
}

static void print_stays(const struct run *r)
{
    for (size_t i = 0; i < r->n_stays; i++) {
        const struct stay *st = &r->stays[i];
        const struct reason *why = st->n_reasons ? &st->reasons[0] : NULL;
        printf("stays: %s%s%s%s%s\n", st->name, why ? ": " : "", why && why->host ? why->host : "",
               why && why->host ? ": " : "", why ? reason_texts[why->code] : "");
    }
}

static void print_json(struct sim *s, const struct run *r)
{
    json_t *moves = json_array();
    for (int64_t id = 1; sim_move_of(s, id); id++)
        if (sim_move_of(s, id)->run == 1)
            json_array_append_new(moves, codec_encode(&move_shape, sim_move_of(s, id)));
    int64_t end_us = run_ended(r->state) ? sim_wall_to_us(r->ended_wall_us) : sim_now(s);
    cleanup(json_decrefp) json_t *j =
        json_pack("{s:I, s:o, s:o}", "took_us", (json_int_t)(end_us - DRAIN_AT_US), "run",
                  codec_encode(&run_shape, r), "moves", moves);
    cleanup(freep) char *text = codec_text(j);
    puts(text);
}

static int report(const struct whatif *w, struct sim *s)
{
    char took[FMT_BYTES], forecast[FMT_BYTES], pause[FMT_BYTES];
    const struct run *r = sim_run_of(s, 1);
    if (w->log)
        fputs(sim_log(s), stdout);
    if (!r) {
        const char *answer = strstr(sim_log(s), "answer: ");
        fprintf(stderr, "drover-sim: %.*s\n", answer ? (int)strcspn(answer, "\n") - 8 : 0,
                answer ? answer + 8 : "");
        return SIM_BAD;
    }
    if (w->json) {
        print_json(s, r);
        return r->state == RUN_DONE ? SIM_OK : SIM_WRONG;
    }
    printf("%-20s %-12s %-12s %-10s %10s %12s %10s %10s\n", "VM", "FROM", "TO", "STATE", "STARTS",
           "TAKES", "PAUSE", "SENT");
    for (int64_t id = 1; sim_move_of(s, id); id++)
        if (sim_move_of(s, id)->run == 1)
            print_move(sim_move_of(s, id));
    print_stays(r);
    bool ended = run_ended(r->state);
    int64_t us = ended ? r->ended_wall_us - r->created_wall_us : sim_now(s) - DRAIN_AT_US;
    printf("\ndrain of %s: %s after %s · %lld of %lld moved · longest pause %s", w->host,
           run_state_names[r->state], fmt_duration(took, us), (long long)r->moved,
           (long long)r->vms,
           r->longest_pause_us > 0 ? fmt_duration(pause, r->longest_pause_us) : "none");
    if (r->forecast.makespan_us > 0)
        printf(" · the plan said %s", fmt_duration(forecast, r->forecast.makespan_us));
    printf("\n%s%s", r->message ? r->message : "", r->message ? "\n" : "");
    return ended && r->state == RUN_DONE ? SIM_OK : SIM_WRONG;
}

static int simulate(const struct whatif *w, const struct snap *fleet, struct policy *policy)
{
    struct err e = {0};
    struct sim *s = sim_new(&(struct sim_config){.fleet = &fleet->s,
                                                 .policy = policy,
                                                 .seed = (uint64_t)w->seed,
                                                 .times = sim_times_default()});
    int r = add_all(w, s, &e);
    if (r == 0) {
        sim_settle(s, LONGEST_US);
        r = report(w, s);
        if (sim_violation(s))
            fprintf(stderr, "drover-sim: this should not have happened: %s\n", sim_violation(s));
        if (w->picture && timeline_write(s, 1, w->picture, &e) < 0)
            r = sim_bad(&e);
    } else {
        r = sim_bad(&e);
    }
    sim_free(s);
    return r;
}

int sim_cmd_drain(int argc, char **argv)
{
    struct whatif w = {.seed = 1};
    struct err e = {0};
    struct snap fleet;
    struct policy policy;
    int code;
    if (options(&w, argc, argv, &e) < 0) {
        code = sim_bad(&e);
    } else if (snap_load(w.snapshot, &fleet, &e) < 0) {
        code = sim_bad(&e);
    } else {
        int r = 0;
        if (w.policy)
            r = policy_load(w.policy, &policy, &e);
        else
            policy_default(&policy);
        code = r < 0 ? sim_bad(&e) : simulate(&w, &fleet, &policy);
        snap_done(&fleet);
    }
    for (size_t i = 0; i < w.n_deeds; i++)
        free(w.deeds[i]);
    free(w.deeds);
    return code;
}
