/* Machine reassignment of the ROADEF/EURO challenge 2012 (sets A and B): the engine's search against
 * the published 300 s results of team S41, the challenge's winner.
 *
 *   roadef DATA SECONDS THREADS SEED [INSTANCE...]
 *
 * DATA/roadef2012 has model_*.txt, assignment_*.txt, and score.py, which judges each result: it reads
 * the files anew and knows nothing of the engine. Threads differ by their seed (SEED, SEED + 1, …);
 * the best one counts. SECONDS are of each thread's CPU time, so that what else the machine does
 * changes little.
 * Prints a table and "bench: NAME VALUE UNIT". */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "scheduler/solve/solve.h"
#include "tests/bench/bench.h"

/* Long enough to be like a long pass in all its parts. */
enum { PROBE_STEPS = 400000, PROBE_PER_MACHINE = 2000, PROBE_PER_ITEM = 40 };
enum { MAX_THREADS = 64, LEVEL_MACHINE = 0, LEVEL_PLACE, LEVEL_NEAR, N_LEVELS };

static const struct known {
    const char *name;
    int64_t s41;
} known[] = {
    {"a1_1", 44306501},   {"a1_2", 777912030},  {"a1_3", 583006422}, {"a1_4", 262125116},
    {"a1_5", 727578310},  {"a2_1", 329},        {"a2_2", 746097632}, {"a2_3", 1210644572},
    {"a2_4", 1680615349}, {"a2_5", 318358949},  {"b_1", 3353533859}, {"b_2", 1015569276},
    {"b_3", 157091678},   {"b_4", 4677962661},  {"b_5", 924769283},  {"b_6", 9525888445},
    {"b_8", 1214470739},  {"b_9", 15885647774},
};

/* ---- reading ----------------------------------------------------------------------------------- */

struct model {
    struct problem p;
    struct arena {
        void *block[32];
        int n;
    } arena;
    int n_services, n_domains[N_LEVELS];
    int *service, *spread_min; /* per item, per service */
};

static void *own(struct model *m, size_t n, size_t size)
{
    return m->arena.block[m->arena.n++] = xcalloc(n ? n : 1, size);
}

static void model_done(struct model *m)
{
    while (m->arena.n)
        free(m->arena.block[--m->arena.n]);
}

struct numbers {
    char *text, *at;
};

static bool numbers_open(struct numbers *f, const char *data, const char *kind, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/roadef2012/%s_%s.txt", data, kind, name);
    FILE *in = fopen(path, "r");
    if (!in) {
        perror(path);
        return false;
    }
    fseek(in, 0, SEEK_END);
    long size = ftell(in);
    rewind(in);
    f->text = f->at = xcalloc((size_t)size + 1, 1);
    size_t got = fread(f->text, 1, (size_t)size, in);
    fclose(in);
    return got == (size_t)size;
}

static int64_t number(struct numbers *f)
{
    return strtoll(f->at, &f->at, 10);
}

static int count(struct numbers *f)
{
    return (int)number(f);
}

/* Machines; the weights of loads become terms. *ret_class_cost: still without its weight. */
static void read_machines(struct model *m, struct numbers *f, int64_t **ret_class_cost)
{
    struct problem *p = &m->p;
    int64_t weight[SOLVE_MAX_RES];
    p->n_res = count(f);
    for (int r = 0; r < p->n_res; r++) {
        p->held_res |= (uint32_t)number(f) << r;
        weight[r] = number(f);
    }
    size_t n = (size_t)(p->n_machines = count(f)), n_res = (size_t)p->n_res;
    int *domain = own(m, N_LEVELS * n, sizeof(*domain)), *class = own(m, n, sizeof(*class));
    int64_t *cap = own(m, n * n_res, sizeof(*cap)), *safe = own(m, n_res * n, sizeof(*safe));
    int64_t *class_cost = own(m, n * n, sizeof(*class_cost));
    struct solve_term *terms = own(m, 2 * SOLVE_MAX_RES, sizeof(*terms));
    p->n_levels = N_LEVELS;
    m->n_domains[LEVEL_MACHINE] = p->n_machines;
    for (size_t i = 0; i < n; i++) {
        domain[i] = class[i] = (int)i;
        for (int l = LEVEL_NEAR; l >= LEVEL_PLACE; l--) {
            int d = domain[(size_t)l * n + i] = count(f);
            if (d >= m->n_domains[l])
                m->n_domains[l] = d + 1;
        }
        for (size_t r = 0; r < n_res; r++)
            cap[i * n_res + r] = number(f);
        for (size_t r = 0; r < n_res; r++)
            safe[r * n + i] = number(f);
        for (size_t to = 0; to < n; to++)
            class_cost[i * n + to] = number(f);
    }
    for (int r = 0; r < p->n_res; r++)
        if (weight[r])
            terms[p->n_terms++] = (struct solve_term){.kind = TERM_ABOVE,
                                                      .tier = TIER_COST,
                                                      .res = r,
                                                      .weight = weight[r],
                                                      .level = &safe[(size_t)r * n]};
    p->cap = cap;
    p->domain = domain;
    p->n_domains = m->n_domains;
    p->machine_class = class;
    p->class_cost = class_cost;
    p->n_classes = p->n_machines;
    p->terms = terms;
    *ret_class_cost = class_cost;
}

/* Services: how far apart, and near which others. near: of services, not yet of groups. */
static void read_services(struct model *m, struct numbers *f)
{
    struct problem *p = &m->p;
    size_t n = (size_t)(m->n_services = count(f)), room = 1024;
    struct solve_near *near = xcalloc(room, sizeof(*near));
    m->spread_min = own(m, n, sizeof(*m->spread_min));
    for (int s = 0; s < m->n_services; s++) {
        m->spread_min[s] = count(f);
        for (int k = count(f); k > 0; k--) {
            if ((size_t)p->n_near == room)
                near = xrealloc(near, room *= 2, sizeof(*near));
            near[p->n_near++] = (struct solve_near){.a = s, .b = count(f)};
        }
    }
    p->near = m->arena.block[m->arena.n++] = near;
}

static void read_items(struct model *m, struct numbers *f)
{
    struct problem *p = &m->p;
    size_t n = (size_t)(p->n_items = count(f));
    int64_t *size = own(m, n * (size_t)p->n_res, sizeof(*size));
    int64_t *move = own(m, n, sizeof(*move));
    m->service = own(m, n, sizeof(*m->service));
    for (size_t i = 0, at = 0; i < n; i++) {
        m->service[i] = count(f);
        for (int r = 0; r < p->n_res; r++)
            size[at++] = number(f);
        move[i] = number(f);
    }
    p->n_variants = 1;
    p->size = size;
    p->move_cost = move;
    p->batch = m->service;
    p->n_batches = m->n_services;
}

static void read_weights(struct model *m, struct numbers *f, int64_t *class_cost)
{
    struct problem *p = &m->p;
    struct solve_term *terms = (struct solve_term *)p->terms;
    for (int k = count(f); k > 0; k--) {
        struct solve_term *t = &terms[p->n_terms++];
        *t = (struct solve_term){.kind = TERM_RATIO, .tier = TIER_COST};
        t->res = count(f);
        t->res2 = count(f);
        t->ratio = number(f);
        t->weight = number(f);
    }
    int64_t move = number(f), batch = number(f), class = number(f);
    for (int i = 0; i < p->n_items; i++)
        ((int64_t *)p->move_cost)[i] *= move;
    for (size_t i = 0; i < (size_t)p->n_classes * (size_t)p->n_classes; i++)
        class_cost[i] *= class;
    p->batch_weight = batch;
}

/* ---- services as groups ------------------------------------------------------------------------ */

static int add_group(struct model *m, struct solve_group g)
{
    struct solve_group *groups = (struct solve_group *)m->p.groups;
    g.tier = TIER_HARD;
    g.weight = 1;
    groups[m->p.n_groups] = g;
    return m->p.n_groups++;
}

/* Up to three groups of a service: apart on machines, spread over places, counted for the near ones. */
static void make_groups(struct model *m)
{
    struct problem *p = &m->p;
    size_t n = (size_t)m->n_services, items = (size_t)p->n_items;
    struct solve_near *near = (struct solve_near *)p->near;
    int(*of)[3] = xcalloc(n, sizeof(*of)), *n_of = xcalloc(n, sizeof(int));
    int *members = xcalloc(n, sizeof(*members)), *counted = xcalloc(n, sizeof(*counted));
    p->groups = own(m, 3 * n, sizeof(*p->groups));
    for (size_t i = 0; i < items; i++)
        members[m->service[i]]++;
    for (int k = 0; k < p->n_near; k++)
        counted[near[k].a] = counted[near[k].b] = 1;
    for (int s = 0; s < m->n_services; s++) {
        if (members[s] > 1)
            of[s][n_of[s]++] = add_group(m, (struct solve_group){.kind = GROUP_APART, .limit = 1});
        if (m->spread_min[s] > 1)
            of[s][n_of[s]++] = add_group(m, (struct solve_group){.kind = GROUP_SPREAD,
                                                                 .level = LEVEL_PLACE,
                                                                 .limit = m->spread_min[s]});
        if (counted[s])
            counted[s] = of[s][n_of[s]++] =
                add_group(m, (struct solve_group){.kind = GROUP_COUNT, .level = LEVEL_NEAR});
    }
    for (int k = 0; k < p->n_near; k++)
        near[k] = (struct solve_near){counted[near[k].a], counted[near[k].b]};
    int *start = own(m, items + 1, sizeof(*start)), *group_of = own(m, 3 * items, sizeof(int));
    for (size_t i = 0; i < items; i++) {
        int s = m->service[i];
        memcpy(&group_of[start[i]], of[s], (size_t)n_of[s] * sizeof(int));
        start[i + 1] = start[i] + n_of[s];
    }
    p->group_start = start;
    p->group_of = group_of;
    free(of);
    free(n_of);
    free(members);
    free(counted);
}

static bool model_read(struct model *m, const char *data, const char *name)
{
    struct numbers f;
    int64_t *class_cost;
    *m = (struct model){.p.max_moves = -1};
    if (!numbers_open(&f, data, "model", name))
        return false;
    read_machines(m, &f, &class_cost);
    read_services(m, &f);
    read_items(m, &f);
    read_weights(m, &f, class_cost);
    make_groups(m);
    free(f.text);
    if (!numbers_open(&f, data, "assignment", name))
        return false;
    int *home = own(m, (size_t)m->p.n_items, sizeof(*home));
    for (int i = 0; i < m->p.n_items; i++)
        home[i] = count(&f);
    m->p.home = home;
    free(f.text);
    return true;
}

/* ---- solving ----------------------------------------------------------------------------------- */

struct run {
    pthread_t thread;
    struct solve_state s;
    struct solve_limits limits;
    int64_t end_us, steps, took_us;
};

static int64_t thread_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool over(void *ctx)
{
    return thread_us() >= ((struct run *)ctx)->end_us;
}

/* A short pass, whose result is not used, says how fast a long one will be. */
static void *run_thread(void *arg)
{
    struct run *r = arg;
    struct solve_limits *l = &r->limits;
    struct solve_state probe;
    int64_t start = thread_us(), left = r->end_us - start;
    solve_init(&probe, r->s.p);
    l->steps = PROBE_STEPS + (int64_t)r->s.p->n_items * PROBE_PER_ITEM +
               (int64_t)r->s.p->n_machines * PROBE_PER_MACHINE;
    r->steps = solve_improve(&probe, l);
    int64_t took = thread_us() - start;
    solve_done(&probe);
    l->expect =
        took < left ? (int64_t)(0.85 * (double)r->steps * (double)(left - took) / (double)took) : 1;
    l->steps = INT64_MAX;
    r->steps += solve_improve(&r->s, l);
    r->took_us = thread_us();
    return NULL;
}

struct effort {
    int64_t seconds, seed; /* of each thread; of the first one */
    int threads;
};

/* The best of several threads. *ret_speed: steps per µs of a thread. */
static void solve(const struct problem *p, const struct effort *e, struct solve_state *ret,
                  double *ret_speed)
{
    struct run *r = xcalloc((size_t)e->threads, sizeof(*r));
    int best = 0;
    int64_t steps = 0, took = 0;
    for (int t = 0; t < e->threads; t++) {
        solve_init(&r[t].s, p);
        r[t].end_us = e->seconds * 1000000;
        r[t].limits =
            (struct solve_limits){.seed = (uint64_t)(e->seed + t), .stop = over, .ctx = &r[t]};
        pthread_create(&r[t].thread, NULL, run_thread, &r[t]);
    }
    for (int t = 0; t < e->threads; t++) {
        pthread_join(r[t].thread, NULL);
        steps += r[t].steps;
        took += r[t].took_us;
        if (solve_score_cmp(&r[t].s.score, &r[best].s.score) < 0)
            best = t;
    }
    *ret_speed = (double)steps / (double)took;
    *ret = r[best].s;
    for (int t = 0; t < e->threads; t++)
        if (t != best)
            solve_done(&r[t].s);
    free(r);
}

/* What score.py says of it; −1: not feasible, or it could not be asked. */
static int64_t judged(const char *data, const char *name, const struct solve_state *s)
{
    char file[] = "/tmp/roadef-XXXXXX", line[512];
    int fd = mkstemp(file);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return -1;
    for (int i = 0; i < s->p->n_items; i++)
        fprintf(out, "%d ", s->at[i]);
    fclose(out);
    cleanup(freep) char *judge = xasprintf("%s/roadef2012/score.py", data);
    cleanup(freep) char *model = xasprintf("%s/roadef2012/model_%s.txt", data, name);
    cleanup(freep) char *first = xasprintf("%s/roadef2012/assignment_%s.txt", data, name);
    pid_t pid;
    FILE *in = bench_ask((const char *const[]){"python3", judge, model, first, file, NULL}, &pid);
    int64_t total = -1;
    while (in && fgets(line, sizeof(line), in))
        if (strstr(line, "total=") && strstr(line, " FEASIBLE"))
            total = strtoll(strstr(line, "total=") + 6, NULL, 10);
    if (in)
        bench_asked(in, pid);
    unlink(file);
    return total;
}

/* cost / S41's; −1: the instance could not be read, or the result is wrong. */
static double bench(const char *data, const struct known *k, const struct effort *e)
{
    struct model m;
    struct solve_state s;
    double speed;
    if (!model_read(&m, data, k->name))
        return -1;
    solve(&m.p, e, &s, &speed);
    int64_t total = judged(data, k->name, &s);
    bool right = total == s.score.tier[TIER_COST];
    double ratio = (double)total / (double)k->s41;
    printf("| %s | %d | %d | %lld | %lld | %.4f | %d | %.1f |%s\n", k->name, m.p.n_machines,
           m.p.n_items, (long long)total, (long long)k->s41, ratio, s.n_moved, speed,
           right ? "" : " WRONG");
    fflush(stdout);
    solve_done(&s);
    model_done(&m);
    return right ? ratio : -1;
}

static bool asked_for(const char *name, char **names)
{
    if (!*names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    double sum[2] = {0};
    int n[2] = {0};
    bool right = true;
    if (argc < 5 || !*argv[1]) {
        printf("bench-roadef: SKIPPED, no instances: say DATA=FOLDER (one that has roadef2012)\n");
        return 0;
    }
    struct effort e = {.seconds = bench_int("SECONDS", argv[2], 1, 86400),
                       .threads = (int)bench_int("THREADS", argv[3], 1, MAX_THREADS),
                       .seed = bench_int("SEED", argv[4], 0, INT64_MAX)};
    printf("%lld s of CPU time per thread, %d threads, seeds from %lld\n", (long long)e.seconds,
           e.threads, (long long)e.seed);
    printf("| instance | machines | processes | cost | S41, 300 s | ratio | moved | M steps/s |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!asked_for(known[i].name, argv + 5))
            continue;
        double ratio = bench(argv[1], &known[i], &e);
        right = right && ratio >= 0;
        sum[known[i].name[0] == 'b'] += ratio;
        n[known[i].name[0] == 'b']++;
    }
    for (int set = 0; set < 2 && right; set++)
        if (n[set])
            printf("bench: roadef_%c_vs_s41 %.4f ratio\n", "ab"[set], sum[set] / n[set]);
    return right ? 0 : 1;
}
