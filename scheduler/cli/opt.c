#include "scheduler/cli/opt.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/text.h"

enum { MAX_OPTIONS = 64 };
enum global_option {
    G_SOCKET = 1000,
    G_URL,
    G_CERT,
    G_KEY,
    G_CA,
    G_NO_COLOR,
    G_NO_INPUT,
    G_PROGRESS,
    G_NO_HEADERS,
    G_COLUMNS,
    G_SORT,
    G_FORCE,
};
static const struct option globals[] = {
    {"socket", required_argument, NULL, G_SOCKET},
    {"url", required_argument, NULL, G_URL},
    {"cert", required_argument, NULL, G_CERT},
    {"key", required_argument, NULL, G_KEY},
    {"ca", required_argument, NULL, G_CA},
    {"output", required_argument, NULL, 'o'},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"no-color", no_argument, NULL, G_NO_COLOR},
    {"no-input", no_argument, NULL, G_NO_INPUT},
    {"progress", required_argument, NULL, G_PROGRESS},
    {"no-headers", no_argument, NULL, G_NO_HEADERS},
    {"columns", required_argument, NULL, G_COLUMNS},
    {"sort", required_argument, NULL, G_SORT},
    {"force", no_argument, NULL,
     G_FORCE}, /* never offered: typed from habit, answered with the way */
};
static const char *const format_names[] = {"table", "wide", "json", "yaml", "name", "jsonl"};
static const char *const progress_names[] = {"auto", "tty", "plain", "jsonl", "none"};

void opt_begin(void)
{
    optind = 0; /* GNU: start over, permutation and all */
    opterr = 0;
}

int opt_exit(int got)
{
    return got == OPT_HELP ? X_DONE : X_USAGE;
}

int opt_word(struct cli *c, const char *name, const char *text, const char *const *names, size_t n)
{
    char *all = NULL;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(text, names[i])) {
            free(all);
            return (int)i;
        }
        text_add(&all, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = str_did_you_mean(text, names, n);
    cli_usage(c, "%s '%s': expected one of %s%s%s%s", name, text, all,
              near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    free(all);
    return -1;
}

bool opt_duration(struct cli *c, const char *name, const char *text, int64_t *ret_us)
{
    struct err e;
    if (parse_duration(text, ret_us, &e) < 0) {
        cli_usage(c, "%s: %s", name, e.msg);
        return false;
    }
    return true;
}

bool opt_env(struct cli *c)
{
    if (!c->progress_env || !*c->progress_env)
        return true;
    int i =
        opt_word(c, "DROVER_PROGRESS", c->progress_env, progress_names, ARRAY_LEN(progress_names));
    c->progress = i < 0 ? c->progress : i;
    return i >= 0;
}

static int no_force(struct cli *c)
{
    cli_error(c, X_USAGE,
              "there is no --force: it would not say what it waives. What may be waived has "
              "its own name:");
    fputs("  --on-blocked leave      move what can move, leave the rest running where it is\n"
          "  --allow-shutdown VM     that VM may be shut off if it cannot move live\n"
          "  --on-blocked shutdown   every VM that cannot move may be shut off\n"
          "  -y, --yes               only answers the question\n",
          c->err);
    return OPT_ERROR;
}

/* A global option, already recognised. 0, or OPT_HELP, OPT_ERROR. */
static int apply_global(struct cli *c, int val, const char *arg)
{
    int i;
    switch (val) {
    case G_SOCKET:
        c->socket = arg, c->url = NULL;
        return 0;
    case G_URL:
        c->url = arg;
        return 0;
    case G_CERT:
        c->cert = arg;
        return 0;
    case G_KEY:
        c->key = arg;
        return 0;
    case G_CA:
        c->ca = arg;
        return 0;
    case 'q':
        c->quiet = true;
        return 0;
    case 'v':
        c->verbose = true;
        return 0;
    case G_NO_COLOR:
        c->no_color = true;
        return 0;
    case G_NO_INPUT:
        c->no_input = true;
        return 0;
    case G_NO_HEADERS:
        c->no_headers = true;
        return 0;
    case G_COLUMNS:
        c->columns = arg;
        return 0;
    case G_SORT:
        c->sort = arg;
        return 0;
    case G_FORCE:
        return no_force(c);
    case 'o':
        i = opt_word(c, "-o", arg, format_names, ARRAY_LEN(format_names));
        c->format = i < 0 ? c->format : i;
        return i < 0 ? OPT_ERROR : 0;
    case G_PROGRESS:
        i = opt_word(c, "--progress", arg, progress_names, ARRAY_LEN(progress_names));
        c->progress = i < 0 ? c->progress : i;
        return i < 0 ? OPT_ERROR : 0;
    default:
        command_help(c->cmd, c->out);
        return OPT_HELP;
    }
}

struct options {
    struct option list[MAX_OPTIONS];
    size_t n;
    char shorts[3 * MAX_OPTIONS];
};

static void merge(struct options *o, const struct option *own, bool stop_at_word)
{
    memset(o, 0, sizeof(*o));
    for (; own && own->name && o->n < MAX_OPTIONS - 1; own++)
        o->list[o->n++] = *own;
    for (size_t i = 0; i < ARRAY_LEN(globals) && o->n < MAX_OPTIONS - 1; i++) {
        bool taken = false;
        for (size_t k = 0; k < o->n; k++)
            taken = taken || str_eq(o->list[k].name, globals[i].name);
        if (!taken)
            o->list[o->n++] = globals[i];
    }
    size_t at = 0;
    if (stop_at_word)
        o->shorts[at++] = '+';
    o->shorts[at++] = ':'; /* tell a missing argument from an unknown option */
    for (size_t i = 0; i < o->n; i++) {
        if (o->list[i].val >= 256)
            continue;
        o->shorts[at++] = (char)o->list[i].val;
        if (o->list[i].has_arg == required_argument)
            o->shorts[at++] = ':';
    }
}

static int unknown_option(struct cli *c, const struct options *o, const char *word)
{
    const char *names[MAX_OPTIONS];
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++)
        if (o->list[i].val != G_FORCE)
            names[n++] = o->list[i].name;
    char typed[128];
    snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(word, "="), word);
    const char *near = str_has_prefix(typed, "--") ? str_did_you_mean(typed + 2, names, n) : NULL;
    const char *begins = NULL; /* an abbreviation: say the whole name */
    for (size_t i = 0; i < n && !near && strlen(typed) > 3; i++)
        if (str_has_prefix(typed, "--") && str_has_prefix(names[i], typed + 2))
            begins = names[i];
    near = near ? near : begins;
    cli_usage(c, "unknown option '%s'%s%s%s", typed, near ? "; did you mean --" : "",
              near ? near : "", near ? "?" : "");
    return OPT_ERROR;
}

/* What the user typed for the long option just returned: abbreviations show here. */
static const char *typed_word(char **argv)
{
    return optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

static int bad_option(struct cli *c, const struct options *o, int got, char **argv)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_short = optopt > 0 && optopt < 256 && !str_has_prefix(argv[optind - 1], "--");
    const char *word = is_short ? letter : argv[optind - 1];
    if (got == ':') {
        cli_usage(c, "option '%s' needs a value", word);
        return OPT_ERROR;
    }
    for (size_t i = 0; optopt && !is_short && i < o->n; i++)
        if (o->list[i].val == optopt && o->list[i].has_arg == no_argument) {
            cli_usage(c, "option '--%s' takes no value", o->list[i].name);
            return OPT_ERROR;
        }
    return unknown_option(c, o, word);
}

int opt_next(struct cli *c, int argc, char **argv, const struct option *own, bool stop_at_word)
{
    struct options o;
    merge(&o, own, stop_at_word);
    for (;;) {
        int index = -1, got = getopt_long(argc, argv, o.shorts, o.list, &index);
        if (got == -1)
            return OPT_END;
        if (got == '?' || got == ':')
            return bad_option(c, &o, got, argv);
        if (index >= 0) {
            const char *word = typed_word(argv);
            size_t len = strcspn(word, "=");
            if (len != strlen(o.list[index].name) + 2)
                return unknown_option(c, &o, word);
        }
        for (const struct option *p = own; p && p->name; p++)
            if (p->val == got)
                return got;
        int r = apply_global(c, got, optarg);
        if (r)
            return r;
    }
}

bool opt_words(struct cli *c, int argc, char **argv, int min, int max, const char *what)
{
    int n = argc - optind;
    if (n < min) {
        cli_usage(c, "%s is missing", what);
        return false;
    }
    if (n > max) {
        if (max == 0)
            cli_usage(c, "unexpected word '%s'", argv[optind]);
        else
            cli_usage(c, "unexpected word '%s': one command takes %s", argv[optind + max], what);
        return false;
    }
    return true;
}

static const char *strip(struct cli *c, const char *word, const char *kind)
{
    static const char *const kinds[] = {"host/", "vm/", "run/"};
    const char *rest = word;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_has_prefix(word, kinds[i]))
            continue;
        if (!str_has_prefix(kinds[i], kind)) {
            cli_usage(c, "'%s' is not a %s", word, kind);
            return NULL;
        }
        rest = word + strlen(kinds[i]);
    }
    if (!*rest) {
        cli_usage(c, "'%s': the %s's name is empty", word, kind);
        return NULL;
    }
    return rest;
}

const char *name_host(struct cli *c, const char *word)
{
    return strip(c, word, "host");
}

bool name_host_add(struct cli *c, const char *word, char ***list, size_t *n)
{
    const char *name = name_host(c, word);
    if (name)
        *vec_add(list, n) = (char *)(uintptr_t)name;
    return name;
}

bool name_keep(char ***list, size_t *n, const char *name)
{
    if (!name)
        return false;
    *vec_add(list, n) = xstrdup(name);
    return true;
}

const char *name_vm(struct cli *c, const char *word)
{
    return strip(c, word, "vm");
}

bool name_run(struct cli *c, const char *word, int64_t *ret_id)
{
    struct err e;
    const char *id = strip(c, word, "run");
    if (id && parse_int(id, 1, INT64_MAX, ret_id, &e) < 0) {
        cli_usage(c, "run '%s': expected its number, such as 42 or run/42 (drover runs lists them)",
                  word);
        return false;
    }
    return id != NULL;
}
