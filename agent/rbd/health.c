/* How well a cluster is, from the monitors' own words: the JSON of `ceph status`, 14.2 and later. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "agent/rbd/rbd.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static int64_t count_of(const json_t *j, const char *key)
{
    int64_t n = json_integer_value(json_object_get(j, key));
    return n > 0 ? n : 0;
}

static void read_checks(json_t *checks, struct ceph_told *ret)
{
    const char *code;
    json_t *check;
    const char *error = NULL, *warning = NULL;
    json_object_foreach(checks, code, check)
    {
        const char *says = text_of(json_object_get(check, "summary"), "message");
        const char *at = says ? says : code;
        if (json_is_true(json_object_get(check, "muted")))
            continue; /* somebody looked at it, and it does not count for the status either */
        if (str_eq(code, "SLOW_OPS") && !ret->slow)
            ret->slow = xstrdup(at);
        if (str_eq(text_of(check, "severity"), "HEALTH_ERR"))
            error = error ? error : at;
        else
            warning = warning ? warning : at;
    }
    ret->cause = xstrdup(error ? error : warning);
}

/* "active+remapped+backfill_wait": those that wait for their turn are counted, too. */
static bool moves_data(const char *state)
{
    static const char *const words[] = {"recover", "backfill"};
    for (size_t i = 0; state && i < ARRAY_LEN(words); i++)
        if (strstr(state, words[i]))
            return true;
    return false;
}

static void read_pgs(const json_t *map, struct ceph_told *ret)
{
    size_t i;
    const json_t *state;
    json_array_foreach(json_object_get(map, "pgs_by_state"), i, state)
    {
        if (moves_data(text_of(state, "state_name")))
            ret->moving_pgs += count_of(state, "count");
    }
    ret->degraded = count_of(map, "degraded_objects");
    ret->misplaced = count_of(map, "misplaced_objects");
}

int rbd_read_status(const char *text, size_t len, struct ceph_told *ret, struct err *e)
{
    json_error_t at;
    cleanup(json_decrefp) json_t *j = json_loadb(text, len, 0, &at);
    if (!j)
        return err_set(e, -EBADMSG, "Ceph's status is no JSON: %s", at.text);
    const json_t *health = json_object_get(j, "health");
    const char *status = text_of(health, "status");
    if (!status)
        return err_set(e, -EBADMSG, "Ceph's status names no health");
    shape_init(&ceph_told_shape, ret);
    ret->ok = true;
    ret->fsid = xstrdup(text_of(j, "fsid"));
    ret->status = xstrdup(status);
    read_checks(json_object_get(health, "checks"), ret);
    read_pgs(json_object_get(j, "pgmap"), ret);
    return 0;
}
