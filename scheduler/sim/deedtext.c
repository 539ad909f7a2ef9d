/* A deed as the line that makes it: what script.c reads. */
#include <stdarg.h>

#include "scheduler/sim/world.h"

static void add_time(char **text, int64_t us)
{
    if (us % SEC == 0)
        text_add(text, "%llds", (long long)(us / SEC));
    else
        text_add(text, "%lldms", (long long)(us / MSEC));
}

static void add_list(char **text, const char *option, char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text_add(text, "%s%s", i ? "," : option, list[i]);
}

static void add_labels(char **text, const struct request *q)
{
    text_add(text, " %s", q->vm);
    for (size_t i = 0; i < q->n_labels; i++)
        text_add(text, " %s=%s", q->labels[i].key, q->labels[i].value);
    for (size_t i = 0; i < q->n_drop_labels; i++)
        text_add(text, " %s-", q->drop_labels[i]);
}

static void add_request(char **text, const struct request *q)
{
    text_add(text, "%s", verb_names[q->verb]);
    if (q->verb == VERB_CANCEL || q->verb == VERB_APPLY)
        text_add(text, " %lld", (long long)q->run);
    else if (q->verb == VERB_LABEL)
        add_labels(text, q);
    else if (q->verb != VERB_BALANCE && q->verb != VERB_SUSPEND_BALANCE &&
             q->verb != VERB_RESUME_BALANCE)
        text_add(text, " %s", q->host ? q->host : "?");
    for (size_t i = 1; i < q->n_hosts; i++) /* the first is host, too */
        text_add(text, " %s", q->hosts[i]);
    if (q->on_blocked)
        text_add(text, " --on-blocked %s", q->on_blocked);
    if (q->mode)
        text_add(text, " --mode %s", q->mode);
    if (q->max_moves)
        text_add(text, " --max-moves %lld", (long long)q->max_moves);
    if (q->mem_bytes)
        text_add(text, " --memory %lldB", (long long)q->mem_bytes);
    if (q->vcpus)
        text_add(text, " --vcpus %lld", (long long)q->vcpus);
    if (q->vm && q->verb == VERB_BALANCE)
        text_add(text, " --vm %s", q->vm);
    if (q->forget_failures)
        text_add(text, " --forget-failures");
    add_list(text, " --to ", q->to, q->n_to);
    add_list(text, " --avoid ", q->avoid, q->n_avoid);
    add_list(text, " --allow-shutdown ", q->allow_shutdown, q->n_allow_shutdown);
    if (q->parallel)
        text_add(text, " --parallel %lld", (long long)q->parallel);
    if (q->deadline_us) {
        text_add(text, " --deadline ");
        add_time(text, q->deadline_us);
    }
    if (q->bring_home)
        text_add(text, " --bring-home");
    if (q->dry_run)
        text_add(text, " --dry-run");
    if (q->reason)
        text_add(text, " -m \"%s\"", q->reason);
}

static void add_fault(char **text, const struct deed *d)
{
    text_add(text, "fault %s %s", d->what, d->how);
    if (d->code)
        text_add(text, " code=%s", d->code);
    if (d->host)
        text_add(text, " host=%s", d->host);
    if (d->vm)
        text_add(text, " vm=%s", d->vm);
    if (d->to)
        text_add(text, " to=%s", d->to);
    if (d->n == 0)
        text_add(text, " times=all");
    else if (d->n > 1)
        text_add(text, " times=%lld", (long long)d->n);
    if (d->us) {
        text_add(text, " by=");
        add_time(text, d->us);
    }
}

static void add_cpu(char **text, const struct deed *d)
{
    if (d->us) {
        text_add(text, " wave ");
        add_time(text, d->us);
    }
    text_add(text, " %lld%%", (long long)d->n / 10000);
    if (d->us) {
        text_add(text, "..%lld%% peak ", (long long)d->m / 10000);
        add_time(text, d->every_us);
    }
}

static void add_rest(char **text, const struct deed *d)
{
    const char *host = d->host ? d->host : "all", *vm = d->vm ? d->vm : "all";
    switch ((enum deed_kind)d->kind) {
    case DEED_POLICY:
        text_add(text, "policy %s", d->policy);
        break;
    case DEED_SCHEDULER:
        text_add(text, "scheduler %s", d->what);
        if (d->n)
            text_add(text, " before %lld", (long long)d->n);
        break;
    case DEED_STORE:
        text_add(text, "store %s", d->what);
        break;
    case DEED_AGENT:
        text_add(text, "agent %s %s", host, d->what);
        break;
    case DEED_LIBVIRTD:
        text_add(text, "libvirtd %s %s", host, d->what);
        break;
    case DEED_POWER:
        text_add(text, "power %s %s", host, d->what);
        break;
    case DEED_CUT:
        text_add(text, "cut %s %s", host, d->what);
        break;
    case DEED_CEPH:
        text_add(text, "ceph %s %s", host, d->what);
        break;
    case DEED_CLOCK:
        text_add(text, "clock %s", d->us < 0 ? "-" : "+");
        add_time(text, d->us < 0 ? -d->us : d->us);
        break;
    case DEED_IMAGE:
        text_add(text, "image %s %s", vm, d->what);
        break;
    case DEED_HAND:
        text_add(text, "someone %s %s%s%s", d->what, vm, d->to ? " " : "", d->to ? d->to : "");
        break;
    case DEED_GUEST:
        text_add(text, "guest %s %s", vm, d->what);
        if (str_eq(d->what, "cpu")) {
            add_cpu(text, d);
            break;
        }
        if (str_eq(d->what, "writes") || str_eq(d->what, "bursts"))
            text_add(text, " %lld", (long long)d->n);
        if (d->m)
            text_add(text, " %lld", (long long)d->m);
        if (d->every_us) {
            text_add(text, " for ");
            add_time(text, d->us);
            text_add(text, " every ");
            add_time(text, d->every_us);
        }
        break;
    case DEED_LOOK:
        text_add(text, "look");
        break;
    case DEED_LINK:
        text_add(text, "link %s %lldMbit", host, (long long)(d->n / 1000000));
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
    text_add(&text, " ");
    if (d->kind == DEED_REQUEST)
        add_request(&text, &d->request);
    else if (d->kind == DEED_FAULT)
        add_fault(&text, d);
    else
        add_rest(&text, d);
    return text;
}
