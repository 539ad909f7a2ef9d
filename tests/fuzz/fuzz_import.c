/* Other people's inventories. The first byte chooses the format and which files there are: '0' ganeti,
 * '1' csv, '2' table; '3' and '4' the last two with the same text as hosts and flavors too. */
#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/snap/snap.h"
#include "tests/fuzz/fuzz.h"

int fuzz_import(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    cleanup(freep) char *text = xasprintf("%.*s", (int)(size - 1), (const char *)data + 1);
    cleanup(freep) char *notes = NULL;
    const struct snap_source file = {"f", text};
    unsigned kind = (unsigned)(data[0] - '0') % 5;
    const struct snap_import in = {.files = &file,
                                   .n_files = 1,
                                   .hosts = kind > 2 ? &file : NULL,
                                   .flavors = kind > 2 ? &file : NULL};
    struct snap f;
    struct err e = {0};
    if (snap_import((enum snap_format)(kind > 2 ? kind - 2 : kind), &in, &f, &notes, &e) == 0)
        snap_done(&f);
    else
        assert(e.msg[0]);
    return 0;
}
