#include "scheduler/io/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum kind { K_STR, K_ADDR, K_DURATION, K_BOOL, K_MAP };
struct key {
    const char *name;
    enum kind kind;
    size_t off;
    const char *dflt; /* NULL: stays NULL when absent */
};
#define C(m) offsetof(struct config, m)
static const struct key top_keys[] = {
    {"listen", K_ADDR, C(listen), "[::]:7440"},
    {"socket", K_STR, C(socket), "/run/drover/api.sock"},
    {"socket_group", K_STR, C(socket_group), NULL},
    {"database", K_STR, C(database), "/var/lib/drover/drover.db"},
    {"policy", K_STR, C(policy), NULL},
    {"policy_require_clean", K_BOOL, C(policy_require_clean), "false"},
    {"cert", K_STR, C(cert), "/etc/drover/tls/cert.pem"},
    {"key", K_STR, C(key), "/etc/drover/tls/key.pem"},
    {"ca", K_STR, C(ca), "/etc/drover/tls/ca.pem"},
    {"recorder", K_STR, C(recorder), NULL},
    {"heartbeat", K_DURATION, C(heartbeat_us), "5s"},
    {"api", K_MAP, 0, NULL},
};
static const struct key api_keys[] = {
    {"listen", K_ADDR, C(api_listen), NULL},
};
#undef C

struct table {
    const char *prefix; /* "" or "api." */
    const struct key *keys;
    size_t n;
};
static const struct table top = {"", top_keys, ARRAY_LEN(top_keys)};
static const struct table api = {"api.", api_keys, ARRAY_LEN(api_keys)};

struct reader {
    const char *path;
    yaml_document_t *doc;
    struct config *c;
};

static int bad_at(const struct reader *rd, yaml_mark_t at, struct err *e, const char *text)
{
    return err_set(e, -EINVAL, "%s:%zu:%zu: %s", rd->path, at.line + 1, at.column + 1, text);
}

static int unknown_key(const struct reader *rd, const struct table *t, const yaml_node_t *node,
                       struct err *e)
{
    const char *name = (const char *)node->data.scalar.value, *names[ARRAY_LEN(top_keys)];
    for (size_t i = 0; i < t->n; i++)
        names[i] = t->keys[i].name;
    const char *near = str_did_you_mean(name, names, t->n);
    cleanup(freep) char *hint = near ? xasprintf("; did you mean '%s'?", near) : xstrdup("");
    cleanup(freep) char *text = xasprintf("unknown key '%s%s'%s", t->prefix, name, hint);
    return bad_at(rd, node->start_mark, e, text);
}

static int set_scalar(const struct reader *rd, const struct key *k, const yaml_node_t *node,
                      struct err *e)
{
    void *at = (char *)rd->c + k->off;
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0) {
        cleanup(freep) char *text = xasprintf("'%s': expected a text", k->name);
        return bad_at(rd, node->start_mark, e, text);
    }
    const char *v = (const char *)node->data.scalar.value;
    if (strlen(v) != node->data.scalar.length)
        return bad_at(rd, node->start_mark, e, "a NUL character in the text");
    if (k->kind == K_DURATION) {
        struct err why = {0};
        int64_t us;
        if (parse_duration(v, &us, &why) < 0)
            return bad_at(rd, node->start_mark, e, why.msg);
        if (us < 100 * MSEC || us > 600 * SEC)
            return bad_at(rd, node->start_mark, e, "expected 100ms to 10m");
        *(int64_t *)at = us;
        return 0;
    }
    if (k->kind == K_BOOL && !str_eq(v, "true") && !str_eq(v, "false")) {
        cleanup(freep) char *text = xasprintf("'%s': expected true or false, got '%s'", k->name, v);
        return bad_at(rd, node->start_mark, e, text);
    }
    if (k->kind == K_BOOL) {
        *(bool *)at = str_eq(v, "true");
        return 0;
    }
    if (k->kind == K_ADDR && !strrchr(v, ':')) {
        cleanup(freep) char *text = xasprintf("'%s': expected ADDRESS:PORT, got '%s'", k->name, v);
        return bad_at(rd, node->start_mark, e, text);
    }
    free(*(char **)at);
    *(char **)at = xstrdup(v);
    return 0;
}

static int read_map(const struct reader *rd, const struct table *t, const yaml_node_t *map,
                    struct err *e)
{
    bool seen[ARRAY_LEN(top_keys)] = {false};
    if (map->type != YAML_MAPPING_NODE)
        return bad_at(rd, map->start_mark, e, "expected 'key: value' lines");
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *kn = yaml_document_get_node(rd->doc, p->key);
        const yaml_node_t *vn = yaml_document_get_node(rd->doc, p->value);
        if (kn->type != YAML_SCALAR_NODE)
            return bad_at(rd, kn->start_mark, e, "expected a key");
        size_t i = 0;
        while (i < t->n && !str_eq(t->keys[i].name, (const char *)kn->data.scalar.value))
            i++;
        if (i == t->n)
            return unknown_key(rd, t, kn, e);
        if (seen[i]) {
            cleanup(freep) char *text =
                xasprintf("key '%s%s' is given twice", t->prefix, t->keys[i].name);
            return bad_at(rd, kn->start_mark, e, text);
        }
        seen[i] = true;
        /* api is the only map, so this nests one level deep */
        int r = t->keys[i].kind == K_MAP ? read_map(rd, &api, vn, e)
                                         : set_scalar(rd, &t->keys[i], vn, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static void set_defaults(struct config *c)
{
    for (size_t i = 0; i < top.n; i++) {
        void *at = (char *)c + top.keys[i].off;
        if (top.keys[i].kind == K_DURATION)
            parse_duration(top.keys[i].dflt, at, NULL);
        else if (top.keys[i].kind != K_MAP && top.keys[i].kind != K_BOOL)
            *(char **)at = xstrdup(top.keys[i].dflt);
    }
}

static int syntax_error(const char *path, const yaml_parser_t *p, struct err *e)
{
    return err_set(e, -EINVAL, "%s:%zu:%zu: not YAML: %s", path, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, p->problem ? p->problem : "unreadable");
}

int config_load(const char *path, struct config *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    size_t len = 0;
    int r = file_read(path, LIM_CONFIG_BYTES, &text, &len, e);
    if (r < 0)
        return r;
    struct config c = {0};
    set_defaults(&c);
    yaml_parser_t parser;
    yaml_document_t doc;
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &doc)) {
        r = syntax_error(path, &parser, e);
    } else {
        const struct reader rd = {path, &doc, &c};
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root) /* an empty file is all defaults */
            r = read_map(&rd, &top, root, e);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    if (r < 0) {
        config_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void config_done(struct config *c)
{
    char **const strs[] = {&c->listen, &c->socket, &c->socket_group, &c->database, &c->policy,
                           &c->cert,   &c->key,    &c->ca,           &c->recorder, &c->api_listen};
    for (size_t i = 0; i < ARRAY_LEN(strs); i++)
        free(*strs[i]);
    *c = (struct config){0};
}
