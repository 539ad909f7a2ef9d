#include "scheduler/snap/pieces.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/wire/codec.h"

static const size_t FLAGS = JSON_REJECT_DUPLICATES;

/* Where this reader is at its wits' end, the whole text is read once more, for the words of its fault. */
static int odd(const struct pieces *p, struct err *e)
{
    json_error_t je;
    json_t *j = json_loadb(p->text, p->len, FLAGS, &je);
    int r = j ? err_set(e, -EBADMSG, "expected an object with \"hosts\" and \"vms\"")
              : err_set(e, -EBADMSG, "line %d column %d: %s", je.line, je.column, je.text);
    json_decref(j);
    return r;
}

static char next(struct pieces *p)
{
    while (p->at < p->len && p->text[p->at] && strchr(" \t\r\n", p->text[p->at]))
        p->at++;
    return p->at < p->len ? p->text[p->at] : '\0';
}

static bool is_next(struct pieces *p, char c)
{
    bool is = next(p) == c;
    p->at += is;
    return is;
}

static json_t *value(struct pieces *p)
{
    json_error_t je;
    next(p);
    json_t *j = json_loadb(p->text + p->at, p->len - p->at,
                           FLAGS | JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &je);
    if (j)
        p->at += (size_t)je.position;
    return j;
}

static int read_items(struct pieces *p, const char *key, struct err *e)
{
    int r = p->list(p->arg, key, e);
    p->at++; /* the bracket */
    if (r < 0 || is_next(p, ']'))
        return r;
    for (size_t no = 0;; no++) {
        json_t *item = value(p);
        if (!item)
            return odd(p, e);
        r = p->item(p->arg, key, no, item, e);
        if (r < 0 || is_next(p, ']'))
            return r;
        if (!is_next(p, ','))
            return odd(p, e);
    }
}

static int read_member(struct pieces *p, json_t *seen, struct err *e)
{
    cleanup(json_decrefp) json_t *key = next(p) == '"' ? value(p) : NULL;
    if (!key || json_object_get(seen, json_string_value(key)) || !is_next(p, ':'))
        return odd(p, e);
    json_object_set_new(seen, json_string_value(key), json_true());
    if (next(p) == '[')
        return read_items(p, json_string_value(key), e);
    json_t *v = value(p);
    return v ? p->member(p->arg, json_string_value(key), v, e) : odd(p, e);
}

int pieces_read(struct pieces *p, struct err *e)
{
    cleanup(json_decrefp) json_t *seen = json_object();
    if (!is_next(p, '{'))
        return odd(p, e);
    int r = 0;
    bool end = is_next(p, '}');
    while (r == 0 && !end) {
        r = read_member(p, seen, e);
        end = r == 0 && is_next(p, '}');
        if (r == 0 && !end && !is_next(p, ','))
            return odd(p, e);
    }
    return r == 0 && p->at < p->len && (next(p) || p->at < p->len) ? odd(p, e) : r;
}
