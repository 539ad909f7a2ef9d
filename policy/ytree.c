#include "policy/ytree.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct reader {
    yaml_parser_t parser;
    const char *file, *text;
    size_t len;
    struct err *e;
};

void ytree_done(struct ynode *n)
{
    for (size_t i = 0; i < n->n_items; i++)
        ytree_done(&n->items[i]);
    free(n->items);
    free(n->text);
    free(n->key);
    *n = (struct ynode){0};
}

const struct ynode *ytree_get(const struct ynode *map, const char *key)
{
    for (size_t i = 0; map->kind == Y_MAP && i < map->n_items; i++)
        if (str_eq(map->items[i].key, key))
            return &map->items[i];
    return NULL;
}

static int fail_at(struct reader *r, yaml_mark_t at, const char *what)
{
    return err_set(r->e, -EBADMSG, "%s:%zu:%zu: %s", r->file, at.line + 1, at.column + 1, what);
}

/* libyaml's reader is ahead of its parser and says only which byte it could not take. */
static yaml_mark_t mark_of_byte(const struct reader *r, size_t offset)
{
    yaml_mark_t at = {0};
    for (size_t i = 0; i < offset && i < r->len; i++)
        if (r->text[i] == '\n') {
            at.line++;
            at.column = 0;
        } else if (((unsigned char)r->text[i] & 0xc0) != 0x80) { /* columns are characters */
            at.column++;
        }
    return at;
}

static int next(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return 0;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        abort();
    yaml_mark_t at =
        p->error == YAML_READER_ERROR ? mark_of_byte(r, p->problem_offset) : p->problem_mark;
    if (p->error == YAML_SCANNER_ERROR && at.index < r->len && r->text[at.index] == '\t')
        return fail_at(r, at, "not valid YAML: a tab cannot indent, blanks do");
    return err_set(r->e, -EBADMSG, "%s:%zu:%zu: not valid YAML: %s%s%s", r->file, at.line + 1,
                   at.column + 1, p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                   p->context ? p->context : "");
}

static int parse_node(struct reader *r, yaml_event_t *ev, int depth, struct ynode *ret);

/* Anchors and tags could make a text mean something else than it shows. */
static int refuse_extras(struct reader *r, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (ev->type == YAML_ALIAS_EVENT)
        return fail_at(r, ev->start_mark, "aliases are not supported: write the value out");
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    }
    if (anchor)
        return fail_at(r, ev->start_mark, "anchors are not supported: write the value out");
    if (tag)
        return fail_at(r, ev->start_mark, "tags are not supported");
    return 0;
}

static int take_scalar(struct reader *r, const yaml_event_t *ev, char **ret)
{
    const char *s = (const char *)ev->data.scalar.value;
    if (strlen(s) != ev->data.scalar.length)
        return fail_at(r, ev->start_mark, "a NUL character is not allowed in a text");
    *ret = xstrdup(s);
    return 0;
}

static int parse_key(struct reader *r, const yaml_event_t *ev, const struct ynode *map,
                     struct ynode *member)
{
    int rc = refuse_extras(r, ev);
    if (rc < 0)
        return rc;
    if (ev->type != YAML_SCALAR_EVENT)
        return fail_at(r, ev->start_mark, "a key must be a plain word");
    rc = take_scalar(r, ev, &member->key);
    if (rc < 0)
        return rc;
    member->key_line = (int)ev->start_mark.line + 1;
    member->key_col = (int)ev->start_mark.column + 1;
    for (size_t i = 0; i + 1 < map->n_items; i++)
        if (str_eq(map->items[i].key, member->key))
            return err_set(r->e, -EBADMSG, "%s:%d:%d: duplicate key '%s', first given at line %d",
                           r->file, member->key_line, member->key_col, member->key,
                           map->items[i].key_line);
    return 0;
}

static int parse_items(struct reader *r, int depth, struct ynode *ret)
{
    yaml_event_type_t end = ret->kind == Y_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        cleanup(yaml_event_delete) yaml_event_t ev = {0};
        int rc = next(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == end)
            return 0;
        if (ret->n_items == LIM_LIST_ITEMS)
            return fail_at(r, ev.start_mark, "too many items in one list");
        struct ynode *item = vec_add(&ret->items, &ret->n_items);
        if (ret->kind == Y_MAP) {
            rc = parse_key(r, &ev, ret, item);
            yaml_event_delete(&ev);
            if (rc == 0)
                rc = next(r, &ev);
        }
        if (rc == 0)
            rc = parse_node(r, &ev, depth, item);
        if (rc < 0)
            return rc;
    }
}

static int parse_node(struct reader *r, yaml_event_t *ev, int depth, struct ynode *ret)
{
    int rc = refuse_extras(r, ev);
    if (rc < 0)
        return rc;
    ret->line = (int)ev->start_mark.line + 1;
    ret->col = (int)ev->start_mark.column + 1;
    if (ev->type == YAML_SCALAR_EVENT) {
        ret->kind = Y_SCALAR;
        ret->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return take_scalar(r, ev, &ret->text);
    }
    if (depth == LIM_YAML_DEPTH)
        return fail_at(r, ev->start_mark, "nested too deeply");
    ret->kind = ev->type == YAML_MAPPING_START_EVENT ? Y_MAP : Y_SEQ;
    return parse_items(r, depth + 1, ret);
}

static int parse_stream(struct reader *r, struct ynode *ret)
{
    bool seen = false;
    for (;;) {
        cleanup(yaml_event_delete) yaml_event_t ev = {0};
        int rc = next(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == YAML_STREAM_END_EVENT)
            return 0;
        if (ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_END_EVENT)
            continue;
        if (ev.type == YAML_DOCUMENT_START_EVENT) {
            if (seen)
                return fail_at(r, ev.start_mark, "a second document in one file is not supported");
            seen = true;
            continue;
        }
        rc = parse_node(r, &ev, 0, ret);
        if (rc < 0)
            return rc;
    }
}

int ytree_parse(const char *file, const char *text, size_t len, struct ynode *ret, struct err *e)
{
    struct reader r = {.file = file, .text = text, .len = len, .e = e};
    struct ynode root = {.kind = Y_MAP, .line = 1, .col = 1};
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return err_set(e, -EBADMSG, "%s:1:1: the text is UTF-16: save it as UTF-8", file);
    if (!yaml_parser_initialize(&r.parser))
        abort(); /* it only fails without memory */
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    int rc = parse_stream(&r, &root);
    yaml_parser_delete(&r.parser);
    if (rc < 0) {
        ytree_done(&root);
        return rc;
    }
    *ret = root;
    return 0;
}
