/* The text format of Ganeti's htools: groups, nodes, instances, cluster tags, policies; sections are
 * ended by an empty line, fields by |. Memory is in MiB. */
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/snap/sheet.h"

enum section { SEC_GROUPS, SEC_NODES, SEC_INSTANCES, SEC_TAGS, SEC_POLICY };
enum { FIELDS = 24 };

struct group {
    char *name, *uuid;
};
struct ganeti {
    const char *file;
    int line;
    char *fields[FIELDS]; /* of the present line; NULL beyond the last */
    size_t n;
    struct group *groups;
    size_t n_groups;
    bool assume_rbd;
    size_t local; /* instances whose disks are on their nodes, or that is not known */
    struct snap_build *b;
    struct err *e;
};

static int bad(const struct ganeti *g, size_t field, const char *what, const char *expected)
{
    return err_set(g->e, -EBADMSG, "%s:%d: %s '%s': expected %s", g->file, g->line, what,
                   g->fields[field], expected);
}

/* A line of the text, cut in place. */
static int split(struct ganeti *g, char *line, size_t least, const char *what)
{
    memset(g->fields, 0, sizeof(g->fields));
    g->n = 0;
    for (char *at = line, *next; at; at = next) {
        next = strchr(at, '|');
        if (next)
            *next++ = '\0';
        if (g->n == FIELDS)
            return err_set(g->e, -EBADMSG, "%s:%d: more than %d fields", g->file, g->line, FIELDS);
        g->fields[g->n++] = at;
    }
    return g->n >= least ? 0
                         : err_set(g->e, -EBADMSG, "%s:%d: %zu fields; %s has at least %zu",
                                   g->file, g->line, g->n, what, least);
}

/* "?": the node did not answer. */
static int number(const struct ganeti *g, size_t field, int64_t factor, const char *what,
                  int64_t *ret)
{
    struct err e;
    int64_t v;
    if (str_eq(g->fields[field], "?"))
        return 0;
    int r = parse_int(g->fields[field], 0, INT64_MAX / factor, &v, &e);
    if (r == -ERANGE)
        return err_set(g->e, -EBADMSG, "%s:%d: %s '%s': %s", g->file, g->line, what,
                       g->fields[field], e.msg);
    if (r < 0)
        return bad(g, field, what, "a whole number");
    *ret = v * factor;
    return 0;
}

/* "rack:r07" is a label rack=r07, a bare "gold" is gold=yes. */
static void tags(const char *text, struct label **list, size_t *n)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *save = NULL;
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(t, ':');
        struct label *l = vec_add(list, n);
        l->key = xasprintf("%.*s", (int)(colon ? colon - t : (ptrdiff_t)strlen(t)), t);
        l->value = xstrdup(colon ? colon + 1 : "yes");
    }
}

static int group_line(struct ganeti *g, char *line)
{
    int r = split(g, line, 2, "a group");
    if (r < 0)
        return r;
    *vec_add(&g->groups, &g->n_groups) =
        (struct group){xstrdup(g->fields[0]), xstrdup(g->fields[1])};
    return 0;
}

static int node_line(struct ganeti *g, char *line, const char *where)
{
    int r = split(g, line, 9, "a node");
    if (r < 0)
        return r;
    struct snap_host_entry *h = snap_add_host(g->b, g->fields[0], where, g->e);
    if (!h)
        return -EBADMSG;
    r = number(g, 1, MIB, "memory", &h->host.mem_bytes);
    r = r < 0 ? r : number(g, 3, MIB, "free memory", &h->host.mem_free_bytes);
    r = r < 0 ? r : number(g, 6, 1, "CPUs", &h->host.cpus);
    if (r < 0)
        return r;
    if (!*g->fields[7] || !strchr("NMY", *g->fields[7]) || g->fields[7][1])
        return bad(g, 7, "flag", "N, M or Y (offline)");
    bool offline = str_eq(g->fields[7], "Y");
    h->state = offline ? HOST_LOST : HOST_UP;
    h->connected = !offline;
    const char *group = NULL;
    for (size_t i = 0; i < g->n_groups; i++)
        if (str_eq(g->groups[i].uuid, g->fields[8]))
            group = g->groups[i].name;
    if (!group)
        return bad(g, 8, "group", "the UUID of a group above");
    if (g->n > 10)
        tags(g->fields[10], &h->host.labels, &h->host.n_labels);
    *vec_add(&h->host.labels, &h->host.n_labels) = (struct label){xstrdup("group"), xstrdup(group)};
    h->host.rack = xstrdup(label_get(h->host.labels, h->host.n_labels, "rack"));
    h->host.zone = xstrdup(label_get(h->host.labels, h->host.n_labels, "zone"));
    return 0;
}

static int status(const struct ganeti *g, int *ret)
{
    static const struct {
        const char *word;
        int state;
    } words[] = {
        {"running", VM_RUNNING},        {"ERROR_up", VM_RUNNING},
        {"ADMIN_down", VM_SHUTOFF},     {"ADMIN_offline", VM_SHUTOFF},
        {"USER_down", VM_SHUTOFF},      {"stopped", VM_SHUTOFF},
        {"ERROR_down", VM_CRASHED},     {"ERROR_wrongnode", VM_CRASHED},
        {"ERROR_nodedown", VM_CRASHED}, {"ERROR_nodeoffline", VM_CRASHED},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(g->fields[4], words[i].word)) {
            *ret = words[i].state;
            return 0;
        }
    return bad(g, 4, "status", "running, ADMIN_down, ERROR_down or another of Ganeti's words");
}

static void disk(struct ganeti *g, struct vm *v)
{
    const char *template = g->fields[8];
    if (!*template || str_eq(template, "diskless"))
        return;
    struct disk *d = vec_add(&v->disks, &v->n_disks);
    bool rbd = g->assume_rbd || str_eq(template, "rbd");
    shape_init(&disk_shape, d);
    d->target = xstrdup("disk0");
    d->kind = rbd                            ? DISK_RBD
              : str_eq(template, "ext")      ? DISK_NETWORK
              : str_eq(template, "blockdev") ? DISK_BLOCK
                                             : DISK_FILE;
    d->path = rbd ? NULL : xasprintf("template %s", template);
    g->local += !rbd;
}

static int instance_line(struct ganeti *g, char *line, const char *where)
{
    int r = split(g, line, 9, "an instance");
    if (r < 0)
        return r;
    struct snap_vm_entry *v = snap_add_vm(g->b, g->fields[0], g->fields[6], where, g->e);
    if (!v)
        return -EBADMSG;
    r = number(g, 1, MIB, "memory", &v->vm.mem_bytes);
    r = r < 0 ? r : number(g, 3, 1, "vCPUs", &v->vm.vcpus);
    r = r < 0 ? r : status(g, &v->vm.state);
    if (r < 0)
        return r;
    disk(g, &v->vm);
    if (g->n > 9)
        tags(g->fields[9], &v->vm.labels, &v->vm.n_labels);
    return 0;
}

static int one_line(struct ganeti *g, int section, char *line)
{
    cleanup(freep) char *where = xasprintf("%s:%d", g->file, g->line);
    switch (section) {
    case SEC_GROUPS:
        return group_line(g, line);
    case SEC_NODES:
        return node_line(g, line, where);
    case SEC_INSTANCES:
        return instance_line(g, line, where);
    case SEC_TAGS:
    case SEC_POLICY:
        return 0; /* htools' own options: no facts about the fleet */
    default:
        return err_set(g->e, -EBADMSG, "%s: text after the fifth section", where);
    }
}

static void ganeti_done(struct ganeti *g)
{
    for (size_t i = 0; i < g->n_groups; i++) {
        free(g->groups[i].name);
        free(g->groups[i].uuid);
    }
    free(g->groups);
}

int ganeti_import(const struct snap_source *src, bool assume_rbd, struct snap_build *b,
                  char **notes, struct err *e)
{
    cleanup(ganeti_done) struct ganeti g = {
        .file = src->name, .assume_rbd = assume_rbd, .b = b, .e = e};
    cleanup(freep) char *text = xstrdup(src->text);
    int section = SEC_GROUPS, r = 0;
    for (char *line = text, *next; r == 0 && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        g.line++;
        line[strcspn(line, "\r")] = '\0';
        if (*line)
            r = one_line(&g, section, line);
        else
            section++;
    }
    if (r == 0 && !b->n_hosts)
        r = err_set(e, -EBADMSG,
                    "%s: no nodes; expected htools' text format: groups, an empty line, "
                    "nodes, an empty line, instances",
                    src->name);
    if (r == 0 && g.local)
        note_add(notes,
                 "%s: %zu of %zu instances have disks that are not RBD and cannot move; "
                 "--assume-rbd plans as if all were",
                 src->name, g.local, b->n_vms);
    return r;
}
