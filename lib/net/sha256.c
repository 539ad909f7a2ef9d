#include "lib/net/sha256.h"

#include <openssl/sha.h>
#include <string.h>

#include "lib/base/mem.h"

void sha256_hex(const void *data, size_t len, char ret[SHA256_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char d[SHA256_DIGEST_LENGTH];
    if (!SHA256(data, len, d))
        abort(); /* out of memory */
    for (size_t i = 0; i < sizeof(d); i++) {
        ret[2 * i] = digits[d[i] >> 4];
        ret[2 * i + 1] = digits[d[i] & 15];
    }
    ret[SHA256_HEX] = '\0';
}

char *sha256_of(const char *text)
{
    if (!text)
        return NULL;
    char *hex = xcalloc(1, SHA256_HEX + 1);
    sha256_hex(text, strlen(text), hex);
    return hex;
}

bool sha256_is_hex(const char *text)
{
    return strlen(text) == SHA256_HEX && strspn(text, "0123456789abcdef") == SHA256_HEX;
}
