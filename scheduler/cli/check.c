/* drover check: verdicts with cures; exit codes and the first line are those of monitoring plugins. */
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/drain.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

int plugin_unknown(struct cli *c, const char *subject, const char *why)
{
    if (out_is_data(c)) /* the line is no document */
        return cli_error(c, P_UNKNOWN, "%s: %s", subject, why);
    size_t first =
        strcspn(why, "\n"); /* the cure is on the next line: a plugin's reader shows one */
    text_line(c->out, "DROVER UNKNOWN - %s: %.*s", subject, (int)first, why);
    if (why[first])
        text_line(c->out, "%s", why + first + 1);
    return P_UNKNOWN;
}

static int verdict_of(const struct check_item *it)
{
    return it->verdict >= 0 && it->verdict <= 2 ? (int)it->verdict : 2;
}

void check_items_print(struct cli *c, const struct check_item *items, size_t n)
{
    static const char *const tags[] = {"PASS", "WARN", "FAIL"};
    static const int colours[] = {C_GOOD, C_WARN, C_BAD};
    size_t width = 0;
    for (size_t i = 0; i < n; i++) {
        size_t w = items[i].name ? text_width(items[i].name) : 0;
        width = w > width && w < 40 ? w : width;
    }
    for (size_t i = 0; i < n; i++) {
        const struct check_item *it = &items[i];
        int v = verdict_of(it);
        fprintf(c->out, "%s%s%s  ", paint(c, c->out, colours[v]), tags[v],
                paint_off(c, c->out, colours[v]));
        text_line(c->out, "%-*s  %s", (int)width, it->name ? it->name : "?",
                  it->text ? it->text : "");
        if (it->cure && v != 0)
            text_line(c->out, "      %-*s  → %s", (int)width, "", it->cure);
    }
}

/* Status line with perfdata first: a plugin's reader shows only that. */
static int items_print(struct cli *c, const char *subject, const struct reply *r)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
    int64_t count[3] = {0};
    int worst = P_OK;
    for (size_t i = 0; i < r->n_items; i++) {
        int v = verdict_of(&r->items[i]);
        count[v]++;
        worst = v > worst ? v : worst;
    }
    text_line(
        c->out, "DROVER %s - %s: %lld passed, %s, %lld failed | pass=%lld warn=%lld fail=%lld",
        words[worst], subject, (long long)count[0], text_count(count[1], "warning", "warnings"),
        (long long)count[2], (long long)count[0], (long long)count[1], (long long)count[2]);
    if (!c->quiet)
        check_items_print(c, r->items, r->n_items);
    return worst;
}

static int check(struct cli *c, struct request *req, const char *subject)
{
    struct reply r;
    struct err e;
    if (request_post(c, req, &r, &e) < 0)
        return plugin_unknown(c, subject, e.msg);
    int code;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *body = codec_encode_public(&reply_shape, &r);
        cleanup(json_decrefp) json_t *j =
            json_pack("{s:s, s:O*, s:O*}", "schema", "drover.check/1", "message",
                      json_object_get(body, "message"), "items", json_object_get(body, "items"));
        out_data(c, j, "items");
        code = r.n_items ? P_OK : P_UNKNOWN;
        for (size_t i = 0; i < r.n_items; i++)
            code = verdict_of(&r.items[i]) > code ? verdict_of(&r.items[i]) : code;
    } else if (!r.n_items) {
        code = plugin_unknown(c, subject, r.message ? r.message : "no answer");
    } else {
        code = items_print(c, subject, &r);
    }
    shape_done(&reply_shape, &r);
    return code;
}

int cmd_check(struct cli *c, int argc, char **argv)
{
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    bool pair = optind < argc && str_eq(argv[optind], "pair");
    if (!opt_words(c, argc, argv, pair ? 3 : 1, pair ? 3 : 1,
                   pair ? "one of the two hosts" : "a host"))
        return X_USAGE;
    const char *a = name_host(c, argv[optind + pair]),
               *b = pair ? name_host(c, argv[optind + 2]) : NULL;
    if (!a || (pair && !b))
        return X_USAGE;
    if (pair && str_eq(a, b))
        return cli_usage(c, "drover check pair needs two different hosts");
    struct request req = {.verb = pair ? VERB_CHECK_PAIR : VERB_CHECK_HOST,
                          .host = (char *)(uintptr_t)a,
                          .host2 = (char *)(uintptr_t)b};
    cleanup(freep) char *subject =
        pair ? xasprintf("host/%s and host/%s", a, b) : xasprintf("host/%s", a);
    return check(c, &req, subject);
}
