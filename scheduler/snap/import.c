/* Fleets of others: which reader, and what to tell about what is not known. */
#include <errno.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/snap/sheet.h"

const char *const snap_format_names[3] = {"ganeti", "csv", "table"};

void note_add(char **notes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *line = xvasprintf(fmt, ap);
    va_end(ap);
    text_join(notes, "\n", line);
}

static void note_unknown(const struct snap *f, char **notes)
{
    size_t mem = 0, disks = 0;
    for (size_t i = 0; i < f->s.n_vms; i++) {
        mem += f->vms[i].mem_bytes < 0;
        disks += !f->vms[i].n_disks;
    }
    if (mem)
        note_add(notes,
                 "%zu of %zu VMs: their memory is not known, so they stay, and nothing will be "
                 "placed beside those that run",
                 mem, f->s.n_vms);
    if (disks)
        note_add(notes,
                 "%zu of %zu VMs: their disks are not known and taken to be reachable from "
                 "every host",
                 disks, f->s.n_vms);
}

int snap_import(enum snap_format format, const struct snap_import *in, struct snap *ret,
                char **ret_notes, struct err *e)
{
    cleanup(snap_build_done) struct snap_build b = {0};
    cleanup(freep) char *notes = NULL;
    int r = 0;
    if (format == SNAP_GANETI)
        for (size_t i = 0; r == 0 && i < in->n_files; i++)
            r = ganeti_import(&in->files[i], in->assume_rbd, &b, &notes, e);
    else
        r = sheets_import(in, format == SNAP_CSV ? sheet_read_csv : sheet_read_table, &b, &notes,
                          e);
    for (size_t i = 0; in->link_bps && i < b.n_hosts; i++)
        if (b.hosts[i].host.link_bps < 0)
            b.hosts[i].host.link_bps = in->link_bps;
    r = r < 0 ? r : snap_build(&b, ret, e);
    if (r < 0)
        return r;
    note_unknown(ret, &notes);
    *ret_notes = take(notes);
    return 0;
}
