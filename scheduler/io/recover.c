/* Building the core from the store: at the start, and again after the store had failed. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/io/corethread_int.h"

/* A new attempt at a store that failed: soon enough for an operator who has just made room, seldom
 * enough not to fill the log of the disk's troubles. */
static const int64_t PROBE_EVERY_US = 5 * SEC;
/* Time is reserved ahead in the store, so that it is written once in a while and not at each event. */
static const int64_t TIME_AHEAD_US = 120 * SEC;

static struct policy take_policy(struct policy *p)
{
    struct policy out = *p;
    memset(p, 0, sizeof(*p));
    return out;
}

int64_t ct_now(const struct corethread *t)
{
    return t->time0_us + (clock_mono_us() - t->mono0_us);
}

struct loading {
    struct core *core;
    struct recorder *recorder;
};

static void record(const struct loading *l, const char *kind, const struct shape *shape,
                   const void *obj)
{
    recorder_state(l->recorder, &(struct recorder_state){.kind = kind, .shape = shape, .obj = obj});
}

static void load_host(void *arg, const struct host_rec *h)
{
    const struct loading *l = arg;
    record(l, "host", &host_rec_shape, h);
    core_restore_host(l->core, h);
}

static void load_vm(void *arg, const char *host, const struct vm *v, int64_t since_wall_us)
{
    const struct loading *l = arg;
    recorder_state(l->recorder, &(struct recorder_state){.kind = "vm",
                                                         .host = host,
                                                         .shape = &vm_shape,
                                                         .obj = v,
                                                         .since_wall_us = since_wall_us});
    core_restore_vm(l->core, host, v, since_wall_us);
}

static void load_run(void *arg, const struct run *r)
{
    const struct loading *l = arg;
    record(l, "run", &run_shape, r);
    core_restore_run(l->core, r);
}

static void load_move(void *arg, const struct move *m)
{
    const struct loading *l = arg;
    record(l, "move", &move_shape, m);
    core_restore_move(l->core, m);
}

/* Load of yesterday is no reason not to start. */
static void load_sample(void *arg, const struct sample *x)
{
    const struct loading *l = arg;
    struct err e = {0};
    record(l, "sample", &sample_shape, x);
    if (core_restore_sample(l->core, x, &e) < 0)
        log_warn("msg=\"stored load not read\" error=\"%s\"", e.msg);
}

static int load_suspension(struct corethread *t, const struct loading *l, struct err *e)
{
    struct suspension x;
    int r = store_get_suspension(t->store, &x, e);
    if (r == 0 && x.on) {
        record(l, "suspension", &suspension_shape, &x);
        core_restore_suspension(l->core, &x);
    }
    shape_done(&suspension_shape, &x);
    return r;
}

static int set_time(struct corethread *t, struct err *e)
{
    int64_t base = 0;
    int r = store_time_base(t->store, &base, e);
    if (r < 0)
        return r;
    if (t->mono0_us == 0) {
        t->mono0_us = clock_mono_us();
        t->time0_us = base;
    } else if (base > ct_now(t)) {
        t->time0_us += base - ct_now(t);
    }
    t->time_limit_us = 0; /* the next commit reserves */
    return 0;
}

static int open_store(struct corethread *t, struct err *e)
{
    int r = store_open(&(struct store_options){.path = t->cfg.database, .vfs = t->cfg.vfs},
                       &t->store, e);
    if (r == 0)
        r = store_probe(t->store, e);
    if (r == 0)
        r = set_time(t, e);
    if (r == 0)
        r = store_new_term(t->store, &t->term, e);
    return r;
}

/* What the store has of the directory. */
static int kept_policy(struct corethread *t, struct policy *ret, int64_t *ret_since)
{
    cleanup(freep) char *text = NULL;
    struct policy p;
    int r = store_kept_policy(t->store, &text, NULL);
    if (r == 0)
        r = policy_kept(text, &p, ret_since, NULL);
    if (r < 0)
        return r;
    if (str_eq(p.dir, t->cfg.policy_dir)) {
        *ret = p;
        return 0;
    }
    policy_done(&p);
    return -ENOENT;
}

/* At the start: the one that was handed in, and since when; or, refused, the last good one. */
static int first_policy(struct corethread *t, struct policy *ret, struct err *e)
{
    struct policy kept = {0};
    int64_t since = clock_wall_us(), kept_since = 0;
    bool have = kept_policy(t, &kept, &kept_since) == 0;
    if (!t->have_held && !have)
        return err_set(e, -EBADMSG, "policy refused; drover policy check '%s' tells more: %s",
                       t->cfg.policy_dir, t->cfg.policy_refused);
    if (have && (!t->have_held || policy_same(&kept, &t->held)))
        since = kept_since;
    *ret = take_policy(t->have_held ? &t->held : &kept);
    policy_state_good(&t->policy, ret, since);
    if (!t->have_held) {
        struct git_source unknown = {0};
        policy_state_bad(&t->policy, xstrdup(t->cfg.policy_refused), &unknown);
        t->policy.kept = true;
    }
    policy_done(&kept);
    return 0;
}

/* The policy for a new core: one that came while the store was out of order, else the old core's. */
static int policy_for_new_core(struct corethread *t, struct policy *ret, struct err *e)
{
    if (!t->core) {
        int r = first_policy(t, ret, e);
        if (r < 0)
            return r;
    } else if (t->have_held) {
        *ret = take_policy(&t->held);
    } else {
        core_take_policy(t->core, ret);
    }
    t->have_held = false;
    return 0;
}

int ct_build(struct corethread *t, struct err *e)
{
    store_close(take(t->store));
    int r = open_store(t, e);
    if (r < 0)
        return r;
    const struct core_config cfg = {
        .term = t->term,
        .heartbeat_us = t->cfg.heartbeat_us,
        .seed = (uint64_t)t->term, /* recorded, so a replay has it */
    };
    struct loading l = {.core = core_new(&cfg), .recorder = t->recorder};
    const struct store_sink sink = {&l, load_host, load_vm, load_run, load_move, load_sample};
    int64_t next_seq = 1, now = ct_now(t), wall = clock_wall_us();
    recorder_start(t->recorder, t->term, now, wall);
    r = store_load(t->store, &sink, &next_seq, e);
    if (r == 0)
        r = load_suspension(t, &l, e);
    if (r < 0) {
        core_free(l.core);
        return r;
    }
    struct policy p;
    r = policy_for_new_core(t, &p, e);
    if (r < 0) {
        core_free(l.core);
        return r;
    }
    ct_remember_policy(t, &p, NULL);
    struct core *old = t->core;
    t->core = l.core;
    recorder_policy(t->recorder, &p);
    core_restore_policy(t->core, &p);
    core_restored(t->core, next_seq, now, wall, &t->fx);
    recorder_restored(t->recorder, next_seq, core_effects_digest(&t->fx, 0));
    r = ct_commit(t, e);
    if (r < 0 && old) { /* queries go on with the old core; the policy waits for the next attempt */
        core_take_policy(t->core, &p);
        core_restore_policy(old, &p);
        core_free(t->core);
        t->core = old;
        return r;
    }
    if (old)
        fleet_anew(t->fleet);
    core_free(old);
    ct_xml_restart(t);
    return r;
}

static void keep_sample(struct corethread *t, const struct core_fx *f)
{
    struct sample x;
    if (!core_sample(t->core, f->host, f->vm, &x))
        return;
    store_put_sample(t->store, &x);
    shape_done(&sample_shape, &x);
}

/* Put into the open batch what an effect wants to be kept. */
static void keep(struct corethread *t, const struct core_fx *f)
{
    const struct host_rec *h;
    const struct run *run;
    const struct move *m;
    const struct vm *v;
    int64_t since = 0;
    switch (f->type) {
    case FX_JOURNAL:
        store_put_entry(t->store, &f->entry);
        break;
    case FX_SAVE_HOST:
        if ((h = core_host_rec(t->core, f->host)))
            store_put_host(t->store, h);
        break;
    case FX_SAVE_RUN:
        if ((run = core_run(t->core, f->id)))
            store_put_run(t->store, run);
        break;
    case FX_SAVE_MOVE:
        if ((m = core_move(t->core, f->id)))
            store_put_move(t->store, m);
        break;
    case FX_SAVE_VM: /* NULL: a later event of the batch dropped it */
        if ((v = core_vm(t->core, f->host, f->vm, &since))) {
            store_put_vm(t->store, f->host, v, since);
            ct_xml_look(t, f->host, v);
        }
        break;
    case FX_SAVE_LOAD:
        keep_sample(t, f);
        break;
    case FX_DROP_VM:
        store_drop_vm(t->store, f->host, f->vm);
        t->xml_changed = true;
        break;
    case FX_SAVE_XML:
        ct_xml_keep(t, f->digest);
        break;
    case FX_SAVE_SUSPENSION:
        store_put_suspension(t->store, core_suspension(t->core));
        break;
    case FX_SEND:
    case FX_REPLY:
        break;
    }
}

static const struct pending *pending_of(const struct corethread *t, int64_t request_id)
{
    for (size_t i = 0; i < t->n_pending; i++)
        if (t->pending[i].id == request_id)
            return &t->pending[i];
    return NULL;
}

/* A reply to a request with a key is kept, so that a repetition gets the same. */
static void keep_answer(struct corethread *t, const struct core_fx *f, int64_t wall_us)
{
    const struct pending *p = f->type == FX_REPLY ? pending_of(t, f->request_id) : NULL;
    if (!p || !p->key)
        return;
    cleanup(freep) char *reply = codec_encode_text(&reply_shape, &f->reply);
    store_put_answer(t->store, &(struct store_answer){.actor = p->actor,
                                                      .key = p->key,
                                                      .wall_us = wall_us,
                                                      .request = p->request,
                                                      .reply = reply});
}

static bool worth_a_batch(struct corethread *t)
{
    if (t->n_policies || ct_now(t) + TIME_AHEAD_US / 2 > t->time_limit_us)
        return true;
    for (size_t i = 0; i < t->fx.n_fx; i++) {
        const struct core_fx *f = &t->fx.fx[i];
        const struct pending *p = f->type == FX_REPLY ? pending_of(t, f->request_id) : NULL;
        if (f->type == FX_SEND || (f->type == FX_REPLY && (!p || !p->key)))
            continue;
        return true;
    }
    return ct_xml_due(t);
}

int ct_commit(struct corethread *t, struct err *e)
{
    if (!worth_a_batch(t))
        return 0;
    int r = store_begin(t->store, e);
    if (r < 0)
        return r;
    int64_t wall = clock_wall_us(), limit = ct_now(t) + TIME_AHEAD_US;
    ct_xml_keep_reported(t);
    for (size_t i = 0; i < t->fx.n_fx; i++) {
        keep(t, &t->fx.fx[i]);
        keep_answer(t, &t->fx.fx[i], wall);
    }
    for (size_t i = 0; i < t->n_policies; i++)
        store_put_policy(t->store, &t->policies[i]);
    store_put_time(t->store, limit);
    r = store_commit(t->store, e);
    if (r == 0)
        t->time_limit_us = limit;
    return r;
}

/* Is it the kind of trouble that a new look at the same open file can see the end of? Anything else
 * (damage, a replaced file, I/O errors) wants the file opened anew. */
static bool may_pass(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EROFS || code == -EBUSY;
}

static int try_again(struct corethread *t, struct err *e)
{
    if (t->store && may_pass(t->failed.code)) {
        int r = store_probe(t->store, e);
        if (r < 0)
            return r;
    }
    return ct_build(t, e);
}

bool ct_recover(struct corethread *t)
{
    int64_t now = clock_mono_us();
    if (now - t->probed_us < (t->cfg.retry_us ? t->cfg.retry_us : PROBE_EVERY_US))
        return false;
    t->probed_us = now;
    struct err e = {0};
    core_effects_done(&t->fx);
    if (try_again(t, &e) < 0) {
        core_effects_done(&t->fx);
        if (!str_eq(e.msg, t->failed.msg)) {
            log_error("msg=\"store still fails\" error=\"%s\"", e.msg);
            t->failed = e;
        }
        return false;
    }
    log_info("msg=\"store works again; the core was rebuilt from it\" term=%" PRId64, t->term);
    t->failed = (struct err){0};
    return true;
}
