/* The numbered files of schema/db as part of the program. The assembler's .incbin reads them relative
 * to the directory make runs in (the root of the tree); the Makefile names the dependency. */
#include "lib/base/str.h"
#include "scheduler/io/store_int.h"

#define EMBED(ident, path)                                                                         \
    __asm__(".pushsection .rodata\n" #ident ":\n.incbin \"" path "\"\n.byte 0\n.popsection\n");    \
    extern const char ident[]

EMBED(drover_sql_0001, "schema/db/0001_init.sql");
EMBED(drover_sql_0002, "schema/db/0002_samples.sql");
EMBED(drover_sql_0003, "schema/db/0003_xml.sql");

const struct migration migrations[] = {
    {1, "0001_init.sql", drover_sql_0001},
    {2, "0002_samples.sql", drover_sql_0002},
    {3, "0003_xml.sql", drover_sql_0003},
};
const int n_migrations = ARRAY_LEN(migrations);
