/* tests/unit/tempdir.h: a directory of files that a test writes and removes. */
#pragma once

#include <ftw.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"

static inline char *temp_dir(void)
{
    char *dir = xstrdup("/tmp/drover-policy-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline int temp_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void temp_remove(char *dir)
{
    assert_int_equal(nftw(dir, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

static inline void temp_put(const char *dir, const char *name, const char *text)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(dir_make(path, 0755, NULL), 0);
    *slash = '/';
    assert_int_equal(file_write(path, text, strlen(text), 0644, NULL), 0);
}
