/* The scheduler's wall clock, put forward: preloaded, it adds the microseconds of the file $LAB_WALL (eight
 * bytes, which may change at any time) to what CLOCK_REALTIME says. All other clocks are as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile int64_t *ahead_us;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("LAB_WALL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        abort(); /* a test that believes in it would wait for hours */
    ahead_us = p;
    real = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
    unsetenv("LD_PRELOAD"); /* git, which it starts, has the machine's clock */
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    if (r == 0 && id == CLOCK_REALTIME && ahead_us) {
        int64_t us = (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000 + *ahead_us;
        t->tv_sec = us / 1000000;
        t->tv_nsec = us % 1000000 * 1000;
    }
    return r;
}
