/* lib/net/addr.h: "host:port" and "[v6]:port".
 * Errors   -EINVAL says what was expected; *ret untouched.   Thread any. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "lib/base/err.h"

struct addr {
    char host[254]; /* name or numeric; "" = every local address (to listen on) */
    uint16_t port;
};
enum { ADDR_TEXT_BYTES = 272 };

/* A missing port is default_port, or an error when that is 0. ":7400" and "*:7400" give host "". */
int addr_parse(const char *text, uint16_t default_port, struct addr *ret, struct err *e);
const char *addr_format(const struct addr *a, char buf[ADDR_TEXT_BYTES]);
/* Numeric text of a socket's address; "local" for a unix socket. */
const char *sockaddr_format(const struct sockaddr *sa, socklen_t len, char buf[ADDR_TEXT_BYTES]);
