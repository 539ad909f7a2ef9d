/* A case from the fleet as it is: the planner's answer of today becomes what is expected. */
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/testask.h"
#include "scheduler/plan/broken.h"

/* ---- YAML as JSON ------------------------------------------------------------------------------ */
static json_t *scalar_json(const struct ynode *n)
{
    int64_t v;
    if (!n->quoted && (str_eq(n->text, "true") || str_eq(n->text, "false")))
        return json_boolean(str_eq(n->text, "true"));
    if (!n->quoted && *n->text && strspn(n->text, "0123456789") == strlen(n->text) &&
        parse_int(n->text, 0, INT64_MAX, &v, NULL) == 0)
        return json_integer(v);
    return json_string(n->text);
}

static json_t *node_json(const struct ynode *n)
{
    if (n->kind == Y_SCALAR)
        return scalar_json(n);
    json_t *j = n->kind == Y_MAP ? json_object() : json_array();
    for (size_t i = 0; i < n->n_items; i++) {
        if (n->kind == Y_MAP)
            json_object_set_new(j, n->items[i].key, node_json(&n->items[i]));
        else
            json_array_append_new(j, node_json(&n->items[i]));
    }
    return j;
}

/* ---- the answer -------------------------------------------------------------------------------- */
static json_t *moves_json(const struct asking *k)
{
    json_t *list = json_array();
    struct journeys all = {0};
    asking_journeys(k, &all);
    for (size_t i = 0; i < all.n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "vm", asking_vm(k, all.list[i].vm),
                                              "to", asking_host(k, all.list[i].to)));
    free(all.list);
    return list;
}

static void set_reason(json_t *j, const struct reason *r)
{
    json_object_set_new(j, "reason", json_string(reason_tokens[r->code]));
    if (r->what && str_has_prefix(r->what, "rule "))
        json_object_set_new(j, "rule", json_string(r->what + strlen("rule ")));
}

static json_t *blocked_json(const struct asking *k)
{
    json_t *list = json_array();
    for (size_t i = 0; i < k->plan.n_stays; i++) {
        const struct plan_stay *st = &k->plan.stays[i];
        if (!asking_blocked(k, st))
            continue;
        json_t *x = json_pack("{s:s}", "vm", asking_vm(k, st->vm));
        if (st->n_reasons)
            set_reason(x, &st->reasons[0]);
        json_array_append_new(list, x);
    }
    return list;
}

static bool rules_hold(const struct asking *k)
{
    struct snapshot after;
    struct plan_broken *list;
    size_t n;
    bool hold = true;
    plan_apply(&k->s, &k->plan, &after);
    struct plan_index *x = plan_index_new(&after, k->p);
    plan_find_broken(x, &list, &n);
    for (size_t i = 0; i < n; i++)
        hold = hold && (list[i].rule < 0 || !k->p->rules[list[i].rule].hard);
    plan_broken_done(list, n);
    plan_index_free(x);
    free(after.vms);
    return hold;
}

static json_t *plan_json(const struct asking *k)
{
    json_t *j = json_pack("{s:o}", "moves", moves_json(k));
    int verb = k->t->request.verb;
    if (verb == CASE_DRAIN || verb == CASE_FAILOVER)
        json_object_set_new(j, "blocked", blocked_json(k));
    if (verb == CASE_MAKE_ROOM && k->plan.room_on >= 0)
        json_object_set_new(j, "room_on", json_string(asking_host(k, k->plan.room_on)));
    json_object_set_new(j, "rules_hold", json_boolean(rules_hold(k)));
    return j;
}

static json_t *fit_json(const struct asking *k)
{
    struct plan_fitting *list;
    size_t n;
    json_t *fits = json_array();
    plan_fittings(&k->s, k->p, &k->r, &list, &n);
    for (size_t i = 0; i < n; i++)
        if (list[i].fits)
            json_array_append_new(fits, json_string(asking_host(k, list[i].host)));
    plan_fittings_done(list, n);
    return json_pack("{s:o}", "fits", fits);
}

/* NULL: trouble. */
static json_t *move_json(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    struct reason why;
    int vm = asking_find_vm(k, q->vm), host = vm < 0 ? -1 : asking_find_host(k, q->to.list[0]);
    if (host < 0)
        return NULL;
    shape_init(&reason_shape, &why);
    bool allowed = asking_may_move(k, vm, host, &why);
    json_t *j = json_pack("{s:b}", "allowed", allowed);
    if (!allowed)
        set_reason(j, &why);
    shape_done(&reason_shape, &why);
    return j;
}

static json_t *answer(const struct testcase *t, const struct policy *p, struct err *e)
{
    struct asking k;
    json_t *j = NULL;
    if (asking_begin(&k, t, p))
        j = t->request.verb == CASE_FIT    ? fit_json(&k)
            : t->request.verb == CASE_MOVE ? move_json(&k)
                                           : plan_json(&k);
    if (!j)
        err_set(e, -EINVAL, "%s", k.trouble ? k.trouble : "names that are no UTF-8");
    asking_done(&k);
    return j;
}

/* ---- the file ---------------------------------------------------------------------------------- */

/* The request as a case of its own, with any expectation that its verb takes: it is not looked at. */
static int read_request(const struct testsave *what, struct testcases *ret, struct err *e)
{
    static const char *const any[] = {"rules_hold: true", "fits: []", "allowed: true"};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        struct err why = {0};
        cleanup(freep) char *text =
            xasprintf("version: 1\nsnapshot: '%s'\ncases:\n- name: new\n  expect: {%s}\n"
                      "  request: {%s}\n",
                      what->snapshot, any[i], what->request);
        const struct git_file f = {
            .name = (char *)(uintptr_t) "--request", .text = text, .len = strlen(text)};
        int r = testcases_read(what->dir, &f, ret, &why);
        if (r == 0)
            return 0;
        if (i == 0 || !strstr(why.msg, "in expect"))
            rc = e ? (*e = why).code : r;
    }
    return rc;
}

json_t *testcase_save(const struct testsave *what, const struct policy *p, struct err *e)
{
    cleanup(testcases_done) struct testcases cases = {0};
    cleanup(ytree_done) struct ynode request = {0};
    cleanup(freep) char *text = xasprintf("{%s}", what->request);
    if (read_request(what, &cases, e) < 0 ||
        ytree_parse("--request", text, strlen(text), &request, e) < 0)
        return NULL;
    json_t *expect = answer(&cases.list[0], p, e);
    if (!expect)
        return NULL;
    json_t *one = json_pack("{s:s, s:o, s:o}", "name", what->name ? what->name : what->request,
                            "request", node_json(&request), "expect", expect);
    json_t *j =
        json_pack("{s:i, s:s, s:[o]}", "version", 1, "snapshot", what->snapshot, "cases", one);
    if (!j)
        err_set(e, -EINVAL, "a name that is no UTF-8");
    return j;
}
