/* drover plan balance, relieve, repair, consolidate: what few moves would do for a fleet from a
 * file, or for the scheduler's. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/picture.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/planned.h"
#include "scheduler/plan/plan.h"

struct balance_opts {
    struct offline_opts offline;
    const char *picture;
    int64_t max_moves;  /* 0: the policy's */
    int64_t hosts_free; /* of consolidate; 0: all that can be */
    int mode;           /* of balance: enum balance_mode; -1: the policy's */
    bool why_not;
    const char *why_vm; /* --why-not: only why this one is not moved */
    bool detailed;
};

static const struct {
    const char *word;
    enum plan_goal goal;
} goals[] = {
    {"balance", GOAL_BALANCE},
    {"relieve", GOAL_RELIEVE},
    {"repair", GOAL_REPAIR},
    {"consolidate", GOAL_CONSOLIDATE},
};

bool balance_is(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(goals); i++)
        if (str_eq(goals[i].word, word))
            return true;
    return false;
}

int balance_goal(const char *word, const struct policy *p)
{
    for (size_t i = 0; i < ARRAY_LEN(goals); i++)
        if (str_eq(goals[i].word, word))
            return (int)(goals[i].goal == GOAL_BALANCE ? planned_goal(p->balance.mode)
                                                       : goals[i].goal);
    return -1;
}

/* What the goal needs and what it has no use for. */
static int check_goal(struct cli *c, enum plan_goal goal, const struct balance_opts *d)
{
    if (goal == GOAL_ROOM)
        return cli_usage(c, "balance.mode is make-room, and how large the VM is, is missing: "
                            "drover plan make-room --memory 96GiB");
    if (goal == GOAL_CONSOLIDATE && d->why_not)
        return cli_usage(c, "--why-not belongs to balance, relieve, repair and drain");
    if (goal != GOAL_CONSOLIDATE && d->hosts_free)
        return cli_usage(c, "--hosts-free belongs to drover plan consolidate");
    return X_DONE;
}

static int check(struct cli *c, const char *word, const struct balance_opts *d)
{
    if (d->mode >= 0 && !str_eq(word, "balance"))
        return cli_usage(c, "--mode belongs to drover plan balance: %s says what it is for", word);
    if (!d->offline.snapshot && (d->picture || d->hosts_free || d->why_not || d->offline.policy))
        return cli_usage(c, "--picture, --hosts-free, --why-not and --policy want a fleet in a "
                            "file: drover snapshot > fleet.json, then --snapshot fleet.json");
    return X_DONE;
}

/* --why-not=VM, or --why-not VM. */
static int words(struct cli *c, int argc, char **argv, struct balance_opts *d)
{
    int vm = d->why_not && !d->why_vm;
    if (!opt_words(c, argc, argv, vm, vm, vm ? "the VM of --why-not" : "nothing"))
        return X_USAGE;
    const char *word = vm ? argv[optind] : d->why_vm;
    d->why_vm = word ? name_vm(c, word) : NULL;
    return word && !d->why_vm ? X_USAGE : X_DONE;
}

static int parse(struct cli *c, int argc, char **argv, struct balance_opts *ret)
{
    enum { O_SNAPSHOT = 256, O_POLICY, O_PICTURE, O_MOVES, O_DETAILED, O_FREE, O_MODE, O_WHY_NOT };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {"picture", required_argument, NULL, O_PICTURE},
                                        {"max-moves", required_argument, NULL, O_MOVES},
                                        {"detailed-exitcode", no_argument, NULL, O_DETAILED},
                                        {"hosts-free", required_argument, NULL, O_FREE},
                                        {"mode", required_argument, NULL, O_MODE},
                                        {"why-not", optional_argument, NULL, O_WHY_NOT},
                                        {0}};
    struct err e;
    *ret = (struct balance_opts){.mode = -1};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o == O_SNAPSHOT)
            ret->offline.snapshot = optarg;
        else if (o == O_POLICY)
            ret->offline.policy = optarg;
        else if (o == O_PICTURE)
            ret->picture = optarg;
        else if (o == O_DETAILED)
            ret->detailed = true;
        else if (o == O_WHY_NOT)
            ret->why_not = true, ret->why_vm = optarg;
        else if (o == O_MOVES && parse_int(optarg, 1, OFFLINE_MOVES, &ret->max_moves, &e) < 0)
            return cli_usage(c, "--max-moves: %s", e.msg);
        else if (o == O_FREE && parse_int(optarg, 1, LIM_HOSTS, &ret->hosts_free, &e) < 0)
            return cli_usage(c, "--hosts-free: %s", e.msg);
        else if (o == O_MODE && (ret->mode = opt_word(c, "--mode", optarg, balance_mode_names,
                                                      ARRAY_LEN(balance_mode_names))) < 0)
            return X_USAGE;
        else if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
    }
    return words(c, argc, argv, ret);
}

static void standing_print(FILE *f, const char *when, const struct plan_standing *x)
{
    char *s = NULL;
    text_add(&s, "%s memory of hosts %.1f to %.1f %% full, mean %.1f, deviation %.2f", when,
             (double)x->min_ppm / 1e4, (double)x->max_ppm / 1e4, (double)x->mean_ppm / 1e4,
             (double)x->deviation_ppm / 1e4);
    if (x->measured)
        text_add(&s, " · CPU %.1f to %.1f %% busy, mean %.1f", (double)x->cpu_min_ppm / 1e4,
                 (double)x->cpu_max_ppm / 1e4, (double)x->cpu_mean_ppm / 1e4);
    if (x->broken)
        text_add(&s, " · hard rules or capacity broken");
    if (x->soft)
        text_add(&s, " · soft rules broken (weight %lld)", (long long)x->soft);
    text_line(f, "%s", s);
    free(s);
}

static json_t *standing_encode(const struct plan_standing *x)
{
    json_t *j =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "min_ppm", (json_int_t)x->min_ppm,
                  "max_ppm", (json_int_t)x->max_ppm, "mean_ppm", (json_int_t)x->mean_ppm,
                  "deviation_ppm", (json_int_t)x->deviation_ppm, "broken", (json_int_t)x->broken,
                  "soft", (json_int_t)x->soft, "measured", x->measured);
    if (x->measured)
        json_object_update_new(
            j, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_min_ppm",
                         (json_int_t)x->cpu_min_ppm, "cpu_max_ppm", (json_int_t)x->cpu_max_ppm,
                         "cpu_mean_ppm", (json_int_t)x->cpu_mean_ppm, "cpu_deviation_ppm",
                         (json_int_t)x->cpu_deviation_ppm, "cpu_unknown",
                         (json_int_t)x->cpu_unknown, "cpu_guessed", (json_int_t)x->cpu_guessed));
    return j;
}

/* What CPU load is, of this plan. Nothing where there is none to speak of. */
static void load_print(FILE *f, const struct offline *o, const struct plan_standing *x)
{
    static const char *const words[] = {"mean of 5 minutes", "mean of an hour", "mean of a day",
                                        "95th percentile of a day"};
    char *s = NULL;
    if (!x->measured)
        return;
    text_add(&s, "CPU as measured (%s)", words[o->policy.balance.load]);
    if (x->cpu_unknown)
        text_add(&s, "; %s without fresh figures: no VM goes there for load's sake",
                 text_count(x->cpu_unknown, "host", "hosts"));
    if (x->cpu_guessed)
        text_add(&s, "; %s never measured, by what their hosts use beside the others",
                 text_count(x->cpu_guessed, "VM", "VMs"));
    text_line(f, "%s", s);
    free(s);
}

/* Hosts that are empty at the end. */
static json_t *emptied_encode(const struct offline *o, const struct plan *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_emptied; i++)
        json_array_append_new(list, json_string(o->fleet.s.hosts[p->emptied[i]].h->name));
    return list;
}

static bool is_left(const struct plan *p, int host)
{
    for (size_t i = 0; i < p->n_moves; i++)
        if (p->moves[i].from == host)
            return true;
    return false;
}

static void emptied_print(FILE *f, const struct offline *o, const struct plan *p)
{
    for (int now = 1; now >= 0; now--) {
        char *s = NULL;
        int64_t n = 0;
        for (size_t i = 0; i < p->n_emptied; i++)
            if (is_left(p, p->emptied[i]) != now)
                text_add(&s, "%s%s", n++ ? ", " : "", o->fleet.s.hosts[p->emptied[i]].h->name);
        if (n)
            text_line(f, "%s %s: %s", text_count(n, "host", "hosts"),
                      now ? "empty already" : "emptied, to be switched off if you like", s);
        free(s);
    }
    if (!p->n_emptied)
        text_line(f, "no host can be emptied with so many moves");
}

static int answer(struct cli *c, const struct offline *o, const struct plan_request *r,
                  const struct fleet_plan *f)
{
    const struct plan *p = &f->p;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j =
            json_pack("{s:s, s:o, s:o, s:[]}", "schema", "drover.balance/1", "before",
                      standing_encode(&p->before), "after", standing_encode(&p->after), "moves");
        if (r->goal == GOAL_CONSOLIDATE)
            json_object_set_new(j, "emptied", emptied_encode(o, p));
        fleet_plan_encode(f, j);
        out_data(c, j, NULL);
        return X_DONE;
    }
    int code = plan_moves_print(c, &f->v);
    if (code)
        return code;
    if (p->n_moves)
        fputc('\n', c->out);
    if (r->goal == GOAL_CONSOLIDATE)
        emptied_print(c->out, o, p);
    standing_print(c->out, p->n_moves ? "before:" : "nothing to do:", &p->before);
    if (p->n_moves)
        standing_print(c->out, "after: ", &p->after);
    load_print(c->out, o, &p->before);
    plan_total_print(c->out, &f->v);
    return X_DONE;
}

static int plan_for(struct cli *c, enum plan_goal goal, const struct balance_opts *d,
                    const struct offline *o)
{
    struct plan_request r = {.goal = goal,
                             .purpose = PURPOSE_BALANCE,
                             .max_moves = d->max_moves,
                             .hosts_free = d->hosts_free};
    struct fleet_plan f;
    if (d->why_vm)
        return unmoved_print(c, o, &r, d->why_vm);
    int code = fleet_plan_make(c, o, &o->fleet.s, &r, &f);
    if (!code && d->picture)
        code = picture_save(c, &o->fleet.s, &f.v, d->picture);
    code = code ? code : answer(c, o, &r, &f);
    if (!code && d->detailed && f.p.n_moves)
        code = X_CHANGES;
    fleet_plan_done(&f);
    return code;
}

/* As the scheduler calls it; NULL: what its policy says. */
static const char *mode_of(const char *word, int mode)
{
    if (mode >= 0)
        return balance_mode_names[mode];
    if (str_eq(word, "repair"))
        return balance_mode_names[BALANCE_REPAIR_RULES];
    return str_eq(word, "balance") ? NULL : word;
}

int balance_plan(struct cli *c, int argc, char **argv)
{
    struct balance_opts d;
    struct offline o;
    const char *word = argv[0];
    int code = parse(c, argc, argv, &d);
    code = code ? code : check(c, word, &d);
    if (code)
        return code < 0 ? X_DONE : code;
    if (!d.offline.snapshot) {
        const char *mode = mode_of(word, d.mode);
        struct request req = {.mode = mode ? xstrdup(mode) : NULL, .max_moves = d.max_moves};
        return balance_ask_plan(c, &req, d.detailed);
    }
    code = offline_open(c, &d.offline, &o);
    if (code)
        return code;
    enum plan_goal goal =
        d.mode >= 0 ? planned_goal(d.mode) : (enum plan_goal)balance_goal(word, &o.policy);
    code = check_goal(c, goal, &d);
    code = code ? code : plan_for(c, goal, &d, &o);
    if (code != X_USAGE)
        offline_note(c, &o);
    offline_done(&o);
    return code;
}
