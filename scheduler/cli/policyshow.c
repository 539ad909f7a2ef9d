/* drover policy show: which policy is in force, and what became of the last change. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/core.h"

enum { HEX = 12 }; /* of a commit */

static const struct column columns[] = {
    {.name = "REVISION"},
    {.name = "SOURCE"},
    {.name = "STATE"},
    {.name = "CLEAN"},
    {.name = "LOADED"},
    {.name = "BY"},
    {.name = "DIR", .wide = true},
    {.name = "RULES", .wide = true, .right = true},
    {.name = "FILES", .wide = true, .right = true},
    {.name = "MESSAGE"},
};

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static void add_commit(struct table *t, const json_t *j)
{
    table_fmt(t, C_NONE, "%.*s", HEX, text_of(j, "revision"));
}

/* What differs, or the commit's own words. */
static const char *message_of(const json_t *j)
{
    const char *error = text_of(j, "message"),
               *why = text_of(json_object_get(j, "suspended"), "reason");
    return *error ? error : *why ? why : text_of(j, "summary");
}

static void note_suspended(struct cli *c, const json_t *x)
{
    struct suspension s;
    if (!x || codec_decode(&suspension_shape, x, &s, NULL) < 0)
        return;
    char since[TIME_BYTES];
    cleanup(freep) char *text = suspension_text(&s);
    cli_note(c, "scheduled balance is %s (since %s); drover policy resume ends it", text,
             time_date(since, s.since_wall_us));
    shape_done(&suspension_shape, &s);
}

/* "balance looks next at 2026-03-01 22:10:00; the window is closed until 2026-03-02 20:00:00" */
static void note_balance(struct cli *c, const json_t *x)
{
    char at[TIME_BYTES], change[TIME_BYTES];
    int64_t next = json_integer_value(json_object_get(x, "next_wall_us")),
            changes = json_integer_value(json_object_get(x, "window_change_wall_us"));
    int64_t waits = json_integer_value(json_object_get(x, "waiting_run"));
    bool open = json_is_true(json_object_get(x, "window_open"));
    if (!x)
        return;
    cleanup(freep) char *look = next ? xasprintf("balance looks next at %s", time_date(at, next))
                                     : xstrdup("balance has no look to come");
    cleanup(freep) char *window =
        changes ? xasprintf("; the window is %s until %s", open ? "open" : "closed",
                            time_date(change, changes))
                : xstrdup(open ? "" : "; the window is closed");
    cleanup(freep) char *plan =
        waits ? xasprintf("; the plan of run/%lld waits for an operator", (long long)waits)
              : xstrdup("");
    const char *said = text_of(x, "last_look");
    cli_note(c, "%s%s%s%s%s", look, window, plan, *said ? "; the last look: " : "", said);
}

static int print(struct cli *c, const json_t *j)
{
    const json_t *source = json_object_get(j, "source");
    const char *state = text_of(j, "state"), *revision = text_of(j, "revision");
    bool good = str_eq(state, "in-force"), clean = json_is_true(json_object_get(j, "clean"));
    char when[TIME_BYTES];
    struct table t = {.cols = columns, .n_cols = ARRAY_LEN(columns)};
    add_commit(&t, j);
    add_commit(&t, source);
    table_text(&t, good ? C_GOOD : str_eq(state, "suspended") ? C_WARN : C_BAD, state);
    table_text(&t, clean || !*revision ? C_NONE : C_WARN, !*revision ? NULL : clean ? "yes" : "no");
    table_text(&t, C_NONE,
               time_date(when, json_integer_value(json_object_get(j, "loaded_wall_us"))));
    table_text(&t, C_NONE, text_of(j, "author"));
    table_text(&t, C_NONE, text_of(j, "dir"));
    table_int(&t, json_integer_value(json_object_get(j, "rules")));
    table_int(&t, (int64_t)json_array_size(json_object_get(j, "files")));
    table_text(&t, good ? C_NONE : C_BAD, message_of(j));
    int code = table_print(c, &t);
    table_done(&t);
    const char *changed = text_of(j, "changed");
    if (*changed)
        cli_note(c, "%s is not as committed", changed);
    if (json_is_true(json_object_get(j, "kept")))
        cli_note(c, "in force is the last good policy, as the database has it");
    if (!good && *text_of(source, "author"))
        cli_note(c, "%.*s is by %s", HEX, text_of(source, "revision"), text_of(source, "author"));
    note_suspended(c, json_object_get(j, "suspended"));
    note_balance(c, json_object_get(j, "balance"));
    return code;
}

int policy_show(struct cli *c, int argc, char **argv)
{
    cleanup(json_decrefp) json_t *j = NULL;
    struct err e;
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_get(cl, "/v1/policy", &j, &e) < 0)
        return cli_fail(c, &e);
    if (!out_is_data(c))
        return print(c, j);
    out_data(c, j, NULL);
    return X_DONE;
}
