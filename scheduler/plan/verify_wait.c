/* Moves that wait for others: what can be at one place at one moment.
 *
 * A moment is a set of moves that have started and a set of those that have ended. It can come about if
 * whatever has started had all ended that it waits for; nothing else is assumed: no speed, no order.
 * Over all such moments the largest sum at one place is asked for. Something that comes adds its size
 * from its start; what leaves takes its size away at its end, which only those must await that wait for
 * it. So: choose comings, each of which forces some leavings, for the largest sum of the first less the
 * second. That is a closure problem, and its answer is all comings less the largest flow from comings to
 * the leavings they wait for. The answer is exact: no plan is refused that could not go wrong. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/verify.h"

static bool bit(const uint64_t *set, int i)
{
    return set && i >= 0 && set[i >> 6] >> (i & 63) & 1;
}

bool replay_ended(const struct replay *v, int a, int m)
{
    return m >= 0 && bit(v->before[m], a);
}

static bool wait_ok(struct replay *v, size_t i)
{
    const struct plan_move *m = &v->plan->moves[i];
    size_t words = v->plan->n_moves / 64 + 1;
    for (size_t k = 0; k < m->n_after; k++) {
        int a = m->after[k];
        if ((size_t)a >= i) /* what is negative is huge, too */
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, m->vm),
                              xasprintf("waits for move %d, which does not come before it", a));
        if (!v->before[i])
            v->before[i] = xcalloc(words, sizeof(uint64_t));
        for (size_t w = 0; v->before[a] && w < words; w++)
            v->before[i][w] |= v->before[a][w];
        v->before[i][a >> 6] |= UINT64_C(1) << (a & 63);
    }
    return true;
}

/* Each move goes on from where the one before left the VM, and after it. */
bool replay_waits(struct replay *v)
{
    const struct plan *p = v->plan;
    cleanup(freep) int *move = xcalloc(v->s->n_vms + 1, sizeof(*move)); /* + 1 */
    v->before = xcalloc(p->n_moves + 1, sizeof(*v->before));
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        int last = move[m->vm] - 1;
        if (!wait_ok(v, i))
            return false;
        if (last >= 0 && !replay_ended(v, last, (int)i))
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, m->vm), xstrdup("named twice"));
        if (m->from != (last >= 0 ? p->moves[last].to : v->s->vms[m->vm].host))
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, m->vm),
                              xstrdup("not on its source"));
        move[m->vm] = (int)i + 1;
    }
    return true;
}

/* ---- where each VM is, and from when till when -------------------------------------------------- */

static size_t spells_of(const struct replay *v, size_t vm, int *const *moves, const size_t *n_moves,
                        struct spell *ret)
{
    const struct snap_vm *o = &v->s->vms[vm];
    size_t n = 0;
    if (!o->nowhere)
        ret[n++] = (struct spell){(int)vm, o->host, -1, -1};
    if (o->moving_to >= 0 && o->moving_to != o->host)
        ret[n++] = (struct spell){(int)vm, o->moving_to, -1, -1};
    for (size_t k = 0; k < n_moves[vm]; k++) {
        int m = moves[vm][k];
        if (n)
            ret[n - 1].till = m;
        ret[n++] = (struct spell){(int)vm, v->plan->moves[m].to, m, -1};
    }
    return n;
}

void replay_spells(struct replay *v)
{
    const struct plan *p = v->plan;
    size_t n = v->s->n_vms, all = 0;
    cleanup(freep) int **moves = xcalloc(n + 1, sizeof(*moves));
    cleanup(freep) size_t *n_moves = xcalloc(n + 1, sizeof(*n_moves));
    for (size_t i = 0; i < p->n_moves; i++)
        *vec_add(&moves[p->moves[i].vm], &n_moves[p->moves[i].vm]) = (int)i;
    v->spells = xcalloc(2 * n + p->n_moves + 1, sizeof(*v->spells));
    v->spell_start = xcalloc(n + 1, sizeof(*v->spell_start));
    v->first = xcalloc(n + 1, sizeof(*v->first));
    v->last = xcalloc(n + 1, sizeof(*v->last));
    for (size_t i = 0; i < n; i++) {
        all += spells_of(v, i, moves, n_moves, &v->spells[all]);
        v->spell_start[i + 1] = all;
        const struct snap_vm *o = &v->s->vms[i];
        v->last[i] = all > v->spell_start[i] ? v->spells[all - 1].host : -1;
        /* one that is to be started ran, and needed its room */
        v->first[i] = o->moving_to >= 0            ? o->moving_to
                      : o->nowhere && o->host >= 0 ? v->last[i]
                                                   : o->host;
        free(moves[i]);
    }
}

void replay_forget(struct replay *v)
{
    for (size_t i = 0; v->before && i < v->plan->n_moves; i++)
        free(v->before[i]);
    free(v->before);
    free(v->spells);
    free(v->spell_start);
    free(v->first);
    free(v->last);
}

bool replay_may_meet(const struct replay *v, const struct spell *a, const struct spell *b)
{
    return !replay_ended(v, a->till, b->from) && !replay_ended(v, b->till, a->from);
}

/* ---- the most at one moment --------------------------------------------------------------------- */

struct flow {
    const struct replay *v;
    const struct presence *in, *out; /* what may come; what may leave */
    size_t n_in, n_out;
    int64_t *sent;  /* [in * n_out + out] */
    int64_t *taken; /* per out */
    int *from_in,
        *from_out; /* the way there: per out, in; per in, out. −1: not reached, −2 the start */
    size_t *queue;
};

static bool joined(const struct flow *f, size_t in, size_t out)
{
    return replay_ended(f->v, f->out[out].till, f->in[in].from);
}

/* A shortest way from the coming `start` to a leaving that is not used up; −1 none. */
static int find_way(struct flow *f, size_t start)
{
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < f->n_in; i++)
        f->from_out[i] = -1;
    for (size_t j = 0; j < f->n_out; j++)
        f->from_in[j] = -1;
    f->from_out[start] = -2;
    f->queue[tail++] = start;
    while (head < tail) {
        size_t i = f->queue[head++];
        for (size_t j = 0; j < f->n_out; j++) {
            if (f->from_in[j] >= 0 || !joined(f, i, j))
                continue;
            f->from_in[j] = (int)i;
            if (f->taken[j] < f->out[j].size)
                return (int)j;
            for (size_t k = 0; k < f->n_in; k++)
                if (f->from_out[k] == -1 && f->sent[k * f->n_out + j] > 0) {
                    f->from_out[k] = (int)j;
                    f->queue[tail++] = k;
                }
        }
    }
    return -1;
}

/* Along the way: at most `most`. */
static int64_t send(struct flow *f, int end, int64_t most)
{
    int64_t part = f->out[end].size - f->taken[end];
    part = part < most ? part : most;
    for (int j = end, i; (i = f->from_in[j], f->from_out[i] >= 0); j = f->from_out[i]) {
        int64_t back = f->sent[(size_t)i * f->n_out + (size_t)f->from_out[i]];
        part = part < back ? part : back;
    }
    f->taken[end] += part;
    for (int j = end;; j = f->from_out[f->from_in[j]]) {
        int i = f->from_in[j];
        f->sent[(size_t)i * f->n_out + (size_t)j] += part;
        if (f->from_out[i] < 0)
            return part;
        f->sent[(size_t)i * f->n_out + (size_t)f->from_out[i]] -= part;
    }
}

static int64_t largest_flow(struct flow *f)
{
    int64_t sum = 0;
    cleanup(freep) int64_t *sent = f->sent = xcalloc(f->n_in * f->n_out + 1, sizeof(*sent));
    cleanup(freep) int64_t *taken = f->taken = xcalloc(f->n_out + 1, sizeof(*taken));
    cleanup(freep) int *from_in = f->from_in = xcalloc(f->n_out + 1, sizeof(*from_in));
    cleanup(freep) int *from_out = f->from_out = xcalloc(f->n_in + 1, sizeof(*from_out));
    cleanup(freep) size_t *queue = f->queue = xcalloc(f->n_in + 1, sizeof(*queue));
    for (size_t i = 0; i < f->n_in; i++) {
        int64_t left = f->in[i].size;
        for (int end; left > 0 && (end = find_way(f, i)) >= 0;)
            left -= send(f, end, left);
        sum += f->in[i].size - left;
    }
    return sum;
}

int64_t replay_most(const struct replay *v, const struct presence *list, size_t n, int m)
{
    struct presence *in = NULL, *out = NULL;
    size_t n_in = 0, n_out = 0;
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct presence *p = &list[i];
        if (replay_ended(v, p->till, m))
            continue;
        sum += p->size;
        /* what comes without waiting for anybody forces nobody out */
        if (p->from >= 0 && p->from != m && v->before[p->from] && !replay_ended(v, p->from, m))
            *vec_add(&in, &n_in) = *p;
        if (p->till >= 0)
            *vec_add(&out, &n_out) = *p;
    }
    struct flow f = {.v = v, .in = in, .n_in = n_in, .out = out, .n_out = n_out};
    if (n_in && n_out)
        sum -= largest_flow(&f);
    free(in);
    free(out);
    return sum;
}
