#include "lib/net/bind.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/addr.h"

enum { BACKLOG = 1024 };

static int bind_one(const struct addrinfo *ai, int *ret_fd)
{
    cleanup(closep) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (ai->ai_family == AF_INET6) /* "every address" means IPv4 too */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ss;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ss;
    return ntohs(ss.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
}

int bind_tcp(const char *address, int *ret_fd, int *ret_port, struct err *e)
{
    struct addr a;
    int r = addr_parse(address, 0, &a, e);
    if (r < 0)
        return r;
    char port[16];
    snprintf(port, sizeof(port), "%u", (unsigned)a.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list;
    r = getaddrinfo(a.host[0] ? a.host : NULL, port, &hints, &list);
    if (r != 0)
        return err_set(e, -EADDRNOTAVAIL, "listen on %s: %s", address, gai_strerror(r));
    int code = -EADDRNOTAVAIL;
    for (int pass = 0; pass < 2 && code < 0; pass++) /* IPv6 first: its wildcard covers both */
        for (const struct addrinfo *ai = list; ai && code < 0; ai = ai->ai_next)
            if ((ai->ai_family == AF_INET6) == (pass == 0)) {
                r = bind_one(ai, ret_fd);
                code = r == 0 ? 0 : r;
            }
    freeaddrinfo(list);
    if (code == -EADDRINUSE)
        return err_set(e, code,
                       "listen on %s: the port is in use by another program; `ss -ltnp` names "
                       "it",
                       address);
    if (code < 0)
        return err_set(e, code, "listen on %s: %s", address, strerror(-code));
    *ret_port = port_of(*ret_fd);
    return 0;
}

/* A socket file stays behind after a crash; one that still answers belongs to a living process. */
static int remove_stale(const struct sockaddr_un *sun, struct err *e)
{
    struct stat st;
    if (lstat(sun->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(e, -errno, "'%s': %m", sun->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, -EEXIST, "'%s' exists and is no socket", sun->sun_path);
    cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, -errno, "socket: %m");
    if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN)
        return err_set(e, -EADDRINUSE, "'%s': another process listens there", sun->sun_path);
    if (unlink(sun->sun_path) < 0)
        return err_set(e, -errno, "remove stale '%s': %m", sun->sun_path);
    return 0;
}

static int give_to_group(const char *path, const char *group, struct err *e)
{
    char buf[4096];
    struct group gr, *found = NULL;
    int r = getgrnam_r(group, &gr, buf, sizeof(buf), &found);
    if (!found)
        return err_set(e, r ? -r : -ENOENT, "socket group '%s': %s", group,
                       r ? strerror(r) : "there is no such group");
    if (chown(path, (uid_t)-1, gr.gr_gid) < 0)
        return err_set(e, -errno, "give '%s' to group '%s': %m", path, group);
    return 0;
}

int bind_unix(const char *path, const char *group, int *ret_fd, struct err *e)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(sun.sun_path))
        return err_set(e, -ENAMETOOLONG, "socket '%s': longer than %zu bytes", path,
                       sizeof(sun.sun_path) - 1);
    memcpy(sun.sun_path, path, len);
    int r = remove_stale(&sun, e);
    if (r < 0)
        return r;
    cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, -errno, "socket: %m");
    /* nobody may connect before mode and group are right: bind shut, listen last */
    mode_t old = umask(0177);
    r = bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
    umask(old);
    if (r < 0)
        return err_set(e, r, "socket '%s': %s", path, strerror(-r));
    if (group)
        r = give_to_group(path, group, e);
    if (r == 0 && (chmod(path, 0660) < 0 || listen(fd, BACKLOG) < 0))
        r = err_set(e, -errno, "socket '%s': %m", path);
    if (r < 0) {
        unlink(path);
        return r;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}
