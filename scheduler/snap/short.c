/* The short form for fleets written by hand: one line for many hosts or VMs. */
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/snap/snap.h"

struct names {
    char **list;
    size_t n, max;
};

static void names_done(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->list[i]);
    free(l->list);
}

enum { PATTERN_BYTES = 1024 }; /* expand() calls itself once per bracket */

/* ---- "kvm-[01-03,07]" -------------------------------------------------------------------------- */
static int expand(const char *text, struct names *ret, struct err *e);

struct around { /* a bracket */
    const char *head;
    size_t n_head;
    const char *rest;
};

/* head + word + every expansion of the rest */
static int with_rest(const struct around *a, const char *word, struct names *ret, struct err *e)
{
    cleanup(names_done) struct names tails = {.max = ret->max};
    int r = expand(a->rest, &tails, e);
    for (size_t i = 0; r == 0 && i < tails.n; i++) {
        if (ret->n == ret->max)
            return err_set(e, -E2BIG, "more than %zu names", ret->max);
        *vec_add(&ret->list, &ret->n) =
            xasprintf("%.*s%s%s", (int)a->n_head, a->head, word, tails.list[i]);
    }
    return r;
}

/* "01-09", "7", "a": the numbers keep the width of the first. */
static int expand_range(const struct around *a, const char *part, struct names *ret, struct err *e)
{
    const char *dash = strchr(part, '-');
    if (!dash)
        return *part ? with_rest(a, part, ret, e)
                     : err_set(e, -EBADMSG, "an empty word between [ and ]");
    cleanup(freep) char *first = xasprintf("%.*s", (int)(dash - part), part);
    int64_t lo, hi;
    if (strspn(first, "0123456789") != strlen(first) ||
        parse_int(first, 0, 999999999, &lo, NULL) < 0 ||
        strspn(dash + 1, "0123456789") != strlen(dash + 1) ||
        parse_int(dash + 1, 0, 999999999, &hi, NULL) < 0 || hi < lo)
        return err_set(e, -EBADMSG, "[%s]: expected numbers from low to high, such as [01-09]",
                       part);
    if ((size_t)(hi - lo) >= ret->max)
        return err_set(e, -E2BIG, "[%s]: more than %zu names", part, ret->max);
    int r = 0;
    for (int64_t i = lo; r == 0 && i <= hi; i++) {
        cleanup(freep) char *word = xasprintf("%0*lld", (int)strlen(first), (long long)i);
        r = with_rest(a, word, ret, e);
    }
    return r;
}

static int expand(const char *text, struct names *ret, struct err *e)
{
    const char *open = strchr(text, '[');
    if (strlen(text) > PATTERN_BYTES)
        return err_set(e, -E2BIG, "a name of more than %d bytes", PATTERN_BYTES);
    if (!open) {
        *vec_add(&ret->list, &ret->n) = xstrdup(text);
        return 0;
    }
    const char *close = strchr(open, ']');
    if (!close)
        return err_set(e, -EBADMSG, "'%s': a [ without its ]", text);
    cleanup(freep) char *inside = xasprintf("%.*s", (int)(close - open - 1), open + 1);
    const struct around a = {text, (size_t)(open - text), close + 1};
    int r = 0;
    for (char *part = inside, *next; r == 0 && part; part = next) {
        next = strchr(part, ',');
        if (next)
            *next++ = '\0';
        r = expand_range(&a, part, ret, e);
    }
    return r;
}

/* ---- the words after the name ------------------------------------------------------------------ */
static int index_of(const char *word, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(word, names[i]))
            return (int)i;
    return -1;
}

/* "256GiB" or "32c". 1: taken, 0: another kind of word. */
static int size_word(const char *w, int64_t *mem, int64_t *cpus, struct err *e)
{
    size_t digits = strspn(w, "0123456789");
    if (!digits)
        return 0;
    if (str_eq(w + digits, "c")) {
        cleanup(freep) char *n = xasprintf("%.*s", (int)digits, w);
        return parse_int(n, 0, INT64_MAX, cpus, e) < 0 ? -EBADMSG : 1;
    }
    if (!w[digits])
        return err_set(e, -EBADMSG,
                       "'%s' has no unit: expected a size such as 4GiB, or 32c for CPUs", w);
    return parse_bytes(w, mem, e) < 0 ? -EBADMSG : 1;
}

static void add_label(struct label **list, size_t *n, const char *word, const char *eq)
{
    struct label *l = vec_add(list, n);
    l->key = xasprintf("%.*s", (int)(eq - word), word);
    l->value = xstrdup(eq + 1);
}

static int unknown_word(const char *word, const char *const *names, size_t n, struct err *e)
{
    const char *near = str_did_you_mean(word, names, n);
    return err_set(e, -EBADMSG,
                   "'%s': expected a size (4GiB), CPUs (32c), a state or key=value%s%s%s", word,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int host_word(struct snap_host_entry *h, const char *w, struct err *e)
{
    int r = size_word(w, &h->host.mem_bytes, &h->host.cpus, e);
    const char *eq = strchr(w, '=');
    if (r)
        return r;
    int state = index_of(w, host_state_names, ARRAY_LEN(host_state_names));
    if (state >= 0)
        h->state = state;
    else if (str_eq(w, "unreachable"))
        h->connected = false;
    else if (!eq)
        return unknown_word(w, host_state_names, ARRAY_LEN(host_state_names), e);
    else if (str_has_prefix(w, "zone="))
        free(h->host.zone), h->host.zone = xstrdup(eq + 1);
    else if (str_has_prefix(w, "rack="))
        free(h->host.rack), h->host.rack = xstrdup(eq + 1);
    else if (str_has_prefix(w, "link="))
        return parse_bitrate(eq + 1, &h->host.link_bps, e);
    else
        add_label(&h->host.labels, &h->host.n_labels, w, eq);
    return 0;
}

static int vm_word(struct snap_vm_entry *v, const char *w, struct err *e)
{
    int r = size_word(w, &v->vm.mem_bytes, &v->vm.vcpus, e);
    const char *eq = strchr(w, '=');
    if (r)
        return r;
    int state = index_of(w, vm_state_names, ARRAY_LEN(vm_state_names));
    if (state >= 0)
        v->vm.state = state;
    else if (eq && str_has_prefix(w, "to="))
        free(v->moving_to), v->moving_to = xstrdup(eq + 1);
    else if (eq)
        add_label(&v->vm.labels, &v->vm.n_labels, w, eq);
    else
        return unknown_word(w, vm_state_names, ARRAY_LEN(vm_state_names), e);
    return 0;
}

/* ---- lines ------------------------------------------------------------------------------------- */
static int host_words(struct snap_host_entry *h, const char *rest, struct err *e)
{
    cleanup(freep) char *words = xstrdup(rest);
    char *save = NULL;
    int r = 0;
    for (char *w = strtok_r(words, " \t", &save); r >= 0 && w; w = strtok_r(NULL, " \t", &save))
        r = host_word(h, w, e);
    return r;
}

static int vm_words(struct snap_vm_entry *v, const char *rest, struct err *e)
{
    cleanup(freep) char *words = xstrdup(rest);
    char *save = NULL;
    int r = 0;
    for (char *w = strtok_r(words, " \t", &save); r >= 0 && w; w = strtok_r(NULL, " \t", &save))
        r = vm_word(v, w, e);
    return r;
}

static char *first_word(const char *text, const char **ret_rest)
{
    text += strspn(text, " \t");
    size_t len = strcspn(text, " \t");
    *ret_rest = text + len;
    return xasprintf("%.*s", (int)len, text);
}

int snap_add_hosts_short(struct snap_build *b, const char *text, const char *where, struct err *e)
{
    const char *rest;
    cleanup(freep) char *name = first_word(text, &rest);
    cleanup(names_done) struct names names = {.max = LIM_HOSTS};
    if (expand(name, &names, e) < 0)
        return err_wrap(e, "%s", where);
    for (size_t i = 0; i < names.n; i++) {
        struct snap_host_entry *h = snap_add_host(b, names.list[i], where, e);
        if (!h)
            return -EBADMSG;
        if (host_words(h, rest, e) < 0)
            return err_wrap(e, "%s", where);
    }
    return 0;
}

int snap_add_vms_short(struct snap_build *b, const char *text, const char *where, struct err *e)
{
    const char *rest;
    cleanup(freep) char *name = first_word(text, &rest);
    cleanup(names_done) struct names names = {.max = LIM_SNAPSHOT_VMS};
    cleanup(names_done) struct names hosts = {.max = LIM_HOSTS};
    char *at = strrchr(name, '@');
    if (!at)
        return err_set(e, -EBADMSG, "%s: '%s': expected VM@HOST, such as web-[1-9]@kvm-01", where,
                       name);
    *at = '\0';
    if (expand(name, &names, e) < 0 || expand(at + 1, &hosts, e) < 0)
        return err_wrap(e, "%s", where);
    for (size_t i = 0; i < names.n; i++) { /* dealt to the hosts in turn */
        struct snap_vm_entry *v = snap_add_vm(b, names.list[i], hosts.list[i % hosts.n], where, e);
        if (!v)
            return -EBADMSG;
        if (vm_words(v, rest, e) < 0)
            return err_wrap(e, "%s", where);
    }
    return 0;
}
