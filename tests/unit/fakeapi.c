#include "tests/unit/fakeapi.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/text.h"

const struct fake_answer *fake_script;
char *fake_log;
volatile sig_atomic_t *fake_interrupt;
static bool used[64];

struct client {
    int unused;
};

int client_new(const struct client_config *cfg, struct client **ret, struct err *e)
{
    (void)cfg, (void)e;
    *ret = xcalloc(1, sizeof(struct client));
    return 0;
}

void client_free(struct client *c)
{
    free(c);
}

static int serve(const char *what, json_t **ret, struct err *e)
{
    const struct fake_answer *a = NULL;
    for (size_t i = 0; fake_script && fake_script[i].path && i < ARRAY_LEN(used); i++)
        if (str_has_prefix(what, fake_script[i].path)) {
            a = &fake_script[i];
            if (used[i])
                continue;
            used[i] = true;
            break;
        }
    if (!a)
        return err_set(e, -ENOTCONN, "no scheduler: nothing answers %s", what);
    if (a->error == -EINTR && fake_interrupt)
        *fake_interrupt = 1;
    if (a->error)
        return err_set(e, a->error, "%s", a->json ? a->json : "?");
    json_error_t je;
    *ret = json_loads(a->json, 0, &je);
    if (!*ret)
        return err_set(e, -EBADMSG, "bad script: %s", je.text);
    if (!str_has_prefix(json_string_value(json_object_get(*ret, "schema")), "drover.error/"))
        return 0;
    int r = client_refused(400, *ret, e);
    json_decref(take(*ret));
    return r;
}

int client_get(struct client *c, const char *path, json_t **ret, struct err *e)
{
    (void)c;
    cleanup(freep) char *what = xasprintf("GET %s", path);
    text_add(&fake_log, "%s\n", what);
    return serve(what, ret, e);
}

int client_get_text(struct client *c, const char *path, char **ret, struct err *e)
{
    cleanup(json_decrefp) json_t *j = NULL;
    int r = client_get(c, path, &j, e);
    if (r == 0)
        *ret = codec_text(j);
    return r;
}

int client_post(struct client *c, const char *path, const json_t *body, json_t **ret, struct err *e)
{
    (void)c;
    cleanup(freep) char *what = xasprintf("POST %s", path), *text = json_dumps(body, JSON_COMPACT);
    text_add(&fake_log, "%s %s\n", what, text);
    return serve(what, ret, e);
}

int cmd_pki(int argc, char **argv)
{
    (void)argv;
    return argc > 1 ? 0 : 64;
}

void outcome_done(struct outcome *o)
{
    free(o->out);
    free(o->err);
    memset(o, 0, sizeof(*o));
}

bool fake_uncaught;

static void uncatch(void)
{
    fake_uncaught = true;
}

void fake_run(struct outcome *ret, const struct fake_answer *script, const char *line, bool tty,
              const char *input)
{
    static volatile sig_atomic_t interrupted, resized;
    char *argv[32] = {NULL}, *save = NULL;
    int argc = 0;
    size_t n_out, n_err;
    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TZ", "UTC", 1);
    tzset();
    outcome_done(ret);
    free(fake_log);
    fake_log = xstrdup("");
    memset(used, 0, sizeof(used));
    fake_script = script;
    interrupted = resized = 0;
    fake_interrupt = &interrupted;
    cleanup(freep) char *words = xasprintf("drover %s", line);
    for (char *w = strtok_r(words, " ", &save); w && argc < 31; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    struct cli c = {.out = open_memstream(&ret->out, &n_out),
                    .err = open_memstream(&ret->err, &n_err),
                    .in = fmemopen((char *)(uintptr_t)(input ? input : "\n"),
                                   strlen(input ? input : "\n"), "r"),
                    .in_tty = tty,
                    .out_tty = tty,
                    .err_tty = false,
                    .no_color = true,
                    .socket = "/nowhere",
                    .poll_us = 1,
                    .interrupted = &interrupted,
                    .resized = &resized,
                    .uncatch = uncatch};
    fake_uncaught = false;
    ret->code = cli_main(&c, argc, argv);
    fclose(c.out);
    fclose(c.err);
    fclose(c.in);
}
