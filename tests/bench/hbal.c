/* Balances a cluster in the text format of Ganeti's htools by hbal's own score, and writes it back for
 * hbal to judge.
 *
 *   hbal -t CLUSTER [-U LOAD] [-S OUT] [-l MOVES] [-n STEPS] [-E HOST] [-M] [-g PERCENT]
 *
 * -n: a search of so many steps, which moves more, in place of the best moves one by one. -E: empty this
 * host, nothing else. -M: memory alone counts, of what a host has for guests. -g: as few moves as bring the standard deviation of the
 * memory load below this.
 * The score: weighted standard deviations over the nodes that are online; sums of free memory and vCPU
 * ratios, and four loads of each instance (1 where no file says more). One line of figures. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "scheduler/solve/descend.h"
#include "scheduler/solve/place.h"
#include "tests/bench/bench.h"

enum { FIELDS = 11, LOADS = 4, MILLI = 1000, FINE = 1000, VCPU_RATIO = 16, MAX_FILE = 1 << 28 };
enum { MEM = 1, RESERVED, FREE, CPUS = 6, OFFLINE = 7, VCPUS = 3, PRIMARY = 6 };

struct row {
    const char *field[FIELDS]; /* the last holds what may follow, too */
};
struct table {
    struct row *row;
    size_t n;
};

struct cluster {
    char *text;
    char *head, *tail; /* what is not ours: groups; tags and policies */
    struct table nodes, vms;
    int64_t *load; /* [vm * LOADS + kind], in thousandths */
    int *machine;  /* per node: its machine in the problem, -1 offline */
    int *node;     /* per machine */
    int n_machines;
    struct problem p;
    struct solve_term term[2 + LOADS];
    int64_t weight[2 + LOADS];
};

static void die(const char *what, const char *name)
{
    fprintf(stderr, "hbal: %s: %s\n", what, name);
    exit(1);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static struct row split(char *line)
{
    struct row r;
    for (int k = 0; k < FIELDS; k++) {
        if (!line)
            die("short row", r.field[0]);
        r.field[k] = line;
        line = k < FIELDS - 1 ? strchr(line, '|') : NULL;
        if (line)
            *line++ = '\0';
    }
    return r;
}

static struct table rows(char *text)
{
    struct table t = {0};
    char *save = NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        *vec_add(&t.row, &t.n) = split(l);
    return t;
}

static char *section(char **text)
{
    char *start = *text, *end = strstr(start, "\n\n");
    if (!end)
        die("a section is missing", start);
    *end = '\0';
    *text = end + 2;
    return start;
}

static int find(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->row[i].field[0], name))
            return (int)i;
    die("unknown name", name);
    return -1;
}

static int64_t number(const char *s)
{
    return strtoll(s, NULL, 10);
}

static char *slurp(const char *path)
{
    struct err e;
    char *text;
    size_t len;
    if (file_read(path, MAX_FILE, &text, &len, &e))
        die("cannot read", e.msg);
    return text;
}

static void read_loads(struct cluster *c, const char *path)
{
    c->load = xcalloc(c->vms.n * LOADS, sizeof(*c->load));
    for (size_t i = 0; i < c->vms.n * LOADS; i++)
        c->load[i] = MILLI;
    if (!path)
        return;
    cleanup(freep) char *text = slurp(path);
    char *save = NULL;
    size_t at = 0; /* the files are in one order as a rule */
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        char name[256];
        double x[LOADS];
        if (sscanf(l, "%255s %lf %lf %lf %lf", name, &x[0], &x[1], &x[2], &x[3]) != 1 + LOADS)
            die("no load", l);
        if (at >= c->vms.n || strcmp(c->vms.row[at].field[0], name))
            at = (size_t)find(&c->vms, name);
        for (int k = 0; k < LOADS; k++)
            c->load[at * LOADS + (size_t)k] = llround(x[k] * MILLI);
        at++;
    }
}

static void read_cluster(struct cluster *c, const char *path, const char *load, const char *off)
{
    char *rest = c->text = slurp(path);
    c->head = section(&rest);
    c->nodes = rows(section(&rest));
    c->vms = rows(section(&rest));
    c->tail = rest;
    read_loads(c, load);
    if (off)
        c->nodes.row[find(&c->nodes, off)].field[OFFLINE] = "Y";
}

/* ---- the problem ------------------------------------------------------------------------------- */

static bool same_load(const struct cluster *c, int a, int b)
{
    for (size_t i = 0; i < c->vms.n; i++)
        if (c->load[i * LOADS + (size_t)a] != c->load[i * LOADS + (size_t)b])
            return false;
    return true;
}

/* One term for each load that differs from those before it. */
static void add_terms(struct cluster *c, int64_t *level, int n_machines)
{
    struct problem *p = &c->p;
    int kind_of[LOADS];
    p->n_res = 2;
    c->weight[0] = c->weight[1] = 1;
    for (int k = 0; k < LOADS; k++) {
        int same = 0;
        while (same < k && !same_load(c, same, k))
            same++;
        kind_of[k] = same < k ? kind_of[same] : p->n_res++;
        c->weight[kind_of[k]] += 1;
    }
    for (int r = 0; r < p->n_res; r++)
        c->term[r] = (struct solve_term){.kind = TERM_SPREAD,
                                         .tier = TIER_COST,
                                         .res = r,
                                         .weight = c->weight[r] * FINE,
                                         .level = level + r * n_machines};
    p->terms = c->term;
    p->n_terms = p->n_res;
    int64_t *size = xcalloc(c->vms.n * (size_t)p->n_res, sizeof(*size));
    for (size_t i = 0; i < c->vms.n; i++) {
        int64_t *s = &size[i * (size_t)p->n_res];
        s[0] = number(c->vms.row[i].field[MEM]);
        s[1] = number(c->vms.row[i].field[VCPUS]);
        for (int k = 0; k < LOADS; k++)
            s[kind_of[k]] = c->load[i * LOADS + (size_t)k];
    }
    p->size = size;
}

static void add_machines(struct cluster *c)
{
    size_t n_res = (size_t)c->p.n_res, n = (size_t)c->n_machines;
    int64_t *cap = xcalloc(n * n_res, sizeof(*cap));
    int64_t *base = xcalloc(n * n_res, sizeof(*base));
    for (size_t m = 0; m < n; m++) {
        struct row *r = &c->nodes.row[c->node[m]];
        for (size_t k = 0; k < n_res; k++)
            cap[m * n_res + k] = INT64_MAX / 4;
        cap[m * n_res] = number(r->field[MEM]) - 1; /* a byte must stay free */
        cap[m * n_res + 1] = number(r->field[CPUS]) * VCPU_RATIO;
        base[m * n_res] = number(r->field[MEM]) - number(r->field[FREE]);
    }
    for (size_t i = 0; i < c->vms.n; i++)
        if (c->p.home[i] >= 0) /* free memory as the file has it */
            base[(size_t)c->p.home[i] * n_res] -= c->p.size[i * n_res];
    c->p.cap = cap;
    c->p.base = base;
}

/* at: a guess. */
static int node_of(const struct cluster *c, int vm, int at)
{
    const char *name = c->vms.row[vm].field[PRIMARY];
    return strcmp(c->nodes.row[at].field[0], name) ? find(&c->nodes, name) : at;
}

static void build(struct cluster *c, bool mem_only)
{
    struct problem *p = &c->p;
    c->machine = xcalloc(c->nodes.n, sizeof(*c->machine));
    c->node = xcalloc(c->nodes.n, sizeof(*c->node));
    for (size_t n = 0; n < c->nodes.n; n++) {
        bool off = !strcmp(c->nodes.row[n].field[OFFLINE], "Y");
        c->machine[n] = off ? -1 : c->n_machines;
        if (!off)
            c->node[c->n_machines++] = (int)n;
    }
    int *home = xcalloc(c->vms.n, sizeof(*home));
    int at = 0;
    for (size_t i = 0; i < c->vms.n; i++) {
        at = node_of(c, (int)i, at);
        home[i] = c->machine[at];
    }
    *p = (struct problem){.n_items = (int)c->vms.n,
                          .n_machines = c->n_machines,
                          .n_variants = 1,
                          .home = home,
                          .max_moves = -1};
    int64_t *level = xcalloc((size_t)(2 + LOADS) * (size_t)c->n_machines, sizeof(*level));
    for (int r = 0; r < 2 + LOADS; r++)
        for (int m = 0; m < c->n_machines; m++) {
            struct row *n = &c->nodes.row[c->node[m]];
            int64_t mem = number(n->field[MEM]) - (mem_only ? number(n->field[RESERVED]) : 0);
            level[r * c->n_machines + m] = r == 0 ? mem : r == 1 ? number(n->field[CPUS]) : MILLI;
        }
    add_terms(c, level, c->n_machines);
    add_machines(c);
}

/* ---- figures ----------------------------------------------------------------------------------- */

static double score_of(const struct solve_state *s)
{
    double sum = 0;
    for (int k = 0; k < s->p->n_terms; k++)
        sum += (double)s->spread[k];
    return sum / FINE / SOLVE_UNIT;
}

static double mem_stdev(const struct solve_state *s)
{
    return (double)s->spread[0] / FINE / SOLVE_UNIT * 100;
}

static int moves(const struct cluster *c, const struct solve_state *s, int64_t *ret_mib)
{
    int n = 0;
    *ret_mib = 0;
    for (int i = 0; i < s->p->n_items; i++)
        if (s->at[i] != c->p.home[i]) {
            n++;
            *ret_mib += c->p.size[i * c->p.n_res];
        }
    return n;
}

/* Free memory of a node: the file's, less what came, more what left. */
static int64_t *free_mem(const struct cluster *c, const struct solve_state *s)
{
    int64_t *mib = xcalloc(c->nodes.n, sizeof(*mib));
    for (size_t n = 0; n < c->nodes.n; n++)
        mib[n] = number(c->nodes.row[n].field[FREE]);
    for (int i = 0, at = 0; i < s->p->n_items; i++) {
        at = node_of(c, i, at);
        if (s->at[i] < 0)
            continue;
        mib[at] += number(c->vms.row[i].field[MEM]);
        mib[c->node[s->at[i]]] -= number(c->vms.row[i].field[MEM]);
    }
    return mib;
}

static void write_cluster(const struct cluster *c, const struct solve_state *s, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        die("cannot write", path);
    cleanup(freep) int64_t *mib = free_mem(c, s);
    fprintf(f, "%s\n\n", c->head);
    for (size_t n = 0; n < c->nodes.n; n++)
        for (int k = 0; k < FIELDS; k++) {
            char free[24];
            snprintf(free, sizeof(free), "%lld", (long long)mib[n]);
            fprintf(f, "%s%s", k == FREE ? free : c->nodes.row[n].field[k],
                    k < FIELDS - 1 ? "|" : "\n");
        }
    fputc('\n', f);
    for (size_t i = 0; i < c->vms.n; i++)
        for (int k = 0; k < FIELDS; k++) {
            const char *host =
                s->at[i] >= 0 ? c->nodes.row[c->node[s->at[i]]].field[0] : c->vms.row[i].field[k];
            fprintf(f, "%s%s", k == PRIMARY ? host : c->vms.row[i].field[k],
                    k < FIELDS - 1 ? "|" : "\n");
        }
    fprintf(f, "\n%s", c->tail);
    if (fclose(f))
        die("cannot write", path);
}

/* ---- solving ----------------------------------------------------------------------------------- */

struct asked {
    const char *file, *load, *out, *empty;
    int64_t steps;
    double goal; /* percent; 0: none */
    bool mem_only;
    int max_moves;
};

/* A move must be worth something: half of what one machine's share of a point of score is. */
static void add_price(struct cluster *c)
{
    int64_t *cost = xcalloc(c->vms.n, sizeof(*cost));
    for (size_t i = 0; i < c->vms.n; i++)
        cost[i] = (int64_t)FINE * SOLVE_UNIT / 2 / c->n_machines;
    c->p.move_cost = cost;
}

static void solve(struct cluster *c, const struct asked *q, struct solve_state *s)
{
    struct solve_limits l = {.seed = 1, .steps = q->steps ? q->steps : INT64_MAX};
    solve_init(s, &c->p);
    if (q->empty)
        solve_place(s, &l, false);
    else if (q->steps)
        solve_improve(s, &l);
    else
        solve_descend(s, &l);
}

/* As few moves as reach the goal. */
static void solve_goal(struct cluster *c, const struct asked *q, struct solve_state *s)
{
    int few = 0, enough = c->p.n_items;
    while (few < enough) {
        c->p.max_moves = (few + enough) / 2;
        solve(c, q, s);
        if (mem_stdev(s) <= q->goal)
            enough = c->p.max_moves;
        else
            few = c->p.max_moves + 1;
        solve_done(s);
    }
    c->p.max_moves = enough;
    solve(c, q, s);
}

static struct asked options(int argc, char **argv)
{
    struct asked q = {.max_moves = -1};
    for (int opt; (opt = getopt(argc, argv, "t:U:S:E:l:n:Mg:")) != -1;) {
        if (opt == 't')
            q.file = optarg;
        else if (opt == 'U')
            q.load = optarg;
        else if (opt == 'S')
            q.out = optarg;
        else if (opt == 'E')
            q.empty = optarg;
        else if (opt == 'l')
            q.max_moves = (int)bench_int("-l", optarg, 0, INT32_MAX);
        else if (opt == 'n')
            q.steps = bench_int("-n", optarg, 0, INT64_MAX);
        else if (opt == 'M')
            q.mem_only = true;
        else if (opt == 'g')
            q.goal = bench_real("-g", optarg, 0, 1e9);
        else
            exit(64);
    }
    return q;
}

int main(int argc, char **argv)
{
    struct asked q = options(argc, argv);
    struct cluster c = {0};
    struct solve_state s;
    int64_t mib;
    if (!q.file)
        die("which cluster?", "-t");
    read_cluster(&c, q.file, q.load, q.empty);
    build(&c, q.mem_only);
    c.p.max_moves = q.max_moves;
    if (q.mem_only)
        c.p.n_terms = 1;
    else
        add_price(&c);
    solve_init(&s, &c.p);
    double before = score_of(&s), stdev = mem_stdev(&s);
    solve_done(&s);
    clock_t start = clock(); /* CPU time: one thread, on a machine that may be busy */
    if (q.goal > 0)
        solve_goal(&c, &q, &s);
    else
        solve(&c, &q, &s);
    double took_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    int n = moves(&c, &s, &mib);
    printf("score %.8f %.8f moves %d gib %lld stdev %.2f %.2f left %lld seconds %.4f\n", before,
           score_of(&s), n, (long long)mib / 1024, stdev, mem_stdev(&s),
           (long long)s.score.tier[TIER_HARD], took_s);
    if (q.out)
        write_cluster(&c, &s, q.out);
    return 0;
}
