/* tests/lab/host/qemu.c: stands in /usr/bin/qemu-system-x86_64 of a host without KVM.
 *
 * QEMU before 9.0 loses guest writes when it migrates under TCG: where the length of a RAM block
 * is a multiple of 64 pages, the sync of the dirty bitmap takes a fast path that forgets to reset
 * the dirty flags in the TCG's TLB (fixed by "physmem: Fix migration dirty bitmap coherency with
 * TCG memory access"). Guests die of it within a few moves. So this gives every guest 8 KiB more
 * than libvirt asked for, the slow and correct path is taken, and nothing else changes. It is not
 * needed with KVM, whose dirty log has another way in.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL "/usr/bin/qemu-system-x86_64.real"
#define EXTRA_KIB 8ull

/* The text with the number n at that place replaced by n * unit + extra and the suffix. */
static char *grown(const char *text, size_t number, unsigned long long unit,
                   unsigned long long extra, const char *suffix)
{
    char *end, *out;
    unsigned long long n = strtoull(text + number, &end, 10);

    if (end == text + number)
        return NULL;
    if (*suffix && strchr("kKmM", *end) && *end) {
        unit = *end == 'k' || *end == 'K' ? 1 : 1024;
        end++;
    }
    if (asprintf(&out, "%.*s%llu%s%s", (int)number, text, n * unit + extra, suffix, end) < 0)
        abort();
    return out;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *a = argv[i], *new = NULL, *size = strstr(a, "\"size\":");
        if (i > 1 && !strcmp(argv[i - 1], "-m")) /* 128 or size=131072k,slots=… */
            new = grown(a, strncmp(a, "size=", 5) ? 0 : 5, 1024, EXTRA_KIB, "k");
        else if (size && strstr(a, "\"id\":\"pc.ram\"")) /* the backend of that memory, in bytes */
            new = grown(a, (size_t)(size - a) + 7, 1, EXTRA_KIB * 1024, "");
        if (new)
            argv[i] = new;
    }
    execv(REAL, argv);
    perror(REAL);
    return 127;
}
