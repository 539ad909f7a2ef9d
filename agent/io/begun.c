/* Which migrations were begun, so that a repetition of the order after a restart of the agent is not
 * mistaken for a new one. In /run: a boot ends all migrations, and forgets them. */
#include <errno.h>
#include <string.h>

#include "agent/io/agent.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/wire/codec.h"

enum { BEGUN_KEPT = 256, BEGUN_FILE_BYTES = 256 << 10 };

struct begun {
    int64_t job, attempt;
    char *vm;
};
struct begun_list {
    struct begun *begun;
    size_t n_begun;
};
SHAPE(begun_shape, struct begun, SF_INT_REQ(struct begun, job), SF_INT_REQ(struct begun, attempt),
      SF_STR_REQ(struct begun, vm));
SHAPE(begun_list_shape, struct begun_list, SF_LIST(struct begun_list, begun, &begun_shape));

static int read_list(const char *path, struct begun_list *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    int r = file_read(path, BEGUN_FILE_BYTES, &text, NULL, e);
    if (r == -ENOENT) {
        *ret = (struct begun_list){0};
        return 0;
    }
    if (r == 0)
        r = codec_decode_text(&begun_list_shape, text, ret, e);
    return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

int begun_load(const char *folder, struct cmds *cmds, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/begun.json", folder);
    struct begun_list list;
    int r = read_list(path, &list, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n_begun; i++)
        cmds_begun(cmds, list.begun[i].job, list.begun[i].attempt, list.begun[i].vm);
    shape_done(&begun_list_shape, &list);
    return 0;
}

int begun_add(const char *folder, const struct migrate *m, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/begun.json", folder);
    struct begun_list list;
    int r = read_list(path, &list, e);
    if (r < 0)
        list = (struct begun_list){0}; /* a broken file must not stop moves: begin anew */
    while (list.n_begun >= BEGUN_KEPT) {
        shape_done(&begun_shape, &list.begun[0]);
        vec_del(list.begun, &list.n_begun, 0);
    }
    struct begun *b = vec_add(&list.begun, &list.n_begun);
    *b = (struct begun){m->job, m->attempt, xstrdup(m->vm)};
    cleanup(freep) char *text = codec_encode_text(&begun_list_shape, &list);
    r = file_write(path, text, strlen(text), 0600, e);
    shape_done(&begun_list_shape, &list);
    return r;
}
