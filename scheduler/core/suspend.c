/* Scheduled balance does not begin anything for a while: an operator said so, and why. It is kept over a
 * restart, and ends by a word or at its time. */
#include "scheduler/core/internal.h"

char *suspension_text(const struct suspension *s)
{
    char at[FMT_BYTES];
    return xasprintf("suspended by %s%s%s: %s", s->actor ? s->actor : "?",
                     s->until_wall_us ? " until " : "",
                     s->until_wall_us ? fmt_rfc3339(at, s->until_wall_us) : "", s->reason);
}

static void end(struct core *c)
{
    shape_done(&suspension_shape, &c->suspended);
    fx_add(c, FX_SAVE_SUSPENSION);
}

void suspend_request(struct core *c, int64_t id, const struct request *req)
{
    if (!req->reason || !*req->reason) {
        answer_text(c, id, 400, 64, "no_reason", 0,
                    "no reason was given: scheduled balance is as before");
        return;
    }
    shape_done(&suspension_shape, &c->suspended);
    c->suspended = (struct suspension){
        .on = true,
        .actor = xstrdup(req->actor),
        .reason = xstrdup(req->reason),
        .since_wall_us = c->wall_us,
        .until_wall_us = req->deadline_us > 0 ? c->wall_us + req->deadline_us : 0,
    };
    fx_add(c, FX_SAVE_SUSPENSION);
    cleanup(freep) char *text = suspension_text(&c->suspended);
    say(c, (struct about){.actor = req->actor}, "balance.suspended", "scheduled balance: %s", text);
    answer_text(c, id, 200, 0, "suspended", 0,
                "scheduled balance: %s; drover balance works as before, drover policy resume ends "
                "it",
                text);
}

void unsuspend_request(struct core *c, int64_t id, const struct request *req)
{
    if (!c->suspended.on) {
        answer_text(c, id, 200, 0, "already", 0,
                    "scheduled balance is not suspended; nothing was changed");
        return;
    }
    end(c);
    say(c, (struct about){.actor = req->actor}, "balance.resumed",
        "scheduled balance goes on: resumed by %s%s%s", req->actor ? req->actor : "?",
        req->reason ? ": " : "", req->reason ? req->reason : "");
    answer_text(c, id, 200, 0, "resumed", 0, "scheduled balance goes on");
}

void suspend_tick(struct core *c)
{
    if (!c->suspended.on || !c->suspended.until_wall_us || c->wall_us < c->suspended.until_wall_us)
        return;
    end(c);
    say(c, (struct about){0}, "balance.resumed",
        "scheduled balance goes on: it was suspended until now");
}

void core_restore_suspension(struct core *c, const struct suspension *s)
{
    shape_done(&suspension_shape, &c->suspended);
    shape_copy(&suspension_shape, &c->suspended, s);
}

const struct suspension *core_suspension(const struct core *c)
{
    return &c->suspended;
}
