/* lib/net/bind.h: listening sockets, for lib/net itself.
 * Errors   name the address, the reason and what to do.   Owner: *ret_fd is given, non-blocking and
 * listening. */
#pragma once

#include "lib/base/err.h"

/* Resolves by the system (at start only: it blocks). Port 0: *ret_port is what the kernel chose. */
int bind_tcp(const char *address, int *ret_fd, int *ret_port, struct err *e);
/* Mode 0660, group NULL: our own. Replaces a socket file nobody answers on. */
int bind_unix(const char *path, const char *group, int *ret_fd, struct err *e);
