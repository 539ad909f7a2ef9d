/* tests/lab/host/pid1.c: makes one host of the lab and is its PID 1.
 *
 *   pid1 NETNS_FILE SETUP_SCRIPT LOG
 *
 * Enters the given network namespace, makes own mount, uts, ipc and pid namespaces, and forks into
 * them. The child runs the script and then only reaps. The parent prints the child's pid, as the
 * outside sees it, and exits. Killing that pid is pulling the host's plug: the kernel kills all
 * that runs in it. PID 1 must reap, or libvirt's capability probes wait 40 s for each zombie; and
 * it must not be libvirtd, which has to die and come back alone while the guests live on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void pid1(const char *script, const char *log)
{
    int null = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    sigset_t child;
    int status;

    if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        fail(log);
    close(null);
    close(out);
    setsid();
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);

    pid_t p = fork();
    if (p < 0)
        fail("fork");
    if (p == 0) {
        execl("/bin/sh", "sh", "-e", script, (char *)NULL);
        fail("/bin/sh");
    }
    if (waitpid(p, &status, 0) != p || status != 0)
        _exit(1);
    sigprocmask(SIG_BLOCK, &child, NULL);
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        sigwaitinfo(&child, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int ns = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
        fail(argv[1]);
    close(ns);
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID) < 0)
        fail("unshare");
    pid_t p = fork();
    if (p < 0)
        fail("fork");
    if (p == 0)
        pid1(argv[2], argv[3]);
    printf("%d\n", p);
    return 0;
}
