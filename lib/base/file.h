/* lib/base/file.h: whole small files.   Errors: -errno of the failing call, named with its path. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"

/* Read a file whole. Gives *ret_text (NUL-terminated); -E2BIG if longer than max bytes. */
int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *e);
/* Write whole and atomically (temporary file, fsync, rename) with the given mode. */
int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* mkdir -p. */
int dir_make(const char *path, mode_t mode, struct err *e);
