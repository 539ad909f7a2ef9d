#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"
#include "policy/rules/rules.h"

static int read_names(const struct reading *r, const struct ynode *n, const char *path,
                      struct selector *ret)
{
    static const char expected[] = "a list of names or patterns such as [\"db-*\"]";
    if (n->kind != Y_SEQ || n->n_items == 0)
        return fail_value(r, n, path, expected);
    for (size_t i = 0; i < n->n_items; i++) {
        const struct ynode *item = &n->items[i];
        if (item->kind != Y_SCALAR || !item->text[0] || strlen(item->text) > LIM_NAME_BYTES)
            return fail_value(r, item, path, "a name or pattern such as \"db-*\"");
        *vec_add(&ret->names, &ret->n_names) = xstrdup(item->text);
    }
    return 0;
}

static int read_labels(const struct reading *r, const struct ynode *n, const char *path,
                       struct selector *ret)
{
    if (n->kind != Y_MAP || n->n_items == 0)
        return fail_value(r, n, path, "labels such as {app: db}");
    for (size_t i = 0; i < n->n_items; i++) {
        const struct ynode *item = &n->items[i];
        if (item->kind != Y_SCALAR || (!item->text[0] && !item->quoted))
            return fail_value(r, item, path, "a text as the label's value");
        struct label *label = vec_add(&ret->labels, &ret->n_labels);
        label->key = xstrdup(item->key);
        label->value = xstrdup(item->text);
    }
    return 0;
}

static int read_selector(const struct reading *r, const struct ynode *n, const char *path,
                         struct selector *ret)
{
    static const char *const candidates[] = {"names", "labels"};
    if (n->kind != Y_MAP || n->n_items == 0)
        return fail_value(r, n, path, "a selection such as {names: [db-*]} or {labels: {app: db}}");
    for (size_t i = 0; i < n->n_items; i++) {
        const struct ynode *m = &n->items[i];
        cleanup(freep) char *sub = xasprintf("%s.%s", path, m->key);
        int rc;
        if (str_eq(m->key, "names"))
            rc = read_names(r, m, sub, ret);
        else if (str_eq(m->key, "labels"))
            rc = read_labels(r, m, sub, ret);
        else
            rc = fail_unknown(r, m, path, candidates, ARRAY_LEN(candidates));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fail_missing(const struct reading *r, const struct ynode *n, const char *path,
                        const char *missing)
{
    return err_set(r->e, -EBADMSG, "%s:%d:%d: %s: '%s' is missing", r->file, n->line, n->col, path,
                   missing);
}

static int body_member(const struct reading *r, const struct rule_def *def, const struct ynode *m,
                       const char *path, struct rule *rule)
{
    const char *candidates[5] = {"vms"};
    size_t n = 1;
    if (def->hosts_allowed)
        candidates[n++] = "hosts";
    if (def->across_allowed)
        candidates[n++] = "across";
    if (def->max_required)
        candidates[n++] = "max";
    if (def->min_required)
        candidates[n++] = "min";
    cleanup(freep) char *sub = xasprintf("%s.%s", path, m->key);
    if (str_eq(m->key, "vms"))
        return read_selector(r, m, sub, &rule->vms);
    if (str_eq(m->key, "hosts") && def->hosts_allowed)
        return read_selector(r, m, sub, &rule->hosts);
    if (str_eq(m->key, "across") && def->across_allowed)
        return value_enum(r, m, sub, domain_level_names, ARRAY_LEN(domain_level_names),
                          &rule->across);
    if (str_eq(m->key, "max") && def->max_required)
        return value_int(r, m, sub, 0, LIM_VMS_PER_HOST, &rule->max);
    if (str_eq(m->key, "min") && def->min_required)
        return value_int(r, m, sub, 2, LIM_SPREAD, &rule->min);
    return fail_unknown(r, m, path, candidates, n);
}

/* {vms: ..., hosts: ..., across: ..., max: ..., min: ...}, as the kind allows. */
static int read_body(const struct reading *r, const struct ynode *n, struct rule *rule)
{
    const struct rule_def *def = rule_defs[rule->kind];
    const char *kind = rule_kind_names[rule->kind];
    if (n->kind != Y_MAP)
        return fail_value(r, n, kind,
                          def->hosts_required
                              ? "a mapping such as {vms: {names: [db-*]}, hosts: {names: [h1]}}"
                              : "a mapping such as {vms: {names: [db-*]}}");
    for (size_t i = 0; i < n->n_items; i++) {
        int rc = body_member(r, def, &n->items[i], kind, rule);
        if (rc < 0)
            return rc;
    }
    if (def->vms_required && !ytree_get(n, "vms"))
        return fail_missing(r, n, kind, "vms");
    if (def->hosts_required && !ytree_get(n, "hosts"))
        return fail_missing(r, n, kind, "hosts");
    if (def->max_required && !ytree_get(n, "max"))
        return fail_missing(r, n, kind, "max");
    if (def->min_required && !ytree_get(n, "min"))
        return fail_missing(r, n, kind, "min");
    return 0;
}

static int kind_of(const char *key)
{
    for (int i = 0; i < (int)ARRAY_LEN(rule_kind_names); i++)
        if (str_eq(rule_kind_names[i], key))
            return i;
    return -1;
}

static int read_name(const struct reading *r, const struct ynode *n, struct rule *rule)
{
    if (n->kind != Y_SCALAR || !n->text[0] || strlen(n->text) > LIM_NAME_BYTES)
        return fail_value(r, n, "name", "the rule's name");
    for (size_t i = 0; i < r->p->n_rules; i++)
        if (str_eq(r->p->rules[i].name, n->text))
            return err_set(r->e, -EBADMSG, "%s:%d:%d: rule '%.60s' is already defined at %s",
                           r->file, n->line, n->col, n->text, r->p->rules[i].where);
    rule->name = xstrdup(n->text);
    return 0;
}

static int read_kind(const struct reading *r, const struct ynode *n, struct rule *rule)
{
    const char *candidates[RULE_KINDS + 3] = {"name", "hard", "weight"};
    int kind = kind_of(n->key);
    for (size_t i = 0; i < RULE_KINDS; i++)
        candidates[3 + i] = rule_kind_names[i];
    if (kind < 0)
        return fail_unknown(r, n, "rules", candidates, ARRAY_LEN(candidates));
    if (rule->kind >= 0)
        return err_set(r->e, -EBADMSG, "%s:%d:%d: one rule has one kind: '%s' and '%s' are two",
                       r->file, n->key_line, n->key_col, rule_kind_names[rule->kind], n->key);
    rule->kind = kind;
    return read_body(r, n, rule);
}

/* A rule is hard unless it has a weight (`weight` says how much breaking it costs) or is always soft. */
static int read_strength(const struct reading *r, const struct ynode *n, struct rule *rule)
{
    const struct ynode *hard = ytree_get(n, "hard"), *weight = ytree_get(n, "weight");
    enum strength can = rule_defs[rule->kind]->strength;
    const struct ynode *idle = can == HARD_OR_SOFT ? NULL : hard;
    if (can == ALWAYS_HARD && !idle)
        idle = weight;
    if (idle)
        return err_set(r->e, -EBADMSG, "%s:%d:%d: '%s' has no meaning for %s, which is always %s",
                       r->file, idle->key_line, idle->key_col, idle->key,
                       rule_kind_names[rule->kind], can == ALWAYS_HARD ? "hard" : "soft");
    rule->hard = !weight && can != ALWAYS_SOFT;
    rule->weight = 1;
    if (hard && value_bool(r, hard, "hard", &rule->hard) < 0)
        return -EBADMSG;
    if (weight && value_int(r, weight, "weight", 1, 1000, &rule->weight) < 0)
        return -EBADMSG;
    if (weight && rule->hard)
        return err_set(r->e, -EBADMSG, "%s:%d:%d: a hard rule has no weight: remove one of the two",
                       r->file, weight->key_line, weight->key_col);
    return 0;
}

static int read_rule(const struct reading *r, const struct ynode *n, struct rule *rule)
{
    if (n->kind != Y_MAP)
        return fail_value(r, n, "rules", "a rule such as {name: db-apart, anti_affinity: ...}");
    rule->kind = -1;
    rule->where = xasprintf("%s:%d", r->file, n->line);
    for (size_t i = 0; i < n->n_items; i++) {
        const struct ynode *m = &n->items[i];
        int rc = 0;
        if (str_eq(m->key, "name"))
            rc = read_name(r, m, rule);
        else if (!str_eq(m->key, "hard") && !str_eq(m->key, "weight"))
            rc = read_kind(r, m, rule);
        if (rc < 0)
            return rc;
    }
    if (!rule->name)
        return fail_missing(r, n, "rules", "name");
    if (rule->kind < 0) {
        cleanup(freep) char *kinds = list_text(rule_kind_names, RULE_KINDS);
        return err_set(r->e, -EBADMSG, "%s:%d:%d: rule '%.60s' says nothing: add one of %s",
                       r->file, n->line, n->col, rule->name, kinds);
    }
    return read_strength(r, n, rule);
}

int rules_read(const struct reading *r, const struct ynode *n)
{
    if (n->kind != Y_SEQ)
        return fail_value(r, n, "rules", "a list of rules");
    for (size_t i = 0; i < n->n_items; i++) {
        struct rule rule = {0};
        int rc = read_rule(r, &n->items[i], &rule);
        if (rc < 0) {
            rule_done(&rule);
            return rc;
        }
        if (r->p->n_rules == LIM_LIST_ITEMS) {
            rule_done(&rule);
            return err_set(r->e, -E2BIG, "%s: more than %d rules", r->file, LIM_LIST_ITEMS);
        }
        *vec_add(&r->p->rules, &r->p->n_rules) = rule;
    }
    return 0;
}
