/* NAME.test.yaml as cases. */
#include "scheduler/cli/testcase.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/find.h"
#include "policy/keys.h"

const char *const case_verb_names[6] = {"drain", "failover", "plan", "fit", "move", "make_room"};
static const char *const plan_words[] = {"balance", "relieve", "repair", "consolidate"};

/* ---- release ---------------------------------------------------------------------------------- */
static void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->list[i]);
    free(w->list);
    *w = (struct words){0};
}

static void fleet_done(struct case_fleet *f)
{
    free(f->path);
    words_done(&f->hosts);
    words_done(&f->vms);
    words_done(&f->host_places);
    words_done(&f->vm_places);
}

static void request_done(struct case_request *r)
{
    words_done(&r->hosts);
    words_done(&r->to);
    words_done(&r->avoid);
    free(r->word);
    free(r->vm);
    shape_done(&vm_shape, &r->fresh);
}

static void expect_done(struct case_expect *x)
{
    for (size_t i = 0; i < x->n_moves; i++) {
        free(x->moves[i].vm);
        free(x->moves[i].from);
        free(x->moves[i].to);
    }
    for (size_t i = 0; i < x->n_blocked; i++) {
        free(x->blocked[i].vm);
        free(x->blocked[i].rule);
    }
    free(x->moves);
    free(x->blocked);
    words_done(&x->fits);
    words_done(&x->holding);
    free(x->room_on);
    free(x->rule);
}

static void case_done(struct testcase *t)
{
    free(t->name);
    free(t->file);
    fleet_done(&t->fleet);
    request_done(&t->request);
    expect_done(&t->expect);
}

void testcases_done(struct testcases *t)
{
    for (size_t i = 0; i < t->n; i++)
        case_done(&t->list[i]);
    free(t->list);
    *t = (struct testcases){0};
}

/* ---- reading: mappings as tables ---------------------------------------------------------------- */
struct member {
    const char *name;
    int (*read)(const struct reading *r, const struct ynode *n, const char *path, void *obj);
};
#define MEMBERS(a) (a), ARRAY_LEN(a)

static int read_map(const struct reading *r, const struct ynode *n, const char *path,
                    const struct member *members, size_t n_members, void *obj)
{
    const char *names[16];
    if (n->kind != Y_MAP)
        return fail_value(r, n, path, "a mapping");
    for (size_t k = 0; k < n_members; k++)
        names[k] = members[k].name;
    for (size_t i = 0; i < n->n_items; i++) {
        size_t k = 0;
        while (k < n_members && !str_eq(names[k], n->items[i].key))
            k++;
        if (k == n_members)
            return fail_unknown(r, &n->items[i], path, names, n_members);
        cleanup(freep) char *sub = xasprintf("%s.%s", path, names[k]);
        int rc = members[k].read(r, &n->items[i], sub, obj);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_word(const struct reading *r, const struct ynode *n, const char *path, char **ret)
{
    if (n->kind != Y_SCALAR || !n->text[0])
        return fail_value(r, n, path, "a word");
    free(*ret);
    *ret = xstrdup(n->text);
    return 0;
}

/* One word, or a list of them. */
static int read_words(const struct reading *r, const struct ynode *n, const char *path,
                      struct words *ret)
{
    if (n->kind == Y_SCALAR)
        return read_word(r, n, path, vec_add(&ret->list, &ret->n));
    if (n->kind != Y_SEQ)
        return fail_value(r, n, path, "a word or a list of them");
    for (size_t i = 0; i < n->n_items; i++) {
        int rc = read_word(r, &n->items[i], path, vec_add(&ret->list, &ret->n));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_reason(const struct reading *r, const struct ynode *n, const char *path, int *ret)
{
    for (int code = R_NONE + 1; n->kind == Y_SCALAR && code < R_COUNT_; code++)
        if (str_eq(n->text, reason_tokens[code])) {
            *ret = code;
            return 0;
        }
    const char *near =
        n->kind == Y_SCALAR ? str_did_you_mean(n->text, reason_tokens, R_COUNT_) : NULL;
    cleanup(freep) char *what =
        xasprintf("a reason such as memory or anti_affinity%s%s%s", near ? " (did you mean '" : "",
                  near ? near : "", near ? "'?)" : "");
    return fail_value(r, n, path, what);
}

#define WORD(fn, type, member)                                                                     \
    static int fn(const struct reading *r, const struct ynode *n, const char *path, void *obj)     \
    {                                                                                              \
        return read_word(r, n, path, &((type *)obj)->member);                                      \
    }
#define WORDS(fn, type, member)                                                                    \
    static int fn(const struct reading *r, const struct ynode *n, const char *path, void *obj)     \
    {                                                                                              \
        return read_words(r, n, path, &((type *)obj)->member);                                     \
    }
#define FLAG(fn, type, member)                                                                     \
    static int fn(const struct reading *r, const struct ynode *n, const char *path, void *obj)     \
    {                                                                                              \
        return value_bool(r, n, path, &((type *)obj)->member);                                     \
    }
#define COUNT(fn, type, member, least)                                                             \
    static int fn(const struct reading *r, const struct ynode *n, const char *path, void *obj)     \
    {                                                                                              \
        return value_int(r, n, path, least, 1000000, &((type *)obj)->member);                      \
    }

/* ---- the fleet --------------------------------------------------------------------------------- */
static int read_lines(const struct reading *r, const struct ynode *n, const char *path,
                      struct words *lines, struct words *places)
{
    const struct ynode *items = n->kind == Y_SEQ ? n->items : n;
    size_t count = n->kind == Y_SEQ ? n->n_items : 1;
    for (size_t i = 0; i < count; i++) {
        int rc = read_word(r, &items[i], path, vec_add(&lines->list, &lines->n));
        *vec_add(&places->list, &places->n) =
            xasprintf("%s:%d:%d", r->file, items[i].line, items[i].col);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fleet_hosts(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_fleet *f = obj;
    return read_lines(r, n, path, &f->hosts, &f->host_places);
}

static int fleet_vms(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_fleet *f = obj;
    return read_lines(r, n, path, &f->vms, &f->vm_places);
}

static const struct member fleet_members[] = {{"hosts", fleet_hosts}, {"vms", fleet_vms}};

static int read_fleet(const struct reading *r, const struct ynode *n, const char *dir,
                      struct case_fleet *ret)
{
    fleet_done(ret);
    *ret = (struct case_fleet){0};
    if (n->kind == Y_MAP) {
        int rc = read_map(r, n, "snapshot", MEMBERS(fleet_members), ret);
        if (rc == 0 && !ret->hosts.n)
            rc = fail_at(r, n, "snapshot", "hosts are missing: hosts: \"kvm-[01-09] 256GiB 32c\"");
        return rc;
    }
    if (n->kind != Y_SCALAR || !n->text[0] || n->text[0] == '/')
        return fail_value(r, n, "snapshot",
                          "a file, named as seen from this one, or {hosts: ..., vms: ...}");
    cleanup(freep) char *file = xasprintf("%s/%s", dir, r->file);
    ret->path = xasprintf("%s/%s", dirname(file), n->text);
    return 0;
}

int testcase_fleet(const struct testcase *t, struct snap *ret, struct err *e)
{
    const struct case_fleet *f = &t->fleet;
    struct snap_build b = {0};
    int rc = 0;
    if (f->path)
        return snap_load(f->path, ret, e);
    for (size_t i = 0; rc == 0 && i < f->hosts.n; i++)
        rc = snap_add_hosts_short(&b, f->hosts.list[i], f->host_places.list[i], e);
    for (size_t i = 0; rc == 0 && i < f->vms.n; i++)
        rc = snap_add_vms_short(&b, f->vms.list[i], f->vm_places.list[i], e);
    if (rc == 0)
        return snap_build(&b, ret, e);
    snap_build_done(&b);
    return rc;
}

/* ---- the request ------------------------------------------------------------------------------- */
WORDS(request_hosts, struct case_request, hosts)
WORDS(request_to, struct case_request, to)
WORDS(request_avoid, struct case_request, avoid)
FLAG(request_cold, struct case_request, cold)
FLAG(request_make_room, struct case_request, make_room)
COUNT(request_max_moves, struct case_request, max_moves, 1)
COUNT(request_hosts_free, struct case_request, hosts_free, 1)
WORD(request_vm, struct case_request, vm)

static int request_plan(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_request *q = obj;
    int i = 0, rc = value_enum(r, n, path, plan_words, ARRAY_LEN(plan_words), &i);
    if (rc == 0)
        q->word = xstrdup(plan_words[i]);
    return rc;
}

WORD(fresh_name, struct vm, name)
COUNT(fresh_vcpus, struct vm, vcpus, 1)

static int fresh_memory(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct vm *v = obj;
    if (n->kind != Y_SCALAR || parse_size(n->text, &v->mem_bytes, NULL) < 0)
        return fail_value(r, n, path, "a size such as 4GiB");
    return 0;
}

static int fresh_labels(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct vm *v = obj;
    if (n->kind != Y_MAP)
        return fail_value(r, n, path, "labels such as {app: db}");
    for (size_t i = 0; i < n->n_items; i++) {
        struct label *l = vec_add(&v->labels, &v->n_labels);
        l->key = xstrdup(n->items[i].key);
        int rc = read_word(r, &n->items[i], path, &l->value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const struct member fresh_members[] = {{"memory", fresh_memory},
                                              {"vcpus", fresh_vcpus},
                                              {"name", fresh_name},
                                              {"labels", fresh_labels}};

/* A VM by its name, or {memory: ...} of a new one. */
static int request_room(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_request *q = obj;
    if (n->kind == Y_SCALAR)
        return read_word(r, n, path, &q->vm);
    int rc = read_map(r, n, path, MEMBERS(fresh_members), &q->fresh);
    if (rc == 0 && q->fresh.mem_bytes < 0)
        rc = fail_at(r, n, path, "memory is missing: {memory: 96GiB}");
    if (rc == 0 && !q->fresh.name)
        q->fresh.name = xstrdup("new");
    return rc;
}

static const struct member move_members[] = {{"vm", request_vm}, {"to", request_to}};

static int request_move(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_request *q = obj;
    int rc = read_map(r, n, path, MEMBERS(move_members), obj);
    if (rc == 0 && (!q->vm || q->to.n != 1))
        rc = fail_at(r, n, path, "expected {vm: NAME, to: HOST}");
    return rc;
}

#define TO_AVOID                                                                                   \
    {"to", request_to},                                                                            \
    {                                                                                              \
        "avoid", request_avoid                                                                     \
    }
static const struct member drain_members[] = {
    {"drain", request_hosts}, {"make_room", request_make_room}, {"cold", request_cold}, TO_AVOID};
static const struct member failover_members[] = {{"failover", request_hosts}, TO_AVOID};
static const struct member plan_members[] = {
    {"plan", request_plan}, {"max_moves", request_max_moves}, {"hosts_free", request_hosts_free}};
static const struct member fit_members[] = {{"fit", request_room}, TO_AVOID};
static const struct member move_request[] = {{"move", request_move}};
static const struct member room_members[] = {
    {"make_room", request_room}, {"max_moves", request_max_moves}, TO_AVOID};
static const struct {
    const struct member *members;
    size_t n;
} verbs[] = {
    [CASE_DRAIN] = {MEMBERS(drain_members)}, [CASE_FAILOVER] = {MEMBERS(failover_members)},
    [CASE_PLAN] = {MEMBERS(plan_members)},   [CASE_FIT] = {MEMBERS(fit_members)},
    [CASE_MOVE] = {MEMBERS(move_request)},   [CASE_MAKE_ROOM] = {MEMBERS(room_members)},
};

static int case_request(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_request *q = &((struct testcase *)obj)->request;
    for (size_t i = 0; n->kind == Y_MAP && i < ARRAY_LEN(verbs); i++)
        if (ytree_get(n, case_verb_names[i])) {
            q->verb = (int)i;
            return read_map(r, n, path, verbs[i].members, verbs[i].n, q);
        }
    cleanup(freep) char *all = list_text(case_verb_names, ARRAY_LEN(case_verb_names));
    cleanup(freep) char *what = xasprintf("a mapping with one of %s", all);
    return fail_value(r, n, path, what);
}

/* ---- what is expected -------------------------------------------------------------------------- */
WORD(move_vm, struct want_move, vm)
WORD(move_from, struct want_move, from)
WORD(move_to, struct want_move, to)
static const struct member want_move_members[] = {
    {"vm", move_vm}, {"from", move_from}, {"to", move_to}};

WORD(blocked_vm, struct want_blocked, vm)
WORD(blocked_rule, struct want_blocked, rule)
static int blocked_reason(const struct reading *r, const struct ynode *n, const char *path,
                          void *obj)
{
    return read_reason(r, n, path, &((struct want_blocked *)obj)->reason);
}
static const struct member want_blocked_members[] = {
    {"vm", blocked_vm}, {"reason", blocked_reason}, {"rule", blocked_rule}};

static int no_vm(const struct reading *r, const struct ynode *n, const char *path)
{
    return fail_at(r, n, path, "vm is missing");
}

static int expect_moves(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_expect *x = obj;
    int rc = n->kind == Y_SEQ ? 0 : fail_value(r, n, path, "a list of {vm: NAME, to: HOST}");
    x->has_moves = true;
    for (size_t i = 0; rc == 0 && i < n->n_items; i++) {
        struct want_move *m = vec_add(&x->moves, &x->n_moves);
        rc = read_map(r, &n->items[i], path, MEMBERS(want_move_members), m);
        if (rc == 0 && !m->vm)
            rc = no_vm(r, &n->items[i], path);
    }
    return rc;
}

static int expect_blocked(const struct reading *r, const struct ynode *n, const char *path,
                          void *obj)
{
    struct case_expect *x = obj;
    int rc = n->kind == Y_SEQ ? 0 : fail_value(r, n, path, "a list of {vm: NAME, reason: WORD}");
    x->has_blocked = true;
    for (size_t i = 0; rc == 0 && i < n->n_items; i++) {
        struct want_blocked *b = vec_add(&x->blocked, &x->n_blocked);
        rc = read_map(r, &n->items[i], path, MEMBERS(want_blocked_members), b);
        if (rc == 0 && !b->vm)
            rc = no_vm(r, &n->items[i], path);
    }
    return rc;
}

static int expect_rules(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_expect *x = obj;
    bool hold = true;
    int rc = n->kind == Y_SEQ ? read_words(r, n, path, &x->holding) : value_bool(r, n, path, &hold);
    x->rules_hold = hold;
    return rc;
}

static int expect_fits(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    struct case_expect *x = obj;
    x->has_fits = true;
    return read_words(r, n, path, &x->fits);
}

static int expect_allowed(const struct reading *r, const struct ynode *n, const char *path,
                          void *obj)
{
    bool allowed = false;
    int rc = value_bool(r, n, path, &allowed);
    ((struct case_expect *)obj)->allowed = allowed;
    return rc;
}

static int expect_reason(const struct reading *r, const struct ynode *n, const char *path,
                         void *obj)
{
    return read_reason(r, n, path, &((struct case_expect *)obj)->reason);
}

COUNT(expect_at_most, struct case_expect, at_most, 0)
WORD(expect_room_on, struct case_expect, room_on)
WORD(expect_rule, struct case_expect, rule)

#define PLANNED                                                                                    \
    {"moves", expect_moves}, {"at_most", expect_at_most},                                          \
    {                                                                                              \
        "rules_hold", expect_rules                                                                 \
    }
static const struct member leave_expect[] = {PLANNED, {"blocked", expect_blocked}};
static const struct member plan_expect[] = {PLANNED};
static const struct member fit_expect[] = {{"fits", expect_fits}};
static const struct member move_expect[] = {
    {"allowed", expect_allowed}, {"reason", expect_reason}, {"rule", expect_rule}};
static const struct member room_expect[] = {PLANNED, {"room_on", expect_room_on}};
static const struct {
    const struct member *members;
    size_t n;
} expectations[] = {
    [CASE_DRAIN] = {MEMBERS(leave_expect)}, [CASE_FAILOVER] = {MEMBERS(leave_expect)},
    [CASE_PLAN] = {MEMBERS(plan_expect)},   [CASE_FIT] = {MEMBERS(fit_expect)},
    [CASE_MOVE] = {MEMBERS(move_expect)},   [CASE_MAKE_ROOM] = {MEMBERS(room_expect)},
};

/* ---- a case ------------------------------------------------------------------------------------ */
static int skip(const struct reading *r, const struct ynode *n, const char *path, void *obj)
{
    (void)r, (void)n, (void)path, (void)obj; /* read before or after the others */
    return 0;
}

WORD(case_name, struct testcase, name)
static const struct member case_members[] = {
    {"name", case_name}, {"snapshot", skip}, {"request", case_request}, {"expect", skip}};

static int read_case(const struct reading *r, const struct ynode *n, const struct ynode *common,
                     const char *dir, struct testcase *ret)
{
    const struct ynode *fleet = ytree_get(n, "snapshot"), *expect = ytree_get(n, "expect");
    struct case_expect *x = &ret->expect;
    shape_init(&vm_shape, &ret->request.fresh);
    x->at_most = x->rules_hold = x->allowed = -1;
    ret->file = xstrdup(r->file);
    ret->line = n->line;
    ret->col = n->col;
    int rc = read_map(r, n, "cases", MEMBERS(case_members), ret);
    if (rc < 0)
        return rc;
    if (!ret->name)
        return fail_at(r, n, "cases", "name is missing");
    if (!ytree_get(n, "request") || !expect)
        return fail_at(r, n, "cases",
                       ytree_get(n, "request") ? "expect is missing" : "request is missing");
    if (!fleet && !common)
        return fail_at(r, n, "cases", "snapshot is missing, here or at the top of the file");
    rc = read_fleet(r, fleet ? fleet : common, dir, &ret->fleet);
    int verb = ret->request.verb;
    if (rc == 0)
        rc = read_map(r, expect, "expect", expectations[verb].members, expectations[verb].n, x);
    if (rc == 0 && !expect->n_items)
        rc = fail_at(r, expect, "expect", "nothing is expected: such a case cannot fail");
    return rc;
}

static int read_cases(const struct reading *r, const struct ynode *root, const char *dir,
                      struct testcases *ret)
{
    static const struct member top[] = {{"version", skip}, {"snapshot", skip}, {"cases", skip}};
    const struct ynode *version = ytree_get(root, "version"), *cases = ytree_get(root, "cases");
    int64_t v;
    int rc = read_map(r, root, "the file", MEMBERS(top), NULL);
    if (rc == 0 && !version)
        rc = err_set(r->e, -EBADMSG, "%s:1:1: 'version: 1' is missing", r->file);
    if (rc == 0)
        rc = value_int(r, version, "version", 1, 1, &v);
    if (rc == 0 && (!cases || cases->kind != Y_SEQ || !cases->n_items))
        rc = fail_at(r, cases ? cases : root, "cases", "a list of cases is missing");
    for (size_t i = 0; rc == 0 && i < cases->n_items; i++)
        rc = read_case(r, &cases->items[i], ytree_get(root, "snapshot"), dir,
                       vec_add(&ret->list, &ret->n));
    return rc;
}

int testcases_read(const char *dir, const struct git_file *f, struct testcases *ret, struct err *e)
{
    cleanup(ytree_done) struct ynode root = {0};
    const struct reading r = {.file = f->name, .e = e};
    size_t before = ret->n;
    int rc = ytree_parse(f->name, f->text, f->len, &root, e);
    if (rc == 0)
        rc = read_cases(&r, &root, dir, ret);
    while (rc < 0 && ret->n > before)
        case_done(&ret->list[--ret->n]);
    return rc;
}

static int read_file(const char *dir, const char *name, struct testcases *ret, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    cleanup(freep) char *text = NULL;
    size_t len;
    int rc = file_read(path, LIM_POLICY_FILE_BYTES, &text, &len, e);
    if (rc == -E2BIG)
        return err_set(e, rc, "%s: longer than %d bytes", name, LIM_POLICY_FILE_BYTES);
    const struct git_file f = {.name = (char *)(uintptr_t)name, .text = text, .len = len};
    return rc < 0 ? rc : testcases_read(dir, &f, ret, e);
}

void testcases_load(const char *dir, struct testcases *ret, struct problems *found)
{
    cleanup(policy_paths_done) struct policy_paths files = {0};
    struct err e = {0};
    *ret = (struct testcases){0};
    if (policy_find(dir, policy_test_name, &files, &e) < 0)
        return; /* the policy's own reader says so */
    for (size_t i = 0; i < files.n; i++)
        if (read_file(dir, files.list[i], ret, &e) < 0)
            problem_add_message(found, "case", e.msg);
    ret->files = files.n;
}
