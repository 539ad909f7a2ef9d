#include "scheduler/io/corethread_int.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/io/api.h"

/* Probes of an uncertain move are half a second apart (docs/timelines.md): tick twice as often. */
static const int64_t TICK_US = 250 * MSEC;

static void reply(struct corethread *t, uint64_t http, int status, char *body)
{
    t->cfg.out.reply(t->cfg.out.arg, http, status, body);
}

/* ---- requests -------------------------------------------------------------------------------- */
static void pending_done(struct pending *p)
{
    free(p->actor);
    free(p->key);
    free(p->request);
    free(p->waiters);
}

static void add_waiter(struct pending *p, uint64_t http)
{
    *(uint64_t *)vec_add(&p->waiters, &p->n_waiters) = http;
}

static int http_status(const struct reply *r)
{
    return r->http >= 200 && r->http <= 599 ? (int)r->http : 200;
}

static void refuse_key(struct corethread *t, const struct item *i)
{
    reply(t, i->http, 422,
          api_error_text("key_reused", "this Idempotency-Key was used for another request",
                         "send a fresh key with each new request"));
}

/* The same key again within a day: the answer that was given, or the one that is being made. True
 * when the item needs nothing more. */
static bool is_repetition(struct corethread *t, const struct item *i, const char *request)
{
    if (!i->key)
        return false;
    for (size_t k = 0; k < t->n_pending; k++) {
        struct pending *p = &t->pending[k];
        if (!str_eq(p->key, i->key) || !str_eq(p->actor, i->request.actor))
            continue;
        if (str_eq(p->request, request))
            add_waiter(p, i->http);
        else
            refuse_key(t, i);
        return true;
    }
    cleanup(freep) char *old_request = NULL;
    cleanup(freep) char *old_reply = NULL;
    struct err e = {0};
    const struct store_answer key = {
        .actor = i->request.actor, .key = i->key, .wall_us = clock_wall_us()};
    int r = store_find_answer(t->store, &key, &old_request, &old_reply, &e);
    if (r == -ENOENT)
        return false;
    struct reply old;
    if (r == 0)
        r = codec_decode_text(&reply_shape, old_reply, &old, &e);
    if (r < 0) {
        reply(t, i->http, 503, api_error_text("store_failed", e.msg, NULL));
        return true;
    }
    if (str_eq(old_request, request))
        reply(t, i->http, http_status(&old), ct_answer(t, "drover.reply/1", &reply_shape, &old));
    else
        refuse_key(t, i);
    shape_done(&reply_shape, &old);
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */
static void step(struct corethread *t, struct core_event *ev)
{
    size_t before = t->fx.n_fx;
    ev->now_us = ct_now(t);
    ev->wall_us = clock_wall_us();
    bool waits = recorder_waits(ev);
    if (!waits)
        recorder_event(t->recorder, ev);
    core_step(t->core, ev, &t->fx);
    if (waits && t->fx.n_fx > before)
        recorder_event(t->recorder, ev);
    if (t->fx.n_fx > before)
        recorder_said(t->recorder, core_effects_digest(&t->fx, before));
}

static void note(struct corethread *t, const char *kind, char *text)
{
    const struct entry n = {.kind = (char *)(uintptr_t)kind, .text = text};
    step(t, &(struct core_event){.type = CEV_NOTE, .note = &n});
}

static void do_request(struct corethread *t, struct item *i)
{
    /* sparse: the same text in every version, for a client that asks again after an upgrade */
    cleanup(json_decrefp) json_t *sparse = codec_encode_sparse(&request_shape, &i->request);
    cleanup(freep) char *request = codec_text(sparse);
    if (is_repetition(t, i, request))
        return;
    struct pending *p = vec_add(&t->pending, &t->n_pending);
    p->id = ++t->next_request;
    p->actor = xstrdup(i->request.actor);
    p->key = take(i->key);
    p->request = take(request);
    add_waiter(p, i->http);
    step(t, &(struct core_event){
                .type = CEV_REQUEST, .request_id = t->next_request, .request = &i->request});
}

void ct_remember_policy(struct corethread *t, const struct policy *p, const char *refused)
{
    struct store_policy *x = vec_add(&t->policies, &t->n_policies);
    x->wall_us = clock_wall_us();
    x->refused = refused != NULL;
    x->clean = p->clean;
    x->revision = refused ? NULL : xstrdup(p->commit);
    x->dir = xstrdup(p->dir);
    x->message = xstrdup(refused);
    x->kept = refused ? NULL : policy_keep(p, t->policy.since_wall_us);
}

/* "3f2a1c9… by Ann Ode <ann@example.org>". Gives. */
static char *revision_text(const char *commit, const char *author)
{
    if (!commit)
        return xstrdup("of no git commit");
    return xasprintf("%s%s%s", commit, author ? " by " : "", author ? author : "");
}

static void do_policy(struct corethread *t, struct item *i)
{
    const struct policy *p = &i->policy;
    policy_state_good(&t->policy, p, clock_wall_us());
    cleanup(freep) char *rev = revision_text(p->commit, p->author);
    log_info("msg=\"policy in force\" revision=\"%s\" clean=%d rules=%zu", rev, p->clean,
             p->n_rules);
    cleanup(freep) char *text =
        xasprintf("policy %s%s is in force (%zu rules)", rev,
                  p->clean || !p->commit ? "" : " (with local changes)", p->n_rules);
    ct_remember_policy(t, &i->policy, NULL);
    step(t, &(struct core_event){.type = CEV_POLICY, .policy = &i->policy});
    note(t, "policy.loaded", text);
}

static void do_policy_bad(struct corethread *t, struct item *i)
{
    cleanup(freep) char *rev = revision_text(i->source.commit, i->source.author);
    log_error("msg=\"policy refused, the last good one stays in force\" error=\"%s\" "
              "revision=\"%s\"",
              i->text, rev);
    cleanup(freep) char *text =
        xasprintf("policy %s refused, the last good one stays in force: %s", rev, i->text);
    policy_state_bad(&t->policy, take(i->text), &i->source);
    ct_remember_policy(t, core_policy(t->core), t->policy.error);
    note(t, "policy.refused", text);
}

static void do_item(struct corethread *t, struct item *i)
{
    switch (i->type) {
    case ITEM_AGENT_UP:
        step(t, &(struct core_event){.type = CEV_AGENT_UP,
                                     .host = i->host,
                                     .instance = i->instance,
                                     .sends_xml = i->sends_xml,
                                     .tells_ceph = i->tells_ceph});
        break;
    case ITEM_AGENT_DOWN:
        step(t, &(struct core_event){.type = CEV_AGENT_DOWN, .host = i->host});
        break;
    case ITEM_MSG:
        ct_xml_came(t, &i->xml);
        step(t, &(struct core_event){.type = CEV_MSG, .host = i->host, .msg = &i->msg});
        break;
    case ITEM_REQUEST:
        do_request(t, i);
        break;
    case ITEM_POLICY:
        do_policy(t, i);
        break;
    case ITEM_POLICY_BAD:
        do_policy_bad(t, i);
        break;
    case ITEM_POLICY_BEHIND:
        policy_state_behind(&t->policy, &i->source);
        break;
    case ITEM_QUERY: /* after the commit */
        break;
    }
}

/* ---- effects --------------------------------------------------------------------------------- */
static void answer_pending(struct corethread *t, const struct core_fx *f)
{
    for (size_t k = 0; k < t->n_pending; k++) {
        struct pending *p = &t->pending[k];
        if (p->id != f->request_id)
            continue;
        for (size_t w = 0; w < p->n_waiters; w++)
            reply(t, p->waiters[w], http_status(&f->reply),
                  ct_answer(t, "drover.reply/1", &reply_shape, &f->reply));
        pending_done(p);
        vec_del(t->pending, &t->n_pending, k);
        return;
    }
}

static void perform(struct corethread *t)
{
    struct outgoing *list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < t->fx.n_fx; i++) {
        struct core_fx *f = &t->fx.fx[i];
        if (f->type == FX_REPLY)
            answer_pending(t, f);
        if (f->type != FX_SEND)
            continue;
        struct outgoing *o = vec_add(&list, &n);
        o->host = take(f->host);
        o->text = msg_encode(&f->msg);
    }
    if (n)
        t->cfg.out.send(t->cfg.out.arg, list, n);
}

static void batch_done(struct corethread *t)
{
    core_effects_done(&t->fx);
    xml_blobs_done(&t->xml);
    for (size_t i = 0; i < t->n_policies; i++) {
        free((char *)(uintptr_t)t->policies[i].revision);
        free((char *)(uintptr_t)t->policies[i].dir);
        free((char *)(uintptr_t)t->policies[i].message);
        free((char *)(uintptr_t)t->policies[i].kept);
    }
    free(take(t->policies));
    t->n_policies = 0;
}

/* From now on the core in memory is ahead of the disk: it is shown, but decides nothing any more. */
static void store_failed(struct corethread *t, const struct err *e)
{
    log_error("msg=\"store failed: nothing is started until it works again\" error=\"%s\"", e->msg);
    t->failed = *e;
    t->failed_wall_us = clock_wall_us();
    t->probed_us = clock_mono_us();
    for (size_t k = 0; k < t->n_pending; k++) {
        struct pending *p = &t->pending[k];
        for (size_t w = 0; w < p->n_waiters; w++)
            reply(t, p->waiters[w], 503, ct_store_error_text(t));
        pending_done(p);
    }
    t->n_pending = 0;
    free(take(t->pending));
}

/* ---- batches --------------------------------------------------------------------------------- */
static void tell_lacks(struct corethread *t)
{
    for (size_t i = 0; i < t->n_lacks; i++)
        step(t, &(struct core_event){.type = CEV_XML_LACKS,
                                     .host = t->lacks[i].host,
                                     .xml = &t->lacks[i].names});
    ct_xml_forget(t);
}

static void step_batch(struct corethread *t, struct item **items, size_t n)
{
    tell_lacks(t);
    for (size_t i = 0; i < n; i++)
        do_item(t, items[i]);
    int64_t now = ct_now(t);
    bool ticks = now - t->ticked_us >= TICK_US;
    if (ticks) {
        t->ticked_us = now;
        step(t, &(struct core_event){.type = CEV_TICK});
    }
    recorder_flush(t->recorder);
    struct err e = {0};
    int r = ct_commit(t, &e);
    if (r == 0)
        perform(t);
    if (r == 0 && ticks)
        r = ct_xml_tend(t, &e);
    if (r < 0)
        store_failed(t, &e);
    batch_done(t);
}

/* While the store is out of order: nothing is stepped. What agents say is dropped: they will report
 * again after the recovery. */
static void refuse_batch(struct corethread *t, struct item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct item *x = items[i];
        if (x->type == ITEM_REQUEST)
            reply(t, x->http, 503, ct_store_error_text(t));
        if (x->type == ITEM_POLICY_BAD)
            policy_state_bad(&t->policy, take(x->text), &x->source);
        if (x->type == ITEM_POLICY_BEHIND)
            policy_state_behind(&t->policy, &x->source);
        if (x->type != ITEM_POLICY)
            continue;
        if (t->have_held)
            policy_done(&t->held);
        policy_state_good(&t->policy, &x->policy, clock_wall_us());
        t->held = x->policy;
        t->have_held = true;
        memset(&x->policy, 0, sizeof(x->policy));
    }
}

static void recover(struct corethread *t)
{
    if (!ct_recover(t))
        return;
    t->cfg.out.restart(t->cfg.out.arg, t->term);
    perform(t);
    batch_done(t);
    cleanup(freep) char *text = xasprintf("the store works again (term %" PRId64 ")", t->term);
    note(t, "store.recovered", text);
}

static void *core_main(void *arg)
{
    struct corethread *t = arg;
    struct item **items;
    size_t n;
    while (queue_take(t->cfg.queue, fleet_due(t->fleet) ? 0 : TICK_US, &items, &n)) {
        if (t->failed.code)
            recover(t);
        if (t->failed.code)
            refuse_batch(t, items, n);
        else
            step_batch(t, items, n);
        for (size_t i = 0; i < n; i++) {
            int status = 0;
            char *body = items[i]->type == ITEM_QUERY ? ct_query(t, items[i], &status) : NULL;
            if (body)
                reply(t, items[i]->http, status, body);
            item_free(items[i]);
        }
        free(items);
        fleet_slice(t, t->fleet);
    }
    t->cfg.out.ended(t->cfg.out.arg);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */
int corethread_open(const struct corethread_config *cfg, struct policy *policy,
                    struct corethread **ret, struct err *e)
{
    struct corethread *t = xcalloc(1, sizeof(*t));
    t->cfg = *cfg;
    t->cfg.database = xstrdup(cfg->database);
    t->cfg.recorder = xstrdup(cfg->recorder);
    t->cfg.policy_dir = xstrdup(cfg->policy_dir);
    t->cfg.policy_refused = xstrdup(cfg->policy_refused);
    if (policy) {
        t->held = *policy;
        t->have_held = true;
        memset(policy, 0, sizeof(*policy));
    }
    t->fleet = fleet_new();
    int r = recorder_open(cfg->recorder, &t->recorder, e);
    if (r == 0)
        r = ct_build(t, e);
    if (r < 0) {
        corethread_free(t);
        return r;
    }
    perform(t); /* nobody is connected yet: what it sends would be dropped, and it knows */
    batch_done(t);
    *ret = t;
    return 0;
}

int64_t corethread_term(const struct corethread *t)
{
    return t->term;
}

void corethread_start(struct corethread *t)
{
    assert(!t->started);
    if (pthread_create(&t->thread, NULL, core_main, t) != 0)
        abort(); /* no thread at start is as good as no memory */
    t->started = true;
}

/* A clean end loses nothing of what was measured, and gives back the time that was reserved ahead. */
static void save_last(struct corethread *t)
{
    struct err e = {0};
    if (!t->store || t->failed.code)
        return;
    if (t->started)
        core_keep_load(t->core, &t->fx);
    int r = ct_commit(t, &e);
    if (r == 0)
        r = store_begin(t->store, &e);
    if (r == 0) {
        store_put_time(t->store, ct_now(t));
        r = store_commit(t->store, &e);
    }
    if (r < 0)
        log_error("msg=\"not stored at the end: load of the last half hour\" error=\"%s\"", e.msg);
}

void corethread_free(struct corethread *t)
{
    if (!t)
        return;
    if (t->started)
        pthread_join(t->thread, NULL);
    save_last(t);
    batch_done(t);
    for (size_t k = 0; k < t->n_pending; k++)
        pending_done(&t->pending[k]);
    free(t->pending);
    if (t->have_held)
        policy_done(&t->held);
    ct_xml_forget(t);
    store_place_done(&t->xml_at);
    policy_state_done(&t->policy);
    fleet_free(t->fleet);
    core_free(t->core);
    store_close(t->store);
    recorder_close(t->recorder);
    free((char *)(uintptr_t)t->cfg.database);
    free((char *)(uintptr_t)t->cfg.recorder);
    free((char *)(uintptr_t)t->cfg.policy_dir);
    free((char *)(uintptr_t)t->cfg.policy_refused);
    free(t);
}
