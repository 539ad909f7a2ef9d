/* VMs of a run that stay after all: a move was tried, or could not be. */
#include "scheduler/core/internal.h"

bool run_owns(const struct run *r, const struct move *m)
{
    return r->kind != RUN_DRAIN || run_host(r, m->from);
}

/* The last try says nothing of where it was to go, all of where it is. */
static void lost_reason(const struct move_slot *m, struct reason *ret)
{
    bool libvirt = str_eq(m->m.code, reason_tokens[R_LIBVIRT_DOWN]);
    cleanup(freep) char *what = xasprintf("host %s", m->m.from);
    cleanup(freep) char *cure = xasprintf("start it on %s: systemctl start %s; then drain again",
                                          m->m.from, libvirt ? "libvirtd" : "drover-agent");
    reason_set(ret, reason_from_token(m->m.code), NULL, what, NULL, NULL, cure);
}

void run_stay_after(struct core *c, struct run_slot *r, struct move_slot *m, const char *why)
{
    if (!run_owns(&r->run, &m->m)) { /* it only was to make room, or has left the host already */
        say(c, (struct about){.r = r, .m = m, .vm = m->m.vm_name}, "vm.aside",
            "vm/%s stays on %s: %s", m->m.vm_name, m->m.from, why);
        return;
    }
    struct stay *st = vec_add(&r->run.stays, &r->run.n_stays);
    st->vm = xstrdup(m->m.vm);
    st->name = xstrdup(m->m.vm_name);
    st->host = xstrdup(m->m.from);
    st->off = m->m.offline;
    r->dirty = true;
    if (m->source_lost)
        lost_reason(m, vec_add(&st->reasons, &st->n_reasons));
    for (size_t i = 0; !m->source_lost && i < m->m.n_tried; i++) {
        const struct attempt *t = &m->m.tried[i];
        struct reason *reason = vec_add(&st->reasons, &st->n_reasons);
        reason_set(reason, reason_from_token(t->code), t->to, NULL, NULL, t->error, NULL);
    }
    if (!st->n_reasons) {
        struct reason *reason = vec_add(&st->reasons, &st->n_reasons);
        enum reason_code code = m->m.code ? reason_from_token(m->m.code) : R_MIGRATE_FAILED;
        reason_set(reason, code, NULL, NULL, NULL, code == R_DEADLINE ? NULL : why, NULL);
    }
    st->cold = planned_cold_lifts(st);
    say(c, (struct about){.r = r, .m = m, .vm = m->m.vm_name}, "vm.blocked",
        "vm/%s stays on %s: %s", m->m.vm_name, m->m.from, why);
}

/* On the way home there is one host to ask about. */
void run_stay_of_home(struct stay *st)
{
    size_t out = 0;
    for (size_t i = 0; i < st->n_reasons; i++) {
        if (st->reasons[i].code == R_NOT_IN_TO)
            shape_done(&reason_shape, &st->reasons[i]);
        else
            st->reasons[out++] = st->reasons[i];
    }
    st->n_reasons = out;
}

bool run_reason_passes(enum reason_code why)
{
    return why == R_VM_BUSY || why == R_UNREACHABLE_SOURCE || why == R_LIBVIRT_DOWN;
}
