/* Deeds as lines of text: "90s drain h1 --on-blocked leave". docs/simulator.md lists them. */
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "scheduler/sim/world.h"

enum { WORDS_MAX = 32 };

struct words {
    char *text, *at[WORDS_MAX];
    int n, next;
    const char *where;
};

/* Words are split at blanks; "..." holds blanks together. */
static int split(const char *line, const char *where, struct words *w, struct err *e)
{
    *w = (struct words){.text = xstrdup(line), .where = where};
    for (char *p = w->text; *p;) {
        while (*p == ' ' || *p == '\t')
            p++;
        if (!*p || *p == '#')
            break;
        if (w->n == WORDS_MAX)
            return err_set(e, -EINVAL, "%s: more than %d words", where, WORDS_MAX);
        char end = *p == '"' ? *p++ : ' ';
        w->at[w->n++] = p;
        while (*p && *p != end && !(end == ' ' && *p == '\t'))
            p++;
        if (end == '"' && !*p)
            return err_set(e, -EINVAL, "%s: a quote is not closed", where);
        if (*p)
            *p++ = 0;
    }
    return 0;
}

static const char *word(struct words *w)
{
    return w->next < w->n ? w->at[w->next++] : NULL;
}

static int bad(struct words *w, const char *got, const char *expected, struct err *e)
{
    return err_set(e, -EINVAL, "%s: expected %s, not %s%s%s", w->where, expected, got ? "'" : "",
                   got ? got : "the end of the line", got ? "'" : "");
}

/* One of a list of words, separated by blanks. */
static int choice(struct words *w, const char *list, char **ret, struct err *e)
{
    const char *x = word(w);
    size_t n = x ? strlen(x) : 0;
    for (const char *p = list; x && *p; p += strcspn(p, " "), p += strspn(p, " "))
        if (strcspn(p, " ") == n && strncmp(p, x, n) == 0) {
            *ret = xstrdup(x);
            return 0;
        }
    cleanup(freep) char *text = xasprintf("one of: %s", list);
    return bad(w, x, text, e);
}

static int name(struct words *w, const char *what, char **ret, struct err *e)
{
    const char *x = word(w);
    if (!x)
        return bad(w, x, what, e);
    *ret = xstrdup(x);
    return 0;
}

static int host_or_all(struct words *w, char **ret, struct err *e)
{
    int r = name(w, "a host, or all", ret, e);
    if (r == 0 && str_eq(*ret, "all"))
        free(take(*ret));
    return r;
}

static int vm_or_all(struct words *w, char **ret, struct err *e)
{
    int r = name(w, "a VM, or all", ret, e);
    if (r == 0 && str_eq(*ret, "all"))
        free(take(*ret));
    return r;
}

static int in(struct words *w, int r, struct err *e)
{
    return r < 0 ? err_wrap(e, "%s", w->where) : 0;
}

static int duration(struct words *w, int64_t *ret, struct err *e)
{
    const char *x = word(w);
    return x ? in(w, parse_duration(x, ret, e), e) : bad(w, x, "a duration such as 90s", e);
}

/* ---- requests ------------------------------------------------------------------------------------------ */
static void add_names(char ***list, size_t *n, const char *csv)
{
    cleanup(freep) char *copy = xstrdup(csv);
    char *rest = copy;
    for (char *x; (x = strsep(&rest, ",")) != NULL;)
        if (*x)
            *(char **)vec_add(list, n) = xstrdup(x);
}

static int option(struct words *w, struct request *r, const char *x, struct err *e)
{
    if (str_eq(x, "--bring-home")) {
        r->bring_home = true;
        return 0;
    }
    if (str_eq(x, "--dry-run")) {
        r->dry_run = true;
        return 0;
    }
    if (str_eq(x, "--forget-failures")) {
        r->forget_failures = true;
        return 0;
    }
    const char *v = word(w);
    if (!v)
        return bad(w, v, "a value after the option", e);
    if (str_eq(x, "--on-blocked"))
        r->on_blocked = xstrdup(v);
    else if (str_eq(x, "--mode"))
        r->mode = xstrdup(v);
    else if (str_eq(x, "--max-moves"))
        return in(w, parse_int(v, 1, 10000, &r->max_moves, e), e);
    else if (str_eq(x, "--memory"))
        return in(w, parse_bytes(v, &r->mem_bytes, e), e);
    else if (str_eq(x, "--vcpus"))
        return in(w, parse_int(v, 1, LIM_VCPUS, &r->vcpus, e), e);
    else if (str_eq(x, "--vm"))
        r->vm = xstrdup(v);
    else if (str_eq(x, "--to"))
        add_names(&r->to, &r->n_to, v);
    else if (str_eq(x, "--avoid"))
        add_names(&r->avoid, &r->n_avoid, v);
    else if (str_eq(x, "--allow-shutdown"))
        add_names(&r->allow_shutdown, &r->n_allow_shutdown, v);
    else if (str_eq(x, "--parallel"))
        return in(w, parse_int(v, 1, 1000, &r->parallel, e), e);
    else if (str_eq(x, "--deadline"))
        return in(w, parse_duration(v, &r->deadline_us, e), e);
    else if (str_eq(x, "-m"))
        r->reason = xstrdup(v);
    else
        return bad(w, x,
                   "--on-blocked, --to, --avoid, --allow-shutdown, --parallel, --deadline, "
                   "--mode, --max-moves, --memory, --vcpus, --vm, --forget-failures, --bring-home, "
                   "--dry-run or -m",
                   e);
    return 0;
}

static int request(struct words *w, enum verb verb, struct deed *d, struct err *e)
{
    struct request *q = &d->request;
    q->verb = verb;
    q->actor = xstrdup("operator");
    const char *x = NULL;
    int r = 0;
    if (verb == VERB_BALANCE || verb == VERB_SUSPEND_BALANCE || verb == VERB_RESUME_BALANCE) {
        while (r == 0 && (x = word(w)) != NULL)
            r = option(w, q, x, e);
        return r;
    }
    x = word(w);
    if (!x)
        return bad(w, x, verb == VERB_CANCEL || verb == VERB_APPLY ? "a run's number" : "a host",
                   e);
    if (verb == VERB_CANCEL || verb == VERB_APPLY)
        return in(w, parse_int(x, 1, INT64_MAX, &q->run, e), e);
    q->host = xstrdup(x);
    while (r == 0 && (x = word(w)) != NULL) {
        if (verb == VERB_DRAIN && *x != '-') { /* one more host */
            if (!q->n_hosts)
                *(char **)vec_add(&q->hosts, &q->n_hosts) = xstrdup(q->host);
            *(char **)vec_add(&q->hosts, &q->n_hosts) = xstrdup(x);
        } else {
            r = option(w, q, x, e);
        }
    }
    return r;
}

/* ---- the others ------------------------------------------------------------------------------------------ */
static int d_drain(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_DRAIN, d, e);
}
static int d_resume(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_RESUME, d, e);
}
static int d_cordon(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_CORDON, d, e);
}
static int d_apply(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_APPLY, d, e);
}
static int d_balance(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_BALANCE, d, e);
}
static int d_suspend_balance(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_SUSPEND_BALANCE, d, e);
}
static int d_resume_balance(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_RESUME_BALANCE, d, e);
}
static int d_cancel(struct words *w, struct deed *d, struct err *e)
{
    return request(w, VERB_CANCEL, d, e);
}

/* label VM KEY=VALUE... KEY-... */
static int d_label(struct words *w, struct deed *d, struct err *e)
{
    struct request *q = &d->request;
    q->verb = VERB_LABEL;
    q->actor = xstrdup("operator");
    int r = name(w, "a VM", &q->vm, e);
    for (const char *x; r == 0 && (x = word(w)) != NULL;)
        r = request_label(q, x) ? 0 : bad(w, x, "KEY=VALUE or KEY-", e);
    return r;
}

static int d_scheduler(struct words *w, struct deed *d, struct err *e)
{
    int r = choice(w, "kill stop start", &d->what, e);
    const char *x = r == 0 ? word(w) : NULL;
    if (!x)
        return r;
    if (!str_eq(x, "before"))
        return bad(w, x, "before N", e);
    x = word(w);
    return x ? in(w, parse_int(x, 1, INT64_MAX, &d->n, e), e) : bad(w, x, "which effect", e);
}

static int d_store(struct words *w, struct deed *d, struct err *e)
{
    return choice(w, "fail work", &d->what, e);
}

static int d_daemon(struct words *w, struct deed *d, struct err *e)
{
    int r = host_or_all(w, &d->host, e);
    return r < 0 ? r : choice(w, "kill stop start", &d->what, e);
}

static int d_power(struct words *w, struct deed *d, struct err *e)
{
    int r = host_or_all(w, &d->host, e);
    return r < 0 ? r : choice(w, "off on", &d->what, e);
}

static int d_cut(struct words *w, struct deed *d, struct err *e)
{
    int r = host_or_all(w, &d->host, e);
    return r < 0 ? r : choice(w, "all scheduler from to heal", &d->what, e);
}

static int d_ceph(struct words *w, struct deed *d, struct err *e)
{
    int r = host_or_all(w, &d->host, e);
    return r < 0 ? r : choice(w, "hang deny work blocklist err slow recovering ok", &d->what, e);
}

static int d_clock(struct words *w, struct deed *d, struct err *e)
{
    const char *x = w->next < w->n ? w->at[w->next] : "";
    bool back = *x == '-';
    if (*x == '-' || *x == '+')
        w->at[w->next]++;
    int r = duration(w, &d->us, e);
    d->us = back ? -d->us : d->us;
    return r;
}

static int d_image(struct words *w, struct deed *d, struct err *e)
{
    int r = vm_or_all(w, &d->vm, e);
    return r < 0 ? r : choice(w, "open lock close", &d->what, e);
}

static int reason_code(struct words *w, const char *token, char **ret, struct err *e)
{
    if (reason_from_token(token) == R_CHECK_FAILED &&
        !str_eq(token, reason_tokens[R_CHECK_FAILED])) {
        const char *near = str_did_you_mean(token, reason_tokens, R_COUNT_);
        return err_set(e, -EINVAL, "%s: '%s' is no code of a reason%s%s%s", w->where, token,
                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    free(*ret);
    *ret = xstrdup(token);
    return 0;
}

/* What belongs together: an answer that is slow says how slow, one that refuses, why. */
static int fault_complete(struct words *w, const struct deed *d, struct err *e)
{
    bool refuses = str_eq(d->how, "refuse");
    if (!d->us && (str_eq(d->how, "slow") || str_eq(d->how, "late")))
        return bad(w, NULL, "by=DURATION: how slow, how late", e);
    if (refuses && (!d->code || !str_eq(d->what, "check")))
        return err_set(e, -EINVAL, "%s: expected fault check refuse code=REASON", w->where);
    if (str_eq(d->what, "xml") && !str_eq(d->how, "mute") && !str_eq(d->how, "twice"))
        return err_set(e, -EINVAL, "%s: expected fault xml mute, or twice", w->where);
    if (d->to && !str_eq(d->what, "migrate"))
        return err_set(e, -EINVAL, "%s: to= belongs to migrate, not to %s", w->where, d->what);
    if (d->code && !refuses)
        return err_set(e, -EINVAL, "%s: code= belongs to refuse, not to %s", w->where, d->how);
    return 0;
}

/* fault OP HOW [code=REASON] [host=H] [vm=V] [to=H] [times=N] [by=DURATION] */
static int d_fault(struct words *w, struct deed *d, struct err *e)
{
    int r =
        choice(w, "check peer migrate abort tune probe tidy power relabel census health xml any",
               &d->what, e);
    if (r == 0)
        r = choice(w, "fail midway moved hang slow mute twice late refuse", &d->how, e);
    d->n = 1;
    for (const char *x; r == 0 && (x = word(w)) != NULL;) {
        if (str_has_prefix(x, "host="))
            d->host = xstrdup(x + 5);
        else if (str_has_prefix(x, "vm="))
            d->vm = xstrdup(x + 3);
        else if (str_has_prefix(x, "to="))
            d->to = xstrdup(x + 3);
        else if (str_eq(x, "times=all"))
            d->n = 0;
        else if (str_has_prefix(x, "times="))
            r = in(w, parse_int(x + 6, 1, 1000000, &d->n, e), e);
        else if (str_has_prefix(x, "by="))
            r = in(w, parse_duration(x + 3, &d->us, e), e);
        else if (str_has_prefix(x, "code="))
            r = reason_code(w, x + 5, &d->code, e);
        else
            r = bad(w, x, "code=, host=, vm=, to=, times= or by=", e);
    }
    return r < 0 ? r : fault_complete(w, d, e);
}

static int d_hand(struct words *w, struct deed *d, struct err *e)
{
    int r = choice(w, "migrate start shutdown destroy pause resume undefine edit switch recover",
                   &d->what, e);
    if (r == 0 && (str_eq(d->what, "switch") || str_eq(d->what, "recover")))
        return vm_or_all(w, &d->vm, e);
    if (r == 0)
        r = name(w, "a VM", &d->vm, e);
    return r == 0 && str_eq(d->what, "migrate") ? name(w, "the host it goes to", &d->to, e) : r;
}

static int expect_word(struct words *w, const char *wanted, struct err *e)
{
    const char *x = word(w);
    return str_eq(x, wanted) ? 0 : bad(w, x, wanted, e);
}

/* for 10s every 60s */
static int rhythm(struct words *w, struct deed *d, struct err *e)
{
    int r = expect_word(w, "for", e);
    if (r == 0)
        r = duration(w, &d->us, e);
    if (r == 0)
        r = expect_word(w, "every", e);
    if (r == 0)
        r = duration(w, &d->every_us, e);
    if (r == 0 && (d->us <= 0 || d->every_us <= d->us))
        r = err_set(e, -EINVAL, "%s: a burst is to be shorter than from one to the next", w->where);
    return r;
}

static int percent(struct words *w, const char *x, int64_t *ret, struct err *e)
{
    int64_t n = 0;
    size_t digits = x ? strspn(x, "0123456789") : 0;
    cleanup(freep) char *number = x ? xasprintf("%.*s", (int)digits, x) : NULL;
    if (!digits || !str_eq(x + digits, "%"))
        return bad(w, x, "a share such as 40%", e);
    int r = in(w, parse_int(number, 0, 100, &n, e), e);
    *ret = n * 10000;
    return r;
}

/* cpu 40% · cpu wave 24h 20%..80% [peak 14h] */
static int cpu(struct words *w, struct deed *d, struct err *e)
{
    const char *x = word(w);
    if (!str_eq(x, "wave"))
        return percent(w, x, &d->n, e);
    int r = duration(w, &d->us, e);
    x = r == 0 ? word(w) : NULL;
    const char *dots = x ? strstr(x, "..") : NULL;
    if (r == 0 && (!dots || d->us <= 0))
        return bad(w, x, "a range such as 20%..80%", e);
    cleanup(freep) char *low = dots ? xasprintf("%.*s", (int)(dots - x), x) : NULL;
    if (r == 0)
        r = percent(w, low, &d->n, e);
    if (r == 0)
        r = percent(w, dots + 2, &d->m, e);
    d->every_us = d->us / 2;
    if (r == 0 && w->next < w->n)
        r = expect_word(w, "peak", e) < 0 ? e->code : duration(w, &d->every_us, e);
    return r;
}

/* guest VM cpu … · guest VM writes BYTES [OVER] · bursts BYTES [OVER] for DURATION every DURATION */
static int d_guest(struct words *w, struct deed *d, struct err *e)
{
    int r = vm_or_all(w, &d->vm, e);
    if (r == 0)
        r = choice(w, "crash deaf obedient writes bursts cpu", &d->what, e);
    if (r == 0 && str_eq(d->what, "cpu"))
        return cpu(w, d, e);
    bool bursts = r == 0 && str_eq(d->what, "bursts");
    if (r < 0 || (!bursts && !str_eq(d->what, "writes")))
        return r;
    const char *x = word(w);
    if (!x)
        return bad(w, x, "bytes per second", e);
    r = in(w, parse_bytes(x, &d->n, e), e);
    if (r == 0 && w->next < w->n && !(bursts && str_eq(w->at[w->next], "for")))
        r = in(w, parse_bytes(word(w), &d->m, e), e);
    return r == 0 && bursts ? rhythm(w, d, e) : r;
}

static int d_link(struct words *w, struct deed *d, struct err *e)
{
    int r = host_or_all(w, &d->host, e);
    const char *x = r == 0 ? word(w) : NULL;
    if (r == 0 && !x)
        return bad(w, x, "a rate such as 25Gbit", e);
    return r < 0 ? r : in(w, parse_bitrate(x, &d->n, e), e);
}

static int d_look(struct words *w, struct deed *d, struct err *e)
{
    (void)w;
    (void)d;
    (void)e;
    return 0;
}

static int d_policy(struct words *w, struct deed *d, struct err *e)
{
    return name(w, "a folder of policy files", &d->policy, e);
}

static const struct {
    const char *word;
    enum deed_kind kind;
    int (*parse)(struct words *w, struct deed *d, struct err *e);
} kinds[] = {
    {"drain", DEED_REQUEST, d_drain},
    {"resume", DEED_REQUEST, d_resume},
    {"cordon", DEED_REQUEST, d_cordon},
    {"cancel", DEED_REQUEST, d_cancel},
    {"label", DEED_REQUEST, d_label},
    {"balance", DEED_REQUEST, d_balance},
    {"suspend_balance", DEED_REQUEST, d_suspend_balance},
    {"resume_balance", DEED_REQUEST, d_resume_balance},
    {"apply", DEED_REQUEST, d_apply},
    {"policy", DEED_POLICY, d_policy},
    {"scheduler", DEED_SCHEDULER, d_scheduler},
    {"store", DEED_STORE, d_store},
    {"agent", DEED_AGENT, d_daemon},
    {"libvirtd", DEED_LIBVIRTD, d_daemon},
    {"power", DEED_POWER, d_power},
    {"cut", DEED_CUT, d_cut},
    {"ceph", DEED_CEPH, d_ceph},
    {"image", DEED_IMAGE, d_image},
    {"clock", DEED_CLOCK, d_clock},
    {"fault", DEED_FAULT, d_fault},
    {"someone", DEED_HAND, d_hand},
    {"guest", DEED_GUEST, d_guest},
    {"link", DEED_LINK, d_link},
    {"look", DEED_LOOK, d_look},
};

static int parse(struct words *w, struct deed *d, struct err *e)
{
    const char *names[ARRAY_LEN(kinds)];
    int r = duration(w, &d->at_us, e);
    const char *x = r == 0 ? word(w) : NULL;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(kinds); i++) {
        names[i] = kinds[i].word;
        if (!str_eq(x, kinds[i].word))
            continue;
        d->kind = (int)kinds[i].kind;
        r = kinds[i].parse(w, d, e);
        return r == 0 && w->next < w->n ? bad(w, w->at[w->next], "the end of the line", e) : r;
    }
    if (r < 0)
        return r;
    const char *near = x ? str_did_you_mean(x, names, ARRAY_LEN(names)) : NULL;
    return err_set(e, -EINVAL, "%s: '%s' is nothing that can happen%s%s%s", w->where, x ? x : "",
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

int deed_parse(const char *text, const char *where, struct deed *ret, struct err *e)
{
    struct words w;
    struct deed d = {0};
    shape_init(&request_shape, &d.request);
    int r = split(text, where, &w, e);
    if (r == 0)
        r = parse(&w, &d, e);
    free(w.text);
    if (r < 0)
        deed_done(&d);
    else
        *ret = d;
    return r;
}
