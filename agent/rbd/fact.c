/* The parts of rbd.h that need no Ceph library: both sides of the helper's socket use them. */
#include <errno.h>
#include <string.h>

#include "agent/rbd/rbd.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define T struct rbd_ask
SHAPE(rbd_ask_shape, T, SF_INT(T, id), SF_BOOL(T, conf_only), SF_BOOL(T, health), SF_OBJ(T, disk, &disk_shape),
      {.name = "key", .kind = SK_STR, .off = offsetof(T, key), .secret = true}, SF_STR(T, conf),
      SF_INT(T, timeout_us));
#undef T
#define T struct rbd_answer
SHAPE(rbd_answer_shape, T, SF_INT(T, id), SF_OBJ(T, fact, &image_fact_shape),
      SF_OBJ(T, health, &ceph_told_shape));
#undef T

const char *rbd_error_token(int err)
{
    switch (err) {
    case -ENOENT:
        return "image_absent";
    case -EACCES:
    case -EPERM:
        return "ceph_auth";
    case -ETIMEDOUT:
        return "ceph_timeout";
    default:
        return "ceph_error";
    }
}

char *rbd_plain_address(const char *address)
{
    static const char *const kinds[] = {"v1:", "v2:", "any:"};
    for (size_t i = 0; address && i < ARRAY_LEN(kinds); i++)
        if (str_has_prefix(address, kinds[i]))
            return xstrdup(address + strlen(kinds[i]));
    return xstrdup(address);
}

void rbd_fact_error(const struct disk *d, const char *token, const char *error,
                    struct image_fact *ret)
{
    shape_init(&image_fact_shape, ret);
    ret->target = xstrdup(d->target);
    ret->pool = xstrdup(d->pool);
    ret->ns = xstrdup(d->ns);
    ret->image = xstrdup(d->image);
    ret->code = xstrdup(token);
    ret->error = xstrdup(error);
}
