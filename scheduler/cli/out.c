#include "scheduler/cli/out.h"

#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/text.h"

/* ---- tables ---------------------------------------------------------------------------------- */
static void add(struct table *t, int colour, char *text)
{
    struct cell *cell = vec_add(&t->cells, &t->n_cells);
    cell->text = text_safe(text);
    cell->colour = colour;
}

void table_text(struct table *t, int colour, const char *text)
{
    add(t, colour, xstrdup(text && *text ? text : "-"));
}

void table_fmt(struct table *t, int colour, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    add(t, colour, s);
}

void table_key(struct table *t, int64_t key)
{
    t->cells[t->n_cells - 1].key = key;
    t->cells[t->n_cells - 1].has_key = true;
}

void table_int(struct table *t, int64_t n)
{
    if (n < 0)
        table_text(t, C_NONE, "?");
    else
        table_fmt(t, C_NONE, "%lld", (long long)n);
    table_key(t, n);
}

void table_bytes(struct table *t, int64_t bytes)
{
    char buf[FMT_BYTES];
    table_text(t, C_NONE, fmt_bytes(buf, bytes));
    table_key(t, bytes);
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    free(t->cells);
    t->cells = NULL;
    t->n_cells = 0;
}

static int find_column(struct cli *c, const struct table *t, const char *option, const char *name,
                       size_t len)
{
    char *all = NULL;
    for (size_t i = 0; i < t->n_cols; i++) {
        if (strlen(t->cols[i].name) == len && strncasecmp(t->cols[i].name, name, len) == 0) {
            free(all);
            return (int)i;
        }
        text_add(&all, "%s%s", i ? "," : "", t->cols[i].name);
    }
    cli_usage(c, "%s: no column '%.*s'; there are %s", option, (int)len, name, all);
    free(all);
    return -1;
}

/* Which columns, in which order. Gives their number, or -1 after an error. */
static int choose(struct cli *c, const struct table *t, size_t *ret_cols, size_t max)
{
    size_t n = 0;
    for (const char *p = c->columns; p && *p;) {
        size_t len = strcspn(p, ",");
        int i = find_column(c, t, "--columns", p, len);
        if (i < 0)
            return -1;
        if (n < max)
            ret_cols[n++] = (size_t)i;
        p += len + (p[len] == ',');
    }
    if (!c->columns)
        for (size_t i = 0; i < t->n_cols && n < max; i++)
            if (c->format == OUT_WIDE || !t->cols[i].wide)
                ret_cols[n++] = i;
    return (int)n;
}

struct sorting {
    const struct table *t;
    size_t col;
};

static int compare(const void *a, const void *b, void *arg)
{
    const struct sorting *s = arg;
    size_t ra = *(const size_t *)a, rb = *(const size_t *)b;
    const struct cell *x = &s->t->cells[ra * s->t->n_cols + s->col];
    const struct cell *y = &s->t->cells[rb * s->t->n_cols + s->col];
    int d = x->has_key && y->has_key ? (x->key > y->key) - (x->key < y->key)
                                     : strverscmp(x->text, y->text);
    return d ? d : (ra > rb) - (ra < rb); /* equal ones stay in the answer's order */
}

static void print_cell(struct cli *c, const struct table *t, const struct cell *cell, size_t col,
                       size_t width, bool last)
{
    size_t pad = width - text_width(cell->text);
    bool right = t->cols[col].right;
    fprintf(c->out, "%*s%s%s%s%*s", right ? (int)pad : 0, "", paint(c, c->out, cell->colour),
            cell->text, paint_off(c, c->out, cell->colour), right || last ? 0 : (int)pad, "");
    fputs(last ? "\n" : "  ", c->out);
}

static void print_rows(struct cli *c, const struct table *t, const size_t *cols, size_t n,
                       const size_t *rows, size_t n_rows)
{
    for (size_t r = 0; r <= n_rows; r++) {
        if (r == 0 && c->no_headers)
            continue;
        for (size_t k = 0; k < n; k++) {
            size_t width = c->no_headers ? 0 : strlen(t->cols[cols[k]].name);
            for (size_t i = 0; i < n_rows; i++) {
                size_t w = text_width(t->cells[i * t->n_cols + cols[k]].text);
                width = w > width ? w : width;
            }
            struct cell head = {.text = (char *)(uintptr_t)t->cols[cols[k]].name};
            const struct cell *cell = r ? &t->cells[rows[r - 1] * t->n_cols + cols[k]] : &head;
            print_cell(c, t, cell, cols[k], width, k + 1 == n);
        }
    }
}

int table_print(struct cli *c, struct table *t)
{
    enum { MAX_COLS = 32 };
    size_t cols[MAX_COLS];
    int n = choose(c, t, cols, MAX_COLS);
    struct sorting s = {.t = t};
    if (n < 0)
        return X_USAGE;
    if (c->sort) {
        int col = find_column(c, t, "--sort", c->sort, strlen(c->sort));
        if (col < 0)
            return X_USAGE;
        s.col = (size_t)col;
    }
    size_t n_rows = t->n_cells / t->n_cols;
    cleanup(freep) size_t *rows = xcalloc(n_rows, sizeof(*rows));
    for (size_t i = 0; i < n_rows; i++)
        rows[i] = i;
    if (c->sort)
        qsort_r(rows, n_rows, sizeof(*rows), compare, &s);
    print_rows(c, t, cols, (size_t)n, rows, n_rows);
    return X_DONE;
}

/* ---- data ------------------------------------------------------------------------------------ */
bool out_is_data(const struct cli *c)
{
    return c->format == OUT_JSON || c->format == OUT_YAML || c->format == OUT_JSONL;
}

/* People and jq read RFC 3339, arithmetic wants microseconds: both are there. */
static json_t *with_times(const json_t *j)
{
    static const char suffix[] = "wall_us";
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(j)) {
        json_t *a = json_array();
        json_array_foreach((json_t *)(uintptr_t)j, i, value)
            json_array_append_new(a, with_times(value));
        return a;
    }
    if (!json_is_object(j))
        return json_deep_copy(j);
    json_t *o = json_object();
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        json_object_set_new(o, key, with_times(value));
        size_t len = strlen(key), cut = strlen(suffix);
        if (len < cut || !str_eq(key + len - cut, suffix) || json_integer_value(value) <= 0)
            continue;
        char name[64], text[FMT_BYTES];
        snprintf(name, sizeof(name), "%.*s", (int)(len - cut), key);
        if (name[0])
            name[strlen(name) - 1] = '\0'; /* the underscore */
        if (!json_object_get(j, name[0] ? name : "time"))
            json_object_set_new(o, name[0] ? name : "time",
                                json_string(fmt_rfc3339(text, json_integer_value(value))));
    }
    return o;
}

static void yaml_value(yaml_emitter_t *y, const json_t *j);

static void yaml_scalar(yaml_emitter_t *y, const char *text, bool quoted)
{
    yaml_event_t ev;
    yaml_scalar_event_initialize(
        &ev, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1,
        quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
    yaml_emitter_emit(y, &ev);
}

static void yaml_collection(yaml_emitter_t *y, const json_t *j)
{
    yaml_event_t ev;
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(j)) {
        yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
        yaml_emitter_emit(y, &ev);
        json_array_foreach((json_t *)(uintptr_t)j, i, value) yaml_value(y, value);
        yaml_sequence_end_event_initialize(&ev);
    } else {
        yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
        yaml_emitter_emit(y, &ev);
        json_object_foreach((json_t *)(uintptr_t)j, key, value)
        {
            yaml_scalar(y, key, false);
            yaml_value(y, value);
        }
        yaml_mapping_end_event_initialize(&ev);
    }
    yaml_emitter_emit(y, &ev);
}

static void yaml_value(yaml_emitter_t *y, const json_t *j)
{
    if (json_is_object(j) || json_is_array(j)) {
        yaml_collection(y, j);
    } else if (json_is_string(j)) {
        yaml_scalar(y, json_string_value(j), true); /* quoted: "no" and "1e3" stay strings */
    } else {
        cleanup(freep) char *s = json_dumps(j, JSON_ENCODE_ANY);
        yaml_scalar(y, s, false);
    }
}

void out_yaml(FILE *f, const json_t *j)
{
    yaml_emitter_t y;
    yaml_event_t ev;
    yaml_emitter_initialize(&y);
    yaml_emitter_set_output_file(&y, f);
    yaml_emitter_set_unicode(&y, 1);
    yaml_emitter_set_width(&y, -1);
    yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
    yaml_emitter_emit(&y, &ev);
    yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
    yaml_emitter_emit(&y, &ev);
    yaml_value(&y, j);
    yaml_document_end_event_initialize(&ev, 1);
    yaml_emitter_emit(&y, &ev);
    yaml_stream_end_event_initialize(&ev);
    yaml_emitter_emit(&y, &ev);
    yaml_emitter_delete(&y);
}

static void out_line(FILE *f, const json_t *j)
{
    json_dumpf(j, f, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', f);
}

void out_data(struct cli *c, const json_t *answer, const char *list)
{
    cleanup(json_decrefp) json_t *j = with_times(answer);
    const json_t *lines = list ? json_object_get(j, list) : NULL;
    json_t *value;
    size_t i;
    if (c->format == OUT_YAML) {
        out_yaml(c->out, j);
    } else if (c->format == OUT_JSONL && lines) {
        json_array_foreach((json_t *)(uintptr_t)lines, i, value) out_line(c->out, value);
    } else if (c->format == OUT_JSONL) {
        out_line(c->out, j);
    } else {
        json_dumpf(j, c->out, JSON_INDENT(2));
        fputc('\n', c->out);
    }
}
