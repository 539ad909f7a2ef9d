#include "scheduler/io/policystate.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

void policy_state_done(struct policy_state *st)
{
    free(st->error);
    git_source_done(&st->seen);
    *st = (struct policy_state){0};
}

static void see(struct policy_state *st, struct git_source *seen)
{
    git_source_done(&st->seen);
    st->seen = *seen;
    *seen = (struct git_source){0};
    st->seen_wall_us = clock_wall_us();
}

void policy_state_good(struct policy_state *st, const struct policy *p, int64_t since_wall_us)
{
    struct git_source seen = {.commit = xstrdup(p->commit),
                              .author = xstrdup(p->author),
                              .summary = xstrdup(p->summary),
                              .changed = xstrdup(p->changed),
                              .committed_wall_us = p->committed_wall_us,
                              .clean = p->clean};
    see(st, &seen);
    free(take(st->error));
    st->behind = st->kept = false;
    st->since_wall_us = since_wall_us;
}

void policy_state_bad(struct policy_state *st, char *error, struct git_source *seen)
{
    see(st, seen);
    free(st->error);
    st->error = error;
    st->behind = false;
}

void policy_state_behind(struct policy_state *st, struct git_source *seen)
{
    see(st, seen);
    st->behind = true;
}

/* Names of people and files may be anything. */
static void set_text(json_t *j, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    if (value)
        json_object_set_new(j, key, value);
}

static void set_time(json_t *j, const char *key, int64_t wall_us)
{
    if (wall_us)
        json_object_set_new(j, key, json_integer(wall_us));
}

static json_t *source_encode(const struct policy_state *st)
{
    const struct git_source *s = &st->seen;
    json_t *j = json_pack("{s:b}", "clean", s->clean);
    set_text(j, "revision", s->commit);
    set_text(j, "author", s->author);
    set_text(j, "summary", s->summary);
    set_text(j, "changed", s->changed);
    set_time(j, "committed_wall_us", s->committed_wall_us);
    set_time(j, "seen_wall_us", st->seen_wall_us);
    return j;
}

json_t *policy_state_encode(const struct policy_state *st, const struct policy_told *what)
{
    const struct policy *p = what->policy;
    bool suspended = what->suspended->on;
    const char *word = st->error    ? "refused"
                       : suspended  ? "suspended"
                       : st->behind ? "behind"
                                    : "in-force";
    json_t *j = json_pack("{s:s, s:b}", "state", word, "clean", p->clean);
    if (suspended)
        json_object_set_new(j, "suspended",
                            codec_encode_public(&suspension_shape, what->suspended));
    set_text(j, "revision", p->commit);
    set_text(j, "message", st->error);
    set_time(j, "loaded_wall_us", st->since_wall_us);
    if (what->brief)
        return j;
    json_t *files = json_array();
    for (size_t i = 0; i < p->n_files; i++) {
        json_t *name = json_string(p->files[i].name);
        if (name)
            json_array_append_new(files, name);
    }
    set_text(j, "dir", p->dir);
    set_text(j, "author", p->author);
    set_text(j, "summary", p->summary);
    set_text(j, "changed", p->changed);
    set_time(j, "committed_wall_us", p->committed_wall_us);
    json_object_set_new(j, "rules", json_integer((json_int_t)p->n_rules));
    json_object_set_new(j, "files", files);
    json_object_set_new(j, "kept", json_boolean(st->kept));
    json_object_set_new(j, "source", source_encode(st));
    return j;
}

/* ---- the last good one, for the store ---------------------------------------------------------- */
bool policy_same(const struct policy *a, const struct policy *b)
{
    bool same = a->n_files == b->n_files && str_eq(a->commit, b->commit) && a->clean == b->clean;
    for (size_t i = 0; same && i < a->n_files; i++)
        same = str_eq(a->files[i].name, b->files[i].name) &&
               str_eq(a->files[i].text, b->files[i].text);
    return same;
}

char *policy_keep(const struct policy *p, int64_t since_wall_us)
{
    cleanup(json_decrefp) json_t *j =
        json_pack("{s:I, s:b}", "since_wall_us", (json_int_t)since_wall_us, "clean", p->clean);
    json_t *files = json_array();
    json_object_set_new(j, "files", files);
    for (size_t i = 0; i < p->n_files; i++) {
        json_t *f = json_pack("{s:s, s:s}", "name", p->files[i].name, "text", p->files[i].text);
        if (!f)
            return NULL;
        json_array_append_new(files, f);
    }
    set_text(j, "dir", p->dir);
    set_text(j, "commit", p->commit);
    set_text(j, "author", p->author);
    set_text(j, "summary", p->summary);
    set_time(j, "committed_wall_us", p->committed_wall_us);
    return codec_text(j);
}

static char *text_of(const json_t *j, const char *key)
{
    return xstrdup(json_string_value(json_object_get(j, key)));
}

int policy_kept(const char *text, struct policy *ret, int64_t *ret_since_wall_us, struct err *e)
{
    cleanup(json_decrefp) json_t *j = json_loads(text, 0, NULL);
    const json_t *files = json_object_get(j, "files");
    size_t n = json_array_size(files);
    cleanup(freep) struct policy_file *list = xcalloc(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(files, i);
        list[i].name = (char *)(uintptr_t)json_string_value(json_object_get(f, "name"));
        list[i].text = (char *)(uintptr_t)json_string_value(json_object_get(f, "text"));
        if (!list[i].name || !list[i].text)
            return err_set(e, -EBADMSG, "the policy in the database is damaged");
    }
    if (!json_is_array(files))
        return err_set(e, -EBADMSG, "the policy in the database is damaged");
    int rc = policy_load_texts(list, n, ret, e);
    if (rc < 0)
        return rc;
    ret->dir = text_of(j, "dir");
    ret->commit = text_of(j, "commit");
    ret->author = text_of(j, "author");
    ret->summary = text_of(j, "summary");
    ret->committed_wall_us = json_integer_value(json_object_get(j, "committed_wall_us"));
    ret->clean = json_is_true(json_object_get(j, "clean"));
    *ret_since_wall_us = json_integer_value(json_object_get(j, "since_wall_us"));
    return 0;
}
