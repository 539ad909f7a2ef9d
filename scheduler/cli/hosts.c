/* drover hosts, drover vms. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/list.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/snapshot.h"

static void agent_cell(struct table *t, const struct host_view *h)
{
    if (!h->connected)
        table_text(t, C_BAD, "gone");
    else if (!h->libvirt_up)
        table_text(t, C_BAD, "no libvirt");
    else
        table_text(t, C_NONE, "ok");
}

static void host_row(struct table *t, const struct host_view *h, int64_t now)
{
    char a[FMT_BYTES], b[TIME_BYTES];
    cleanup(freep) char *labels = list_labels(h->labels, h->n_labels);
    table_text(t, C_NONE, h->name);
    table_text(t, host_colour(h->state), host_state_names[h->state]);
    agent_cell(t, h);
    table_fmt(t, C_NONE, "%lld", (long long)h->running);
    table_key(t, h->running);
    table_int(t, h->vms);
    flow_cell(t, h->moving_in, h->moving_out);
    flow_cell(t, h->queued_in, h->queued_out);
    table_bytes(t, h->mem_bytes);
    table_bytes(t, h->mem_free_bytes);
    table_text(t, C_NONE, h->mem_reserved_bytes ? fmt_bytes(a, h->mem_reserved_bytes) : "-");
    table_key(t, h->mem_reserved_bytes);
    table_text(t, C_NONE, time_ago(b, h->since_wall_us, now));
    table_key(t, h->since_wall_us);
    table_text(t, C_NONE, h->reason);
    table_int(t, h->cpus);
    table_int(t, h->vcpus);
    table_text(t, C_NONE, fmt_bitrate(a, h->link_bps));
    table_key(t, h->link_bps);
    load_cell(t, h->cpu.now_mcpu, h->cpus);
    load_cell(t, h->cpu.m5_mcpu, h->cpus);
    load_cell(t, h->cpu.p95_mcpu, h->cpus);
    table_text(t, C_NONE, h->zone);
    table_text(t, C_NONE, h->rack);
    table_text(t, C_NONE, time_ago(b, h->seen_wall_us, now));
    table_text(t, C_NONE, h->actor);
    if (h->run)
        table_fmt(t, C_NONE, "run/%lld", (long long)h->run);
    else
        table_text(t, C_NONE, NULL);
    table_text(t, C_NONE, labels);
}

static int hosts_table(struct cli *c, const struct hosts_view *v)
{
    static const struct column cols[] = {
        {"HOST", false, false},    {"STATE", false, false}, {"AGENT", false, false},
        {"RUNNING", false, true},  {"VMS", false, true},    {"MOVING", false, false},
        {"QUEUED", false, false},  {"MEMORY", false, true}, {"FREE", false, true},
        {"RESERVED", false, true}, {"SINCE", false, true},  {"REASON", false, false},
        {"CPUS", true, true},      {"VCPUS", true, true},   {"LINK", true, true},
        {"CPU", true, true},       {"CPU-5M", true, true},  {"CPU-P95", true, true},
        {"ZONE", true, false},     {"RACK", true, false},   {"SEEN", true, true},
        {"BY", true, false},       {"RUN", true, false},    {"LABELS", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < v->n_hosts; i++)
        if (c->format == OUT_NAME)
            text_line(c->out, "host/%s", v->hosts[i].name);
        else
            host_row(&t, &v->hosts[i], v->wall_us);
    int code = c->format == OUT_NAME ? X_DONE : table_print(c, &t);
    if (!v->n_hosts)
        cli_note(c, "no host is known yet: a host appears when its drover-agent connects");
    table_done(&t);
    return code;
}

/* GET a list and narrow it to the words of the command line. 0, or an exit code. */
static int fetch(struct cli *c, const char *path, const char *list, const char *const *keys,
                 char **words, size_t n, json_t **ret)
{
    struct err e;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_get(cl, path, ret, &e) < 0)
        return cli_fail(c, &e);
    return list_filter(c, *ret, list, keys, words, n) ? X_DONE : X_DENIED;
}

int cmd_hosts(struct cli *c, int argc, char **argv)
{
    static const char *const keys[] = {"name", NULL};
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    for (int i = optind; i < argc; i++)
        if (!(argv[i] = (char *)(uintptr_t)name_host(c, argv[i])))
            return X_USAGE;
    cleanup(json_decrefp) json_t *j = NULL;
    struct hosts_view v;
    struct err e;
    int code = fetch(c, "/v1/hosts", "hosts", keys, argv + optind, (size_t)(argc - optind), &j);
    if (code)
        return code;
    if (out_is_data(c)) {
        out_data(c, j, "hosts");
        return X_DONE;
    }
    if (client_understand(j, &hosts_view_shape, &v, &e) < 0)
        return cli_fail(c, &e);
    code = hosts_table(c, &v);
    shape_done(&hosts_view_shape, &v);
    return code;
}

/* ---- VMs -------------------------------------------------------------------------------------- */
static void vm_row(struct table *t, const struct vm_view *m, int64_t now)
{
    char b[TIME_BYTES];
    cleanup(freep) char *labels = list_labels(m->labels, m->n_labels);
    bool moving = m->move && !m->movable && m->blocker.code == R_VM_BUSY; /* by that move of ours */
    cleanup(freep) char *why = m->movable || moving ? NULL : reason_line(&m->blocker);
    table_text(t, C_NONE, m->name);
    table_text(t, C_NONE, m->host);
    if (m->unreachable) /* the last thing heard, not what is */
        table_fmt(t, C_WARN, "%s?", vm_state_names[m->state]);
    else
        table_text(t, m->state == VM_RUNNING ? C_NONE : C_WARN, vm_state_names[m->state]);
    table_bytes(t, m->mem_bytes);
    table_int(t, m->vcpus);
    if (m->move && m->moving_to)
        table_fmt(t, m->queued ? C_NONE : C_GOOD, "%s→ %s", m->queued ? "queued " : "",
                  m->moving_to);
    else
        table_text(t, C_NONE, m->run ? "queued" : NULL);
    table_text(t, m->movable || moving ? C_NONE : C_WARN,
               m->movable  ? "yes"
               : !moving   ? "no"
               : m->queued ? "queued"
                           : "moving");
    table_text(t, C_NONE, why);
    if (m->dirty_Bps >= 0)
        table_fmt(t, C_NONE, "%s/s", fmt_bytes(b, m->dirty_Bps));
    else
        table_text(t, C_NONE, NULL);
    load_cell(t, m->cpu.now_mcpu, 0);
    load_cell(t, m->cpu.m5_mcpu, 0);
    load_cell(t, m->cpu.p95_mcpu, 0);
    rate_cell(t, m->read_Bps, m->write_Bps);
    rate_cell(t, m->rx_Bps, m->tx_Bps);
    table_text(t, C_NONE, m->uuid);
    table_text(t, C_NONE, m->persistent ? "yes" : "no");
    if (m->run)
        table_fmt(t, C_NONE, "run/%lld", (long long)m->run);
    else
        table_text(t, C_NONE, NULL);
    table_text(t, C_NONE, time_ago(b, m->since_wall_us, now));
    table_key(t, m->since_wall_us);
    table_text(t, C_NONE, labels);
}

static int vms_table(struct cli *c, const struct vms_view *v)
{
    static const struct column cols[] = {
        {"VM", false, false},        {"HOST", false, false}, {"STATE", false, false},
        {"MEMORY", false, true},     {"VCPUS", false, true}, {"MOVING", false, false},
        {"MOVABLE", false, false},   {"WHY", false, false},  {"DIRTY", true, true},
        {"CPU", true, true},         {"CPU-5M", true, true}, {"CPU-P95", true, true},
        {"DISK", true, true},        {"NET", true, true},    {"UUID", true, false},
        {"PERSISTENT", true, false}, {"RUN", true, false},   {"HERE", true, true},
        {"LABELS", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < v->n_vms; i++)
        if (c->format == OUT_NAME)
            text_line(c->out, "vm/%s", v->vms[i].name);
        else
            vm_row(&t, &v->vms[i], v->wall_us);
    int code = c->format == OUT_NAME ? X_DONE : table_print(c, &t);
    table_done(&t);
    return code;
}

int cmd_vms(struct cli *c, int argc, char **argv)
{
    enum { O_HOST = 256 };
    static const struct option own[] = {{"host", required_argument, NULL, O_HOST}, {0}};
    static const char *const keys[] = {"name", "uuid", NULL};
    char *host = NULL;
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;)
        if (o != O_HOST)
            return opt_exit(o);
        else if (!(host = (char *)(uintptr_t)name_host(c, optarg)))
            return X_USAGE;
    for (int i = optind; i < argc; i++)
        if (!(argv[i] = (char *)(uintptr_t)name_vm(c, argv[i])))
            return X_USAGE;
    cleanup(json_decrefp) json_t *hosts = NULL;
    cleanup(json_decrefp) json_t *j = NULL;
    struct vms_view v;
    struct err e;
    int code = host ? fetch(c, "/v1/hosts", "hosts", keys, &host, 1, &hosts) : X_DONE;
    if (code)
        return code;
    code = fetch(c, "/v1/vms", "vms", keys, argv + optind, (size_t)(argc - optind), &j);
    if (code)
        return code;
    if (host) { /* an empty host is an empty list, no error */
        json_t *kept = json_array(), *item;
        size_t i;
        json_array_foreach(json_object_get(j, "vms"), i,
                           item) if (str_eq(json_string_value(json_object_get(item, "host")), host))
            json_array_append(kept, item);
        json_object_set_new(j, "vms", kept);
    }
    if (out_is_data(c)) {
        out_data(c, j, "vms");
        return X_DONE;
    }
    if (client_understand(j, &vms_view_shape, &v, &e) < 0)
        return cli_fail(c, &e);
    code = vms_table(c, &v);
    shape_done(&vms_view_shape, &v);
    return code;
}
