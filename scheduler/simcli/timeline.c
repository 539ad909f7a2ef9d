#include "scheduler/simcli/timeline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/core/runhosts.h"

/* After Okabe and Ito: told apart on white, on black, and by the colour-blind. */
static const char *const palette[] = {"#e6a817", "#5ab4e6", "#2fb38a", "#d98bc0",
                                      "#a79bf0", "#c8c642", "#63cdcd", "#d9a27a"};
enum { LANE = 18, GAP = 3, LEFT = 110, WIDTH = 900, TOP = 34, TICKS = 8, LETTER = 7 };

struct bar {
    const struct move *m;
    int row, lane;
    int64_t from_us, to_us;
};
struct row {
    const char *host;
    int lanes, y;
};
struct timeline {
    struct bar *bars;
    size_t n;
    struct row *rows;
    size_t n_rows;
    int64_t begin_us, end_us;
    FILE *f;
};

static int row_of(struct timeline *t, const char *host)
{
    for (size_t i = 0; i < t->n_rows; i++)
        if (str_eq(t->rows[i].host, host))
            return (int)i;
    *(struct row *)vec_add(&t->rows, &t->n_rows) = (struct row){.host = host};
    return (int)t->n_rows - 1;
}

/* A move is a bar in its destination's row: that is where room and link are taken. */
static void collect(struct timeline *t, const struct sim *s, int64_t run)
{
    const struct run *r = sim_run_of(s, run);
    t->begin_us = sim_wall_to_us(r->created_wall_us);
    t->end_us = r->ended_wall_us ? sim_wall_to_us(r->ended_wall_us) : sim_now(s);
    for (int64_t id = 1; sim_move_of(s, id); id++) {
        const struct move *m = sim_move_of(s, id);
        if (m->run != run || !m->copy_wall_us)
            continue;
        struct bar *b = vec_add(&t->bars, &t->n);
        *b = (struct bar){.m = m,
                          .row = row_of(t, m->to),
                          .from_us = sim_wall_to_us(m->copy_wall_us),
                          .to_us = m->ended_wall_us ? sim_wall_to_us(m->ended_wall_us) : t->end_us};
        for (bool clear = false; !clear;) { /* the first lane in which nobody else is meanwhile */
            clear = true;
            for (size_t i = 0; i + 1 < t->n && clear; i++)
                if (t->bars[i].row == b->row && t->bars[i].lane == b->lane &&
                    t->bars[i].from_us < b->to_us && b->from_us < t->bars[i].to_us) {
                    b->lane++;
                    clear = false;
                }
        }
        if (b->lane >= t->rows[b->row].lanes)
            t->rows[b->row].lanes = b->lane + 1;
    }
    if (t->end_us <= t->begin_us)
        t->end_us = t->begin_us + SEC;
}

static double x_of(const struct timeline *t, int64_t us)
{
    return LEFT + (double)(us - t->begin_us) * WIDTH / (double)(t->end_us - t->begin_us);
}

/* Names come from others' files. */
static void put_text(FILE *f, const char *s)
{
    for (; s && *s; s++)
        if (*s == '<' || *s == '>' || *s == '&' || *s == '"')
            fprintf(f, "&#%d;", *s);
        else
            fputc((unsigned char)*s < ' ' ? '?' : *s, f);
}

/* A round step, about TICKS of which fit. */
static int64_t step_of(int64_t span_us)
{
    static const int64_t steps[] = {1,   2,   5,   10,   15,   30,   60,   120,
                                    300, 600, 900, 1800, 3600, 7200, 21600};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (span_us / (steps[i] * SEC) <= TICKS)
            return steps[i] * SEC;
    return 86400 * SEC;
}

static void draw_axis(const struct timeline *t, int height)
{
    char text[FMT_BYTES];
    int64_t span_us = t->end_us - t->begin_us;
    for (int64_t us = 0; us <= span_us; us += step_of(span_us)) {
        double x = x_of(t, t->begin_us + us);
        fprintf(t->f,
                "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#a8b0ba' stroke-width='0.5'/>\n",
                x, TOP, x, height);
        fprintf(t->f, "<text x='%.1f' y='%d' text-anchor='middle' fill='#68727e'>%s</text>\n", x,
                TOP - 8, us ? fmt_duration(text, us) : "0");
    }
}

static void draw_bar(const struct timeline *t, const struct bar *b)
{
    char took[FMT_BYTES], pause[FMT_BYTES];
    const struct move *m = b->m;
    double x = x_of(t, b->from_us), w = x_of(t, b->to_us) - x;
    int y = t->rows[b->row].y + b->lane * (LANE + GAP);
    bool done = m->state == JOB_DONE;
    fprintf(t->f, "<g><title>");
    put_text(t->f, m->vm_name);
    fputc(' ', t->f);
    put_text(t->f, m->from);
    fputs(" → ", t->f);
    put_text(t->f, m->to);
    fprintf(t->f, ", %s, pause %s</title>", fmt_duration(took, b->to_us - b->from_us),
            done && m->downtime_us >= 0 ? fmt_duration(pause, m->downtime_us) : "?");
    fprintf(t->f, "<rect x='%.1f' y='%d' width='%.1f' height='%d' rx='2' fill='%s'%s/>", x, y,
            w > 1 ? w : 1, LANE, palette[(size_t)b->row % ARRAY_LEN(palette)],
            done ? "" : " stroke='#e5534b' stroke-width='2' fill-opacity='0.4'");
    if (w > LETTER * ((double)strlen(m->vm_name) + 1)) {
        fprintf(t->f, "<text x='%.1f' y='%d' fill='#1c2026'>", x + 4, y + LANE - 5);
        put_text(t->f, m->vm_name);
        fprintf(t->f, "</text>");
    }
    fprintf(t->f, "</g>\n");
}

static void draw(struct timeline *t, const struct run *r)
{
    int y = TOP + 6;
    for (size_t i = 0; i < t->n_rows; i++) {
        t->rows[i].y = y;
        y += t->rows[i].lanes * (LANE + GAP) + 10;
    }
    fprintf(
        t->f,
        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' "
        "font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n",
        LEFT + WIDTH + 40, y + 26);
    draw_axis(t, y);
    for (size_t i = 0; i < t->n_rows; i++) {
        fprintf(t->f, "<text x='8' y='%d' fill='#1c2026' font-weight='bold'>→ ",
                t->rows[i].y + LANE - 5);
        put_text(t->f, t->rows[i].host);
        fprintf(t->f, "</text>\n");
    }
    for (size_t i = 0; i < t->n; i++)
        draw_bar(t, &t->bars[i]);
    cleanup(freep) char *hosts = run_host_list(r, ", ");
    fprintf(t->f, "<text x='8' y='%d' fill='#68727e'>drain of ", y + 16);
    put_text(t->f, hosts);
    fprintf(t->f, ": %s, %lld of %lld moved</text>\n</svg>\n", run_state_names[r->state],
            (long long)r->moved, (long long)r->vms);
}

int timeline_write(const struct sim *s, int64_t run, const char *path, struct err *e)
{
    struct timeline t = {0};
    const struct run *r = sim_run_of(s, run);
    if (!r)
        return err_set(e, -ENOENT, "there was no run to draw");
    collect(&t, s, run);
    t.f = fopen(path, "we");
    int code = t.f ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (t.f) {
        draw(&t, r);
        if (fclose(t.f) != 0)
            code = err_set(e, -errno, "%s: %s", path, strerror(errno));
    }
    free(t.bars);
    free(t.rows);
    return code;
}
