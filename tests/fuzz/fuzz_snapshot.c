/* A fleet from a file. What is taken can be written, and is read again as the same; a refusal names the
 * file. */
#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/snap/snap.h"
#include "tests/fuzz/fuzz.h"

int fuzz_snapshot(const uint8_t *data, size_t size)
{
    struct snap f, again;
    struct err e = {0};
    if (snap_parse("f", (const char *)data, size, &f, &e) < 0) {
        assert(!strncmp(e.msg, "f: ", 3));
        return 0;
    }
    cleanup(freep) char *first = snap_text(&f.s, 0);
    int r = snap_parse("f", first, strlen(first), &again, &e);
    assert(r == 0);
    cleanup(freep) char *second = snap_text(&again.s, 0);
    assert(!strcmp(first, second));
    snap_done(&f);
    snap_done(&again);
    return 0;
}
