#include "policy/lint.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/loading.h"

const char *const problem_level_names[3] = {"note", "warning", "error"};

static const char *number(const char *s, int *ret)
{
    size_t digits = *s == ':' ? strspn(s + 1, "0123456789") : 0;
    int64_t n;
    if (!digits || digits > 9)
        return s;
    cleanup(freep) char *text = xasprintf("%.*s", (int)digits, s + 1);
    if (parse_int(text, 1, INT32_MAX, &n, NULL) < 0)
        return s;
    *ret = (int)n;
    return s + 1 + digits;
}

/* A file's name may hold a colon: its place begins behind the ending that policy files have. */
static const char *file_end(const char *s)
{
    static const char *const ends[] = {".yaml:", ".yml:"};
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        const char *at = strstr(s, ends[i]);
        const char *end = at ? at + strlen(ends[i]) - 1 : NULL;
        if (end && (!first || end < first))
            first = end;
    }
    return first;
}

/* Fills the place and gives what comes behind it. */
static const char *take_place(const char *s, struct problem *ret)
{
    const char *end = file_end(s);
    if (!end)
        return s;
    ret->file = xasprintf("%.*s", (int)(end - s), s);
    const char *rest = number(end, &ret->line);
    rest = ret->line ? number(rest, &ret->col) : rest;
    return rest + (*rest == ':') + (rest[0] == ':' && rest[1] == ' ');
}

struct problem *problem_add(struct problems *l, int level, const char *code, const char *where,
                            const char *fmt, ...)
{
    struct problem *p = vec_add(&l->list, &l->n);
    va_list ap;
    va_start(ap, fmt);
    p->text = xvasprintf(fmt, ap);
    va_end(ap);
    p->level = level;
    p->code = code;
    if (where) {
        cleanup(freep) char *place = xasprintf("%s:", where); /* "FILE" alone is a place too */
        take_place(place, p);
    }
    return p;
}

void problem_add_message(struct problems *l, const char *code, const char *message)
{
    struct problem *p = vec_add(&l->list, &l->n);
    p->level = PROBLEM_ERROR;
    p->code = code;
    p->text = xstrdup(take_place(message, p));
}

size_t problems_of(const struct problems *l, int level)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += l->list[i].level == level;
    return n;
}

static int by_place(const struct problem *a, const struct problem *b)
{
    int k = strcmp(a->file ? a->file : "", b->file ? b->file : "");
    k = k ? k : (a->line > b->line) - (a->line < b->line);
    return k ? k : (a->col > b->col) - (a->col < b->col);
}

void problems_sort(struct problems *l)
{
    for (size_t i = 1; i < l->n; i++) { /* few, and mostly in order */
        struct problem p = l->list[i];
        size_t k = i;
        for (; k > 0 && by_place(&l->list[k - 1], &p) > 0; k--)
            l->list[k] = l->list[k - 1];
        l->list[k] = p;
    }
}

void problems_done(struct problems *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].file);
        free(l->list[i].text);
    }
    free(l->list);
    *l = (struct problems){0};
}

static void note_overrides(const struct policy *p, struct problems *found)
{
    for (size_t i = 0; i < p->n_set; i++)
        if (p->set[i].overrides)
            problem_add(found, PROBLEM_NOTE, "override", p->set[i].where,
                        "%s overrides the value at %s", p->set[i].key, p->set[i].overrides);
}

int policy_lint(const char *dir, struct policy *ret, struct problems *found)
{
    cleanup(policy_done) struct policy p;
    struct err e = {0};
    size_t before = found->n;
    policy_default(&p);
    int rc = policy_read_dir(dir, &p, found, &e);
    if (rc < 0 && found->n == before)
        problem_add_message(found, "invalid", e.msg);
    if (rc == 0 && (rc = policy_check_whole(&p, &e)) < 0)
        problem_add_message(found, "contradiction", e.msg);
    if (rc == 0 && (rc = policy_add_source(dir, &p, &e)) < 0)
        problem_add_message(found, "git", e.msg);
    note_overrides(&p, found);
    if (rc < 0)
        return rc;
    *ret = p;
    p = (struct policy){0};
    return 0;
}
