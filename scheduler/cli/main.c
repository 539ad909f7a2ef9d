/* drover: the operator's command. Only what belongs to the process; the rest is cli_main. */
#include <curl/curl.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "scheduler/cli/cli.h"

static volatile sig_atomic_t interrupted, resized;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void on_resize(int sig)
{
    (void)sig;
    resized = 1;
}

static void handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

static void uncatch(void)
{
    handle(SIGINT, SIG_DFL, 0);
    handle(SIGTERM, SIG_DFL, 0);
}

static bool set(const char *name)
{
    const char *v = getenv(name);
    return v && *v;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (!str_eq(nl_langinfo(CODESET), "UTF-8"))
        setlocale(LC_CTYPE, "C.UTF-8"); /* names are UTF-8 whatever the session's locale */
    setlocale(LC_NUMERIC, "C");
    /* The second Ctrl-C ends the command the hard way: it must never be stuck. */
    handle(SIGINT, on_interrupt, (int)SA_RESETHAND);
    handle(SIGTERM, on_interrupt, (int)SA_RESETHAND);
    handle(SIGWINCH, on_resize, SA_RESTART);
    handle(SIGPIPE, SIG_IGN, 0);
    const char *term = getenv("TERM"), *socket = getenv("DROVER_SOCKET");
    struct cli c = {
        .in = stdin,
        .out = stdout,
        .err = stderr,
        .in_tty = isatty(STDIN_FILENO),
        .out_tty = isatty(STDOUT_FILENO),
        .err_tty = isatty(STDERR_FILENO),
        .dumb = !term || !*term || str_eq(term, "dumb"),
        .ci = set("CI"),
        .no_color = set("NO_COLOR"),
        .socket = socket && *socket ? socket : "/run/drover/api.sock",
        .url = set("DROVER_URL") ? getenv("DROVER_URL") : NULL,
        .cert = getenv("DROVER_CERT"),
        .key = getenv("DROVER_KEY"),
        .ca = getenv("DROVER_CA"),
        .progress_env = getenv("DROVER_PROGRESS"),
        .interrupted = &interrupted,
        .resized = &resized,
        .uncatch = uncatch,
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = cli_main(&c, argc, argv);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && code == X_DONE)
        return cli_error(&c, X_FAILED, "cannot write the answer: %s", strerror(errno));
    return code;
}
