/* A deed as the line that makes it: what script.c reads. */
#include <stdarg.h>

#include "scheduler/sim/world.h"

static void add(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char **text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *more = xvasprintf(fmt, ap);
    va_end(ap);
    char *old = *text;
    *text = xasprintf("%s%s", old ? old : "", more);
    free(old);
}

static void add_time(char **text, int64_t us)
{
    if (us % SEC == 0)
        add(text, "%llds", (long long)(us / SEC));
    else
        add(text, "%lldms", (long long)(us / MSEC));
}

static void add_list(char **text, const char *option, char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(text, "%s%s", i ? "," : option, list[i]);
}

static void add_labels(char **text, const struct request *q)
{
    add(text, " %s", q->vm);
    for (size_t i = 0; i < q->n_labels; i++)
        add(text, " %s=%s", q->labels[i].key, q->labels[i].value);
    for (size_t i = 0; i < q->n_drop_labels; i++)
        add(text, " %s-", q->drop_labels[i]);
}

static void add_request(char **text, const struct request *q)
{
    add(text, "%s", verb_names[q->verb]);
    if (q->verb == VERB_CANCEL || q->verb == VERB_APPLY)
        add(text, " %lld", (long long)q->run);
    else if (q->verb == VERB_LABEL)
        add_labels(text, q);
    else if (q->verb != VERB_BALANCE && q->verb != VERB_SUSPEND_BALANCE &&
             q->verb != VERB_RESUME_BALANCE)
        add(text, " %s", q->host ? q->host : "?");
    for (size_t i = 1; i < q->n_hosts; i++) /* the first is host, too */
        add(text, " %s", q->hosts[i]);
    if (q->on_blocked)
        add(text, " --on-blocked %s", q->on_blocked);
    if (q->mode)
        add(text, " --mode %s", q->mode);
    if (q->max_moves)
        add(text, " --max-moves %lld", (long long)q->max_moves);
    if (q->mem_bytes)
        add(text, " --memory %lldB", (long long)q->mem_bytes);
    if (q->vcpus)
        add(text, " --vcpus %lld", (long long)q->vcpus);
    if (q->vm && q->verb == VERB_BALANCE)
        add(text, " --vm %s", q->vm);
    if (q->forget_failures)
        add(text, " --forget-failures");
    add_list(text, " --to ", q->to, q->n_to);
    add_list(text, " --avoid ", q->avoid, q->n_avoid);
    add_list(text, " --allow-shutdown ", q->allow_shutdown, q->n_allow_shutdown);
    if (q->parallel)
        add(text, " --parallel %lld", (long long)q->parallel);
    if (q->deadline_us) {
        add(text, " --deadline ");
        add_time(text, q->deadline_us);
    }
    if (q->bring_home)
        add(text, " --bring-home");
    if (q->dry_run)
        add(text, " --dry-run");
    if (q->reason)
        add(text, " -m \"%s\"", q->reason);
}

static void add_fault(char **text, const struct deed *d)
{
    add(text, "fault %s %s", d->what, d->how);
    if (d->code)
        add(text, " code=%s", d->code);
    if (d->host)
        add(text, " host=%s", d->host);
    if (d->vm)
        add(text, " vm=%s", d->vm);
    if (d->to)
        add(text, " to=%s", d->to);
    if (d->n == 0)
        add(text, " times=all");
    else if (d->n > 1)
        add(text, " times=%lld", (long long)d->n);
    if (d->us) {
        add(text, " by=");
        add_time(text, d->us);
    }
}

static void add_cpu(char **text, const struct deed *d)
{
    if (d->us) {
        add(text, " wave ");
        add_time(text, d->us);
    }
    add(text, " %lld%%", (long long)d->n / 10000);
    if (d->us) {
        add(text, "..%lld%% peak ", (long long)d->m / 10000);
        add_time(text, d->every_us);
    }
}

static void add_rest(char **text, const struct deed *d)
{
    const char *host = d->host ? d->host : "all", *vm = d->vm ? d->vm : "all";
    switch ((enum deed_kind)d->kind) {
    case DEED_POLICY:
        add(text, "policy %s", d->policy);
        break;
    case DEED_SCHEDULER:
        add(text, "scheduler %s", d->what);
        if (d->n)
            add(text, " before %lld", (long long)d->n);
        break;
    case DEED_STORE:
        add(text, "store %s", d->what);
        break;
    case DEED_AGENT:
        add(text, "agent %s %s", host, d->what);
        break;
    case DEED_LIBVIRTD:
        add(text, "libvirtd %s %s", host, d->what);
        break;
    case DEED_POWER:
        add(text, "power %s %s", host, d->what);
        break;
    case DEED_CUT:
        add(text, "cut %s %s", host, d->what);
        break;
    case DEED_CEPH:
        add(text, "ceph %s %s", host, d->what);
        break;
    case DEED_CLOCK:
        add(text, "clock %s", d->us < 0 ? "-" : "+");
        add_time(text, d->us < 0 ? -d->us : d->us);
        break;
    case DEED_IMAGE:
        add(text, "image %s %s", vm, d->what);
        break;
    case DEED_HAND:
        add(text, "someone %s %s%s%s", d->what, vm, d->to ? " " : "", d->to ? d->to : "");
        break;
    case DEED_GUEST:
        add(text, "guest %s %s", vm, d->what);
        if (str_eq(d->what, "cpu")) {
            add_cpu(text, d);
            break;
        }
        if (str_eq(d->what, "writes") || str_eq(d->what, "bursts"))
            add(text, " %lld", (long long)d->n);
        if (d->m)
            add(text, " %lld", (long long)d->m);
        if (d->every_us) {
            add(text, " for ");
            add_time(text, d->us);
            add(text, " every ");
            add_time(text, d->every_us);
        }
        break;
    case DEED_LOOK:
        add(text, "look");
        break;
    case DEED_LINK:
        add(text, "link %s %lldMbit", host, (long long)(d->n / 1000000));
        break;
    case DEED_REQUEST:
    case DEED_FAULT:
    case DEED_KINDS:
        break;
    }
}

char *deed_text(const struct deed *d)
{
    char *text = NULL;
    add_time(&text, d->at_us);
    add(&text, " ");
    if (d->kind == DEED_REQUEST)
        add_request(&text, &d->request);
    else if (d->kind == DEED_FAULT)
        add_fault(&text, d);
    else
        add_rest(&text, d);
    return text;
}
