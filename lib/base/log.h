/* lib/base/log.h: logfmt lines on stderr (journald adds time when it reads them).
 * Only io/ layers and main() log; library layers return struct err.
 * Shapes   level=info msg="..." key=value ...; what a peer or a user wrote goes through LOG_SAFE.
 * Thread   any; one write(2) a line. */
#pragma once

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
/* Print one line. kvfmt: further " key=value" text built by the caller with %s etc. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text from outside, made fit for key="%s": a quote or a line end in it would begin another key, or
 * another event. Fills and returns buf; cut to its size. NULL is "". */
enum { LOG_SAFE_BYTES = 512 };
const char *log_safe(const char *text, char buf[LOG_SAFE_BYTES]);
#define LOG_SAFE(text) log_safe((text), (char[LOG_SAFE_BYTES]){0})
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
