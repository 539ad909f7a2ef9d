#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"

/* Apart from client.c, so that tests can put another transport below it. */
int client_view(struct client *c, const char *path, const struct shape *s, void *ret_obj,
                json_t **ret_json, struct err *e)
{
    cleanup(json_decrefp) json_t *j = NULL;
    int r = client_get(c, path, &j, e);
    if (r == 0 && (r = codec_decode(s, j, ret_obj, e)) < 0) {
        char why[sizeof(e->msg)];
        snprintf(why, sizeof(why), "%s", e ? e->msg : "");
        r = err_set(
            e, -EBADMSG,
            "the scheduler's answer is not understood: %.200s\n  drover and drover-scheduler may "
            "differ in version: drover version shows both",
            why);
    }
    if (r == 0 && ret_json)
        *ret_json = take(j);
    return r;
}

char *client_escape(const char *s)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@";
    char *out = xcalloc(3 * strlen(s) + 1, 1);
    size_t at = 0;
    for (; *s; s++) {
        if (strchr(plain, *s))
            out[at++] = *s;
        else
            at += (size_t)snprintf(out + at, 4, "%%%02X", (unsigned)(unsigned char)*s);
    }
    return out;
}
