/* Words and their places are libyaml's (its scanner); comments, which it drops, are what is left of a line. */
#include "policy/fmt.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/ytree.h"

enum { STEP = 2, BEFORE_COMMENT = 1 };

struct word {
    int type;          /* yaml_token_type_t */
    bool silent;       /* no text of its own */
    size_t start, end; /* bytes */
    size_t line;
};
struct level { /* a block collection */
    bool seq;
    bool loose; /* of a mapping: its value is a list whose dashes stand under the key */
    size_t col;
};
struct line {
    const char *text, *rest; /* as it was; behind its words */
    size_t len;
    size_t was, col; /* where its first word or comment begins */
    char *body;      /* its words; NULL: none */
    char *comment;   /* NULL: none */
    size_t behind;   /* where a comment behind words begins */
};
struct fmt {
    const char *file, *text;
    struct word *words;
    size_t n_words;
    struct line *lines;
    size_t n_lines;
    struct level *levels;
    size_t n_levels;
    size_t flow; /* open brackets */
    long shift;  /* of the line where the outermost one is */
};

static void fmt_done(struct fmt *f)
{
    for (size_t i = 0; i < f->n_lines; i++) {
        free(f->lines[i].body);
        free(f->lines[i].comment);
    }
    free(f->words);
    free(f->lines);
    free(f->levels);
}

/* ---- words ------------------------------------------------------------------------------------------- */

/* Of each character, and of the end: libyaml counts characters. Gives. */
static size_t *bytes_of_chars(const char *text, size_t len)
{
    size_t *at = xcalloc(len + 1, sizeof(*at)), n = 0;
    for (size_t i = 0; i <= len; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            at[n++] = i;
    return at;
}

static int add_word(struct fmt *f, const yaml_token_t *t, const size_t *byte, struct err *e)
{
    bool silent = t->start_mark.index == t->end_mark.index || t->type == YAML_STREAM_START_TOKEN ||
                  t->type == YAML_STREAM_END_TOKEN;
    if (!silent && t->start_mark.line != t->end_mark.line)
        return err_set(e, -EBADMSG, "%s:%zu:%zu: a text over several lines is not formatted",
                       f->file, t->start_mark.line + 1, t->start_mark.column + 1);
    *(struct word *)vec_add(&f->words, &f->n_words) =
        (struct word){.type = (int)t->type,
                      .silent = silent,
                      .start = byte[t->start_mark.index],
                      .end = byte[t->end_mark.index],
                      .line = t->start_mark.line};
    return 0;
}

/* It has been parsed before: the scanner finds nothing wrong any more. */
static int scan(struct fmt *f, size_t len, struct err *e)
{
    yaml_parser_t p;
    cleanup(freep) size_t *byte = bytes_of_chars(f->text, len);
    int r = 0;
    if (!yaml_parser_initialize(&p))
        abort(); /* out of memory */
    yaml_parser_set_input_string(&p, (const unsigned char *)f->text, len);
    for (bool more = true; r == 0 && more;) {
        yaml_token_t t;
        if (!yaml_parser_scan(&p, &t)) {
            r = err_set(e, -EBADMSG, "%s: not valid YAML", f->file);
            break;
        }
        more = t.type != YAML_STREAM_END_TOKEN;
        r = add_word(f, &t, byte, e);
        yaml_token_delete(&t);
    }
    yaml_parser_delete(&p);
    return r;
}

static void split(struct fmt *f)
{
    for (const char *at = f->text; *at;) {
        size_t n = strcspn(at, "\n");
        struct line *l = vec_add(&f->lines, &f->n_lines);
        *l = (struct line){.text = at, .rest = at, .len = n};
        while (l->was < n && (at[l->was] == ' ' || at[l->was] == '\t'))
            l->was++;
        l->col = l->was;
        at += n + (at[n] == '\n');
    }
}

/* ---- where a line begins -------------------------------------------------------------------------------- */

static struct level *top(struct fmt *f)
{
    return f->n_levels ? &f->levels[f->n_levels - 1] : NULL;
}

/* Of what belongs to the innermost collection and does not begin one of its entries. */
static size_t inner(struct fmt *f)
{
    const struct level *l = top(f);
    return !l ? 0 : l->col + (l->loose ? 2 * STEP : STEP);
}

static size_t column(struct fmt *f, size_t i, size_t was)
{
    const struct word *w = &f->words[i];
    const struct level *l = top(f);
    if (f->flow)
        return (long)was + f->shift > 0 ? (size_t)((long)was + f->shift) : 0;
    if (!l)
        return 0;
    if (w->type == YAML_BLOCK_ENTRY_TOKEN)
        return l->seq ? l->col : l->col + STEP;
    bool key = w->type == YAML_KEY_TOKEN || w->type == YAML_VALUE_TOKEN ||
               (i > 0 && f->words[i - 1].type == YAML_KEY_TOKEN);
    return key && !l->seq ? l->col : inner(f);
}

static void follow(struct fmt *f, const struct word *w)
{
    switch (w->type) {
    case YAML_BLOCK_SEQUENCE_START_TOKEN:
    case YAML_BLOCK_MAPPING_START_TOKEN: {
        struct level l = {.seq = w->type == YAML_BLOCK_SEQUENCE_START_TOKEN, .col = inner(f)};
        *(struct level *)vec_add(&f->levels, &f->n_levels) = l;
        break;
    }
    case YAML_BLOCK_END_TOKEN:
        f->n_levels -= f->n_levels > 0;
        break;
    case YAML_BLOCK_ENTRY_TOKEN:
    case YAML_KEY_TOKEN:
        if (!f->flow && top(f) && !top(f)->seq)
            top(f)->loose = w->type == YAML_BLOCK_ENTRY_TOKEN;
        break;
    case YAML_FLOW_SEQUENCE_START_TOKEN:
    case YAML_FLOW_MAPPING_START_TOKEN:
        if (!f->flow++)
            f->shift = (long)f->lines[w->line].col - (long)f->lines[w->line].was;
        break;
    case YAML_FLOW_SEQUENCE_END_TOKEN:
    case YAML_FLOW_MAPPING_END_TOKEN:
        f->flow--;
        break;
    default:
        break;
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------ */

static bool opens(int type)
{
    return type == YAML_FLOW_SEQUENCE_START_TOKEN || type == YAML_FLOW_MAPPING_START_TOKEN;
}

static bool closes(int type)
{
    return type == YAML_FLOW_SEQUENCE_END_TOKEN || type == YAML_FLOW_MAPPING_END_TOKEN;
}

static const char *gap(int a, int b)
{
    bool none = a != YAML_VALUE_TOKEN && /* {a: } is another thing than {a:} */
                (opens(a) || closes(b) || b == YAML_FLOW_ENTRY_TOKEN || b == YAML_VALUE_TOKEN);
    return none ? "" : " ";
}

static void take_comment(struct line *l)
{
    const char *at = l->rest, *end = l->text + l->len;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (at < end)
        l->comment = xasprintf("%.*s", (int)(end - at), at);
}

static void write_words(struct fmt *f)
{
    const struct word *last = NULL;
    for (size_t i = 0; i < f->n_words; i++) {
        const struct word *w = &f->words[i];
        struct line *l = w->line < f->n_lines ? &f->lines[w->line] : NULL;
        if (!w->silent && l) {
            bool first = !last || last->line != w->line;
            if (first)
                l->col = column(f, i, l->was);
            char *more =
                xasprintf("%s%s%.*s", first ? "" : l->body, first ? "" : gap(last->type, w->type),
                          (int)(w->end - w->start), f->text + w->start);
            free(l->body);
            l->body = more;
            l->rest = f->text + w->end;
            last = w;
        }
        follow(f, w);
    }
    for (size_t i = 0; i < f->n_lines; i++)
        take_comment(&f->lines[i]);
}

/* A comment goes with what it stands before; else with the nearest above that began in its column. */
static void place_comments(struct fmt *f)
{
    const struct line *next = NULL;
    for (size_t i = f->n_lines; i-- > 0;) {
        struct line *l = &f->lines[i];
        if (l->body) {
            next = l;
            continue;
        }
        const struct line *like = next && next->was == l->was ? next : NULL;
        for (size_t k = i; k-- > 0 && !like;)
            if (f->lines[k].body && f->lines[k].was == l->was)
                like = &f->lines[k];
        like = like ? like : next;
        l->col = like ? like->col : 0;
    }
}

static size_t width(const struct line *l)
{
    size_t n = l->col;
    for (const char *p = l->body; *p; p++)
        n += ((unsigned char)*p & 0xc0) != 0x80;
    return n;
}

/* Comments behind words of lines that follow each other stand below each other. */
static void align_comments(struct fmt *f)
{
    for (size_t i = 0, end; i < f->n_lines; i = end + 1) {
        size_t most = 0;
        for (end = i; end < f->n_lines && f->lines[end].body && f->lines[end].comment; end++)
            most = width(&f->lines[end]) > most ? width(&f->lines[end]) : most;
        for (size_t k = i; k < end; k++)
            f->lines[k].behind = most + BEFORE_COMMENT;
    }
}

static char *join(const struct fmt *f)
{
    char *out = NULL;
    size_t len;
    bool blank = false, any = false;
    FILE *to = open_memstream(&out, &len);
    for (size_t i = 0; to && i < f->n_lines; i++) {
        const struct line *l = &f->lines[i];
        if (!l->body && !l->comment) {
            blank = any;
            continue;
        }
        if (blank)
            fputc('\n', to);
        blank = false;
        any = true;
        fprintf(to, "%*s%s", (int)l->col, "", l->body ? l->body : l->comment);
        if (l->body && l->comment)
            fprintf(to, "%*s%s", (int)(l->behind - width(l)), "", l->comment);
        fputc('\n', to);
    }
    if (!to || fclose(to))
        abort(); /* out of memory */
    return out;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static bool same(const struct ynode *a, const struct ynode *b)
{
    bool is = a->kind == b->kind && a->quoted == b->quoted && str_eq(a->text, b->text) &&
              str_eq(a->key, b->key) && a->n_items == b->n_items;
    for (size_t i = 0; is && i < a->n_items; i++)
        is = same(&a->items[i], &b->items[i]);
    return is;
}

static char *unix_lines(const char *text, size_t len)
{
    char *out = xcalloc(len + 1, 1);
    size_t n = 0, i = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (; i < len; i++)
        if (text[i] != '\r' || text[i + 1] != '\n')
            out[n++] = text[i];
    return out;
}

int policy_fmt(const char *file, const char *text, size_t len, char **ret, struct err *e)
{
    cleanup(ytree_done) struct ynode was = {0}, is = {0};
    cleanup(freep) char *lines = unix_lines(text, len), *out = NULL;
    cleanup(fmt_done) struct fmt f = {.file = file, .text = lines};
    int r = ytree_parse(file, text, len, &was, e);
    r = r < 0 ? r : scan(&f, strlen(lines), e);
    if (r < 0)
        return r;
    split(&f);
    write_words(&f);
    place_comments(&f);
    align_comments(&f);
    out = join(&f);
    if (ytree_parse(file, out, strlen(out), &is, NULL) < 0 || !same(&was, &is))
        return err_set(e, -EBADMSG, "%s: it would not say the same any more: it is left as it is",
                       file);
    *ret = take(out);
    return 0;
}
