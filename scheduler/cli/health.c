/* drover health: what is wrong with the scheduler and its fleet, in the way of monitoring plugins. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

/* An error counts more than a warning. A scheduler that is newer may know other words: worse than unknown
 * is nothing. */
static int code_of(const char *status)
{
    static const char *const words[] = {"ok", "warning", "error"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(status, words[i]))
            return (int)i;
    return P_UNKNOWN;
}

static int print(struct cli *c, const json_t *j)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    const json_t *checks = json_object_get(j, "checks"), *policy = json_object_get(j, "policy");
    size_t n = json_array_size(checks);
    cleanup(freep) struct check_item *items = xcalloc(n + 1, sizeof(*items));
    int code = code_of(text_of(j, "status"));
    int64_t count[3] = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(checks, i);
        items[i] = (struct check_item){
            .name = (char *)(uintptr_t)json_string_value(json_object_get(x, "name")),
            .verdict = json_integer_value(json_object_get(x, "verdict")),
            .text = (char *)(uintptr_t)json_string_value(json_object_get(x, "text")),
            .cure = (char *)(uintptr_t)json_string_value(json_object_get(x, "cure")),
        };
        count[items[i].verdict == 1 ? 1 : 2]++;
    }
    const char *revision = text_of(policy, "revision");
    const json_t *xml = json_object_get(j, "xml_missing"); /* not of earlier schedulers */
    cleanup(freep) char *missing =
        xml ? xasprintf(" xml_missing=%lld", (long long)json_integer_value(xml)) : xstrdup("");
    text_line(c->out, "DROVER %s - %s, %s; policy %.12s%s%s | warn=%lld fail=%lld%s", words[code],
              text_count(count[2], "error", "errors"), text_count(count[1], "warning", "warnings"),
              revision, *revision ? " " : "", text_of(policy, "state"), (long long)count[1],
              (long long)count[2], missing);
    if (!c->quiet)
        check_items_print(c, items, n);
    return code;
}

int cmd_health(struct cli *c, int argc, char **argv)
{
    cleanup(json_decrefp) json_t *j = NULL;
    struct err e;
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_get(cl, "/v1/health", &j, &e) < 0)
        return plugin_unknown(c, "the scheduler", e.msg);
    if (!out_is_data(c))
        return print(c, j);
    out_data(c, j, "checks");
    return code_of(text_of(j, "status"));
}
