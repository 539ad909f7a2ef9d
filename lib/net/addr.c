#include "lib/net/addr.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

static int bad(struct err *e, const char *text, const char *what)
{
    return err_set(e, -EINVAL, "address '%s': %s; expected HOST:PORT or [IPV6]:PORT", text, what);
}

int addr_parse(const char *text, uint16_t default_port, struct addr *ret, struct err *e)
{
    const char *host = text, *port = NULL;
    size_t host_len = strlen(text);
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (!end)
            return bad(e, text, "']' is missing");
        host = text + 1;
        host_len = (size_t)(end - host);
        if (!host_len)
            return bad(e, text, "nothing between the brackets");
        if (end[1] == ':')
            port = end + 2;
        else if (end[1])
            return bad(e, text, "unexpected text after ']'");
    } else {
        const char *colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':'))
            return bad(e, text, "an IPv6 address goes into brackets");
        if (colon) {
            host_len = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    struct addr a = {.port = default_port};
    if (host_len >= sizeof(a.host))
        return bad(e, text, "the host name is too long");
    if (host_len == 0 && !port)
        return bad(e, text, "it is empty");
    if (!(host_len == 1 && host[0] == '*'))
        memcpy(a.host, host, host_len);
    if (strpbrk(a.host, " \t\r\n/@[]"))
        return bad(e, text, "the host name has characters that none has");
    if (!port && !default_port)
        return bad(e, text, "the port is missing");
    int64_t n = default_port;
    if (port && parse_int(port, 0, 65535, &n, NULL) < 0)
        return bad(e, text, "the port is no number of 0 to 65535");
    a.port = (uint16_t)n;
    *ret = a;
    return 0;
}

const char *addr_format(const struct addr *a, char buf[ADDR_TEXT_BYTES])
{
    bool v6 = strchr(a->host, ':') != NULL;
    snprintf(buf, ADDR_TEXT_BYTES, "%s%s%s:%u", v6 ? "[" : "", a->host[0] ? a->host : "*",
             v6 ? "]" : "", (unsigned)a->port);
    return buf;
}

const char *sockaddr_format(const struct sockaddr *sa, socklen_t len, char buf[ADDR_TEXT_BYTES])
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (sa->sa_family == AF_UNIX)
        snprintf(buf, ADDR_TEXT_BYTES, "local");
    else if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                         NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(buf, ADDR_TEXT_BYTES, "?");
    else
        snprintf(buf, ADDR_TEXT_BYTES, "%s%.64s%s:%.8s", strchr(host, ':') ? "[" : "", host,
                 strchr(host, ':') ? "]" : "", port);
    return buf;
}
