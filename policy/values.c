#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"

int fail_at(const struct reading *r, const struct ynode *n, const char *path, const char *what)
{
    return err_set(r->e, -EBADMSG, "%s:%d:%d: %s: %s", r->file, n->line, n->col, path, what);
}

int fail_value(const struct reading *r, const struct ynode *n, const char *path,
               const char *expected)
{
    char got[96];
    if (n->kind != Y_SCALAR)
        snprintf(got, sizeof(got), "%s%s", n->n_items ? "a " : "an empty ",
                 n->kind == Y_MAP ? "mapping" : "list");
    else if (!n->text[0] && !n->quoted)
        snprintf(got, sizeof(got), "nothing");
    else
        snprintf(got, sizeof(got), "'%.60s'%s", n->text, n->quoted ? " in quotes" : "");
    return err_set(r->e, -EBADMSG, "%s:%d:%d: %s: expected %s, got %s", r->file, n->line, n->col,
                   path, expected, got);
}

char *list_text(const char *const *words, size_t n)
{
    char *text = xstrdup(n ? words[0] : "");
    for (size_t i = 1; i < n; i++) {
        char *more = xasprintf("%s, %s", text, words[i]);
        free(text);
        text = more;
    }
    return text;
}

int fail_unknown(const struct reading *r, const struct ynode *n, const char *path,
                 const char *const *candidates, size_t n_candidates)
{
    const char *near = str_did_you_mean(n->key, candidates, n_candidates);
    cleanup(freep) char *all = list_text(candidates, n_candidates);
    return err_set(r->e, -EBADMSG, "%s:%d:%d: unknown key '%.60s'%s%s%s%s%s", r->file, n->key_line,
                   n->key_col, n->key, *path ? " in " : "", path,
                   near ? "; did you mean '" : "; expected one of: ", near ? near : all,
                   near ? "'?" : "");
}

int fail_unsupported(const struct reading *r, const struct ynode *n, const char *path)
{
    return err_set(r->e, -EBADMSG, "%s:%d:%d: '%s%s%s' is not supported by this version", r->file,
                   n->key_line, n->key_col, path, *path ? "." : "", n->key);
}

int value_bool(const struct reading *r, const struct ynode *n, const char *path, bool *ret)
{
    if (n->kind == Y_SCALAR && !n->quoted && str_eq(n->text, "true"))
        *ret = true;
    else if (n->kind == Y_SCALAR && !n->quoted && str_eq(n->text, "false"))
        *ret = false;
    else
        return fail_value(r, n, path, "true or false");
    return 0;
}

static bool digits_only(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}

int value_int(const struct reading *r, const struct ynode *n, const char *path, int64_t min,
              int64_t max, int64_t *ret)
{
    char expected[96];
    snprintf(expected, sizeof(expected), "a whole number from %lld to %lld", (long long)min,
             (long long)max);
    if (n->kind != Y_SCALAR || n->quoted || !digits_only(n->text) ||
        parse_int(n->text, min, max, ret, NULL) < 0)
        return fail_value(r, n, path, expected);
    return 0;
}

int value_enum(const struct reading *r, const struct ynode *n, const char *path,
               const char *const *names, size_t n_names, int *ret)
{
    for (size_t i = 0; n->kind == Y_SCALAR && i < n_names; i++)
        if (str_eq(n->text, names[i])) {
            *ret = (int)i;
            return 0;
        }
    cleanup(freep) char *all = list_text(names, n_names);
    cleanup(freep) char *expected = xasprintf("one of %s", all);
    return fail_value(r, n, path, expected);
}

/* A decimal number such as 1.5, as parts per million. */
static bool decimal_ppm(const char *s, int64_t *ret)
{
    size_t whole = strspn(s, "0123456789");
    size_t point = s[whole] == '.';
    size_t frac = point ? strspn(s + whole + 1, "0123456789") : 0;
    if (whole == 0 || whole > 9 || (point && frac == 0) || s[whole + point + frac] != '\0')
        return false;
    *ret = (int64_t)(strtod(s, NULL) * 1e6 + 0.5);
    return true;
}

/* The text of a scalar with a unit behind a number; bare numbers have none, except 0. */
static const char *with_unit(const struct ynode *n)
{
    if (n->kind != Y_SCALAR || (digits_only(n->text) && !str_eq(n->text, "0")))
        return NULL;
    return n->text;
}

static bool percent_ppm(const struct ynode *n, int64_t *ret)
{
    size_t len = n->kind == Y_SCALAR ? strlen(n->text) : 0;
    if (len < 2 || n->text[len - 1] != '%')
        return false;
    cleanup(freep) char *number = xstrdup(n->text);
    number[len - 1] = '\0';
    int64_t ppm_of_percent;
    if (!decimal_ppm(number, &ppm_of_percent))
        return false;
    *ret = ppm_of_percent / 100;
    return true;
}

static bool per_gib_us(const struct ynode *n, int64_t *ret)
{
    const char *slash = n->kind == Y_SCALAR ? strstr(n->text, "/GiB") : NULL;
    if (!slash || slash[4])
        return false;
    cleanup(freep) char *duration = xasprintf("%.*s", (int)(slash - n->text), n->text);
    return !digits_only(duration) && parse_duration(duration, ret, NULL) == 0;
}

static bool read_number(const struct key *k, const struct ynode *n, int64_t *ret)
{
    const char *text = with_unit(n);
    switch (k->type) {
    case KT_INT:
        return n->kind == Y_SCALAR && !n->quoted && digits_only(n->text) &&
               parse_int(n->text, k->min, k->max, ret, NULL) == 0;
    case KT_BYTES:
        return text && parse_bytes(text, ret, NULL) == 0;
    case KT_BITRATE:
        if (!text || parse_bitrate(text, ret, NULL) < 0)
            return false;
        *ret /= 8;
        return true;
    case KT_DURATION:
        return text && parse_duration(text, ret, NULL) == 0;
    case KT_PER_GIB:
        return per_gib_us(n, ret);
    case KT_RATIO:
        return n->kind == Y_SCALAR && !n->quoted && decimal_ppm(n->text, ret);
    case KT_PERCENT:
        return percent_ppm(n, ret);
    case KT_VERSION:
    case KT_SECTION:
    case KT_RULES:
    case KT_BOOL:
    case KT_ENUM:
    case KT_MULTIFD:
    case KT_SCHEDULE:
    case KT_WINDOW:
    case KT_LABEL:
    case KT_UNSUPPORTED:
        break;
    }
    return false;
}

/* How numbers of a kind are called and written: bounds in the largest unit that divides them. */
static const struct notation {
    const char *what;
    struct {
        const char *name;
        int64_t factor;
    } units[5];
} notations[] = {
    [KT_INT] = {"a whole number", {{"", 1}}},
    [KT_BYTES] = {"a size",
                  {{"TiB", 1024 * GIB}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"", 1}}},
    [KT_RATIO] = {"a number", {{"", 1000000}}},
    [KT_PERCENT] = {"a percentage", {{"%", 10000}}},
    [KT_BITRATE] = {"a bit rate", {{"Gbit", 125000000}, {"Mbit", 125000}}},
    [KT_DURATION] =
        {"a duration",
         {{"d", 86400 * SEC}, {"h", 3600 * SEC}, {"m", 60 * SEC}, {"s", SEC}, {"ms", MSEC}}},
    [KT_PER_GIB] = {"a duration per GiB",
                    {{"h/GiB", 3600 * SEC}, {"m/GiB", 60 * SEC}, {"s/GiB", SEC}}},
};

static char *bound_text(enum key_type type, int64_t v)
{
    const struct notation *t = &notations[type];
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(t->units) && t->units[i + 1].name && v % t->units[i].factor)
        i++;
    return xasprintf("%g%s", (double)v / (double)t->units[i].factor, v ? t->units[i].name : "");
}

static int fail_number(const struct reading *r, const struct key *k, const struct ynode *n,
                       const char *path)
{
    cleanup(freep) char *min = bound_text(k->type, k->min);
    cleanup(freep) char *max = bound_text(k->type, k->max);
    cleanup(freep) char *expected =
        xasprintf("%s%s%s from %s to %s%s%s", k->zero ? k->zero : "", k->zero ? ", or " : "",
                  notations[k->type].what, min, max, k->example ? ", such as " : "",
                  k->example ? k->example : "");
    return fail_value(r, n, path, expected);
}

bool value_is_zero_word(const struct key *k, const struct ynode *n)
{
    return k->zero && n->kind == Y_SCALAR && str_eq(n->text, k->zero);
}

static int value_number(const struct reading *r, const struct key *k, const struct ynode *n,
                        const char *path, int64_t *ret)
{
    int64_t v = 0;
    if (!value_is_zero_word(k, n) && (!read_number(k, n, &v) || v < k->min || v > k->max))
        return fail_number(r, k, n, path);
    *ret = v;
    return 0;
}

static int value_label(const struct reading *r, const struct key *k, const struct ynode *n,
                       const char *path, char **ret)
{
    if (n->kind != Y_SCALAR || !*n->text || strlen(n->text) > LIM_NAME_BYTES)
        return fail_value(r, n, path, "the key of a label, or none");
    free(*ret);
    *ret = value_is_zero_word(k, n) ? NULL : xstrdup(n->text);
    return 0;
}

/* true, false, or a number of channels. */
static int value_multifd(const struct reading *r, const struct key *k, const struct ynode *n,
                         const char *path)
{
    struct policy *p = r->p;
    const struct reading quiet = {.file = r->file};
    int64_t channels = POLICY_MULTIFD_CHANNELS;
    if (value_bool(&quiet, n, path, &p->migration.multifd) < 0) {
        if (value_int(&quiet, n, path, k->min, k->max, &channels) < 0) {
            cleanup(freep) char *expected =
                xasprintf("true, false or a number of channels from %lld to %lld",
                          (long long)k->min, (long long)k->max);
            return fail_value(r, n, path, expected);
        }
        p->migration.multifd = true;
    }
    p->migration.multifd_channels = channels;
    return 0;
}

static int value_version(const struct reading *r, const struct ynode *n, const char *path)
{
    int64_t version;
    if (value_int(r, n, path, 0, 999999, &version) < 0)
        return -EBADMSG;
    if (version == 1)
        return 0;
    return err_set(r->e, -EBADMSG,
                   "%s:%d:%d: version %lld of the policy language is not known to this version of "
                   "Drover, which knows 1",
                   r->file, n->line, n->col, (long long)version);
}

int value_read(const struct reading *r, const struct key *k, const struct ynode *n,
               const char *path)
{
    void *member = (char *)r->p + k->off;
    switch (k->type) {
    case KT_VERSION:
        return value_version(r, n, path);
    case KT_BOOL:
        return value_bool(r, n, path, member);
    case KT_ENUM:
        return value_enum(r, n, path, k->names, k->n_names, member);
    case KT_MULTIFD:
        return value_multifd(r, k, n, path);
    case KT_INT:
    case KT_BYTES:
    case KT_RATIO:
    case KT_PERCENT:
    case KT_BITRATE:
    case KT_DURATION:
    case KT_PER_GIB:
        return value_number(r, k, n, path, member);
    case KT_SCHEDULE:
        return value_schedule(r, k, n, path);
    case KT_WINDOW:
        return value_window(r, k, n, path);
    case KT_LABEL:
        return value_label(r, k, n, path, member);
    case KT_SECTION:
    case KT_RULES:
    case KT_UNSUPPORTED:
        break; /* the loader reads them */
    }
    return fail_value(r, n, path, "a value");
}
