/* tests/bench/bench.h: what benches share: numbers from their own words, and other programs' output.
 * Errors   a word that is no such number is said, and the bench ends with 64. */
#pragma once

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/str.h"

static inline int64_t bench_int(const char *name, const char *text, int64_t min, int64_t max)
{
    int64_t n = 0;
    struct err e = {0};
    if (parse_int(text, min, max, &n, &e) < 0) {
        fprintf(stderr, "%s: %s\n", name, e.msg);
        exit(64);
    }
    return n;
}

static inline double bench_real(const char *name, const char *text, double min, double max)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= min && x <= max)) {
        fprintf(stderr, "%s: '%s' is no number from %g to %g\n", name, text, min, max);
        exit(64);
    }
    return x;
}

/* What a program prints, started without a shell; NULL: it cannot be. End with bench_asked. */
static inline FILE *bench_ask(const char *const *argv, pid_t *ret)
{
    extern char **environ;
    int p[2];
    if (pipe(p) < 0)
        return NULL;
    posix_spawn_file_actions_t acts;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, p[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&acts, p[0]);
    posix_spawn_file_actions_addclose(&acts, p[1]);
    int r = posix_spawnp(ret, argv[0], &acts, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(p[1]);
    FILE *f = r ? NULL : fdopen(p[0], "r");
    if (r)
        close(p[0]);
    return f;
}

/* Did it end well? Closes f. */
static inline bool bench_asked(FILE *f, pid_t pid)
{
    int status;
    fclose(f);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}
