/* drover policy diff A B: which values differ, and what becomes of a fleet by it. */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/compare.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/broken.h"

/* Lines of one kind in text; data has all. A reason costs a plan: milliseconds, in a large fleet. */
enum { SHOWN = 20, EXPLAINED = 100 };
static const int64_t ASKED = 500000000; /* see plan_find_stuck: seconds */

struct side { /* a policy, and the fleet under it */
    struct policy p;
    bool have;
    struct plan_index *x;
    struct plan_broken *broken;
    size_t n_broken;
    struct plan plan;
};
struct stuck {
    int vm;
    struct reason why;
};
struct diff {
    struct side a, b;
    const char *names[2];
    struct snap fleet;
    bool have_fleet, cut;
    struct policy_changes changes;
    struct stuck *stuck;
    size_t n_stuck;
};

static void side_done(struct side *s)
{
    plan_broken_done(s->broken, s->n_broken);
    plan_done(&s->plan);
    plan_index_free(s->x);
    if (s->have)
        policy_done(&s->p);
}

static void diff_done(struct diff *d)
{
    for (size_t i = 0; i < d->n_stuck; i++)
        shape_done(&reason_shape, &d->stuck[i].why);
    free(d->stuck);
    policy_changes_done(&d->changes);
    side_done(&d->a);
    side_done(&d->b);
    snap_done(&d->fleet);
}

/* ---- finding out ------------------------------------------------------------------------------- */
static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int load_side(struct cli *c, const char *word, const char *repo, struct side *ret)
{
    struct err e;
    int rc = is_dir(word) ? policy_load(word, &ret->p, &e)
                          : policy_load_revision(repo, word, &ret->p, &e);
    ret->have = rc == 0;
    return rc < 0 ? cli_error(c, X_FAILED, "%s: %s", word, e.msg) : X_DONE;
}

static void look_at(struct side *s, const struct snapshot *fleet)
{
    int goal = balance_goal("balance", &s->p);
    const struct plan_request r = {.goal = goal == GOAL_ROOM ? GOAL_REPAIR : goal,
                                   .purpose = PURPOSE_BALANCE};
    s->x = plan_index_new(fleet, &s->p);
    plan_find_broken(s->x, &s->broken, &s->n_broken);
    plan_make_from(s->x, &r, 0, &s->plan);
}

/* What is nearest in its way, as a drain of it would say. */
static void add_stuck(struct diff *d, int vm)
{
    struct stuck *ret = vec_add(&d->stuck, &d->n_stuck);
    const struct plan_request r = {.goal = GOAL_LEAVE, .vms = &vm, .n_vms = 1};
    struct plan p;
    ret->vm = vm;
    shape_init(&reason_shape, &ret->why);
    if (d->n_stuck > EXPLAINED)
        return;
    plan_make_from(d->b.x, &r, 0, &p);
    if (p.n_stays && p.stays[0].n_reasons) {
        shape_done(&reason_shape, &ret->why);
        shape_copy(&reason_shape, &ret->why, &p.stays[0].reasons[0]);
    }
    plan_done(&p);
}

static void find_stuck(struct diff *d)
{
    int64_t budget = ASKED;
    cleanup(freep) bool *now = plan_find_stuck(d->b.x, NULL, &budget);
    cleanup(freep) bool *before = plan_find_stuck(d->a.x, now, &budget);
    d->cut = budget <= 0;
    for (size_t i = 0; i < d->fleet.s.n_vms; i++)
        if (now[i] && !before[i])
            add_stuck(d, (int)i);
}

static const char *rule_name(const struct side *s, const struct plan_broken *b)
{
    return b->rule >= 0 ? s->p.rules[b->rule].name : NULL;
}

static bool is_hard(const struct side *s, const struct plan_broken *b)
{
    return b->rule < 0 || s->p.rules[b->rule].hard;
}

/* Is the same broken on the other side? Of a host that holds too much: whatever the figures. */
static bool broken_too(const struct side *s, const struct plan_broken *b, const struct side *other)
{
    for (size_t i = 0; i < other->n_broken; i++) {
        const struct plan_broken *o = &other->broken[i];
        if (is_hard(other, o) && o->host == b->host &&
            str_eq(rule_name(other, o), rule_name(s, b)) &&
            (b->rule < 0 || str_eq(o->what, b->what)))
            return true;
    }
    return false;
}

static bool newly_broken(const struct side *s, size_t i, const struct side *other)
{
    return is_hard(s, &s->broken[i]) && !broken_too(s, &s->broken[i], other);
}

static bool moves_too(const struct plan_move *m, const struct side *other)
{
    for (size_t i = 0; i < other->plan.n_moves; i++)
        if (other->plan.moves[i].vm == m->vm && other->plan.moves[i].to == m->to)
            return true;
    return false;
}

/* ---- text -------------------------------------------------------------------------------------- */
static void print_changes(struct cli *c, const struct diff *d)
{
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct policy_change *x = &d->changes.list[i];
        int colour = !x->a ? C_GOOD : !x->b ? C_BAD : C_WARN;
        cleanup(freep) char *where = x->where_b ? xasprintf("   (%s)", x->where_b) : xstrdup("");
        fprintf(c->out, "%s%s%s ", paint(c, c->out, colour),
                !x->a   ? "+"
                : !x->b ? "-"
                        : "~",
                paint_off(c, c->out, colour));
        if (x->a && x->b && str_has_prefix(x->key, "rule ")) {
            text_line(c->out, "%s%s", x->key, where);
            text_line(c->out, "    - %s", x->a);
            text_line(c->out, "    + %s", x->b);
        } else {
            text_line(c->out, "%s: %s%s%s%s", x->key, x->a ? x->a : "", x->a && x->b ? " → " : "",
                      x->b ? x->b : "", where);
        }
    }
    if (!d->changes.n)
        text_line(c->out, "the same values and rules");
}

/* The head before the first line; lines beyond SHOWN are counted. */
struct list {
    struct cli *c;
    const char *head;
    size_t n;
};

static void __attribute__((format(printf, 2, 3))) list_line(struct list *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    if (!l->n++) {
        fputc('\n', l->c->out);
        text_line(l->c->out, "%s", l->head);
    }
    if (l->n <= SHOWN || l->c->verbose)
        text_line(l->c->out, "  %s", text);
}

static size_t list_end(struct list *l)
{
    if (l->n > SHOWN && !l->c->verbose)
        text_line(l->c->out, "  and %zu more (-v shows them)", l->n - SHOWN);
    return l->n;
}

static size_t print_broken(struct cli *c, const struct diff *d, const struct side *s,
                           const struct side *other, const char *head)
{
    struct list l = {.c = c, .head = head};
    for (size_t i = 0; i < s->n_broken; i++) {
        const struct plan_broken *b = &s->broken[i];
        if (!newly_broken(s, i, other))
            continue;
        if (b->rule < 0)
            list_line(&l, "host/%s  %s", d->fleet.s.hosts[b->host].h->name, b->what);
        else
            list_line(&l, "rule %s (%s)  %s", rule_name(s, b), s->p.rules[b->rule].where, b->what);
    }
    return list_end(&l);
}

static size_t print_stuck(struct cli *c, const struct diff *d)
{
    struct list l = {.c = c, .head = "could move before, and cannot any more:"};
    for (size_t i = 0; i < d->n_stuck; i++) {
        cleanup(freep) char *why = d->stuck[i].why.code ? reason_line(&d->stuck[i].why) : NULL;
        list_line(&l, "vm/%s  %s", d->fleet.s.vms[d->stuck[i].vm].v->name, why ? why : "");
    }
    if (d->cut)
        cli_note(c, "the fleet is large: not every VM was asked where it may go");
    return list_end(&l);
}

static size_t print_moves(struct cli *c, const struct diff *d, const struct side *s,
                          const struct side *other, const char *head)
{
    struct list l = {.c = c, .head = head};
    for (size_t i = 0; i < s->plan.n_moves; i++) {
        const struct plan_move *m = &s->plan.moves[i];
        if (!moves_too(m, other))
            list_line(&l, "vm/%s  %s → %s", d->fleet.s.vms[m->vm].v->name,
                      d->fleet.s.hosts[m->from].h->name, d->fleet.s.hosts[m->to].h->name);
    }
    return list_end(&l);
}

static size_t print_fleet(struct cli *c, const struct diff *d)
{
    size_t n = print_broken(c, d, &d->b, &d->a, "would be broken where VMs are now:");
    n += print_broken(c, d, &d->a, &d->b, "would no longer be broken:");
    n += print_stuck(c, d);
    n += print_moves(c, d, &d->b, &d->a, "a balance run would also move:");
    n += print_moves(c, d, &d->a, &d->b, "a balance run would no longer move:");
    if (!n) {
        fputc('\n', c->out);
        text_line(c->out, "nothing changes for the fleet as it is now");
    }
    return n;
}

/* ---- data -------------------------------------------------------------------------------------- */
static void set_text(json_t *j, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    json_object_set_new(j, key, value ? value : json_string("?"));
}

static json_t *side_json(const char *name, const struct side *s)
{
    json_t *j = json_pack("{s:b}", "clean", s->p.clean);
    set_text(j, "name", name);
    set_text(j, "commit", s->p.commit);
    return j;
}

static json_t *changes_json(const struct policy_changes *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n; i++) {
        json_t *x = json_object();
        set_text(x, "key", c->list[i].key);
        set_text(x, "a", c->list[i].a);
        set_text(x, "b", c->list[i].b);
        set_text(x, "where_a", c->list[i].where_a);
        set_text(x, "where_b", c->list[i].where_b);
        json_array_append_new(list, x);
    }
    return list;
}

static json_t *broken_json(const struct diff *d, const struct side *s, const struct side *other)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_broken; i++) {
        const struct plan_broken *b = &s->broken[i];
        if (!newly_broken(s, i, other))
            continue;
        json_t *x = json_object();
        if (b->rule < 0) {
            set_text(x, "host", d->fleet.s.hosts[b->host].h->name);
        } else {
            set_text(x, "rule", rule_name(s, b));
            set_text(x, "where", s->p.rules[b->rule].where);
        }
        set_text(x, "what", b->what);
        json_array_append_new(list, x);
    }
    return list;
}

static json_t *stuck_json(const struct diff *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->n_stuck; i++) {
        int code = d->stuck[i].why.code;
        cleanup(freep) char *why = code ? reason_line(&d->stuck[i].why) : NULL;
        json_t *x = json_object();
        set_text(x, "vm", d->fleet.s.vms[d->stuck[i].vm].v->name);
        set_text(x, "reason", code ? reason_tokens[code] : NULL);
        set_text(x, "text", why);
        json_array_append_new(list, x);
    }
    return list;
}

static json_t *moves_json(const struct diff *d, const struct side *s, const struct side *other)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->plan.n_moves; i++) {
        const struct plan_move *m = &s->plan.moves[i];
        if (moves_too(m, other))
            continue;
        json_t *x = json_object();
        set_text(x, "vm", d->fleet.s.vms[m->vm].v->name);
        set_text(x, "from", d->fleet.s.hosts[m->from].h->name);
        set_text(x, "to", d->fleet.s.hosts[m->to].h->name);
        json_array_append_new(list, x);
    }
    return list;
}

/* Gives how much changes for the fleet. */
static size_t print_data(struct cli *c, const struct diff *d)
{
    static const char *const lists[] = {"broken", "mended", "stuck", "moves", "moves_gone"};
    cleanup(json_decrefp) json_t *j =
        json_pack("{s:s, s:o, s:o, s:o}", "schema", "drover.policy-diff/1", "a",
                  side_json(d->names[0], &d->a), "b", side_json(d->names[1], &d->b), "changes",
                  changes_json(&d->changes));
    size_t n = 0;
    if (d->have_fleet) {
        json_object_set_new(j, "broken", broken_json(d, &d->b, &d->a));
        json_object_set_new(j, "mended", broken_json(d, &d->a, &d->b));
        json_object_set_new(j, "stuck", stuck_json(d));
        json_object_set_new(j, "stuck_cut", json_boolean(d->cut));
        json_object_set_new(j, "moves", moves_json(d, &d->b, &d->a));
        json_object_set_new(j, "moves_gone", moves_json(d, &d->a, &d->b));
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        n += json_array_size(json_object_get(j, lists[i]));
    out_data(c, j, "changes");
    return n;
}

/* ---- the command ------------------------------------------------------------------------------- */
struct diff_opts {
    struct fleet_opts fleet;
    const char *dir;
    bool detailed;
};

static int parse(struct cli *c, int argc, char **argv, struct diff_opts *ret)
{
    enum { O_SNAPSHOT = 256, O_LIVE, O_DETAILED, O_DIR };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"live", no_argument, NULL, O_LIVE},
                                        {"detailed-exitcode", no_argument, NULL, O_DETAILED},
                                        {"dir", required_argument, NULL, O_DIR},
                                        {0}};
    *ret = (struct diff_opts){0};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
        ret->fleet.snapshot = o == O_SNAPSHOT ? optarg : ret->fleet.snapshot;
        ret->fleet.live = ret->fleet.live || o == O_LIVE;
        ret->detailed = ret->detailed || o == O_DETAILED;
        ret->dir = o == O_DIR ? optarg : ret->dir;
    }
    return opt_words(c, argc, argv, 2, 2, "one of the two policies") ? X_DONE : X_USAGE;
}

static int load_all(struct cli *c, const struct diff_opts *o, struct diff *d)
{
    const char *const *n = d->names;
    const char *dir = o->dir ? o->dir : is_dir(n[1]) ? n[1] : is_dir(n[0]) ? n[0] : ".";
    int code = load_side(c, n[0], dir, &d->a);
    code = code ? code : load_side(c, n[1], dir, &d->b);
    d->have_fleet = fleet_wanted(&o->fleet);
    if (!code && d->have_fleet)
        code = fleet_open(c, &o->fleet, &d->fleet);
    cli_alone(c);
    return code;
}

static int compare(struct cli *c, const struct diff_opts *o, struct diff *d)
{
    int code = load_all(c, o, d);
    size_t n = 0;
    if (code)
        return code;
    policy_compare(&d->a.p, &d->b.p, &d->changes);
    if (d->have_fleet) {
        look_at(&d->a, &d->fleet.s);
        look_at(&d->b, &d->fleet.s);
        find_stuck(d);
    }
    if (out_is_data(c)) {
        n = print_data(c, d);
    } else {
        print_changes(c, d);
        n = d->have_fleet ? print_fleet(c, d) : 0;
        if (!d->have_fleet)
            cli_note(c, "--snapshot FILE or --live says what would become of a fleet");
    }
    return o->detailed && (d->changes.n || n) ? X_CHANGES : X_DONE;
}

int policy_diff(struct cli *c, int argc, char **argv)
{
    struct diff_opts o;
    int code = parse(c, argc, argv, &o);
    if (code)
        return code < 0 ? X_DONE : code;
    struct diff d = {.names = {argv[optind], argv[optind + 1]}};
    code = compare(c, &o, &d);
    diff_done(&d);
    return code;
}
