#include "agent/io/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/addr.h"

enum kind { K_STR, K_DURATION, K_BYTES, K_BITRATE, K_ADDRS, K_LABELS, K_MAP };
struct key {
    const char *name;
    enum kind kind;
    size_t off;
    const char *dflt; /* NULL: absent stays zero */
    const struct key *sub;
    size_t n_sub;
    int64_t min, max; /* K_DURATION */
};
#define C(m) offsetof(struct config, m)
static const struct key migration_keys[] = {
    {.name = "address", .kind = K_STR, .off = C(migrate_address)},
    {.name = "uri", .kind = K_STR, .off = C(migrate_uri)},
    {.name = "link", .kind = K_BITRATE, .off = C(link_bps)},
};
static const struct key ceph_keys[] = {
    {.name = "conf", .kind = K_STR, .off = C(ceph_conf), .dflt = "/etc/ceph/ceph.conf"},
    /* at most what leaves an answer within the 30 s that a command may take */
    {.name = "timeout", .kind = K_DURATION, .off = C(ceph_timeout_us), .dflt = "10s", .min = SEC,
     .max = 18 * SEC},
};
static const struct key load_keys[] = {
    {.name = "period", .kind = K_DURATION, .off = C(load_period_us), .dflt = "5s", .min = SEC,
     .max = 30 * SEC},
    {.name = "cgroup", .kind = K_STR, .off = C(load_cgroup)},
    {.name = "interface", .kind = K_STR, .off = C(load_interface)},
};
static const struct key top_keys[] = {
    {.name = "scheduler", .kind = K_ADDRS},
    {.name = "cert", .kind = K_STR, .off = C(cert), .dflt = "/etc/drover/tls/cert.pem"},
    {.name = "key", .kind = K_STR, .off = C(key), .dflt = "/etc/drover/tls/key.pem"},
    {.name = "ca", .kind = K_STR, .off = C(ca), .dflt = "/etc/drover/tls/ca.pem"},
    {.name = "libvirt", .kind = K_STR, .off = C(libvirt), .dflt = "qemu:///system"},
    {.name = "migration", .kind = K_MAP, .sub = migration_keys, .n_sub = ARRAY_LEN(migration_keys)},
    {.name = "labels", .kind = K_LABELS},
    {.name = "zone", .kind = K_STR, .off = C(zone)},
    {.name = "rack", .kind = K_STR, .off = C(rack)},
    {.name = "ceph", .kind = K_MAP, .sub = ceph_keys, .n_sub = ARRAY_LEN(ceph_keys)},
    {.name = "load", .kind = K_MAP, .sub = load_keys, .n_sub = ARRAY_LEN(load_keys)},
    {.name = "resync", .kind = K_DURATION, .off = C(resync_us), .dflt = "60s", .min = SEC,
     .max = 86400 * SEC},
    {.name = "memory", .kind = K_BYTES, .off = C(mem_bytes)},
    {.name = "state", .kind = K_STR, .off = C(state), .dflt = "/run/drover-agent"},
};
#undef C

struct reader {
    const char *path;
    yaml_document_t *doc;
    struct config *c;
};

static int bad_at(const struct reader *rd, const yaml_node_t *n, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int bad_at(const struct reader *rd, const yaml_node_t *n, struct err *e, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(e, -EINVAL, "%s:%zu:%zu: %s", rd->path, n->start_mark.line + 1,
                   n->start_mark.column + 1, text);
}

/* The text of a scalar, or NULL with *e set. */
static const char *scalar(const struct reader *rd, const char *key, const yaml_node_t *n,
                          struct err *e)
{
    const char *v = n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
    if (!v || n->data.scalar.length == 0 || strlen(v) != n->data.scalar.length) {
        bad_at(rd, n, e, "'%s': expected a text", key);
        return NULL;
    }
    return v;
}

static int add_address(const struct reader *rd, const yaml_node_t *n, struct err *e)
{
    const char *v = scalar(rd, "scheduler", n, e);
    struct err why = {0};
    struct addr a;
    if (!v)
        return -EINVAL;
    if (addr_parse(v, 0, &a, &why) < 0)
        return bad_at(rd, n, e, "'scheduler': %s", why.msg);
    *vec_add(&rd->c->schedulers, &rd->c->n_schedulers) = xstrdup(v);
    return 0;
}

static int read_addresses(const struct reader *rd, const yaml_node_t *n, struct err *e)
{
    if (n->type != YAML_SEQUENCE_NODE)
        return add_address(rd, n, e);
    int r = 0;
    for (yaml_node_item_t *i = n->data.sequence.items.start;
         i < n->data.sequence.items.top && r == 0; i++)
        r = add_address(rd, yaml_document_get_node(rd->doc, *i), e);
    return r;
}

static int read_labels(const struct reader *rd, const yaml_node_t *n, struct err *e)
{
    if (n->type != YAML_MAPPING_NODE)
        return bad_at(rd, n, e, "'labels': expected {KEY: VALUE, ...}");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const char *k = scalar(rd, "labels", yaml_document_get_node(rd->doc, p->key), e);
        const char *v = k ? scalar(rd, k, yaml_document_get_node(rd->doc, p->value), e) : NULL;
        if (!v)
            return -EINVAL;
        struct label *l = vec_add(&rd->c->labels, &rd->c->n_labels);
        l->key = xstrdup(k);
        l->value = xstrdup(v);
    }
    return 0;
}

static int read_scalar(const struct reader *rd, const struct key *k, const yaml_node_t *n,
                       struct err *e)
{
    const char *v = scalar(rd, k->name, n, e);
    void *at = (char *)rd->c + k->off;
    struct err why = {0};
    int64_t number = 0;
    int r = 0;
    if (!v)
        return -EINVAL;
    if (k->kind == K_STR) {
        free(*(char **)at);
        *(char **)at = xstrdup(v);
        return 0;
    }
    if (k->kind == K_DURATION)
        r = parse_duration(v, &number, &why);
    else if (k->kind == K_BYTES)
        r = parse_bytes(v, &number, &why);
    else
        r = parse_bitrate(v, &number, &why);
    if (r < 0)
        return bad_at(rd, n, e, "'%s': %s", k->name, why.msg);
    if (k->kind == K_DURATION && (number < k->min || number > k->max)) {
        char lo[FMT_BYTES], hi[FMT_BYTES];
        return bad_at(rd, n, e, "'%s': expected %s to %s", k->name, fmt_duration(lo, k->min),
                      fmt_duration(hi, k->max));
    }
    *(int64_t *)at = number;
    return 0;
}

static int read_map(const struct reader *rd, const struct key *keys, size_t n_keys,
                    const yaml_node_t *map, struct err *e);

static int read_value(const struct reader *rd, const struct key *k, const yaml_node_t *n,
                      struct err *e)
{
    switch (k->kind) {
    case K_ADDRS:
        return read_addresses(rd, n, e);
    case K_LABELS:
        return read_labels(rd, n, e);
    case K_MAP:
        return read_map(rd, k->sub, k->n_sub, n, e);
    case K_STR:
    case K_DURATION:
    case K_BYTES:
    case K_BITRATE:
        break;
    }
    return read_scalar(rd, k, n, e);
}

static int unknown_key(const struct reader *rd, const struct key *keys, size_t n_keys,
                       const yaml_node_t *n, struct err *e)
{
    const char *names[ARRAY_LEN(top_keys)], *name = (const char *)n->data.scalar.value;
    for (size_t i = 0; i < n_keys; i++)
        names[i] = keys[i].name;
    const char *near = str_did_you_mean(name, names, n_keys);
    return near ? bad_at(rd, n, e, "unknown key '%s'; did you mean '%s'?", name, near)
                : bad_at(rd, n, e, "unknown key '%s'", name);
}

static int read_map(const struct reader *rd, const struct key *keys, size_t n_keys,
                    const yaml_node_t *map, struct err *e)
{
    bool seen[ARRAY_LEN(top_keys)] = {false};
    if (map->type != YAML_MAPPING_NODE)
        return bad_at(rd, map, e, "expected 'key: value' lines");
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *kn = yaml_document_get_node(rd->doc, p->key);
        size_t i = 0;
        if (kn->type != YAML_SCALAR_NODE)
            return bad_at(rd, kn, e, "expected a key");
        while (i < n_keys && !str_eq(keys[i].name, (const char *)kn->data.scalar.value))
            i++;
        if (i == n_keys)
            return unknown_key(rd, keys, n_keys, kn, e);
        if (seen[i])
            return bad_at(rd, kn, e, "key '%s' is given twice", keys[i].name);
        seen[i] = true;
        int r = read_value(rd, &keys[i], yaml_document_get_node(rd->doc, p->value), e);
        if (r < 0)
            return r;
    }
    return 0;
}

static void set_defaults(struct config *c, const struct key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *at = (char *)c + keys[i].off;
        if (keys[i].kind == K_MAP)
            set_defaults(c, keys[i].sub, keys[i].n_sub);
        else if (keys[i].dflt && keys[i].kind == K_STR)
            *(char **)at = xstrdup(keys[i].dflt);
        else if (keys[i].dflt && keys[i].kind == K_DURATION)
            parse_duration(keys[i].dflt, at, NULL);
    }
    c->link_bps = -1;
}

static int read_document(const char *path, const char *text, size_t len, struct config *c,
                         struct err *e)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &doc)) {
        err_set(e, -EINVAL, "%s:%zu:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                parser.problem_mark.column + 1, parser.problem ? parser.problem : "unreadable");
        yaml_parser_delete(&parser);
        return -EINVAL;
    }
    const struct reader rd = {path, &doc, c};
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    int r = root ? read_map(&rd, top_keys, ARRAY_LEN(top_keys), root, e)
                 : err_set(e, -EINVAL, "%s: it is empty; 'scheduler: HOST:PORT' is needed", path);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return r;
}

int config_load(const char *path, struct config *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    size_t len = 0;
    int r = file_read(path, LIM_CONFIG_BYTES, &text, &len, e);
    if (r < 0)
        return r;
    struct config c = {0};
    set_defaults(&c, top_keys, ARRAY_LEN(top_keys));
    r = read_document(path, text, len, &c, e);
    if (r == 0 && c.n_schedulers == 0)
        r = err_set(e, -EINVAL, "%s: 'scheduler: HOST:PORT' is missing", path);
    if (r < 0) {
        config_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < c->n_schedulers; i++)
        free(c->schedulers[i]);
    free(c->schedulers);
    for (size_t i = 0; i < c->n_labels; i++)
        shape_done(&label_shape, &c->labels[i]);
    free(c->labels);
    char *strings[] = {c->cert, c->key,  c->ca,   c->libvirt,   c->migrate_address,
                       c->migrate_uri, c->zone, c->rack, c->ceph_conf, c->state,
                       c->load_cgroup, c->load_interface};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        free(strings[i]);
    *c = (struct config){0};
}
