/* lib/net/sha256.h: what a text is called by its content (OpenSSL's SHA-256).   Thread any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SHA256_HEX = 64 };

/* Lower-case hex digits. Gives; NULL for NULL. */
char *sha256_of(const char *text);
bool sha256_is_hex(const char *text);
