/* drover pki: the fleet's own certificate authority, for those who have none. Works offline, on
 * files alone. */
#include "lib/net/pki.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/cli.h"

enum { CA_DAYS = 3650, LEAF_DAYS = 825, MAX_DAYS = 36500 };

static const char help[] =
    "drover pki: make the CA and certificates\n"
    "\n"
    "Usage: drover pki init  --dir DIR [--days N]\n"
    "       drover pki issue --dir DIR ROLE --name NAME [--san X]... [--days N] --out OUTDIR\n"
    "       drover pki show  FILE [-o table|json]\n"
    "\n"
    "  init   a new CA: DIR/ca.pem and DIR/ca-key.pem (keep the key offline)\n"
    "  issue  OUTDIR/cert.pem, key.pem and ca.pem for one program or person\n"
    "  show   what a certificate says\n"
    "\n"
    "  ROLE          agent, scheduler, viewer, operator or admin\n"
    "  --name NAME   the identity: of an agent the host's name, as `drover hosts` will show it\n"
    "  --san X       a further DNS name or IP address (may be repeated)\n"
    "  --days N      validity; 3650 for a CA, 825 for a certificate\n"
    "\n"
    "Nothing is ever overwritten.\n";

struct pki_opts {
    const char *dir, *name, *out, *format;
    const char *sans[LIM_SANS];
    size_t n_sans;
    int days;
    const char *words[2];
    size_t n_words;
};

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...)
{
    va_list ap;
    fputs("drover: pki: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\nSee 'drover pki --help'.\n", stderr);
    return X_USAGE;
}

static int failed(const struct err *e)
{
    fprintf(stderr, "drover: %s\n", e->msg);
    return X_FAILED;
}

static const struct option options[] = {
    {"dir", required_argument, NULL, 'd'}, {"name", required_argument, NULL, 'N'},
    {"san", required_argument, NULL, 's'}, {"days", required_argument, NULL, 'D'},
    {"out", required_argument, NULL, 'O'}, {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},      {0},
};

/* getopt_long takes "--na" for "--name"; a script must not change its meaning when an option is
 * added. */
static const char *abbreviated(char **argv, int index)
{
    if (index < 0)
        return NULL;
    const char *word = argv[optind - 1], *name = options[index].name;
    if (optarg == word)
        word = argv[optind - 2];
    size_t n = strlen(name);
    bool whole = strncmp(word + 2, name, n) == 0 && (!word[2 + n] || word[2 + n] == '=');
    return whole ? NULL : word;
}

static int take_option(struct pki_opts *o, int got)
{
    int64_t n;
    switch (got) {
    case 'd':
        o->dir = optarg;
        return 0;
    case 'N':
        o->name = optarg;
        return 0;
    case 'O':
        o->out = optarg;
        return 0;
    case 'o':
        o->format = optarg;
        if (!str_eq(optarg, "table") && !str_eq(optarg, "json"))
            return usage("-o '%s': expected table or json", optarg);
        return 0;
    case 's':
        if (o->n_sans == ARRAY_LEN(o->sans) - 2)
            return usage("more than %zu names", ARRAY_LEN(o->sans) - 2);
        o->sans[o->n_sans++] = optarg;
        return 0;
    case 'D':
        if (parse_int(optarg, 1, MAX_DAYS, &n, NULL) < 0)
            return usage("--days '%s': expected a number of 1 to %d", optarg, MAX_DAYS);
        o->days = (int)n;
        return 0;
    default:
        return X_USAGE;
    }
}

/* X_DONE to go on; -1: help was printed. */
static int parse(int argc, char **argv, struct pki_opts *o)
{
    optind = 0;
    opterr = 0;
    for (;;) {
        int index = -1, got = getopt_long(argc, argv, ":o:h", options, &index);
        if (got == -1)
            break;
        if (got == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (got == ':')
            return usage("option '%s' needs a value", argv[optind - 1]);
        const char *cut = abbreviated(argv, index);
        if (got == '?' || cut)
            return usage("unknown option '%s'", cut ? cut : argv[optind - 1]);
        int r = take_option(o, got);
        if (r)
            return r;
    }
    for (int i = optind; i < argc; i++) {
        if (o->n_words == ARRAY_LEN(o->words))
            return usage("unexpected word '%s'", argv[i]);
        o->words[o->n_words++] = argv[i];
    }
    return X_DONE;
}

static int run_init(const struct pki_opts *o)
{
    struct err e;
    if (!o->dir || o->n_words || o->name || o->out || o->n_sans)
        return usage("init takes --dir DIR and perhaps --days N");
    if (pki_init(o->dir, o->days ? o->days : CA_DAYS, time(NULL), &e) < 0)
        return failed(&e);
    printf("CA made in %s: ca.pem goes to every machine, ca-key.pem to none\n", o->dir);
    return X_DONE;
}

static int run_issue(const struct pki_opts *o)
{
    struct err e;
    if (!o->dir || !o->name || !o->out || o->n_words != 1)
        return usage("issue needs --dir DIR, ROLE, --name NAME and --out OUTDIR");
    struct pki_leaf leaf = {.role = role_from_name(o->words[0]),
                            .name = o->name,
                            .sans = o->sans,
                            .n_sans = o->n_sans,
                            .now_s = time(NULL),
                            .days = o->days ? o->days : LEAF_DAYS};
    if (leaf.role == ROLE_NONE) {
        const char *near = str_did_you_mean(o->words[0], role_names + 1, ARRAY_LEN(role_names) - 1);
        return usage("role '%s' is unknown: agent, scheduler, viewer, operator or admin%s%s%s",
                     o->words[0], near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    if (pki_issue(o->dir, &leaf, o->out, &e) < 0)
        return failed(&e);
    printf("certificate of %s '%s' made in %s (cert.pem, key.pem, ca.pem)\n", o->words[0], o->name,
           o->out);
    return X_DONE;
}

static void show_json(const struct pki_info *i)
{
    json_t *sans = json_array();
    for (size_t k = 0; k < i->n_sans; k++)
        json_array_append_new(sans, json_string(i->sans[k]));
    char from[FMT_BYTES], to[FMT_BYTES];
    fmt_rfc3339(from, i->not_before_s * SEC);
    fmt_rfc3339(to, i->not_after_s * SEC);
    json_t *j =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:o}", "schema", "drover.certificate/1",
                  "name", i->id.name, "role", role_names[i->id.role], "subject", i->subject,
                  "issuer", i->issuer, "serial", i->serial, "sha256", i->sha256, "ca",
                  (int)i->is_ca, "not_before", from, "not_after", to, "sans", sans);
    if (j)
        json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

static void show_table(const struct pki_info *i, int64_t now_s)
{
    char t[FMT_BYTES];
    if (i->is_ca)
        printf("%-12s %s\n", "KIND", "certificate authority");
    else
        printf("%-12s %s\n%-12s %s\n", "NAME", i->id.name[0] ? i->id.name : "-", "ROLE",
               i->id.role ? role_names[i->id.role] : "- (not made by `drover pki issue`)");
    printf("%-12s %s\n%-12s %s\n", "SUBJECT", i->subject, "ISSUER", i->issuer);
    for (size_t k = 0; k < i->n_sans; k++)
        printf("%-12s %s\n", k ? "" : "ALSO", i->sans[k]);
    printf("%-12s %s\n", "FROM", fmt_rfc3339(t, i->not_before_s * SEC));
    printf("%-12s %s", "UNTIL", fmt_rfc3339(t, i->not_after_s * SEC));
    if (now_s > i->not_after_s)
        printf("  EXPIRED\n");
    else if (now_s < i->not_before_s)
        printf("  NOT YET VALID\n");
    else
        printf("  (%" PRId64 " days left)\n", (i->not_after_s - now_s) / 86400);
    printf("%-12s %s\n%-12s %s\n", "SERIAL", i->serial, "SHA256", i->sha256);
}

static int run_show(const struct pki_opts *o)
{
    struct err e;
    struct pki_info info;
    if (o->n_words != 1 || o->dir || o->name || o->out || o->n_sans || o->days)
        return usage("show takes one FILE");
    if (pki_read(o->words[0], &info, &e) < 0)
        return failed(&e);
    if (str_eq(o->format, "json"))
        show_json(&info);
    else
        show_table(&info, time(NULL));
    pki_info_done(&info);
    return X_DONE;
}

int cmd_pki(int argc, char **argv)
{
    static const char *const verbs[] = {"init", "issue", "show"};
    struct pki_opts o = {0};
    const char *verb = argc > 1 ? argv[1] : "";
    if (argc < 2)
        return usage("what? init, issue or show");
    if (str_eq(verb, "--help") || str_eq(verb, "-h") || str_eq(verb, "help")) {
        fputs(help, stdout);
        return X_DONE;
    }
    int r = parse(argc - 1, argv + 1, &o);
    if (r)
        return r < 0 ? X_DONE : r;
    if (str_eq(verb, "init"))
        return run_init(&o);
    if (str_eq(verb, "issue"))
        return run_issue(&o);
    if (str_eq(verb, "show"))
        return run_show(&o);
    const char *near = str_did_you_mean(verb, verbs, ARRAY_LEN(verbs));
    return usage("'%s' is not init, issue or show%s%s%s", verb, near ? "; did you mean " : "",
                 near ? near : "", near ? "?" : "");
}
