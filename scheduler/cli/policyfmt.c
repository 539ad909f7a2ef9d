/* drover policy fmt: files of a policy, and its cases, in the usual form. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/find.h"
#include "policy/fmt.h"
#include "policy/git.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/text.h"

struct fmt_run {
    struct cli *c;
    bool check;
    size_t changed, bad;
};

static void one(struct fmt_run *r, const char *path)
{
    cleanup(freep) char *was = NULL, *is = NULL;
    size_t len;
    struct stat st;
    struct err e;
    int rc = file_read(path, LIM_POLICY_FILE_BYTES, &was, &len, &e);
    if (rc == 0)
        rc = policy_fmt(path, was, len, &is, &e);
    if (rc == 0 && str_eq(was, is))
        return;
    if (rc == 0 && !r->check)
        rc = stat(path, &st) < 0 ? err_set(&e, -errno, "%s: %m", path)
                                 : file_write(path, is, strlen(is), st.st_mode & 07777, &e);
    if (rc < 0)
        text_line(r->c->err, "%s", e.msg); /* the file first, as editors and CI expect */
    else
        text_line(r->c->out, "%s", path);
    r->bad += rc < 0;
    r->changed += rc == 0;
}

static bool wanted(const char *name)
{
    return policy_file_name(name) || policy_test_name(name);
}

static int all_below(struct fmt_run *r, const char *dir)
{
    cleanup(policy_paths_done) struct policy_paths files = {0};
    struct err e;
    if (policy_find(dir, wanted, &files, &e) < 0)
        return cli_fail(r->c, &e);
    for (size_t i = 0; i < files.n; i++) {
        cleanup(freep) char *path = xasprintf("%s/%s", dir, files.list[i]);
        one(r, path);
    }
    return X_DONE;
}

int policy_fmt_files(struct cli *c, int argc, char **argv)
{
    enum { O_CHECK = 256 };
    static const struct option own[] = {{"check", no_argument, NULL, O_CHECK}, {0}};
    struct fmt_run r = {.c = c};
    int code = X_DONE;
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        r.check = true;
    }
    if (!opt_words(c, argc, argv, 1, LIM_LIST_ITEMS, "a directory or file"))
        return X_USAGE;
    cli_alone(c);
    for (int i = optind; i < argc && code == X_DONE; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
            code = all_below(&r, argv[i]);
        else
            one(&r, argv[i]);
    }
    if (code == X_DONE && r.check && r.changed)
        cli_note(c, "not in the usual form: %s; drover policy fmt writes it",
                 text_count((int64_t)r.changed, "file", "files"));
    return code != X_DONE ? code : r.bad || (r.check && r.changed) ? X_FAILED : X_DONE;
}
