/* The XML of VMs: reports name it by digest, the store keeps the texts, and what the store lacks is asked
 * of the agent that has it: a few agents at a time, none that owes another answer, none while the fleet
 * comes back after a start. Nothing here is ever waited for. */
#include <string.h>

#include "scheduler/core/internal.h"

SHAPE(xml_names_shape, struct xml_names, SF_STRS(struct xml_names, digests));

enum { LIVE = 1, INACTIVE = 2 }; /* bits of vm_slot.xml_lacks, .xml_gone */

static const char *digest_of(const struct vm *v, int which)
{
    return which == LIVE ? v->xml_digest : v->xml_inactive_digest;
}

void xml_changed(struct vm_slot *s, const struct vm *was)
{
    for (int w = LIVE; w <= INACTIVE; w++)
        if (!str_eq(digest_of(&s->vm, w), digest_of(was, w))) {
            s->xml_lacks &= (unsigned char)~w;
            s->xml_gone &= (unsigned char)~w;
        }
}

static void host_lacks(struct core *c, struct host_slot *h, bool lacks)
{
    if (h->lacks_xml == lacks)
        return;
    h->lacks_xml = lacks;
    if (lacks && !c->n_lacking)
        c->xml_heard_us = c->now_us;
    c->n_lacking = lacks ? c->n_lacking + 1 : c->n_lacking - 1;
}

void xml_lacks(struct core *c, const char *host, char *const *digests, size_t n)
{
    struct host_slot *h = host_find(c, host);
    for (size_t i = 0; h && i < h->n_vms; i++)
        for (int w = LIVE; w <= INACTIVE; w++) {
            const char *d = digest_of(&h->vms[i]->vm, w);
            if (!d || !str_in(d, digests, n))
                continue;
            h->vms[i]->xml_lacks |= (unsigned char)w;
            host_lacks(c, h, true);
        }
}

void xml_agent_up(struct host_slot *h, bool sends_xml)
{
    h->sends_xml = sends_xml;
    h->xml_after_us = 0;
    for (size_t i = 0; i < h->n_vms; i++)
        h->vms[i]->xml_gone = 0;
}

/* ---- asking -------------------------------------------------------------------------------------- */
/* An agent that owes an answer, or from which a copy is under way, has better things to do. */
static bool owes(const struct core *c, const struct host_slot *h)
{
    for (size_t i = 0; i < c->n_asks; i++)
        if (str_eq(c->asks[i].host, h->rec.name))
            return true;
    return false;
}

static struct send_xml *wanted_of(const struct host_slot *h, bool *ret_lacks)
{
    struct send_xml *q = NULL;
    *ret_lacks = false;
    for (size_t i = 0; i < h->n_vms; i++)
        for (int w = LIVE; w <= INACTIVE; w++) {
            const struct vm_slot *s = h->vms[i];
            *ret_lacks |= (s->xml_lacks & w) != 0;
            if (!(s->xml_lacks & w) || s->xml_gone & w || (q && q->n_digests == XML_BATCH))
                continue;
            q = q ? q : body_new(MSG_SEND_XML);
            if (!str_in(digest_of(&s->vm, w), q->digests, q->n_digests))
                *(char **)vec_add(&q->digests, &q->n_digests) = xstrdup(digest_of(&s->vm, w));
        }
    return q;
}

static void ask_host(struct core *c, struct host_slot *h)
{
    bool lacks;
    struct send_xml *q = wanted_of(h, &lacks);
    host_lacks(c, h, lacks);
    if (!q)
        return;
    q->term = c->cfg.term;
    const struct ask want = {
        .what = ASK_XML, .host = h->rec.name, .deadline_us = c->now_us + XML_TIMEOUT_US};
    c->xml_asked += ask(c, want, MSG_SEND_XML, q);
}

void xml_tick(struct core *c)
{
    if (!c->n_lacking || c->now_us - c->start_us < STARTUP_GRACE_US)
        return;
    for (size_t n = 0; n < c->n_hosts && c->xml_asked < XML_AT_ONCE; n++) {
        struct host_slot *h = c->hosts[c->xml_turn++ % c->n_hosts];
        if (h->lacks_xml && h->connected && h->reported && h->sends_xml &&
            c->now_us >= h->xml_after_us && !owes(c, h))
            ask_host(c, h);
    }
    c->xml_turn %= c->n_hosts;
}

/* ---- hearing ------------------------------------------------------------------------------------- */
static void take_text(struct core *c, struct host_slot *h, const struct xml_text *x)
{
    bool wanted = false;
    for (size_t i = 0; i < h->n_vms; i++)
        for (int w = LIVE; w <= INACTIVE; w++) {
            struct vm_slot *s = h->vms[i];
            if (!(s->xml_lacks & w) || !str_eq(digest_of(&s->vm, w), x->digest))
                continue;
            wanted = true;
            if (x->text)
                s->xml_lacks &= (unsigned char)~w;
            else
                s->xml_gone |= (unsigned char)w; /* a report with its new name is on its way */
        }
    if (!wanted || !x->text)
        return;
    fx_add(c, FX_SAVE_XML)->digest = xstrdup(x->digest);
    c->xml_heard_us = c->now_us;
}

void xml_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct host_slot *h = host_find(c, a->host);
    const struct xml_texts *x = m && m->type == MSG_XML ? m->body : NULL;
    c->xml_asked--;
    if (!h)
        return;
    if (!x || !x->n_texts)
        h->xml_after_us = c->now_us + XML_AGAIN_US;
    for (size_t i = 0; x && i < x->n_texts; i++)
        take_text(c, h, &x->texts[i]);
}

int64_t core_xml_lacks(const struct core *c, int64_t *ret_quiet_us)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->n_hosts; i++)
        for (size_t k = 0; c->hosts[i]->lacks_xml && k < c->hosts[i]->n_vms; k++) {
            unsigned char l = c->hosts[i]->vms[k]->xml_lacks;
            n += !!(l & LIVE) + !!(l & INACTIVE);
        }
    if (ret_quiet_us)
        *ret_quiet_us = n ? c->now_us - c->xml_heard_us : 0;
    return n;
}
