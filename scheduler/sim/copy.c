/* A migration as QEMU and libvirt do it: passes over memory that is written meanwhile, a pause, the
 * hand-over; links are shared evenly (max-min). Between two events every rate is constant.
 * A link carries LINK_PPM of its rate as payload: 383 of 400 Mbit/s over TLS in the lab. */
#include <string.h>

#include "scheduler/sim/copy.h"

static const int64_t LINK_PPM = 960000;
/* QEMU: throttle 20 % when two passes were dirtied by half, then 10 % more each, 99 % at most. */
static const int64_t THROTTLE_FIRST_PPM = 200000, THROTTLE_STEP_PPM = 100000,
                     THROTTLE_MAX_PPM = 990000;
/* Without KVM so much of QEMU's memory is its own, not its guest's: 449 MiB of a guest of 334 MiB that
 * sent 299, 925 of one that sent 775, 281 of one that sent 131. */
static const int64_t EMULATOR_BYTES = 150 * MIB;
static const int64_t QEMU_PAUSE_US = 300 * MSEC; /* QEMU's own downtime-limit */

struct turn {
    int64_t no;
    void (*run)(struct sim *s, struct sim_copy *c);
};

static struct sim_copy *copy_of_turn(const struct sim *s, int64_t no)
{
    for (size_t i = 0; i < s->n_copies; i++)
        if (s->copies[i]->turn == no)
            return s->copies[i];
    return NULL;
}

static void turn_comes(struct sim *s, void *arg)
{
    const struct turn *t = arg;
    struct sim_copy *c = copy_of_turn(s, t->no);
    if (c)
        t->run(s, c);
}

void copy_later(struct sim *s, struct sim_copy *c, int64_t in_us,
                void (*run)(struct sim *s, struct sim_copy *c))
{
    struct turn *t = xcalloc(1, sizeof(*t));
    *t = (struct turn){.no = c->turn = ++s->next_turn, .run = run};
    sim_later(s, in_us, (struct sim_due){.run = turn_comes, .arg = t});
}

/* ---- its end ------------------------------------------------------------------------------------- */
void copy_answer(struct sim *s, struct sim_copy *c, bool ok, const char *error)
{
    if (!c->op)
        return;
    const struct migrate *q = c->op->cmd.body;
    struct migrated *a = cmds_body(MSG_MIGRATED);
    a->job = q->job;
    a->attempt = q->attempt;
    a->vm = xstrdup(q->vm);
    a->began = true;
    a->ok = ok;
    a->code = ok ? NULL : xstrdup("migrate_failed");
    a->error = xstrdup(error);
    a->total_us = s->now_us - c->began_us;
    a->setup_us = c->first_byte_us > 0 ? c->first_byte_us - c->began_us : -1;
    a->downtime_us = ok && !c->offline ? c->pause_us : -1;
    a->bytes = c->sent_bytes;
    a->iterations = c->pass;
    a->rate_Bps = c->rate_Bps;
    struct sim_op *op = c->op;
    c->op = NULL;
    virt_answer(s, op, MSG_MIGRATED, a);
}

void copy_forget(struct sim *s, struct sim_copy *c)
{
    for (size_t i = 0; i < s->n_copies; i++)
        if (s->copies[i] == c) {
            vec_del(s->copies, &s->n_copies, i);
            break;
        }
    c->vm->copy = NULL;
    vm_touched(s, c->vm, c->from);
    free(c);
    copies_share(s);
}

/* The incoming QEMU goes when its libvirtd learns of it, and that libvirtd is alive to do so. */
static void end_incoming(struct sim *s, struct sim_copy *c)
{
    const struct qemu *q = qemu_on(c->vm, c->to);
    if (q && q->state == QEMU_INCOMING && s->hosts[c->to].libvirtd)
        qemu_end(s, c->vm, c->to, false);
}

static void fail(struct sim *s, struct sim_copy *c, const char *error)
{
    struct qemu *q = qemu_on(c->vm, c->from);
    sim_say(s, "world: the copy of vm/%s %s → %s ends without it: %s", c->vm->facts.name,
            s->hosts[c->from].facts.name, s->hosts[c->to].facts.name, error);
    end_incoming(s, c);
    if (q && q->state == QEMU_PAUSED && str_eq(q->why, "migration") && s->hosts[c->from].libvirtd)
        qemu_set(s, c->vm, c->from, QEMU_RUNNING, "migration-canceled");
    copy_answer(s, c, false, error);
    copy_forget(s, c);
}

void copy_abort(struct sim *s, struct sim_copy *c, const char *error)
{
    fail(s, c, error);
}

static void finished(struct sim *s, struct sim_copy *c)
{
    struct sim_vm *v = c->vm;
    if (!c->offline) {
        qemu_end(s, v, c->from, false);
        s->copied.n++;
        s->copied.bytes += c->sent_bytes;
        s->copied.pause_us += c->pause_us;
    }
    if (c->persist)
        define_on(s, v, c->to, true);
    if (c->undefine)
        define_on(s, v, c->from, false);
    sim_say(s, "world: vm/%s is on %s now", v->facts.name, s->hosts[c->to].facts.name);
    copy_answer(s, c, !c->moved,
                c->moved ? "operation failed: migration job: unexpectedly failed" : NULL);
    copy_forget(s, c);
}

void copy_finish(struct sim *s, struct sim_copy *c)
{
    c->stage = COPY_FINISHING;
    copy_later(s, c, s->cfg.times.finish_us, finished);
}

/* ---- the hand-over ------------------------------------------------------------------------------- */
static void handed_over(struct sim *s, struct sim_copy *c)
{
    if (!host_reaches(s, c->from, c->to) || !s->hosts[c->to].libvirtd) {
        fail(s, c, "the destination did not take over");
        return;
    }
    qemu_set(s, c->vm, c->to, QEMU_RUNNING, "migrated");
    if (c->persist)
        define_on(s, c->vm, c->to, true);
    copy_finish(s, c);
}

static bool emulated(const struct vm *f)
{
    return str_eq(f->virt, "qemu");
}

/* Device state, the images' hand-over, libvirt's word from both sides. */
int64_t copy_handover_us(struct sim *s, const struct sim_copy *c)
{
    const struct sim_times *t = &s->cfg.times;
    if (!emulated(&c->vm->facts))
        return t->handover_us;
    int64_t more = t->emulated_handover_max_us - t->emulated_handover_us;
    return t->emulated_handover_us + (int64_t)rng_below(&s->rng, (uint64_t)(more > 0 ? more : 1));
}

static void hand_over(struct sim *s, struct sim_copy *c)
{
    c->pause_us =
        c->rest_bytes * SEC / (c->rate_Bps > 0 ? c->rate_Bps : 1) + copy_handover_us(s, c);
    c->sent_bytes += c->rest_bytes;
    c->rest_bytes = 0;
    c->stage = COPY_HANDOVER;
    qemu_set(s, c->vm, c->from, QEMU_PAUSED, "migration");
    copy_later(s, c, c->pause_us, handed_over);
    copies_share(s);
}

/* ---- passes -------------------------------------------------------------------------------------- */
static int64_t mul_div(int64_t a, int64_t b, int64_t c)
{
    return (int64_t)((__int128)a * b / c);
}

/* Over and over the same bytes count once. */
void copy_guest_changes(const struct sim *s, struct sim_copy *c)
{
    if (!c)
        return;
    int64_t hot = c->vm->hot_bytes > c->written_bytes ? c->vm->hot_bytes : c->written_bytes;
    int64_t rate = mul_div(c->vm->writes_Bps, 1000000 - c->throttle_ppm, 1000000);
    int64_t n = c->written_bytes + mul_div(rate, s->now_us - c->written_us, SEC);
    c->written_bytes = n < hot ? n : hot;
    c->written_us = s->now_us;
}

/* What was written anew since the pass began is the next one's. */
static void next_pass(const struct sim *s, struct sim_copy *c)
{
    copy_guest_changes(s, c);
    c->rest_bytes = c->written_bytes;
    c->written_bytes = 0;
    c->moved_us = c->pass_began_us = s->now_us;
}

void copy_account(const struct sim *s, struct sim_copy *c)
{
    int64_t sent = mul_div(c->rate_Bps, s->now_us - c->moved_us, SEC);
    sent = sent < c->rest_bytes ? sent : c->rest_bytes;
    c->rest_bytes -= sent;
    c->sent_bytes += sent;
    c->moved_us = s->now_us;
}

static void pass_ended(struct sim *s, struct sim_copy *c)
{
    c->sent_bytes += c->rest_bytes; /* what rounding left */
    if (c->midway) {
        c->midway = false;
        if (copy_switched(c))
            copy_break(s, c);
        else
            fail(s, c, "operation failed: migration job: unexpectedly failed");
        return;
    }
    if (c->stage == COPY_POSTCOPY) {
        c->rest_bytes = 0;
        copy_complete(s, c);
        return;
    }
    int64_t took_us = s->now_us - c->pass_began_us;
    next_pass(s, c);
    if (c->rest_bytes <= mul_div(c->rate_Bps, c->downtime_us, SEC)) {
        hand_over(s, c);
        return;
    }
    bool half = 2 * c->rest_bytes > mul_div(c->rate_Bps, took_us, SEC);
    if (c->auto_converge && half && c->pass >= 2) {
        c->throttle_ppm += c->throttle_ppm ? THROTTLE_STEP_PPM : THROTTLE_FIRST_PPM;
        c->throttle_ppm = c->throttle_ppm < THROTTLE_MAX_PPM ? c->throttle_ppm : THROTTLE_MAX_PPM;
    }
    c->pass++;
    copy_later(s, c, mul_div(c->rest_bytes, SEC, c->rate_Bps > 0 ? c->rate_Bps : 1) + 1,
               pass_ended);
}

static void stalled(struct sim *s, struct sim_copy *c)
{
    if (copy_switched(c))
        copy_break(s, c);
    else
        fail(s, c, "the connection to the destination's libvirtd is lost (keepalive)");
}

/* ---- links --------------------------------------------------------------------------------------- */
static bool sends(const struct sim_copy *c)
{
    return c->stage == COPY_SENDING || c->stage == COPY_POSTCOPY;
}

static int64_t link_Bps(const struct sim *s, int host)
{
    int64_t bps = s->hosts[host].facts.link_bps;
    return mul_div(bps > 0 ? bps : s->cfg.times.link_bps, LINK_PPM, 8000000);
}

struct side {
    int64_t left, users;
};

/* Each in turn: the link that leaves least to each of its copies, until all have a rate. */
static void share_out(struct sim *s, int64_t *rates, struct side *sides)
{
    size_t n = s->n_copies, open = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sim_copy *c = s->copies[i];
        rates[i] = sends(c) ? -1 : c->rate_Bps;
        if (!sends(c))
            continue;
        if (!host_reaches(s, c->from, c->to)) {
            rates[i] = 0;
            continue;
        }
        sides[2 * c->from].users++;
        sides[2 * c->to + 1].users++;
        open++;
    }
    while (open) {
        int64_t least = NEVER;
        size_t at = 0;
        for (size_t i = 0; i < n; i++) {
            const struct sim_copy *c = s->copies[i];
            if (rates[i] >= 0)
                continue;
            const struct side *o = &sides[2 * c->from], *d = &sides[2 * c->to + 1];
            int64_t a = o->left / o->users, b = d->left / d->users, r = a < b ? a : b;
            r = c->cap_Bps > 0 && c->cap_Bps < r ? c->cap_Bps : r;
            if (r < least) {
                least = r;
                at = i;
            }
        }
        const struct sim_copy *c = s->copies[at];
        rates[at] = least;
        sides[2 * c->from].left -= least;
        sides[2 * c->from].users--;
        sides[2 * c->to + 1].left -= least;
        sides[2 * c->to + 1].users--;
        open--;
    }
}

static void set_rate(struct sim *s, struct sim_copy *c, int64_t rate)
{
    c->rate_Bps = rate;
    if (rate > 0) {
        copy_later(s, c, mul_div(c->rest_bytes, SEC, rate) + 1, pass_ended);
        c->stalled_us = NEVER;
        return;
    }
    if (c->stalled_us == NEVER)
        c->stalled_us = s->now_us;
    copy_later(s, c, c->stalled_us + KEEPALIVE_US - s->now_us, stalled);
}

void copies_share(struct sim *s)
{
    size_t n = s->n_copies;
    if (!n)
        return;
    int64_t *rates = xcalloc(n, sizeof(*rates));
    struct side *sides = xcalloc(2 * s->n_hosts, sizeof(*sides));
    for (size_t i = 0; i < n; i++) {
        const struct sim_copy *c = s->copies[i];
        sides[2 * c->from].left = link_Bps(s, c->from);
        sides[2 * c->to + 1].left = link_Bps(s, c->to);
    }
    share_out(s, rates, sides);
    for (size_t i = 0; i < n; i++) {
        struct sim_copy *c = s->copies[i];
        if (!sends(c) || rates[i] == c->rate_Bps)
            continue;
        copy_account(s, c);
        set_rate(s, c, rates[i]);
    }
    free(rates);
    free(sides);
}

/* ---- its beginning ------------------------------------------------------------------------------- */
/* Pages never touched are not sent. */
static int64_t used_bytes(const struct vm *f)
{
    bool own = emulated(f) && f->rss_bytes > EMULATOR_BYTES + EMULATOR_BYTES / 2;
    int64_t used = f->rss_bytes - (own ? EMULATOR_BYTES : 0);
    return used > 0 && used < f->mem_bytes ? used : f->mem_bytes;
}

static void first_byte(struct sim *s, struct sim_copy *c)
{
    const struct vm *f = &c->vm->facts;
    c->stage = COPY_SENDING;
    c->first_byte_us = c->moved_us = c->pass_began_us = c->written_us = s->now_us;
    c->written_bytes = 0;
    c->pass = 1;
    c->rest_bytes = used_bytes(f);
    if (c->midway)
        c->rest_bytes /= 2;
    c->rate_Bps = -1; /* none yet: any share is a change */
    vm_touched(s, c->vm, c->from);
    agent_watch(s, c);
    copies_share(s);
}

void copy_begin(struct sim *s, struct sim_vm *v, const struct copy_order *o)
{
    const struct migrate *q = o->order;
    struct sim_copy *c = xcalloc(1, sizeof(*c));
    *c = (struct sim_copy){
        .vm = v,
        .from = o->from,
        .to = o->to,
        .op = o->op,
        .offline = !qemu_on(v, o->from),
        .foreign = !q,
        .persist = q ? q->persist_dest : true,
        .undefine = q ? q->undefine_source : true,
        .auto_converge = q && q->auto_converge,
        .may_switch = q && q->post_copy,
        .cap_Bps = q ? q->bandwidth_Bps : 0,
        .downtime_us = q && q->downtime_us > 0 ? q->downtime_us : QEMU_PAUSE_US,
        .began_us = s->now_us,
        .stalled_us = NEVER,
        .midway = o->fault && str_eq(o->fault->d.how, "midway"),
        .moved = o->fault && str_eq(o->fault->d.how, "moved"),
    };
    *(struct sim_copy **)vec_add(&s->copies, &s->n_copies) = c;
    v->copy = c;
    if (!c->foreign)
        check_arrival(s, v, c->from, c->to);
    if (c->offline) {
        c->stage = COPY_FINISHING;
        copy_later(s, c, 3 * s->cfg.times.libvirt_us, finished);
        return;
    }
    qemu_start(s, v, o->to, QEMU_INCOMING, "migration");
    const struct sim_times *t = &s->cfg.times;
    copy_later(s, c, emulated(&v->facts) ? t->emulated_start_us : t->start_us, first_byte);
}

void copy_progress(const struct sim *s, const struct sim_copy *c, struct progress *ret)
{
    shape_init(&progress_shape, ret);
    int64_t sent =
        sends(c) && c->rate_Bps > 0 ? mul_div(c->rate_Bps, s->now_us - c->moved_us, SEC) : 0;
    sent = sent < c->rest_bytes ? sent : c->rest_bytes;
    ret->vm = xstrdup(c->vm->facts.uuid);
    ret->elapsed_us = s->now_us - c->began_us;
    ret->setup_us = c->first_byte_us > 0 ? c->first_byte_us - c->began_us : 0;
    ret->total_bytes = c->vm->facts.mem_bytes;
    ret->processed_bytes = c->sent_bytes + sent;
    ret->remaining_bytes = c->rest_bytes - sent;
    ret->rate_Bps = c->rate_Bps > 0 ? c->rate_Bps : 0;
    ret->dirty_Bps = mul_div(c->vm->writes_Bps, 1000000 - c->throttle_ppm, 1000000);
    ret->iteration = c->pass;
    ret->downtime_us = c->downtime_us;
    ret->postcopy = copy_switched(c);
}

/* ---- when something under it breaks ---------------------------------------------------------------- */
static bool concerns(const struct sim_copy *c, int host)
{
    return c->from == host || c->to == host;
}

/* The source's QEMU is gone, or the destination's: its own host knows at once (it is dead), the other one
 * when its keepalive ends. qemu_end has been done for the dead host. */
static void peer_missed(struct sim *s, struct sim_copy *c)
{
    fail(s, c, "the other host is gone (keepalive)");
}

void copies_host_died(struct sim *s, int host)
{
    for (size_t i = s->n_copies; i-- > 0;) {
        struct sim_copy *c = s->copies[i];
        if (!concerns(c, host))
            continue;
        if (c->from == host)
            c->op = NULL; /* its agent died with it */
        if (copy_post_host_died(s, c, host))
            continue;
        if (c->stage == COPY_FINISHING && c->to != host) {
            copy_forget(s, c); /* it runs there; the source is no more */
            continue;
        }
        c->stage = c->stage == COPY_SENDING ? COPY_STARTING : c->stage; /* it sends no more */
        c->rate_Bps = 0;
        copy_later(s, c, KEEPALIVE_US, peer_missed);
    }
    copies_share(s);
}

void copies_libvirtd_died(struct sim *s, int host)
{
    for (size_t i = s->n_copies; i-- > 0;) {
        struct sim_copy *c = s->copies[i];
        if (!concerns(c, host) || copy_post_libvirtd_died(s, c))
            continue;
        if (c->stage == COPY_FINISHING && !c->offline) {
            copy_answer(s, c, false, "lost the connection to a libvirtd while the migration ended");
            copy_forget(s, c); /* both QEMUs stay as they are: running there, stopped here */
            continue;
        }
        fail(s, c, "a libvirtd was killed during the copy");
    }
}

/* A libvirtd that starts tidies up what its former self was doing. */
void copies_libvirtd_back(struct sim *s, int host)
{
    const struct sim_host *h = &s->hosts[host];
    for (size_t i = 0; i < h->n_here; i++) {
        struct sim_vm *v = &s->vms[h->here[i]];
        struct qemu *q = qemu_on(v, host);
        if (!q || v->copy)
            continue;
        if (q->state == QEMU_INCOMING)
            qemu_end(s, v, host, false);
        else if (q->state == QEMU_PAUSED && str_eq(q->why, "migration") && v->n_qemus == 1)
            qemu_set(s, v, host, QEMU_RUNNING, "migration-canceled");
    }
}
