/* drover explain VM. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/core.h"

static void vm_head(struct cli *c, const struct vm_view *m)
{
    char a[FMT_BYTES];
    text_line(c->out, "vm/%s  %s on host/%s%s  %s  %s  %s", m->name, vm_state_names[m->state],
              m->host, m->unreachable ? " (last known: its agent is not connected)" : "",
              fmt_bytes(a, m->mem_bytes), text_count(m->vcpus, "vCPU", "vCPUs"), m->uuid);
    if (m->run && m->moving_to)
        text_line(c->out, "moving to %s in run/%lld", m->moving_to, (long long)m->run);
    else if (m->run)
        text_line(c->out, "queued in run/%lld", (long long)m->run);
    if (m->movable) {
        text_line(c->out, "can move live");
        return;
    }
    cleanup(freep) char *why = reason_words(&m->blocker);
    text_line(c->out, "cannot move live: %s%s%s", why, m->blocker.cure ? "; way out: " : "",
              m->blocker.cure ? m->blocker.cure : "");
}

/* Hosts that say the same as the i-th; marks them. */
static size_t gather(const struct explain_view *v, const struct reason *named, size_t i, bool *done,
                     const struct reason **ret)
{
    const struct explain_host *h = &v->hosts[i];
    size_t n = 0;
    for (size_t k = i; k < v->n_hosts; k++) {
        const struct explain_host *o = &v->hosts[k];
        bool both = !h->here && !h->allowed && !o->here && !o->allowed;
        if (done[k] || (k != i && !(both && reason_same(&named[i], &named[k]))))
            continue;
        done[k] = true;
        ret[n++] = &named[k];
    }
    qsort(ret, n, sizeof(*ret), reason_most_first);
    return n;
}

static int hosts_table(struct cli *c, const struct explain_view *v)
{
    static const struct column cols[] = {{"HOST", false, false},
                                         {"ANSWER", false, false},
                                         {"WHY", false, false},
                                         {"WAY OUT", false, false}};
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    cleanup(freep) bool *done = xcalloc(v->n_hosts, sizeof(*done));
    cleanup(freep) const struct reason **group = xcalloc(v->n_hosts, sizeof(*group));
    cleanup(freep) struct reason *named = xcalloc(v->n_hosts, sizeof(*named)); /* borrow all */
    for (size_t i = 0; i < v->n_hosts; i++) {
        named[i] = v->hosts[i].reason;
        named[i].host = v->hosts[i].host;
    }
    for (size_t i = 0; i < v->n_hosts; i++) {
        const struct explain_host *h = &v->hosts[i];
        if (done[i])
            continue;
        group[0] = &named[i];
        size_t n = c->format == OUT_WIDE ? 1 : gather(v, named, i, done, group);
        bool no = !h->here && !h->allowed;
        cleanup(freep) char *hosts = no ? reasons_hosts(group, n) : xstrdup(h->host);
        cleanup(freep) char *why = no ? reasons_text(group, n) : NULL;
        table_text(&t, C_NONE, hosts);
        table_text(&t,
                   no        ? C_WARN
                   : h->here ? C_NONE
                             : C_GOOD,
                   no        ? "no"
                   : h->here ? "here"
                             : "yes");
        table_text(&t, C_NONE, why);
        table_text(&t, C_NONE, no && n == 1 && !h->reason.more ? h->reason.cure : NULL);
    }
    int code = table_print(c, &t);
    table_done(&t);
    return code;
}

/* Of a balance run: what it was good for, and who else was asked. */
static void gain(struct cli *c, const struct move *m)
{
    cleanup(freep) char *words = gain_words(&m->gain);
    char a[FMT_BYTES], *s = NULL;
    if (!words)
        return;
    text_add(&s, "gain: %s", words);
    if (m->bytes > 0)
        text_add(&s, "; cost: %s sent", fmt_bytes(a, m->bytes));
    if (m->downtime_us >= 0)
        text_add(&s, ", paused %s", fmt_duration(a, m->downtime_us));
    for (size_t i = 0; i < m->n_refused; i++)
        text_add(&s, "%s%s: %s", i ? ", " : "; not to ",
                 text_count(m->refused[i].n, "host", "hosts"),
                 reason_texts[reason_from_token(m->refused[i].code)]);
    text_line(c->out, "    %s", s);
    free(s);
}

static void history(struct cli *c, const struct explain_view *v)
{
    char at[TIME_BYTES];
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        if (i == 0)
            fputs("\nlast moves:\n", c->out);
        text_line(c->out, "  %s  run/%lld  %s → %s  %s%s%s", time_date(at, m->queued_wall_us),
                  (long long)m->run, m->from, m->to, move_word(m),
                  m->error ? ": "
                  : m->why ? ", because: "
                           : "",
                  m->error ? m->error
                  : m->why ? m->why
                           : "");
        gain(c, m);
    }
}

/* Where no host is allowed: why that is so, and what would change it. */
static void ways(struct cli *c, const struct explain_view *v)
{
    const int pad = (int)strlen("ways out:");
    if (v->n_ways || v->n_shortages)
        fputc('\n', c->out);
    for (size_t i = 0; i < v->n_shortages; i++)
        text_line(c->out, "  %-*s  %s", pad, i ? "" : "proven:", v->shortages[i].text);
    ways_all_print(c->out, v->ways, v->n_ways, pad);
}

static int print(struct cli *c, const struct explain_view *v, const json_t *j)
{
    if (out_is_data(c)) {
        out_data(c, j, NULL);
        return X_DONE;
    }
    if (c->format == OUT_NAME) {
        text_line(c->out, "vm/%s", v->vm.name);
        return X_DONE;
    }
    vm_head(c, &v->vm);
    int code = hosts_table(c, v);
    ways(c, v);
    left_out_print(c->out, v->left_out, v->n_left_out, 0);
    history(c, v);
    return code;
}

static int online(struct cli *c, const char *vm)
{
    cleanup(freep) char *word = client_escape(vm), *path = xasprintf("/v1/explain?vm=%s", word);
    cleanup(json_decrefp) json_t *j = NULL;
    struct explain_view v;
    struct err e;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_view(cl, path, &explain_view_shape, &v, &j, &e) < 0)
        return cli_fail(c, &e);
    int code = print(c, &v, j);
    shape_done(&explain_view_shape, &v);
    return code;
}

static int from_file(struct cli *c, const char *vm, const struct offline_opts *opts)
{
    struct offline o;
    struct explain_view v;
    struct err e;
    int code = offline_open(c, opts, &o);
    if (code)
        return code;
    if (snapshot_explain(&o.fleet.s, &o.policy, vm, &v, &e) < 0) {
        code = cli_fail(c, &e);
    } else {
        cleanup(json_decrefp) json_t *j = json_pack("{s:s}", "schema", "drover.explain/1");
        cleanup(json_decrefp) json_t *body = codec_encode_public(&explain_view_shape, &v);
        json_object_update(j, body);
        code = print(c, &v, j);
        offline_note(c, &o);
        shape_done(&explain_view_shape, &v);
    }
    offline_done(&o);
    return code;
}

int cmd_explain(struct cli *c, int argc, char **argv)
{
    enum { O_SNAPSHOT = 256, O_POLICY };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {0}};
    struct offline_opts opts = {0};
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        *(o == O_SNAPSHOT ? &opts.snapshot : &opts.policy) = optarg;
    }
    if (!opt_words(c, argc, argv, 1, 1, "a VM"))
        return X_USAGE;
    const char *vm = name_vm(c, argv[optind]);
    if (!vm)
        return X_USAGE;
    return opts.snapshot || opts.policy ? from_file(c, vm, &opts) : online(c, vm);
}
