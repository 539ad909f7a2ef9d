#include "scheduler/cli/report.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/text.h"

const char *const report_format_names[5] = {"text", "parsable", "github", "json", "junit"};

void report_done(struct findings *r)
{
    for (size_t i = 0; i < r->n_cases; i++) {
        free(r->cases[i].name);
        free(r->cases[i].file);
        free(r->cases[i].failure);
    }
    free(r->cases);
    problems_done(&r->problems);
    *r = (struct findings){0};
}

bool report_format_from(struct cli *c, const char *word, int *ret)
{
    *ret = out_is_data(c) ? REPORT_JSON : REPORT_TEXT;
    if (!word)
        return true;
    *ret = opt_word(c, "-f", word, report_format_names, ARRAY_LEN(report_format_names));
    return *ret >= 0;
}

size_t report_failed(const struct findings *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_cases; i++)
        n += r->cases[i].failure != NULL;
    return n;
}

int report_exit(const struct findings *r)
{
    if (problems_of(&r->problems, PROBLEM_ERROR))
        return X_FAILED;
    bool warned = r->strict && problems_of(&r->problems, PROBLEM_WARNING);
    return warned || report_failed(r) ? X_NOT_MET : X_DONE;
}

static char *path_of(const struct findings *r, const char *file)
{
    const char *dir = r->dir;
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len == 1 && dir[0] == '.')
        return xstrdup(file ? file : ".");
    return file ? xasprintf("%.*s/%s", (int)len, dir, file) : xasprintf("%.*s", (int)len, dir);
}

/* "policy/rules.yaml:4:2" from a file of r->dir. Gives. */
static char *place_of(const struct findings *r, const char *file, int line, int col)
{
    char *s = path_of(r, file);
    if (line)
        text_add(&s, ":%d", line);
    if (line && col)
        text_add(&s, ":%d", col);
    return s;
}

/* ---- text ------------------------------------------------------------------------------------- */
static const int colours[] = {C_DIM, C_WARN, C_BAD};

static void print_text(struct cli *c, const struct findings *r, bool all)
{
    for (size_t i = 0; i < r->problems.n; i++) {
        const struct problem *p = &r->problems.list[i];
        if (p->level == PROBLEM_NOTE && !c->verbose)
            continue;
        cleanup(freep) char *where = place_of(r, p->file, p->line, p->col);
        char *text = xasprintf("%s: %s%s%s", where,
                               p->level == PROBLEM_ERROR ? "" : problem_level_names[p->level],
                               p->level == PROBLEM_ERROR ? "" : ": ", p->text);
        text_safe(text);
        fprintf(c->out, "%s%s%s\n", paint(c, c->out, colours[p->level]), text,
                paint_off(c, c->out, colours[p->level]));
        free(text);
    }
    for (size_t i = 0; i < r->n_cases; i++) {
        const struct report_case *k = &r->cases[i];
        if (!k->failure && !all)
            continue;
        cleanup(freep) char *where = place_of(r, k->file, k->line, 0);
        int colour = k->failure ? C_BAD : C_GOOD;
        fprintf(c->out, "%s%s%s ", paint(c, c->out, colour), k->failure ? "FAIL" : "PASS",
                paint_off(c, c->out, colour));
        text_line(c->out, "%s  %s", where, k->name);
        cleanup(freep) char *copy = xstrdup(k->failure);
        char *rest = copy;
        for (char *line; rest && (line = strsep(&rest, "\n")) != NULL;)
            if (*line)
                text_line(c->out, "  %s", line);
    }
}

static void print_parsable(struct cli *c, const struct findings *r)
{
    for (size_t i = 0; i < r->problems.n; i++) {
        const struct problem *p = &r->problems.list[i];
        cleanup(freep) char *path = path_of(r, p->file);
        text_line(c->out, "%s:%d:%d: [%s] %s (%s)", path, p->line ? p->line : 1,
                  p->col ? p->col : 1, problem_level_names[p->level], p->text, p->code);
    }
    for (size_t i = 0; i < r->n_cases; i++) {
        const struct report_case *k = &r->cases[i];
        cleanup(freep) char *path = path_of(r, k->file);
        if (k->failure)
            text_line(c->out, "%s:%d:%d: [error] %s: %s (case)", path, k->line, k->col, k->name,
                      k->failure);
    }
}

/* ---- GitHub's workflow commands ---------------------------------------------------------------- */
static void put_github(FILE *f, const char *s, bool property)
{
    for (; *s; s++)
        if (*s == '%' || *s == '\r' || *s == '\n' || (property && (*s == ':' || *s == ',')))
            fprintf(f, "%%%02X", (unsigned char)*s);
        else
            fputc(*s, f);
}

struct note {
    const char *word, *file, *title, *text;
    int line, col;
};

static void github_note(struct cli *c, const struct findings *r, const struct note *n)
{
    cleanup(freep) char *path = path_of(r, n->file);
    fprintf(c->out, "::%s file=", n->word);
    put_github(c->out, path, true);
    if (n->line)
        fprintf(c->out, ",line=%d", n->line);
    if (n->line && n->col)
        fprintf(c->out, ",col=%d", n->col);
    fputs(",title=", c->out);
    put_github(c->out, n->title, true);
    fputs("::", c->out);
    put_github(c->out, n->text, false);
    fputc('\n', c->out);
}

static void print_github(struct cli *c, const struct findings *r)
{
    static const char *const words[] = {"notice", "warning", "error"};
    for (size_t i = 0; i < r->problems.n; i++) {
        const struct problem *p = &r->problems.list[i];
        github_note(c, r,
                    &(struct note){words[p->level], p->file, p->code, p->text, p->line, p->col});
    }
    for (size_t i = 0; i < r->n_cases; i++) {
        const struct report_case *k = &r->cases[i];
        if (k->failure)
            github_note(c, r,
                        &(struct note){"error", k->file, k->name, k->failure, k->line, k->col});
    }
}

/* ---- data ------------------------------------------------------------------------------------- */
/* Where names are no UTF-8 they are shown as JSON can show them. */
static json_t *text_json(const char *s)
{
    json_t *j = s ? json_string(s) : json_null();
    return j ? j : json_string("?");
}

static json_t *place_json(const struct findings *r, const char *file, int line, int col)
{
    cleanup(freep) char *path = path_of(r, file);
    json_t *j = json_object();
    json_object_set_new(j, "file", text_json(path));
    if (line)
        json_object_set_new(j, "line", json_integer(line));
    if (line && col)
        json_object_set_new(j, "column", json_integer(col));
    return j;
}

static void print_json(struct cli *c, const struct findings *r)
{
    cleanup(json_decrefp) json_t *j = json_pack("{s:s}", "schema", r->schema);
    json_t *problems = json_array(), *cases = json_array();
    for (size_t i = 0; i < r->problems.n; i++) {
        const struct problem *p = &r->problems.list[i];
        json_t *x = place_json(r, p->file, p->line, p->col);
        json_object_set_new(x, "level", json_string(problem_level_names[p->level]));
        json_object_set_new(x, "code", json_string(p->code));
        json_object_set_new(x, "text", text_json(p->text));
        json_array_append_new(problems, x);
    }
    for (size_t i = 0; i < r->n_cases; i++) {
        const struct report_case *k = &r->cases[i];
        json_t *x = place_json(r, k->file, k->line, k->col);
        json_object_set_new(x, "name", text_json(k->name));
        json_object_set_new(x, "passed", json_boolean(!k->failure));
        if (k->failure)
            json_object_set_new(x, "failure", text_json(k->failure));
        json_array_append_new(cases, x);
    }
    json_object_set_new(j, "dir", text_json(r->dir));
    json_object_set_new(j, "ok", json_boolean(report_exit(r) == X_DONE));
    const struct policy *p = r->policy;
    if (p) {
        json_object_set_new(j, "rules", json_integer((json_int_t)p->n_rules));
        json_object_set_new(j, "files", json_integer((json_int_t)p->n_files));
        json_object_set_new(j, "commit", text_json(p->commit));
        json_object_set_new(j, "clean", json_boolean(p->clean));
    }
    for (size_t i = 0; i < r->problems.n; i++)
        if (r->problems.list[i].level == PROBLEM_ERROR && !json_object_get(j, "error")) {
            const struct problem *x = &r->problems.list[i];
            cleanup(freep) char *where = place_of(r, x->file, x->line, x->col);
            cleanup(freep) char *text = xasprintf("%s: %s", where, x->text);
            json_object_set_new(j, "error", text_json(text));
        }
    json_object_set_new(j, "problems", problems);
    if (r->n_cases)
        json_object_set_new(j, "cases", cases);
    else
        json_decref(cases);
    out_data(c, j, r->n_cases ? "cases" : "problems");
}

/* ---- JUnit ------------------------------------------------------------------------------------ */
static void put_xml(FILE *f, const char *s)
{
    for (; *s; s++)
        if (*s == '&' || *s == '<' || *s == '>' || *s == '"')
            fprintf(f, "&#%d;", *s);
        else if (*s == '\n')
            fputs("&#10;", f);
        else
            fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, f);
}

static void junit_case(struct cli *c, const struct findings *r, const struct report_case *k)
{
    cleanup(freep) char *path = path_of(r, k->file);
    fprintf(c->out, "    <testcase classname=\"drover %s\" name=\"", r->title);
    put_xml(c->out, k->name);
    fputs("\" file=\"", c->out);
    put_xml(c->out, path);
    if (k->line)
        fprintf(c->out, "\" line=\"%d", k->line);
    if (!k->failure) {
        fputs("\"/>\n", c->out);
        return;
    }
    fputs("\">\n      <failure message=\"", c->out);
    put_xml(c->out, k->failure);
    fputs("\"/>\n    </testcase>\n", c->out);
}

/* A problem is a test that failed. A report without any test is an error to some readers. */
static void print_junit(struct cli *c, const struct findings *r)
{
    int least = r->strict ? PROBLEM_WARNING : PROBLEM_ERROR;
    size_t bad = 0;
    for (size_t i = 0; i < r->problems.n; i++)
        bad += r->problems.list[i].level >= least;
    bool whole = !bad && !r->n_cases;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", c->out);
    fprintf(c->out,
            "  <testsuite name=\"drover %s\" tests=\"%zu\" failures=\"%zu\" errors=\"0\">\n",
            r->title, bad + r->n_cases + whole, bad + report_failed(r));
    for (size_t i = 0; i < r->problems.n; i++) {
        const struct problem *p = &r->problems.list[i];
        char *file = p->file ? p->file : NULL;
        struct report_case k = {(char *)(uintptr_t)p->code, file, p->line, p->col, p->text};
        if (p->level >= least)
            junit_case(c, r, &k);
    }
    for (size_t i = 0; i < r->n_cases; i++)
        junit_case(c, r, &r->cases[i]);
    if (whole)
        junit_case(c, r, &(struct report_case){.name = (char *)(uintptr_t)r->dir});
    fputs("  </testsuite>\n</testsuites>\n", c->out);
}

void report_print(struct cli *c, int format, const struct findings *r, bool all)
{
    if (format == REPORT_TEXT)
        print_text(c, r, all);
    else if (format == REPORT_PARSABLE)
        print_parsable(c, r);
    else if (format == REPORT_GITHUB)
        print_github(c, r);
    else if (format == REPORT_JSON)
        print_json(c, r);
    else
        print_junit(c, r);
}
