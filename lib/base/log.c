#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum log_level threshold = LOG_INFO; /* the only process-wide setting; set once by main() */

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level < threshold)
        return;
    char line[2048];
    int n = snprintf(line, sizeof(line), "level=%s ", names[level]);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)n + (m < 0 ? 0 : (size_t)m);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = 0; i < len; i++) /* one event is one line */
        if (line[i] == '\n')
            line[i] = ' ';
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) < 0) {
        /* nowhere left to say it */
    }
}

const char *log_safe(const char *text, char buf[LOG_SAFE_BYTES])
{
    size_t n = 0;
    for (; text && text[n] && n < LOG_SAFE_BYTES - 1; n++)
        buf[n] = text[n] == '"'                                    ? '\''
                 : (unsigned char)text[n] < ' ' || text[n] == 0x7f ? ' '
                                                                   : text[n];
    buf[n] = '\0';
    return buf;
}
