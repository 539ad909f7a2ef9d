/* Virtual time: what happens next, and the log. */
#include <stdarg.h>
#include <string.h>

#include "scheduler/sim/world.h"

enum { LOG_MAX = 256 << 20 };

int64_t sim_now(const struct sim *s)
{
    return s->now_us;
}

int64_t sim_wall(const struct sim *s)
{
    return START_WALL_US + s->now_us + s->wall_off_us;
}

int64_t sim_wall_to_us(int64_t wall_us)
{
    return wall_us - START_WALL_US;
}

void sim_later(struct sim *s, int64_t in_us, struct sim_due what)
{
    int id;
    if (s->n_free_due) {
        id = s->free_due[--s->n_free_due];
    } else {
        id = (int)s->n_due;
        vec_add(&s->due, &s->n_due);
    }
    s->due[id] = what;
    heap_put(&s->queue, (struct heap_item){.key = s->now_us + (in_us > 0 ? in_us : 0),
                                           .then = s->next_seq++,
                                           .id = id});
}

static void due_drop(struct sim_due *d)
{
    if (d->drop)
        d->drop(d->arg);
    else
        free(d->arg);
    *d = (struct sim_due){0};
}

bool sim_next(struct sim *s, int64_t until_us)
{
    struct heap_item x;
    if (!s->queue.n || s->queue.items[0].key > until_us || !heap_take(&s->queue, &x)) {
        s->now_us = until_us > s->now_us && until_us != NEVER ? until_us : s->now_us;
        return false;
    }
    struct sim_due d = s->due[x.id];
    s->now_us = x.key;
    s->n_events++;
    s->due[x.id] = (struct sim_due){0};
    *(int *)vec_add(&s->free_due, &s->n_free_due) = x.id;
    d.run(s, d.arg);
    due_drop(&d);
    return true;
}

void sim_clock_done(struct sim *s)
{
    for (size_t i = 0; i < s->n_due; i++)
        if (s->due[i].run)
            due_drop(&s->due[i]);
    free(s->due);
    free(s->free_due);
    heap_done(&s->queue);
}

/* ---- the log ------------------------------------------------------------------------------------- */
static void append(struct sim *s, const char *fmt, va_list ap)
{
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    cleanup(freep) char *line = xasprintf("%6lld.%03lld  %s\n", (long long)(s->now_us / SEC),
                                          (long long)(s->now_us % SEC / MSEC), text);
    size_t n = strlen(line);
    if (s->log_len + n + 1 > LOG_MAX)
        return;
    if (s->log_len + n + 1 > s->log_room) {
        s->log_room = 2 * (s->log_len + n + 1);
        s->log = xrealloc(s->log, s->log_room, 1);
    }
    memcpy(s->log + s->log_len, line, n + 1);
    s->log_len += n;
}

void sim_say(struct sim *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    append(s, fmt, ap);
    va_end(ap);
}

void sim_wrong(struct sim *s, const char *fmt, ...)
{
    va_list ap;
    if (s->violation)
        return;
    va_start(ap, fmt);
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    s->violation = xasprintf("at %lld.%03lld s: %s", (long long)(s->now_us / SEC),
                             (long long)(s->now_us % SEC / MSEC), text);
    sim_say(s, "VIOLATION %s", text);
}

const char *sim_log(const struct sim *s)
{
    return s->log ? s->log : "";
}

const char *sim_violation(const struct sim *s)
{
    return s->violation;
}
