#include "scheduler/snap/sheet.h"

#include <csv.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { COLUMNS = 256 };

static void cells_done(char **cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(cells[i]);
    free(cells);
}

void sheet_done(struct sheet *t)
{
    for (size_t i = 0; i < t->n_rows; i++)
        cells_done(t->rows[i].cells, t->rows[i].n);
    free(t->rows);
    *t = (struct sheet){0};
}

/* What tables print for "nothing". */
static bool says_nothing(const char *cell)
{
    static const char *const words[] = {"", "-", "?", "none", "null", "n/a", "unknown"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(cell, words[i]) == 0)
            return true;
    return false;
}

/* Append a row; takes the cells. */
static int add_row(struct sheet *t, char **cells, size_t n, int line, struct err *e)
{
    size_t want = t->n_rows ? t->rows[0].n : n;
    int r = 0;
    if (!n)
        return 0; /* a bar and nothing after it */
    if (n > COLUMNS)
        r = err_set(e, -E2BIG, "%s:%d: more than %d columns", t->name, line, COLUMNS);
    else if (n != want)
        r = err_set(e, -EBADMSG, "%s:%d: %zu cells, the header in line %d has %zu", t->name, line,
                    n, t->rows[0].line, want);
    else if (t->n_rows > LIM_SNAPSHOT_VMS)
        r = err_set(e, -E2BIG, "%s:%d: more than %d rows", t->name, line, LIM_SNAPSHOT_VMS);
    if (r < 0) {
        cells_done(cells, n);
        return r;
    }
    for (size_t i = 0; t->n_rows && i < n; i++)
        if (says_nothing(cells[i])) {
            free(cells[i]);
            cells[i] = NULL;
        }
    *vec_add(&t->rows, &t->n_rows) = (struct sheet_row){cells, n, line};
    return 0;
}

/* ---- csv --------------------------------------------------------------------------------------- */
struct csv_reading {
    struct sheet *t;
    char **cells;
    size_t n;
    int line, row_line; /* of the text; where the present row began */
    struct err *e;
    int result;
};

static void on_cell(void *text, size_t len, void *arg)
{
    struct csv_reading *c = arg;
    if (!c->n)
        c->row_line = c->line;
    *vec_add(&c->cells, &c->n) = xasprintf("%.*s", (int)len, (const char *)text);
}

static void on_row(int end, void *arg)
{
    struct csv_reading *c = arg;
    (void)end;
    if (c->result < 0)
        cells_done(c->cells, c->n);
    else
        c->result = add_row(c->t, c->cells, c->n, c->row_line, c->e);
    c->cells = NULL;
    c->n = 0;
}

static unsigned char delimiter(const char *header)
{
    static const char candidates[] = ",;\t";
    size_t best = 0, most = 0;
    for (size_t i = 0; i < strlen(candidates); i++) {
        size_t n = 0;
        for (const char *p = header; *p && *p != '\n'; p++)
            n += *p == candidates[i];
        if (n > most) {
            best = i;
            most = n;
        }
    }
    return (unsigned char)candidates[best];
}

/* Line by line, so that every row knows its own; '#' begins a comment only between rows. */
static int feed(struct csv_parser *p, struct csv_reading *c, const char *text)
{
    for (const char *at = text; *at && c->result == 0; c->line++) {
        size_t len = strcspn(at, "\n");
        len += at[len] == '\n';
        bool comment = *at == '#' && !c->n && p->pstate == 0;
        if (!comment && csv_parse(p, at, len, on_cell, on_row, c) != len)
            return err_set(c->e, -EBADMSG, "%s:%d: %s", c->t->name, c->line,
                           "a quote in the middle of a cell, or text after a quoted one");
        at += len;
    }
    if (c->result == 0 && csv_fini(p, on_cell, on_row, c) != 0)
        return err_set(c->e, -EBADMSG, "%s:%d: the file ends inside a quoted cell", c->t->name,
                       c->row_line ? c->row_line : 1);
    return c->result;
}

int sheet_read_csv(const struct snap_source *src, struct sheet *ret, struct err *e)
{
    struct sheet t = {.name = src->name};
    struct csv_reading c = {.t = &t, .line = 1, .e = e};
    struct csv_parser p;
    const char *text = str_has_prefix(src->text, "\xef\xbb\xbf") ? src->text + 3 : src->text;
    const char *header = text;
    while (*header == '#' && strchr(header, '\n'))
        header = strchr(header, '\n') + 1;
    csv_init(&p, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_delim(&p, delimiter(header));
    int r = feed(&p, &c, text);
    csv_free(&p);
    cells_done(c.cells, c.n);
    if (r < 0)
        sheet_done(&t);
    else
        *ret = t;
    return r;
}

/* ---- tables ------------------------------------------------------------------------------------ */
/* +----+----+ or ------- */
static bool is_rule(const char *line)
{
    return strspn(line, "+-=| ") == strlen(line) && strpbrk(line, "-=");
}

static void add_cell(char ***cells, size_t *n, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    *vec_add(cells, n) = xasprintf("%.*s", (int)(to - from), from);
}

static char **split_bars(const char *line, size_t *ret_n)
{
    char **cells = NULL;
    line += strspn(line, " \t") + 1; /* after the first bar */
    for (const char *bar; (bar = strchr(line, '|')); line = bar + 1)
        add_cell(&cells, ret_n, line, bar);
    if (line[strspn(line, " \t\r")]) /* no bar at the end */
        add_cell(&cells, ret_n, line, line + strlen(line));
    return cells;
}

static char **split_blanks(const char *line, size_t *ret_n)
{
    char **cells = NULL;
    line += strspn(line, " \t");
    while (*line) {
        const char *end = line;
        while (*end && *end != '\t' && !(end[0] == ' ' && (end[1] == ' ' || !end[1])))
            end++;
        add_cell(&cells, ret_n, line, end);
        line = end + strspn(end, " \t");
    }
    return cells;
}

int sheet_read_table(const struct snap_source *src, struct sheet *ret, struct err *e)
{
    struct sheet t = {.name = src->name};
    cleanup(freep) char *text = xstrdup(src->text);
    int number = 0, r = 0;
    for (char *line = text, *next; r == 0 && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        line[strcspn(line, "\r")] = '\0';
        const char *first = line + strspn(line, " \t");
        if (!*first || *first == '#' || is_rule(first))
            continue;
        size_t n = 0;
        char **cells = *first == '|' ? split_bars(line, &n) : split_blanks(line, &n);
        r = add_row(&t, cells, n, number, e);
    }
    if (r < 0)
        sheet_done(&t);
    else
        *ret = t;
    return r;
}
