#include "lib/net/sha256.h"

#include <openssl/sha.h>
#include <string.h>

#include "lib/base/mem.h"

char *sha256_of(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char d[SHA256_DIGEST_LENGTH];
    if (!text)
        return NULL;
    if (!SHA256((const unsigned char *)text, strlen(text), d))
        abort(); /* out of memory */
    char *hex = xcalloc(1, SHA256_HEX + 1);
    for (size_t i = 0; i < sizeof(d); i++) {
        hex[2 * i] = digits[d[i] >> 4];
        hex[2 * i + 1] = digits[d[i] & 15];
    }
    return hex;
}

bool sha256_is_hex(const char *text)
{
    return strlen(text) == SHA256_HEX && strspn(text, "0123456789abcdef") == SHA256_HEX;
}
