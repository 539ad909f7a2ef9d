/* A plan as a picture. Sizes are in the SVG's own units, about a screen's pixels. */
#include "scheduler/cli/picture.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

/* Colours carry dark labels, and can be told apart on white, on black, and by the colour-blind (after
 * Okabe and Ito); everything that matters has a form or a word as well. */
static const char *const palette[] = {"#e6a817", "#5ab4e6", "#2fb38a", "#d98bc0",
                                      "#a79bf0", "#c8c642", "#63cdcd", "#d9a27a"};
#define WIDE  0.62 /* of a character, in font sizes */
#define TICKS 66   /* between two sizes above the strips */
#define GREY  "#a8b0ba"
#define RED   "#e5534b"

enum look { STAYS, MOVES, BLOCKED, RESERVED };
struct seg {
    int vm, to; /* to: whose colour */
    int64_t bytes;
    enum look look;
};
struct strip {
    struct seg *segs;
    size_t n;
    int64_t used;
};
struct row {
    int host;
    struct strip side[2]; /* before, after */
};
struct picture {
    const struct snapshot *s;
    const struct run_view *v;
    const struct move **move; /* per VM, or NULL */
    int *via;                 /* per VM: where it is parked on its way; -1 */
    bool *blocked;            /* per VM */
    int *to;                  /* per VM: where it ends */
    int *colour;              /* per host: of the palette, -1 none */
    bool *touched;            /* per host: by the plan */
    struct row *rows;
    size_t n_rows, left_out;
    int64_t most; /* the widest strip */
    /* layout */
    int blocks, per_block;
    double pitch, bar, font, name_w, strip_w, block_w, top, width, height;
    FILE *f;
};

/* ---- what there is to draw --------------------------------------------------------------------- */
static bool takes_memory(const struct snap_vm *v)
{
    return v->v->state != VM_SHUTOFF || v->will_start;
}

static void apply_plan(struct picture *p)
{
    int used = 0;
    p->move = xcalloc(p->s->n_vms, sizeof(*p->move));
    p->blocked = xcalloc(p->s->n_vms, sizeof(*p->blocked));
    p->to = xcalloc(p->s->n_vms, sizeof(*p->to));
    p->colour = xcalloc(p->s->n_hosts, sizeof(*p->colour));
    p->via = xcalloc(p->s->n_vms, sizeof(*p->via));
    p->touched = xcalloc(p->s->n_hosts, sizeof(*p->touched));
    for (size_t i = 0; i < p->s->n_vms; i++) {
        p->to[i] = p->s->vms[i].host;
        p->via[i] = -1;
    }
    for (size_t i = 0; i < p->s->n_hosts; i++) {
        p->colour[i] = -1;
        p->touched[i] = run_host(&p->v->run, p->s->hosts[i].h->name);
    }
    for (size_t i = 0; i < p->v->n_moves; i++) {
        const struct move *m = &p->v->moves[i];
        int vm = snap_vm_place(p->s, m->vm_name, m->vm), to = snap_host_id(p->s, m->to);
        if (vm < 0 || to < 0)
            continue;
        p->via[vm] = p->move[vm] ? p->to[vm] : -1;
        p->move[vm] = m;
        p->to[vm] = to;
        p->touched[to] = p->touched[p->s->vms[vm].host] = true;
        if (p->colour[to] < 0)
            p->colour[to] = used++ % (int)ARRAY_LEN(palette);
    }
    for (size_t i = 0; i < p->v->run.n_stays; i++) {
        const struct stay *st = &p->v->run.stays[i];
        int vm = st->vm && st->name ? snap_vm_place(p->s, st->name, st->vm) : -1;
        if (vm >= 0)
            p->blocked[vm] = stay_fate(&p->v->run, st) == FATE_BLOCKED;
    }
}

static void add_seg(struct strip *t, struct seg g)
{
    *(struct seg *)vec_add(&t->segs, &t->n) = g;
    t->used += g.bytes;
}

static int largest_first(const void *a, const void *b)
{
    const struct seg *x = a, *y = b;
    if ((x->look == MOVES) != (y->look == MOVES))
        return (x->look == MOVES) - (y->look == MOVES);
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->vm - y->vm;
}

/* What stays first, what moves last: the two strips of a host then begin alike. */
static void fill_row(const struct picture *p, struct row *r)
{
    for (size_t i = 0; i < p->s->n_vms; i++) {
        const struct snap_vm *v = &p->s->vms[i];
        if (!takes_memory(v))
            continue;
        struct seg g = {.vm = (int)i, .to = p->to[i]};
        g.bytes = v->v->mem_bytes < 0 ? 0 : vm_need_bytes(v->v);
        g.look = p->blocked[i] ? BLOCKED : p->move[i] ? MOVES : STAYS;
        if (v->host == r->host)
            add_seg(&r->side[0], g);
        if (p->to[i] == r->host)
            add_seg(&r->side[1], g);
        g.look = RESERVED;
        for (int side = 0; side < 2 && v->moving_to == r->host; side++)
            add_seg(&r->side[side], g);
    }
    for (int side = 0; side < 2; side++)
        if (r->side[side].n)
            qsort(r->side[side].segs, r->side[side].n, sizeof(struct seg), largest_first);
}

static void choose_rows(struct picture *p)
{
    bool all = p->s->n_hosts <= PICTURE_HOSTS;
    for (size_t h = 0; h < p->s->n_hosts; h++) {
        if ((!all && !p->touched[h]) || p->n_rows == PICTURE_HOSTS) {
            p->left_out++;
            continue;
        }
        struct row *r = vec_add(&p->rows, &p->n_rows);
        r->host = (int)h;
        fill_row(p, r);
        int64_t mem = p->s->hosts[h].h->mem_bytes;
        for (int side = 0; side < 2; side++)
            mem = r->side[side].used > mem ? r->side[side].used : mem;
        p->most = mem > p->most ? mem : p->most;
    }
}

/* ---- text -------------------------------------------------------------------------------------- */
/* Names come from other people: whatever XML does not allow becomes '?'. */
static void put_text(FILE *f, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        default:
            fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, f);
        }
}

/* At most so wide; what is too long ends in "…". */
static void put_fitted(const struct picture *p, const char *s, double width, double font)
{
    size_t columns = (size_t)(width / (font * WIDE) + 0.1);
    if (text_width(s) <= columns) {
        put_text(p->f, s);
        return;
    }
    cleanup(freep) char *part =
        xasprintf("%.*s…", (int)text_fit(s, columns > 1 ? columns - 1 : 0), s);
    put_text(p->f, part);
}

/* ---- strips ------------------------------------------------------------------------------------ */
/* The column of "61 %" beside a strip. */
static double load_width(const struct picture *p)
{
    return 20 + p->font * 3.2;
}

static double scaled(const struct picture *p, int64_t bytes)
{
    return p->most > 0 && bytes > 0 ? (double)bytes / (double)p->most * p->strip_w : 0;
}

static void put_title(const struct picture *p, const struct seg *g)
{
    const struct snap_vm *v = &p->s->vms[g->vm];
    char a[FMT_BYTES];
    fputs("<title>vm/", p->f);
    put_text(p->f, v->v->name);
    fprintf(p->f, "  %s", fmt_bytes(a, v->v->mem_bytes < 0 ? -1 : g->bytes));
    if (p->move[g->vm]) {
        fputs("  ", p->f);
        put_text(p->f, p->s->hosts[v->host].h->name);
        fputs(" → ", p->f);
        if (p->via[g->vm] >= 0) {
            put_text(p->f, p->s->hosts[p->via[g->vm]].h->name);
            fputs(" → ", p->f);
        }
        put_text(p->f, p->s->hosts[g->to].h->name);
    }
    fputs(g->look == BLOCKED    ? "  cannot leave</title>"
          : g->look == RESERVED ? "  arriving</title>"
                                : "</title>",
          p->f);
}

/* Smaller where that makes it fit; nothing where only a few letters would. */
static void put_label(const struct picture *p, const struct seg *g, double x, double y, double w)
{
    const char *name = p->s->vms[g->vm].v->name;
    cleanup(freep) char *label = xasprintf("%s%s", g->look == BLOCKED ? "✕ " : "", name);
    double font = p->font, room = w - 5, columns = (double)text_width(label);
    if (columns * font * WIDE > room)
        font = p->font > 9 ? p->font - 2.5 : p->font - 1;
    if (room < (columns < 7 ? columns : 7) * font * WIDE)
        return;
    fprintf(p->f, "<text class=\"in\" x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\">", x + 3,
            y + p->bar / 2 + font * 0.36, font);
    put_fitted(p, label, room, font);
    fputs("</text>", p->f);
}

static void put_seg(const struct picture *p, const struct seg *g, double x, double y)
{
    static const char *const fills[] = {
        [STAYS] = GREY, [BLOCKED] = RED, [RESERVED] = "url(#arriving)"};
    double w = scaled(p, g->bytes), gap = w > 3 ? 0.8 : 0;
    fprintf(p->f, "<g><rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"/>", x,
            y, w - gap > 0.3 ? w - gap : 0.3, p->bar,
            g->look == MOVES ? palette[p->colour[g->to]] : fills[g->look]);
    put_title(p, g);
    put_label(p, g, x, y, w);
    fputs("</g>\n", p->f);
}

static void put_load(const struct picture *p, const struct strip *t, int64_t mem, double x,
                     double y)
{
    bool over = mem >= 0 && t->used > mem;
    fprintf(p->f, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
            over ? "over" : "t", x, y + p->bar / 2 + p->font * 0.36);
    if (mem <= 0)
        fputs("?", p->f);
    else
        fprintf(p->f, "%.0f %%", 100.0 * (double)t->used / (double)mem);
    fputs("</text>\n", p->f);
}

static void put_strip(const struct picture *p, const struct row *r, int side, double x, double y)
{
    const struct strip *t = &r->side[side];
    int64_t mem = p->s->hosts[r->host].h->mem_bytes;
    double frame = mem < 0 ? p->strip_w : scaled(p, mem), at = x;
    fprintf(p->f,
            "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"%s/>\n",
            x - 0.5, y - 0.5, frame + 1, p->bar + 1, mem < 0 ? " stroke-dasharray=\"3 3\"" : "");
    for (size_t i = 0; i < t->n; i++) {
        put_seg(p, &t->segs[i], at, y);
        at += scaled(p, t->segs[i].bytes);
    }
    if (mem >= 0 && t->used > mem)
        fprintf(p->f,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"url(#over)\" "
                "stroke=\"" RED "\"/>\n",
                x + frame, y, at - x - frame, p->bar);
    if (side == 1 && !t->n && r->side[0].n)
        fprintf(p->f,
                "<text class=\"t\" font-style=\"italic\" x=\"%.1f\" y=\"%.1f\">empty</text>\n",
                x + 4, y + p->bar / 2 + p->font * 0.36);
    put_load(p, t, mem, x + p->strip_w + 6 + p->font * 3.2, y);
}

static void put_row(const struct picture *p, size_t i)
{
    const struct row *r = &p->rows[i];
    const struct snap_host *h = &p->s->hosts[r->host];
    double x = 16 + (double)(i / (size_t)p->per_block) * p->block_w;
    double y = p->top + (double)(i % (size_t)p->per_block) * p->pitch;
    char a[FMT_BYTES];
    if (p->colour[r->host] >= 0)
        fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"5\" height=\"%.1f\" fill=\"%s\"/>\n", x,
                y, p->bar, palette[p->colour[r->host]]);
    fprintf(p->f, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\"%s><title>host/", x + 10,
            y + p->bar / 2 + p->font * 0.36,
            run_host(&p->v->run, h->h->name) ? " font-weight=\"bold\"" : "");
    put_text(p->f, h->h->name);
    fprintf(p->f, "  %s  %s</title>", fmt_bytes(a, h->h->mem_bytes), host_state_names[h->state]);
    cleanup(freep) char *label = xasprintf("%s%s%s", h->h->name, h->state == HOST_UP ? "" : " · ",
                                           h->state == HOST_UP ? "" : host_state_names[h->state]);
    put_fitted(p, label, p->name_w - 10, p->font);
    fputs("</text>\n", p->f);
    put_strip(p, r, 0, x + p->name_w, y);
    put_strip(p, r, 1, x + p->name_w + p->strip_w + load_width(p), y);
}

/* ---- the page ---------------------------------------------------------------------------------- */
static void lay_out(struct picture *p)
{
    size_t n = p->n_rows, longest = 8;
    p->blocks = n <= 40 ? 1 : n <= 100 ? 2 : 3;
    p->per_block = n ? (int)((n + (size_t)p->blocks - 1) / (size_t)p->blocks) : 1;
    p->pitch = n <= 12 ? 40 : n <= 40 ? 26 : 16;
    p->bar = n <= 12 ? 26 : n <= 40 ? 17 : 11;
    p->font = n <= 12 ? 12 : n <= 40 ? 11 : 8.5;
    for (size_t i = 0; i < n; i++) {
        const struct snap_host *h = &p->s->hosts[p->rows[i].host];
        size_t w = text_width(h->h->name) +
                   (h->state == HOST_UP ? 0 : strlen(host_state_names[h->state]) + 3);
        longest = w > longest ? w : longest;
    }
    p->name_w = (double)(longest < 26 ? longest : 26) * p->font * WIDE + 20;
    p->strip_w = p->blocks == 1 ? 520 : p->blocks == 2 ? 250 : 190;
    p->block_w = p->name_w + 2 * (p->strip_w + load_width(p)) + (p->blocks > 1 ? 14 : 0);
    p->top = 106;
    p->width = 32 + p->blocks * p->block_w;
    p->height = p->top + p->per_block * p->pitch + (p->left_out ? 34 : 14);
}

static void put_style(const struct picture *p)
{
    fprintf(p->f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
            "height=\"%.0f\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" "
            "font-size=\"%.1f\">\n",
            p->width, p->height, p->width, p->height, p->font);
    fputs("<style>.t{fill:#6b737d}.in{fill:#1b1f24}.over{fill:" RED ";font-weight:bold}"
          ".frame{fill:#808890;fill-opacity:.13;stroke:#808890}"
          "@media(prefers-color-scheme:dark){.t{fill:#9aa3ad}}</style>\n"
          "<defs><pattern id=\"over\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\"><rect width=\"3\" height=\"6\" fill=\"" RED
          "\"/></pattern>"
          "<pattern id=\"arriving\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"5\" fill=\"" GREY
          "\"/></pattern></defs>\n",
          p->f);
}

static void put_heading(const struct picture *p)
{
    const struct run *r = &p->v->run;
    int64_t bytes = 0;
    char a[FMT_BYTES];
    size_t blocked = stays_of(r, FATE_BLOCKED);
    for (size_t i = 0; i < p->v->n_moves; i++)
        bytes +=
            p->v->moves[i].offline || p->v->moves[i].mem_bytes < 0 ? 0 : p->v->moves[i].mem_bytes;
    fprintf(p->f, "<text class=\"t\" x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"bold\">%s",
            r->n_hosts ? run_kind_names[r->kind] : "plan");
    if (r->n_hosts) {
        cleanup(freep) char *place = run_place(r);
        fputs(" ", p->f);
        put_text(p->f, place);
    }
    fprintf(p->f, "</text>\n<text class=\"t\" x=\"16\" y=\"48\" font-size=\"12\">%s · %s of memory",
            text_count((int64_t)p->v->n_moves, "move", "moves"), fmt_bytes(a, bytes));
    if (blocked)
        fprintf(p->f, " · %s", text_count((int64_t)blocked, "VM cannot leave", "VMs cannot leave"));
    fprintf(p->f, " · %s</text>\n", text_count((int64_t)p->s->n_hosts, "host", "hosts"));
}

static double put_key(const struct picture *p, double x, const char *fill, const char *words)
{
    fprintf(
        p->f,
        "<rect x=\"%.0f\" y=\"62\" width=\"16\" height=\"11\" fill=\"%s\" stroke=\"#808890\" "
        "stroke-width=\".5\"/><text class=\"t\" x=\"%.0f\" y=\"72\" font-size=\"11\">%s</text>\n",
        x, fill, x + 21, words);
    return x + 21 + (double)text_width(words) * 6.2 + 18;
}

/* How much a strip's length is, in steps of a power of two. */
static void put_axis(const struct picture *p, double x, const char *word)
{
    char a[FMT_BYTES];
    int64_t step = MIB;
    while (step < INT64_MAX / 2 && scaled(p, step) < TICKS)
        step *= 2;
    fprintf(p->f,
            "<text class=\"t\" x=\"%.1f\" y=\"96\" font-size=\"11\" font-weight=\"bold\">%s"
            "</text>\n",
            x, word);
    for (int64_t at = step; p->most > 0 && at <= p->most; at += step)
        if (scaled(p, at) > TICKS)
            fprintf(p->f,
                    "<path class=\"t\" d=\"M%.1f 99v5\" stroke=\"#808890\"/><text class=\"t\" "
                    "x=\"%.1f\" y=\"96\" font-size=\"9\" text-anchor=\"middle\">%s</text>\n",
                    x + scaled(p, at), x + scaled(p, at), fmt_bytes(a, at));
}

static void put_legend(const struct picture *p)
{
    double x = put_key(p, 16, GREY, "stays");
    bool reserved = false;
    for (size_t i = 0; i < p->n_rows; i++)
        for (size_t k = 0; k < p->rows[i].side[0].n; k++)
            reserved = reserved || p->rows[i].side[0].segs[k].look == RESERVED;
    x = put_key(p, x, palette[0], "moves: the colour of its destination");
    if (stays_of(&p->v->run, FATE_BLOCKED))
        x = put_key(p, x, RED, "✕ cannot leave");
    if (reserved)
        x = put_key(p, x, "url(#arriving)", "arriving already");
    x = put_key(p, x, "none", "free");
    put_key(p, x, "url(#over)", "over its memory");
    for (int b = 0; b < p->blocks; b++) {
        double at = 16 + b * p->block_w + p->name_w;
        put_axis(p, at, "before");
        put_axis(p, at + p->strip_w + load_width(p), "after");
    }
}

static void picture_done(struct picture *p)
{
    for (size_t i = 0; i < p->n_rows; i++)
        for (int side = 0; side < 2; side++)
            free(p->rows[i].side[side].segs);
    free(p->rows);
    free(p->move);
    free(p->via);
    free(p->blocked);
    free(p->to);
    free(p->colour);
    free(p->touched);
}

char *picture_draw(const struct snapshot *s, const struct run_view *v)
{
    cleanup(picture_done) struct picture p = {.s = s, .v = v};
    char *svg = NULL;
    size_t len = 0;
    apply_plan(&p);
    choose_rows(&p);
    lay_out(&p);
    p.f = open_memstream(&svg, &len);
    if (!p.f)
        abort();
    put_style(&p);
    put_heading(&p);
    put_legend(&p);
    for (size_t i = 0; i < p.n_rows; i++)
        put_row(&p, i);
    if (p.left_out)
        fprintf(p.f,
                "<text class=\"t\" x=\"16\" y=\"%.0f\" font-size=\"11\">%s not drawn: the plan "
                "does not touch them</text>\n",
                p.height - 12, text_count((int64_t)p.left_out, "host is", "hosts are"));
    fputs("</svg>\n", p.f);
    fclose(p.f);
    return svg;
}

int picture_save(struct cli *c, const struct snapshot *s, const struct run_view *v,
                 const char *path)
{
    struct err e;
    cleanup(freep) char *svg = picture_draw(s, v);
    if (file_write(path, svg, strlen(svg), 0644, &e) < 0)
        return cli_error(c, X_FAILED, "%s", e.msg);
    return X_DONE;
}
