#include "scheduler/io/policywatch.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* WAIT_LOOKS: a lock that git left behind when it was killed must not hold up policies for ever: 30 s. */
enum { LOOK_EVERY_S = 2, LOOKS_PER_RELOAD = 30, WAIT_LOOKS = 15 };

struct policywatch {
    char *dir;
    bool require_clean;
    struct queue *queue;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    uint64_t print;  /* fingerprint of the files that were last loaded or refused; 0: none were */
    uint64_t digest; /* of the policy in force: texts and commit */
    char *refused;   /* error that was told; NULL: the last load was good */
    int waited;      /* looks in a row at which it could not be read */
};

/* nftw has no argument, and only this thread walks. */
static __thread uint64_t walk_print;
static __thread size_t walk_files;

static const uint64_t FNV_START = UINT64_C(0xcbf29ce484222325);

static void mix(uint64_t v)
{
    walk_print = (walk_print ^ v) * UINT64_C(0x100000001b3); /* FNV-1a, by words */
}

static void mix_file(const char *path, const struct stat *st)
{
    for (const char *p = path; *p; p++)
        mix((unsigned char)*p);
    mix((uint64_t)st->st_size);
    mix((uint64_t)st->st_ino);
    mix((uint64_t)st->st_mtim.tv_sec);
    mix((uint64_t)st->st_mtim.tv_nsec);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    if (type == FTW_D && str_eq(name, ".git"))
        return FTW_SKIP_SUBTREE;
    if (type == FTW_F && (str_glob("*.yaml", name) || str_glob("*.yml", name))) {
        mix_file(path, st);
        walk_files++;
    }
    return walk_files > LIM_POLICY_FILES ? FTW_STOP : FTW_CONTINUE;
}

/* A commit changes whether the tree is clean without touching the files: look at git's own marks, in
 * the directory or above it. */
static void mix_git(const char *dir)
{
    static const char *const marks[] = {"HEAD", "index", "logs/HEAD"};
    cleanup(freep) char *at = realpath(dir, NULL);
    while (at && *at) {
        struct stat st;
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            cleanup(freep) char *path = xasprintf("%s/.git/%s", at, marks[i]);
            if (stat(path, &st) < 0)
                continue;
            found = true;
            mix_file(path, &st);
        }
        char *slash = strrchr(at, '/');
        if (found || !slash)
            return;
        *slash = '\0';
    }
}

static uint64_t fingerprint(const char *dir)
{
    walk_print = FNV_START;
    walk_files = 0;
    cleanup(freep) char *real =
        realpath(dir, NULL); /* the directory may be a link that is swapped */
    if (nftw(real ? real : dir, visit, 16, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
        mix((uint64_t)errno);
    mix_git(dir);
    return walk_print;
}

static void mix_text(const char *s)
{
    for (; s && *s; s++)
        mix((unsigned char)*s);
    mix(0x100); /* the end is a letter too */
}

static uint64_t digest_of(const struct policy *p)
{
    walk_print = FNV_START;
    for (size_t i = 0; i < p->n_files; i++) {
        mix_text(p->files[i].name);
        mix_text(p->files[i].text);
    }
    mix_text(p->commit);
    mix(p->clean);
    return walk_print;
}

int policywatch_load(const char *dir, bool require_clean, struct policy *ret, struct err *e)
{
    struct policy p;
    int rc = policy_load(dir, &p, e);
    if (rc < 0)
        return rc;
    if (!require_clean || (p.commit && p.clean)) {
        *ret = p;
        return 0;
    }
    rc = p.commit ? err_set(e, -EBUSY,
                            "%s: not as committed, and scheduler.yaml has policy_require_clean: "
                            "commit it, or put it back",
                            p.changed)
                  : err_set(e, -EBUSY,
                            "%s: nothing is committed here, and scheduler.yaml has "
                            "policy_require_clean",
                            dir);
    policy_done(&p);
    return rc;
}

static bool push(struct policywatch *w, struct item *i)
{
    if (queue_push(w->queue, i) == 0)
        return true;
    item_free(i); /* told at the next look */
    w->print = 0;
    return false;
}

static void tell_bad(struct policywatch *w, const struct err *e)
{
    if (str_eq(w->refused, e->msg))
        return;
    struct item *i = item_new(ITEM_POLICY_BAD);
    i->text = xstrdup(e->msg);
    policy_git(w->dir, &i->source, NULL);
    if (!push(w, i))
        return;
    free(w->refused);
    w->refused = xstrdup(e->msg);
}

static void tell_good(struct policywatch *w, struct policy *p)
{
    uint64_t digest = digest_of(p);
    struct item *i = item_new(ITEM_POLICY);
    i->policy = *p;
    if (!push(w, i))
        return;
    free(take(w->refused));
    w->digest = digest;
}

/* Not now: something is at work there. True when it is worth waiting for. */
static bool wait_for_it(struct policywatch *w)
{
    if (w->waited >= WAIT_LOOKS)
        return false;
    if (w->waited++ == 0) {
        struct item *i = item_new(ITEM_POLICY_BEHIND);
        policy_git(w->dir, &i->source, NULL);
        push(w, i);
    }
    return true;
}

static void look(struct policywatch *w, bool reload)
{
    uint64_t print = fingerprint(w->dir);
    struct policy p;
    struct err e = {0};
    if (print == w->print && !reload)
        return;
    if (policy_git_busy(w->dir) && wait_for_it(w))
        return;
    int rc = policywatch_load(w->dir, w->require_clean, &p, &e);
    if (fingerprint(w->dir) != print && wait_for_it(w)) {
        if (rc == 0)
            policy_done(&p);
        return;
    }
    bool was_behind = w->waited > 0;
    w->waited = 0;
    w->print = print;
    if (rc < 0)
        tell_bad(w, &e);
    else if (w->refused || was_behind || digest_of(&p) != w->digest)
        tell_good(w, &p);
    else
        policy_done(&p);
}

static void *watch_main(void *arg)
{
    struct policywatch *w = arg;
    pthread_mutex_lock(&w->lock);
    for (int n = 1; !w->stopping; n++) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_EVERY_S;
        pthread_cond_timedwait(&w->stop, &w->lock, &until);
        if (w->stopping)
            break;
        pthread_mutex_unlock(&w->lock);
        look(w, n % LOOKS_PER_RELOAD == 0);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct policywatch *policywatch_start(const struct policywatch_config *cfg,
                                      const struct policy *first)
{
    struct policywatch *w = xcalloc(1, sizeof(*w));
    w->dir = xstrdup(cfg->dir);
    w->queue = cfg->queue;
    w->require_clean = cfg->require_clean;
    /* What was loaded just now may have changed under the reading: the first look reads it again, and
     * tells if it is another. */
    w->digest = first ? digest_of(first) : 0;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stop, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&w->thread, NULL, watch_main, w) != 0)
        abort(); /* no thread at start is as good as no memory */
    return w;
}

void policywatch_stop(struct policywatch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->stop);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w->dir);
    free(w->refused);
    free(w);
}
