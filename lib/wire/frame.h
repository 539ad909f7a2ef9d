/* lib/wire/frame.h: messages out of a stream of bytes: u32 length, big-endian, then that much JSON.
 * Errors   frame_feed: -EBADMSG zero length, -E2BIG longer than LIM_FRAME_BYTES, both known from the
 *          four bytes of length, before anything is allocated. After an error the stream has lost its
 *          rhythm: the decoder repeats the error and the connection must be closed.
 * Owner    struct frame_dec is zeroed to begin; frame_dec_done releases.   Thread any, no sharing.
 * PURE. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { FRAME_HEAD_BYTES = 4 };

struct frame_dec {
    uint8_t head[FRAME_HEAD_BYTES];
    size_t n_head, need, have, cap;
    char *buf; /* grows with what really arrived, not with what was announced */
    int broken;
};

/* Consume bytes of *data (advances *data, lowers *n) until one frame is whole. 1: *ret_text is the
 * frame, NUL-terminated, *ret_len long (gives; free()), call again for the rest; 0: all consumed,
 * more is needed; or -errno. */
int frame_feed(struct frame_dec *d, const uint8_t **data, size_t *n, char **ret_text,
               size_t *ret_len, struct err *e);
void frame_dec_done(struct frame_dec *d);

/* The length that goes before a frame of len bytes. -EBADMSG for 0, -E2BIG beyond the limit. */
int frame_head(uint8_t head[FRAME_HEAD_BYTES], size_t len, struct err *e);
