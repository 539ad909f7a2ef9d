/* A fleet from a file. What is taken can be written, and is read again as the same; a refusal names the
 * file. */
#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/wire/codec.h"
#include "scheduler/snap/snap.h"
#include "tests/fuzz/fuzz.h"

static char *written(const struct snap *f)
{
    cleanup(json_decrefp) json_t *j = snap_encode(&f->s, 0);
    return codec_text(j);
}

int fuzz_snapshot(const uint8_t *data, size_t size)
{
    struct snap f, again;
    struct err e = {0};
    if (snap_parse("f", (const char *)data, size, &f, &e) < 0) {
        assert(!strncmp(e.msg, "f: ", 3));
        return 0;
    }
    cleanup(freep) char *first = written(&f);
    int r = snap_parse("f", first, strlen(first), &again, &e);
    assert(r == 0);
    cleanup(freep) char *second = written(&again);
    assert(!strcmp(first, second));
    snap_done(&f);
    snap_done(&again);
    return 0;
}
