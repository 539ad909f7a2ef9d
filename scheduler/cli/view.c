#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"

/* Apart from client.c, so that tests can put another transport below it. */

static const char *member(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s && *s ? s : NULL;
}

/* This drover knows what it asks for: another version does not. */
static bool is_skew(const char *code)
{
    return str_eq(code, "unknown_member") || str_eq(code, "bad_member") ||
           str_eq(code, "bad_parameter") || str_eq(code, "unknown_path");
}

int client_refused(long http, const json_t *j, struct err *e)
{
    int code = is_skew(member(j, "code"))   ? -EPROTONOSUPPORT
               : http == 401 || http == 403 ? -EACCES
               : http == 404                ? -ENOENT
               : http == 409                ? -EEXIST
               : http == 503                ? -EAGAIN
                                            : -EREMOTEIO;
    const char *message = member(j, "message"), *cure = member(j, "cure");
    if (code == -EPROTONOSUPPORT && (!cure || http == 404))
        cure = SKEW_HINT;
    if (!message)
        return err_set(e, code, "the scheduler answered with HTTP status %ld and no explanation",
                       http);
    return err_set(e, code, "%s%s%s", message, cure ? "\n  " : "", cure ? cure : "");
}

int client_understand(const json_t *j, const struct shape *s, void *ret_obj, struct err *e)
{
    struct err why;
    if (codec_decode(s, j, ret_obj, &why) == 0)
        return 0;
    return err_set(e, -EBADMSG, "the scheduler's answer is not understood: %.120s\n  " SKEW_HINT,
                   why.msg);
}

int client_view(struct client *c, const char *path, const struct shape *s, void *ret_obj,
                json_t **ret_json, struct err *e)
{
    cleanup(json_decrefp) json_t *j = NULL;
    int r = client_get(c, path, &j, e);
    r = r < 0 ? r : client_understand(j, s, ret_obj, e);
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
