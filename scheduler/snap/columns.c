/* What the columns of other people's tables mean, and from rows to hosts and VMs. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/snap/sheet.h"

enum column {
    COL_NONE,
    COL_HOST,
    COL_VM,
    COL_UUID,
    COL_CPUS,
    COL_MEMORY,
    COL_STATE,
    COL_ZONE,
    COL_RACK,
    COL_LINK,
    COL_FLAVOR,
    COL_LABEL,
    COLS_,
};
enum role { ROLE_VMS, ROLE_HOSTS, ROLE_FLAVORS };

struct flavor {
    char *name;
    int64_t mem_bytes, cpus;
};
struct reading {
    const struct sheet *t;
    enum role role;
    struct snap_build *b;
    int *meaning;   /* per column: enum column */
    int at[COLS_];  /* the column that says it, -1 none */
    char *mem_unit; /* of bare numbers, NULL: none */
    const struct flavor *flavors;
    size_t n_flavors;
    size_t homeless, n_vms;
    char *ignored, *first_homeless;
    struct err *e;
};

/* ---- headers ----------------------------------------------------------------------------------- */
static const struct {
    const char *word; /* lower case, letters and digits only */
    int column[3];    /* by role */
} words[] = {
    {"host", {COL_HOST, COL_HOST, 0}},
    {"hypervisor", {COL_HOST, COL_HOST, 0}},
    {"hypervisorhostname", {COL_HOST, COL_HOST, 0}},
    {"node", {COL_HOST, COL_HOST, 0}},
    {"vm", {COL_VM, COL_NONE, 0}},
    {"instance", {COL_VM, 0, 0}},
    {"domain", {COL_VM, 0, 0}},
    {"name", {COL_VM, COL_HOST, COL_FLAVOR}},
    {"uuid", {COL_UUID, 0, 0}},
    {"id", {COL_UUID, 0, 0}},
    {"cpus", {COL_CPUS, COL_CPUS, COL_CPUS}},
    {"cpu", {COL_CPUS, COL_CPUS, COL_CPUS}},
    {"vcpus", {COL_CPUS, COL_CPUS, COL_CPUS}},
    {"vcpu", {COL_CPUS, COL_CPUS, COL_CPUS}},
    {"cores", {COL_CPUS, COL_CPUS, COL_CPUS}},
    {"state", {COL_STATE, COL_STATE, 0}},
    {"status", {COL_STATE, COL_STATE, 0}},
    {"zone", {COL_ZONE, COL_ZONE, 0}},
    {"rack", {COL_RACK, COL_RACK, 0}},
    {"link", {COL_LINK, COL_LINK, 0}},
    {"flavor", {COL_FLAVOR, 0, COL_FLAVOR}},
    {"flavorname", {COL_FLAVOR, 0, COL_FLAVOR}},
};
static const char *const memory_words[] = {"maxmemory", "memory", "maxmem", "mem", "ram"};
/* Nova, Ganeti and VMware write MB and mean MiB. */
static const struct {
    const char *suffix, *unit;
} units[] = {{"", NULL},     {"bytes", "B"}, {"b", "B"},     {"kib", "KiB"}, {"kb", "KiB"},
             {"mib", "MiB"}, {"mb", "MiB"},  {"gib", "GiB"}, {"gb", "GiB"}};

static char *plain_word(const char *header)
{
    char *s = xstrdup(header), *out = s;
    for (const char *p = header; *p; p++)
        if (isalnum((unsigned char)*p))
            *out++ = (char)tolower((unsigned char)*p);
    *out = '\0';
    return s;
}

static bool is_memory(struct reading *c, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(memory_words); i++) {
        if (!str_has_prefix(word, memory_words[i]))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(units); k++) {
            if (!str_eq(word + strlen(memory_words[i]), units[k].suffix))
                continue;
            const char *unit = units[k].unit;
            if (!unit && c->role == ROLE_FLAVORS)
                unit = "MiB"; /* openstack flavor list has no other */
            free(c->mem_unit);
            c->mem_unit = xstrdup(unit);
            return true;
        }
    }
    return false;
}

static int meaning_of(struct reading *c, const char *header)
{
    if (strncasecmp(header, "label:", 6) == 0 && header[6])
        return COL_LABEL;
    cleanup(freep) char *word = plain_word(header);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(word, words[i].word))
            return words[i].column[c->role];
    /* the second of two columns for memory must not change the first one's unit */
    return c->at[COL_MEMORY] < 0 && is_memory(c, word) ? COL_MEMORY : COL_NONE;
}

static int read_header(struct reading *c)
{
    static const char *const wanted[] = {"host, vm, cpus and memory", "host, cpus and memory",
                                         "name, vcpus and ram"};
    const struct sheet *t = c->t;
    if (!t->n_rows)
        return err_set(c->e, -EBADMSG, "%s:1: nothing there; expected a header with %s", t->name,
                       wanted[c->role]);
    const struct sheet_row *h = &t->rows[0];
    c->meaning = xcalloc(h->n, sizeof(*c->meaning));
    for (int i = 0; i < COLS_; i++)
        c->at[i] = -1;
    for (size_t i = 0; i < h->n; i++) {
        int m = c->meaning[i] = meaning_of(c, h->cells[i]);
        if (m == COL_NONE) {
            text_join(&c->ignored, ", ", h->cells[i]);
        } else if (m != COL_LABEL && c->at[m] >= 0) {
            return err_set(c->e, -EBADMSG, "%s:%d: columns '%s' and '%s' say the same", t->name,
                           h->line, h->cells[c->at[m]], h->cells[i]);
        }
        c->at[m] = (int)i;
    }
    enum column key = c->role == ROLE_FLAVORS ? COL_FLAVOR : COL_HOST;
    if (c->at[key] < 0)
        return err_set(c->e, -EBADMSG, "%s:%d: no column '%s' in the header '%s%s…'; expected %s",
                       t->name, h->line, key == COL_HOST ? "host" : "name", h->cells[0],
                       h->n > 1 ? ", " : "", wanted[c->role]);
    return 0;
}

/* ---- cells ------------------------------------------------------------------------------------- */
static const char *cell(const struct reading *c, const struct sheet_row *row, enum column col)
{
    return c->at[col] < 0 ? NULL : row->cells[c->at[col]];
}

static int bad_cell(const struct reading *c, const struct sheet_row *row, enum column col,
                    const char *why)
{
    return err_set(c->e, -EBADMSG, "%s:%d: %s '%s': %s", c->t->name, row->line,
                   c->t->rows[0].cells[c->at[col]], cell(c, row, col), why);
}

static int read_memory(const struct reading *c, const struct sheet_row *row, int64_t *ret)
{
    const char *text = cell(c, row, COL_MEMORY);
    struct err e;
    if (!text)
        return 0;
    bool bare = strspn(text, "0123456789.") == strlen(text);
    if (bare && !c->mem_unit)
        return bad_cell(c, row, COL_MEMORY,
                        "no unit: write 4096MiB, or name the column memory_mib");
    cleanup(freep) char *full = xasprintf("%s%s", text, bare ? c->mem_unit : "");
    return parse_bytes(full, ret, &e) < 0 ? bad_cell(c, row, COL_MEMORY, e.msg) : 0;
}

static int read_cpus(const struct reading *c, const struct sheet_row *row, int64_t *ret)
{
    const char *text = cell(c, row, COL_CPUS);
    struct err e;
    return text && parse_int(text, 0, INT64_MAX, ret, &e) < 0 ? bad_cell(c, row, COL_CPUS, e.msg)
                                                              : 0;
}

static int read_link(const struct reading *c, const struct sheet_row *row, int64_t *ret)
{
    const char *text = cell(c, row, COL_LINK);
    struct err e;
    return text && parse_bitrate(text, ret, &e) < 0 ? bad_cell(c, row, COL_LINK, e.msg) : 0;
}

struct word {
    const char *text;
    int value;
};
static const struct word vm_words[] = {
    {"active", VM_RUNNING},      {"on", VM_RUNNING},         {"poweredon", VM_RUNNING},
    {"idle", VM_RUNNING},        {"off", VM_SHUTOFF},        {"shut", VM_SHUTOFF},
    {"stopped", VM_SHUTOFF},     {"poweredoff", VM_SHUTOFF}, {"pmsuspended", VM_SUSPENDED},
    {"inshutdown", VM_STOPPING}, {"error", VM_CRASHED},
};
static const struct word host_words[] = {
    {"enabled", HOST_UP}, {"online", HOST_UP},    {"disabled", HOST_CORDONED},
    {"down", HOST_LOST},  {"offline", HOST_LOST},
};

static int read_word(const struct reading *c, const struct sheet_row *row, bool host, int *ret)
{
    const char *text = cell(c, row, COL_STATE);
    const char *const *names = host ? host_state_names : vm_state_names;
    const struct word *more = host ? host_words : vm_words;
    size_t n = host ? ARRAY_LEN(host_state_names) : ARRAY_LEN(vm_state_names);
    size_t n_more = host ? ARRAY_LEN(host_words) : ARRAY_LEN(vm_words);
    if (!text)
        return 0;
    cleanup(freep) char *word = plain_word(text);
    for (size_t i = 0; i < n; i++)
        if (str_eq(word, names[i])) {
            *ret = (int)i;
            return 0;
        }
    for (size_t i = 0; i < n_more; i++)
        if (str_eq(word, more[i].text)) {
            *ret = more[i].value;
            return 0;
        }
    return bad_cell(c, row, COL_STATE,
                    host
                        ? "expected up, cordoned, maintenance, lost or a word for one of them"
                        : "expected running, shutoff, paused, suspended, crashed or a word for one "
                          "of them");
}

static void read_labels(const struct reading *c, const struct sheet_row *row, struct label **list,
                        size_t *n)
{
    for (size_t i = 0; i < row->n; i++) {
        if (c->meaning[i] != COL_LABEL || !row->cells[i])
            continue;
        struct label *l = vec_add(list, n);
        l->key = xstrdup(c->t->rows[0].cells[i] + strlen("label:"));
        l->value = xstrdup(row->cells[i]);
    }
}

/* ---- rows -------------------------------------------------------------------------------------- */
static int host_row(struct reading *c, const struct sheet_row *row, const char *where)
{
    struct snap_host_entry *h = snap_add_host(c->b, cell(c, row, COL_HOST), where, c->e);
    if (!h)
        return -EBADMSG;
    h->host.zone = xstrdup(cell(c, row, COL_ZONE));
    h->host.rack = xstrdup(cell(c, row, COL_RACK));
    read_labels(c, row, &h->host.labels, &h->host.n_labels);
    int r = read_memory(c, row, &h->host.mem_bytes);
    r = r < 0 ? r : read_cpus(c, row, &h->host.cpus);
    r = r < 0 ? r : read_link(c, row, &h->host.link_bps);
    r = r < 0 ? r : read_word(c, row, true, &h->state);
    h->connected = h->state != HOST_LOST;
    return r;
}

static const struct flavor *find_flavor(const struct reading *c, const char *name)
{
    for (size_t i = 0; name && i < c->n_flavors; i++)
        if (str_eq(c->flavors[i].name, name))
            return &c->flavors[i];
    return NULL;
}

static int vm_row(struct reading *c, const struct sheet_row *row, const char *where)
{
    c->n_vms++;
    if (!cell(c, row, COL_HOST)) {
        if (!c->homeless++)
            c->first_homeless = xasprintf("%s (%s)", cell(c, row, COL_VM), where);
        return 0;
    }
    struct snap_vm_entry *v =
        snap_add_vm(c->b, cell(c, row, COL_VM), cell(c, row, COL_HOST), where, c->e);
    if (!v)
        return -EBADMSG;
    const char *uuid = cell(c, row, COL_UUID);
    if (uuid && strlen(uuid) == 36) /* virsh's Id is a number that changes */
        v->vm.uuid = xstrdup(uuid);
    const struct flavor *f = find_flavor(c, cell(c, row, COL_FLAVOR));
    if (f) {
        v->vm.mem_bytes = f->mem_bytes;
        v->vm.vcpus = f->cpus;
    }
    read_labels(c, row, &v->vm.labels, &v->vm.n_labels);
    int r = read_memory(c, row, &v->vm.mem_bytes);
    r = r < 0 ? r : read_cpus(c, row, &v->vm.vcpus);
    return r < 0 ? r : read_word(c, row, false, &v->vm.state);
}

static int one_row(struct reading *c, const struct sheet_row *row)
{
    cleanup(freep) char *where = xasprintf("%s:%d", c->t->name, row->line);
    if (c->role == ROLE_VMS && cell(c, row, COL_VM))
        return vm_row(c, row, where);
    if (cell(c, row, COL_HOST))
        return host_row(c, row, where);
    return err_set(c->e, -EBADMSG, "%s: neither a host nor a VM is named", where);
}

static void reading_done(struct reading *c)
{
    free(c->meaning);
    free(c->mem_unit);
    free(c->ignored);
    free(c->first_homeless);
}

static int read_rows(struct reading *c, char **notes)
{
    int r = read_header(c);
    for (size_t i = 1; r == 0 && i < c->t->n_rows; i++)
        r = one_row(c, &c->t->rows[i]);
    if (r == 0 && c->ignored)
        note_add(notes, "%s: columns not used: %s", c->t->name, c->ignored);
    if (r == 0 && c->homeless)
        note_add(notes, "%s: %zu of %zu VMs have no host and are left out, the first: %s",
                 c->t->name, c->homeless, c->n_vms, c->first_homeless);
    return r;
}

/* ---- flavors ----------------------------------------------------------------------------------- */
struct flavors {
    struct flavor *list;
    size_t n;
};

static void flavors_done(struct flavors *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->list[i].name);
    free(f->list);
}

static int read_flavors(const struct sheet *t, struct flavors *ret, struct err *e)
{
    cleanup(reading_done) struct reading c = {.t = t, .role = ROLE_FLAVORS, .e = e};
    int r = read_header(&c);
    for (size_t i = 1; r == 0 && i < t->n_rows; i++) {
        const struct sheet_row *row = &t->rows[i];
        const char *name = cell(&c, row, COL_FLAVOR);
        struct flavor *f = vec_add(&ret->list, &ret->n);
        f->mem_bytes = f->cpus = -1;
        if (!name)
            return err_set(e, -EBADMSG, "%s:%d: a flavor without a name", t->name, row->line);
        f->name = xstrdup(name);
        r = read_memory(&c, row, &f->mem_bytes);
        r = r < 0 ? r : read_cpus(&c, row, &f->cpus);
    }
    return r;
}

/* ---- all sheets -------------------------------------------------------------------------------- */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Hosts that are named by their VMs only: they are there, how large they are is not known. */
static int add_unknown_hosts(struct snap_build *b, char **notes, struct err *e)
{
    size_t known = b->n_hosts, n = 0, added = 0;
    cleanup(freep) const char **names = xcalloc(known + b->n_vms, sizeof(*names));
    for (size_t i = 0; i < known; i++)
        names[n++] = b->hosts[i].host.name;
    if (n)
        qsort(names, n, sizeof(*names), by_text);
    cleanup(freep) const char **missing = xcalloc(b->n_vms, sizeof(*missing));
    size_t n_missing = 0;
    for (size_t i = 0; i < b->n_vms; i++) {
        const char *host = b->vms[i].host;
        if (!n || !bsearch(&host, names, n, sizeof(*names), by_text))
            missing[n_missing++] = host;
    }
    if (n_missing)
        qsort(missing, n_missing, sizeof(*missing), by_text);
    for (size_t i = 0; i < n_missing; i++) {
        if (i && str_eq(missing[i], missing[i - 1]))
            continue;
        if (!snap_add_host(b, missing[i], missing[i], e))
            return -EBADMSG;
        added++;
    }
    if (added)
        note_add(notes,
                 "%zu of %zu hosts have no row of their own: how much memory they have is not "
                 "known, so nothing will be placed there",
                 added, b->n_hosts);
    return 0;
}

typedef int (*sheet_reader)(const struct snap_source *, struct sheet *, struct err *);

/* same: what is the same for every sheet. */
static int import_one(const struct snap_source *src, enum role role, sheet_reader read,
                      const struct reading *same, char **notes)
{
    cleanup(sheet_done) struct sheet t = {0};
    cleanup(reading_done) struct reading c = *same;
    c.t = &t;
    c.role = role;
    int r = read(src, &t, c.e);
    return r < 0 ? r : read_rows(&c, notes);
}

int sheets_import(const struct snap_import *in, sheet_reader read, struct snap_build *b,
                  char **notes, struct err *e)
{
    cleanup(flavors_done) struct flavors flavors = {0};
    int r = 0;
    if (in->flavors) {
        cleanup(sheet_done) struct sheet t = {0};
        r = read(in->flavors, &t, e);
        r = r < 0 ? r : read_flavors(&t, &flavors, e);
    }
    const struct reading same = {.b = b, .flavors = flavors.list, .n_flavors = flavors.n, .e = e};
    if (r == 0 && in->hosts)
        r = import_one(in->hosts, ROLE_HOSTS, read, &same, notes);
    for (size_t i = 0; r == 0 && i < in->n_files; i++)
        r = import_one(&in->files[i], ROLE_VMS, read, &same, notes);
    return r < 0 ? r : add_unknown_hosts(b, notes, e);
}
