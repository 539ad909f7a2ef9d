/* drover plan balance, relieve, repair, consolidate, make-room: what few moves would do for a fleet from
 * a file. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/picture.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/planned.h"
#include "scheduler/plan/plan.h"

enum { MOST_MOVES = 1000000, MOST_VCPUS = 4096 };

struct balance_opts {
    struct offline_opts offline;
    const char *picture;
    int64_t max_moves;  /* 0: the policy's */
    int64_t hosts_free; /* of consolidate; 0: all that can be */
    int mode;           /* of balance: enum balance_mode; -1: the policy's */
    struct plan_room room;
    bool detailed;
};

static const struct {
    const char *word;
    enum plan_goal goal;
} goals[] = {
    {"balance", GOAL_BALANCE}, {"relieve", GOAL_RELIEVE},         {"repair", GOAL_REPAIR},
    {"make-room", GOAL_ROOM},  {"consolidate", GOAL_CONSOLIDATE},
};

bool balance_is(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(goals); i++)
        if (str_eq(goals[i].word, word))
            return true;
    return false;
}

static const enum plan_goal goal_of_mode[] = {
    [BALANCE_REPAIR_RULES] = GOAL_REPAIR,
    [BALANCE_RELIEVE] = GOAL_RELIEVE,
    [BALANCE_EVEN] = GOAL_BALANCE,
    [BALANCE_MAKE_ROOM] = GOAL_ROOM,
    [BALANCE_CONSOLIDATE] = GOAL_CONSOLIDATE,
};

static enum plan_goal goal_of(const char *word)
{
    size_t i = 0;
    while (!str_eq(goals[i].word, word))
        i++;
    return goals[i].goal;
}

/* What the goal needs and what it has no use for. */
static int check_goal(struct cli *c, enum plan_goal goal, const struct balance_opts *d)
{
    if (goal == GOAL_ROOM && !d->room.mem_bytes)
        return cli_usage(c, "how large the new VM is, is missing: --memory 96GiB");
    if (goal != GOAL_ROOM && (d->room.mem_bytes || d->room.vcpus))
        return cli_usage(c, "--memory and --vcpus belong to drover plan make-room");
    if (goal != GOAL_CONSOLIDATE && d->hosts_free)
        return cli_usage(c, "--hosts-free belongs to drover plan consolidate");
    return X_DONE;
}

static int check(struct cli *c, const char *word, const struct balance_opts *d)
{
    if (d->mode >= 0 && !str_eq(word, "balance"))
        return cli_usage(c, "--mode belongs to drover plan balance: %s says what it is for", word);
    if (!d->offline.snapshot)
        return cli_usage(c, "a fleet to plan for is missing: drover snapshot > fleet.json, then "
                            "--snapshot fleet.json");
    return X_DONE;
}

static int parse(struct cli *c, int argc, char **argv, struct balance_opts *ret)
{
    enum {
        O_SNAPSHOT = 256,
        O_POLICY,
        O_PICTURE,
        O_MOVES,
        O_DETAILED,
        O_MEMORY,
        O_VCPUS,
        O_FREE,
        O_MODE
    };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {"picture", required_argument, NULL, O_PICTURE},
                                        {"max-moves", required_argument, NULL, O_MOVES},
                                        {"detailed-exitcode", no_argument, NULL, O_DETAILED},
                                        {"memory", required_argument, NULL, O_MEMORY},
                                        {"vcpus", required_argument, NULL, O_VCPUS},
                                        {"hosts-free", required_argument, NULL, O_FREE},
                                        {"mode", required_argument, NULL, O_MODE},
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
        else if (o == O_MOVES && parse_int(optarg, 1, MOST_MOVES, &ret->max_moves, &e) < 0)
            return cli_usage(c, "--max-moves: %s", e.msg);
        else if (o == O_MEMORY && parse_bytes(optarg, &ret->room.mem_bytes, &e) < 0)
            return cli_usage(c, "--memory: %s", e.msg);
        else if (o == O_VCPUS && parse_int(optarg, 1, MOST_VCPUS, &ret->room.vcpus, &e) < 0)
            return cli_usage(c, "--vcpus: %s", e.msg);
        else if (o == O_FREE && parse_int(optarg, 1, LIM_HOSTS, &ret->hosts_free, &e) < 0)
            return cli_usage(c, "--hosts-free: %s", e.msg);
        else if (o == O_MODE && (ret->mode = opt_word(c, "--mode", optarg, balance_mode_names,
                                                      ARRAY_LEN(balance_mode_names))) < 0)
            return X_USAGE;
        else if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
    }
    return opt_words(c, argc, argv, 0, 0, "nothing") ? X_DONE : X_USAGE;
}

static void standing_print(FILE *f, const char *when, const struct plan_standing *x)
{
    char *s = NULL;
    text_add(&s, "%s memory of hosts %.1f to %.1f %% full, mean %.1f, deviation %.2f", when,
             (double)x->min_ppm / 1e4, (double)x->max_ppm / 1e4, (double)x->mean_ppm / 1e4,
             (double)x->deviation_ppm / 1e4);
    if (x->broken)
        text_add(&s, " · hard rules or capacity broken");
    if (x->soft)
        text_add(&s, " · soft rules broken (weight %lld)", (long long)x->soft);
    text_line(f, "%s", s);
    free(s);
}

static json_t *standing_encode(const struct plan_standing *x)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "min_ppm", (json_int_t)x->min_ppm, "max_ppm",
                     (json_int_t)x->max_ppm, "mean_ppm", (json_int_t)x->mean_ppm, "deviation_ppm",
                     (json_int_t)x->deviation_ppm, "broken", (json_int_t)x->broken, "soft",
                     (json_int_t)x->soft);
}

/* What is free: on the host with the most, and on all that take VMs. */
static void free_print(FILE *f, const struct offline *o)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    int64_t most = 0, sum = 0;
    const char *name = "none";
    for (size_t h = 0; h < o->fleet.s.n_hosts; h++) {
        int64_t x = plan_free_bytes(&o->fleet.s, &o->policy, (int)h);
        if (o->fleet.s.hosts[h].state != HOST_UP || x <= 0)
            continue;
        sum += x;
        name = x > most ? o->fleet.s.hosts[h].h->name : name;
        most = x > most ? x : most;
    }
    text_line(f, "most free on one host: %s %s; free in total: %s", name, fmt_bytes(a, most),
              fmt_bytes(b, sum));
}

static void room_print(struct cli *c, const struct offline *o, const struct plan_room *r,
                       const struct plan *p)
{
    char a[FMT_BYTES];
    fmt_bytes(a, r->mem_bytes);
    if (p->room_on >= 0)
        text_line(c->out, "room for %s on host/%s%s", a, o->fleet.s.hosts[p->room_on].h->name,
                  p->n_moves ? " once these have moved" : ", as it is");
    else
        text_line(c->out, "no room for %s can be made with so many moves", a);
    free_print(c->out, o);
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
                  const struct plan *p, const struct run_view *v)
{
    bool room = r->goal == GOAL_ROOM;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j =
            room ? json_pack("{s:s, s:s?, s:[]}", "schema", "drover.room/1", "host",
                             p->room_on < 0 ? NULL : o->fleet.s.hosts[p->room_on].h->name, "moves")
                 : json_pack("{s:s, s:o, s:o, s:[]}", "schema", "drover.balance/1", "before",
                             standing_encode(&p->before), "after", standing_encode(&p->after),
                             "moves");
        cleanup(json_decrefp) json_t *body = codec_encode_public(&run_view_shape, v);
        json_t *moves = json_object_get(body, "moves");
        if (r->goal == GOAL_CONSOLIDATE)
            json_object_set_new(j, "emptied", emptied_encode(o, p));
        if (moves)
            json_object_set(j, "moves", moves);
        out_data(c, j, NULL);
        return room && p->room_on < 0 ? X_BLOCKED : X_DONE;
    }
    int code = plan_moves_print(c, v);
    if (code)
        return code;
    if (v->n_moves)
        fputc('\n', c->out);
    if (room) {
        room_print(c, o, &r->room, p);
    } else {
        if (r->goal == GOAL_CONSOLIDATE)
            emptied_print(c->out, o, p);
        standing_print(c->out, v->n_moves ? "before:" : "nothing to do:", &p->before);
        if (v->n_moves)
            standing_print(c->out, "after: ", &p->after);
    }
    plan_total_print(c->out, v);
    return room && p->room_on < 0 ? X_BLOCKED : X_DONE;
}

static int plan_for(struct cli *c, enum plan_goal goal, const struct balance_opts *d,
                    const struct offline *o)
{
    struct plan_request r = {.goal = goal,
                             .purpose = PURPOSE_BALANCE,
                             .max_moves = d->max_moves,
                             .hosts_free = d->hosts_free,
                             .room = d->room};
    struct plan p;
    struct run_view v;
    struct reason bad = {0};
    struct forecast f;
    shape_init(&run_view_shape, &v);
    v.run.policy_commit = xstrdup(o->policy.commit);
    v.run.policy_clean = o->policy.clean;
    plan_make(&o->fleet.s, &o->policy, &r, 0, &p);
    int code = X_DONE;
    if (!plan_verify(&o->fleet.s, &o->policy, &r, &p, &bad)) {
        cleanup(freep) char *why = reason_line(&bad);
        code = cli_error(c, X_FAILED, "the planner's answer did not pass verification: %s", why);
    }
    planned_forecast(&v.run, &o->fleet.s, &o->policy, &p, -1, &f);
    for (size_t i = 0; i < p.n_moves; i++) {
        struct move *m = vec_add(&v.moves, &v.n_moves);
        shape_init(&move_shape, m);
        planned_move(m, &o->fleet.s, &p.moves[i]);
        m->id = (int64_t)v.n_moves;
        m->forecast = planned_move_forecast(&f.moves[i]);
    }
    if (!code && d->picture)
        code = picture_save(c, &o->fleet.s, &v, d->picture);
    code = code ? code : answer(c, o, &r, &p, &v);
    if (!code && d->detailed && p.n_moves)
        code = X_CHANGES;
    forecast_done(&f);
    shape_done(&reason_shape, &bad);
    shape_done(&run_view_shape, &v);
    plan_done(&p);
    return code;
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
    code = offline_open(c, &d.offline, &o);
    if (code)
        return code;
    enum plan_goal goal = goal_of(word);
    if (goal == GOAL_BALANCE)
        goal = goal_of_mode[d.mode >= 0 ? d.mode : o.policy.balance.mode];
    code = check_goal(c, goal, &d);
    code = code ? code : plan_for(c, goal, &d, &o);
    if (code != X_USAGE)
        offline_note(c, &o);
    offline_done(&o);
    return code;
}
