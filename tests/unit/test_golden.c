/* Stories with a fleet, a policy and what the planner answers: tests/golden/NAME/
 *   README       the story        fleet.json   docs/snapshot.md        policy.yaml   docs/policy.md
 *   expect       questions ("$ drain h1") and, below each, the answer: moves and stays by VM, in order,
 *                for each stay the ways out that were tried, and what counting proves
 * Questions: drain HOST... [make-room]: these hosts are being drained; others may move for it. balance
 * VM...: these VMs should go elsewhere, and it is no maintenance. repair, relieve, even: the whole
 * fleet, as the goals of plan.h. home VM@HOST...: these VMs should go there. consolidate MOVES: hosts are to be
 * emptied with at most so many moves. failover HOST...: these hosts are dead; the label tier says who comes
 * first. room VM, room SIZE KEY=VALUE: room for one that is there, or for a new one with a label.
 * The label numa=any binds it to one NUMA cell.
 * Every plan must be the same for any seed and hold in the independent replay. GOLDEN_BLESS=1 writes
 * the answers anew (then read them). Run from the repository's root. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/ways.h"
#include "scheduler/snap/snap.h"

#define GOLDEN "tests/golden"

struct question {
    struct snap *f;
    const struct policy *p;
    struct plan_request r;
    int *vms, *wish, *rank;
    size_t n_vms, n_wish, n_rank;
    struct vm fresh;
};

static int find(const struct snap *f, const char *name, bool host)
{
    size_t n = host ? f->s.n_hosts : f->s.n_vms;
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, host ? f->s.hosts[i].h->name : f->s.vms[i].v->name))
            return (int)i;
    fail_msg("no %s of the name %s", host ? "host" : "VM", name);
    return -1;
}

static void ask_drain(struct question *q, char *words)
{
    for (char *w; (w = strsep(&words, " ")) != NULL;) {
        if (str_eq(w, "make-room")) {
            q->r.make_room = true;
            continue;
        }
        int host = find(q->f, w, true);
        q->f->s.hosts[host].state = HOST_DRAINING;
        for (size_t i = 0; i < q->f->s.n_vms; i++)
            if (q->f->s.vms[i].host == host)
                *vec_add(&q->vms, &q->n_vms) = (int)i;
    }
}

static void ask_balance(struct question *q, char *words)
{
    q->r.purpose = PURPOSE_BALANCE;
    for (char *w; (w = strsep(&words, " ")) != NULL;)
        *vec_add(&q->vms, &q->n_vms) = find(q->f, w, false);
}

static void ask_home(struct question *q, char *words)
{
    for (char *w; (w = strsep(&words, " ")) != NULL;) {
        char *host = strchr(w, '@');
        assert_non_null(host);
        *host++ = '\0';
        *vec_add(&q->vms, &q->n_vms) = find(q->f, w, false);
        *vec_add(&q->wish, &q->n_wish) = find(q->f, host, true);
    }
}

static void ask_goal(struct question *q, int goal)
{
    q->r.goal = goal;
    q->r.purpose = PURPOSE_BALANCE;
}

static void ask_repair(struct question *q, char *words)
{
    (void)words;
    ask_goal(q, GOAL_REPAIR);
}

static void ask_relieve(struct question *q, char *words)
{
    (void)words;
    ask_goal(q, GOAL_RELIEVE);
}

static void ask_even(struct question *q, char *words)
{
    (void)words;
    ask_goal(q, GOAL_BALANCE);
}

static void ask_consolidate(struct question *q, char *words)
{
    ask_goal(q, GOAL_CONSOLIDATE);
    q->r.max_moves = atoll(words);
}

static void ask_failover(struct question *q, char *words)
{
    for (char *w; (w = strsep(&words, " ")) != NULL;)
        plan_host_dies(&q->f->s, find(q->f, w, true));
    for (size_t i = 0; i < q->f->s.n_vms; i++)
        if (q->f->s.vms[i].nowhere) {
            *vec_add(&q->vms, &q->n_vms) = (int)i;
            *vec_add(&q->rank, &q->n_rank) = plan_rank(q->f->s.vms[i].v, q->p->failover.priority);
        }
}

static void ask_room(struct question *q, char *words)
{
    struct snapshot *s = &q->f->s;
    ask_goal(q, GOAL_ROOM);
    char *label = strchr(words, ' ');
    if (!label) {
        q->r.room_for = find(q->f, words, false);
        return;
    }
    *label++ = '\0';
    struct vm *v = &q->fresh;
    shape_init(&vm_shape, v);
    v->name = xstrdup("new");
    v->uuid = xstrdup("new");
    v->state = VM_RUNNING;
    v->persistent = true;
    assert_int_equal(parse_bytes(words, &v->mem_bytes, NULL), 0);
    struct label *l = vec_add(&v->labels, &v->n_labels);
    l->key = xstrdup(strsep(&label, "="));
    l->value = xstrdup(label);
    if (str_eq(l->key, "numa"))
        *vec_add(&v->binds, &v->n_binds) =
            (struct numa_bind){.cells = xstrdup(l->value), .mem_bytes = v->mem_bytes};
    q->r.room_for = (int)s->n_vms;
    s->vms = xrealloc(s->vms, s->n_vms + 1, sizeof(*s->vms));
    s->vms[s->n_vms++] = (struct snap_vm){.v = v, .host = -1, .moving_to = -1, .nowhere = true};
}

static void say(char **text, const char *line)
{
    text_add(text, "%s\n", line);
}

static void say_stay(const struct question *q, const struct plan_stay *stay,
                     const struct plan_stay_ways *ways, char **text)
{
    cleanup(freep) char *head = xasprintf("%s stays", q->f->s.vms[stay->vm].v->name);
    say(text, head);
    for (size_t i = 0; i < stay->n_reasons; i++) {
        const struct reason *r = &stay->reasons[i];
        cleanup(freep) char *line =
            xasprintf("  %s%s%s%s%s%s%s%s%s%s%s%s%s", r->host ? r->host : "", r->host ? " " : "",
                      reason_tokens[r->code], r->what ? ", " : "", r->what ? r->what : "",
                      r->where ? " at " : "", r->where ? r->where : "", r->need ? ": needs " : "",
                      r->need ? r->need : "", r->have ? (r->need ? ", has " : ": ") : "",
                      r->have ? r->have : "", r->cure ? "; " : "", r->cure ? r->cure : "");
        say(text, line);
    }
    for (size_t i = 0; i < ways->n; i++) {
        cleanup(freep) char *line = xasprintf("  way out: %s", ways->list[i].text);
        say(text, line);
    }
}

static char *answer(const struct question *q, const struct plan *plan, uint64_t seed)
{
    char *text = NULL;
    struct plan_ways ways;
    struct plan_index *x = plan_index_new(&q->f->s, q->p);
    plan_ways_find(x, &q->r, plan, seed, &ways);
    for (int vm = 0; (size_t)vm < q->f->s.n_vms; vm++) {
        for (size_t i = 0; i < plan->n_moves; i++)
            if (plan->moves[i].vm == vm) {
                const struct plan_move *m = &plan->moves[i];
                char *line =
                    xasprintf("%s: %s -> %s", q->f->s.vms[vm].v->name,
                              q->f->s.hosts[m->from].h->name, q->f->s.hosts[m->to].h->name);
                for (size_t k = 0; k < m->n_after; k++) {
                    int other = plan->moves[m->after[k]].vm;
                    text_add(&line, "%s%s", k ? ", " : " after ", q->f->s.vms[other].v->name);
                }
                say(&text, line);
                free(line);
            }
        for (size_t i = 0; i < plan->n_stays; i++)
            if (plan->stays[i].vm == vm)
                say_stay(q, &plan->stays[i], &ways.of[i], &text);
    }
    for (size_t i = 0; i < plan->n_emptied; i++) {
        cleanup(freep) char *line =
            xasprintf("%s is empty", q->f->s.hosts[plan->emptied[i]].h->name);
        say(&text, line);
    }
    if (q->r.goal == GOAL_ROOM && plan->room_on >= 0) {
        cleanup(freep) char *line = xasprintf("room on %s", q->f->s.hosts[plan->room_on].h->name);
        say(&text, line);
    }
    for (size_t i = 0; i < ways.n_shortages; i++) {
        cleanup(freep) char *line = xasprintf("proven: %s", ways.shortages[i].text);
        say(&text, line);
    }
    plan_ways_done(&ways);
    plan_index_free(x);
    return text ? text : xstrdup("");
}

static char *plan_text(const struct question *q, uint64_t seed)
{
    struct plan plan;
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&q->f->s, q->p, &q->r, seed, &plan);
    if (!plan_verify(&q->f->s, q->p, &q->r, &plan, &why))
        fail_msg("the replay finds %s", reason_tokens[why.code]);
    char *text = answer(q, &plan, seed);
    plan_done(&plan);
    return text;
}

static char *ask(const char *dir, const struct policy *p, const char *line)
{
    static const struct {
        const char *word;
        void (*read)(struct question *q, char *words);
    } kinds[] = {{"drain ", ask_drain},       {"balance ", ask_balance},
                 {"home ", ask_home},         {"consolidate ", ask_consolidate},
                 {"failover ", ask_failover}, {"room ", ask_room},
                 {"repair", ask_repair},      {"relieve", ask_relieve},
                 {"even", ask_even}};
    cleanup(freep) char *path = xasprintf("%s/fleet.json", dir);
    cleanup(snap_done) struct snap f = {0};
    struct question q = {.f = &f, .p = p};
    struct err e = {0};
    if (snap_load(path, &f, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_has_prefix(line, kinds[i].word)) {
            cleanup(freep) char *words = xstrdup(line + strlen(kinds[i].word));
            kinds[i].read(&q, words);
        }
    q.r.vms = q.vms;
    q.r.n_vms = q.n_vms;
    q.r.wish = q.wish;
    q.r.rank = q.rank;
    assert_true(q.n_vms > 0 || q.r.goal != GOAL_LEAVE);
    char *text = plan_text(&q, 1);
    for (uint64_t seed = 2; seed < 5; seed++) {
        cleanup(freep) char *other = plan_text(&q, seed);
        assert_string_equal(other, text);
    }
    free(q.vms);
    free(q.wish);
    free(q.rank);
    f.s.n_vms -= q.fresh.name != NULL; /* the file's alone */
    shape_done(&vm_shape, &q.fresh);
    return text;
}

static void one_case(const char *name)
{
    cleanup(freep) char *dir = xasprintf("%s/%s", GOLDEN, name);
    cleanup(freep) char *path = xasprintf("%s/expect", dir);
    cleanup(freep) char *expect = NULL, *got = NULL;
    struct policy p;
    struct err e = {0};
    if (policy_load(dir, &p, &e) < 0 || file_read(path, 1 << 20, &expect, NULL, &e) < 0)
        fail_msg("%s: %s", dir, e.msg);
    cleanup(freep) char *copy = xstrdup(expect);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (!str_has_prefix(line, "$ "))
            continue;
        cleanup(freep) char *text = ask(dir, &p, line + 2);
        say(&got, line);
        text_add(&got, "%s", text);
    }
    assert_non_null(got);
    if (getenv("GOLDEN_BLESS"))
        assert_int_equal(file_write(path, got, strlen(got), 0644, NULL), 0);
    else if (!str_eq(got, expect))
        fail_msg("%s: expected\n%s\ngot\n%s", dir, expect, got);
    policy_done(&p);
}

static int is_case(const struct dirent *d)
{
    return d->d_name[0] != '.' && d->d_type == DT_DIR;
}

static void test_cases(void **state)
{
    (void)state;
    struct dirent **list;
    int n = scandir(GOLDEN, &list, is_case, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        one_case(list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
