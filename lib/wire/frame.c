#include "lib/wire/frame.h"

#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"

static int check_len(size_t len, struct err *e)
{
    if (len == 0)
        return err_set(e, -EBADMSG, "frame of length 0");
    if (len > LIM_FRAME_BYTES)
        return err_set(e, -E2BIG, "frame of %zu bytes, the limit is %d", len, LIM_FRAME_BYTES);
    return 0;
}

int frame_head(uint8_t head[FRAME_HEAD_BYTES], size_t len, struct err *e)
{
    int r = check_len(len, e);
    if (r < 0)
        return r;
    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        head[i] = (uint8_t)(len >> (24 - 8 * i));
    return 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int take_head(struct frame_dec *d, const uint8_t **data, size_t *n, struct err *e)
{
    size_t k = min_size(*n, FRAME_HEAD_BYTES - d->n_head);
    memcpy(d->head + d->n_head, *data, k);
    d->n_head += k;
    *data += k;
    *n -= k;
    if (d->n_head < FRAME_HEAD_BYTES)
        return 0;
    size_t len = 0;
    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        len = len << 8 | d->head[i];
    int r = check_len(len, e);
    if (r < 0)
        return d->broken = r;
    d->need = len;
    return 0;
}

static void take_body(struct frame_dec *d, const uint8_t **data, size_t *n)
{
    size_t k = min_size(*n, d->need - d->have);
    if (d->have + k + 1 > d->cap) {
        size_t cap = d->cap * 2 > d->have + k + 1 ? d->cap * 2 : d->have + k + 1;
        d->cap = min_size(cap, d->need + 1);
        d->buf = xrealloc(d->buf, d->cap, 1);
    }
    memcpy(d->buf + d->have, *data, k);
    d->have += k;
    *data += k;
    *n -= k;
}

int frame_feed(struct frame_dec *d, const uint8_t **data, size_t *n, char **ret_text,
               size_t *ret_len, struct err *e)
{
    if (d->broken)
        return err_set(e, d->broken, "stream is broken by an earlier frame");
    while (*n) {
        if (d->n_head < FRAME_HEAD_BYTES) {
            int r = take_head(d, data, n, e);
            if (r < 0)
                return r;
            continue;
        }
        take_body(d, data, n);
        if (d->have < d->need)
            continue;
        d->buf[d->have] = '\0';
        *ret_text = take(d->buf);
        *ret_len = d->have;
        memset(d, 0, sizeof(*d));
        return 1;
    }
    return 0;
}

void frame_dec_done(struct frame_dec *d)
{
    free(d->buf);
    memset(d, 0, sizeof(*d));
}
