/* drover policy suspend, resume: whether the policy's schedule begins balance runs. */
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/drain.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/policycmd.h"

enum { O_UNTIL = 256, O_FOR };

bool policy_until(const char *text, int64_t now_us, int64_t *ret_wall_us)
{
    static const char *const forms[] = {"%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ"};
    time_t now = (time_t)(now_us / SEC), at = 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm t;
        localtime_r(&now, &t);
        t.tm_sec = 0;
        const char *end = strptime(text, forms[i], &t);
        if (!end || *end)
            continue;
        t.tm_isdst = -1;
        struct tm today = t;
        at = i == 2 ? timegm(&t) : mktime(&t);
        if (i == 0 && at <= now) { /* tomorrow; that day may be one of 23 or 25 hours */
            today.tm_mday++;
            at = mktime(&today);
        }
        break;
    }
    if (at <= now)
        return false;
    *ret_wall_us = (int64_t)at * SEC;
    return true;
}

static int post(struct cli *c, const struct request *req)
{
    struct reply reply;
    struct err e;
    if (request_post(c, req, &reply, &e) < 0)
        return cli_fail(c, &e);
    int code = reply_print(c, &reply);
    shape_done(&reply_shape, &reply);
    return code;
}

int policy_suspend(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {{"reason", required_argument, NULL, 'm'},
                                        {"until", required_argument, NULL, O_UNTIL},
                                        {"for", required_argument, NULL, O_FOR},
                                        {0}};
    struct request req = {.verb = VERB_SUSPEND_BALANCE};
    int64_t now = clock_wall_us(), until = 0;
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        if (o == 'm')
            req.reason = optarg;
        if (o == O_FOR && !opt_duration(c, "--for", optarg, &req.deadline_us))
            return X_USAGE;
        if (o == O_UNTIL && !policy_until(optarg, now, &until))
            return cli_usage(c,
                             "--until: '%s' is no time to come: expected HH:MM, \"YYYY-MM-DD "
                             "HH:MM\" or YYYY-MM-DDTHH:MM:SSZ",
                             optarg);
    }
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    if (!req.reason || !*req.reason)
        return cli_usage(c, "say why: drover policy suspend -m \"storage work\"");
    if (until && req.deadline_us)
        return cli_usage(c, "--until and --for are two ways to say the same");
    if (until)
        req.deadline_us = until - now;
    return post(c, &req);
}

int policy_resume(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {{"reason", required_argument, NULL, 'm'}, {0}};
    struct request req = {.verb = VERB_RESUME_BALANCE};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        req.reason = optarg;
    }
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    return post(c, &req);
}
