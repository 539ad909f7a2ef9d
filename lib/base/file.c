#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *e)
{
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, "open '%s': %m", path);
    cleanup(freep) char *buf = NULL;
    size_t len = 0;
    for (;;) {
        buf = xrealloc(buf, len + 4096 + 1, 1);
        ssize_t n = read(fd, buf + len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, -errno, "read '%s': %m", path);
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max)
            return err_set(e, -E2BIG, "'%s' is longer than %zu bytes", path, max);
    }
    buf[len] = '\0';
    if (ret_len)
        *ret_len = len;
    *ret_text = take(buf);
    return 0;
}

static int write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
    cleanup(freep) char *tmp = xasprintf("%s.tmp.%d", path, (int)getpid());
    cleanup(closep) int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_set(e, -errno, "create '%s': %m", tmp);
    int r = write_all(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
        return err_set(e, r, "write '%s': %s", path, strerror(-r));
    }
    return 0;
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
    cleanup(freep) char *p = xstrdup(path);
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char was = *s;
        *s = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return err_set(e, -errno, "mkdir '%s': %m", p);
        *s = was;
        if (!was)
            return 0;
    }
}
