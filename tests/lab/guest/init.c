/* tests/lab/guest/init.c: the whole user space of a lab guest, PID 1 of its initramfs.
 *
 * It writes a numbered beat to its RBD disk and sends the same beat to the collector, some ten
 * times a second, until it is switched off. lablib/beats.py reads both and says whether anything
 * was lost. It forks nothing and mostly sleeps: ten such guests share two cores under TCG.
 *
 * Kernel command line: lab.name=NAME lab.ip=A.B.C.D lab.collector=A.B.C.D lab.period=MS
 * lab.fill=MIB lab.dirty=KIB_PER_S lab.burn=PERCENT (of one CPU; a datagram "burn PERCENT" to port 9998
 * says otherwise later) lab.deaf (to the power button). The layout of struct beat is
 * shared with lablib/beats.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/input.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512u
#define SCAN_BYTES (256u * 1024u)
#define PAGE 4096u
#define COLLECTOR_PORT 9999
#define ORDER_PORT 9998
#define BURN_MOST 90 /* percent; the rest is for beats and orders */
#define NSEC 1000000000ll
#define INPUTS 4

struct beat { /* little-endian, 128 bytes; the rest of the sector is zero */
    char magic[8];
    uint64_t n;
    uint64_t boot_id;
    uint64_t uptime_ns; /* before the write */
    uint64_t sent_ns;   /* before the datagram; 0 on the disk */
    uint64_t failed;    /* writes that failed since this boot */
    uint32_t period_ms;
    uint32_t capacity; /* records in the ring */
    char guest[56];
    uint8_t mac[6];
    uint16_t pad;
    uint32_t spare;
    uint32_t crc; /* CRC-32 of the 124 bytes before */
};
_Static_assert(sizeof(struct beat) == 128, "the checker reads 128 bytes");

static const char MAGIC[8] = {'L', 'A', 'B', 'B', 'E', 'A', 'T', '1'};

static uint32_t crc_table[256];

static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc32_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t c = 0xffffffffu;
    while (len--)
        c = crc_table[(c ^ *p++) & 0xff] ^ (c >> 8);
    return c ^ 0xffffffffu;
}

static uint64_t rng_state;

static uint64_t rng(void) /* xorshift64: fast under TCG, and its pages do not compress */
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * NSEC + t.tv_nsec;
}

/* Nothing sensible is left to do: leave the message on the console and stop, no loop of reboots. */
static void die(const char *what)
{
    printf("guest: %s: %s\n", what, strerror(errno));
    for (;;)
        pause();
}

/* The value of key=… on the kernel command line, or fallback. */
static const char *param(const char *cmdline, const char *key, char *buf, size_t size,
                         const char *fallback)
{
    const char *p = strstr(cmdline, key);
    size_t len = p ? strcspn(p + strlen(key), " \n") : 0;
    if (!p || len >= size)
        return fallback;
    memcpy(buf, p + strlen(key), len);
    buf[len] = 0;
    return buf;
}

static void load_modules(void)
{
    FILE *order = fopen("/modules/order", "re");
    char name[64], path[96];
    if (!order)
        die("/modules/order");
    while (fgets(name, sizeof name, order)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            printf("guest: module %s: %s\n", name, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    fclose(order);
}

static int open_disk(uint32_t *ret_capacity)
{
    uint64_t bytes = 0;
    for (int i = 0; i < 500; i++) {
        int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
        if (fd >= 0) {
            if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || bytes < SCAN_BYTES)
                die("/dev/vda size");
            *ret_capacity = (uint32_t)(bytes / SECTOR);
            return fd;
        }
        usleep(10000);
    }
    die("/dev/vda");
    return -1;
}

/* A restarted guest goes on counting where its disk ends, so that beats which an earlier boot had
 * acknowledged and which are gone show up as lost. Returns the first free number. */
static uint64_t next_number(int fd, uint32_t capacity)
{
    uint64_t base = 0, next = 0;
    uint8_t *buf = aligned_alloc(PAGE, SCAN_BYTES);
    for (uint64_t off = 0; off + SCAN_BYTES <= (uint64_t)capacity * SECTOR; off += SCAN_BYTES) {
        int found = 0;
        if (!buf || pread(fd, buf, SCAN_BYTES, (off_t)off) != (ssize_t)SCAN_BYTES)
            die("read /dev/vda");
        for (uint32_t i = 0; i < SCAN_BYTES / SECTOR; i++) {
            const struct beat *b = (const void *)(buf + i * SECTOR);
            uint64_t slot = off / SECTOR + i;
            if (memcmp(b->magic, MAGIC, 8) || b->crc != crc32_of(b, sizeof *b - 4))
                continue;
            if (slot == 0)
                base = b->n;
            if (b->n == base + slot) { /* same lap of the ring as slot 0 */
                next = b->n + 1;
                found = 1;
            }
        }
        if (!found)
            break;
    }
    free(buf);
    return next;
}

/* Bring eth0 up with the static address; a connected UDP socket to the collector, or -1. */
static int open_net(const char *ip, const char *collector, uint8_t mac[6])
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ifreq r = {.ifr_name = "eth0"};
    struct sockaddr_in *a = (void *)&r.ifr_addr;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(COLLECTOR_PORT)};

    if (s < 0 || ioctl(s, SIOCGIFHWADDR, &r) < 0)
        return -1;
    memcpy(mac, r.ifr_hwaddr.sa_data, 6);
    memset(&r.ifr_addr, 0, sizeof r.ifr_addr);
    a->sin_family = AF_INET;
    inet_pton(AF_INET, ip, &a->sin_addr);
    if (ioctl(s, SIOCSIFADDR, &r) < 0)
        return -1;
    inet_pton(AF_INET, "255.255.255.0", &a->sin_addr);
    if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
        return -1;
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
        return -1;
    inet_pton(AF_INET, collector, &to.sin_addr);
    return connect(s, (void *)&to, sizeof to) < 0 ? -1 : s;
}

/* Memory that a migration has to copy in full, and that compression cannot shrink. */
static uint64_t *fill_memory(size_t bytes)
{
    uint64_t *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        die("fill");
    for (size_t i = 0; i < bytes / 8; i++)
        m[i] = rng();
    return m;
}

/* Where "burn 80" may come in, or -1. */
static int open_orders(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(ORDER_PORT)};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return s < 0 || bind(s, (void *)&any, sizeof any) < 0 ? -1 : s;
}

static int burn_percent(int wanted)
{
    return wanted < 0 ? 0 : wanted > BURN_MOST ? BURN_MOST : wanted;
}

static void take_orders(int s, int *burn)
{
    char text[64];
    ssize_t n;
    while (s >= 0 && (n = recv(s, text, sizeof text - 1, 0)) > 0) {
        text[n] = 0;
        if (strncmp(text, "burn ", 5) == 0) {
            *burn = burn_percent(atoi(text + 5));
            printf("guest: burns %d %%\n", *burn);
        }
    }
}

/* So much of each period, by the guest's clock. */
static void burn_cpu(int percent, int64_t period)
{
    for (int64_t end = now_ns() + period * percent / 100; now_ns() < end;)
        for (int i = 0; i < 2000; i++)
            rng();
}

/* Sleep until the deadline, or until somebody presses the power button (virsh shutdown). */
static void sleep_until(int64_t deadline, struct pollfd *inputs)
{
    for (;;) {
        int64_t left = deadline - now_ns();
        struct timespec t = {left / NSEC, left % NSEC};
        struct input_event ev;
        if (left <= 0 || ppoll(inputs, INPUTS, &t, NULL) <= 0)
            return;
        for (int i = 0; i < INPUTS; i++) {
            while (inputs[i].revents && read(inputs[i].fd, &ev, sizeof ev) == sizeof ev) {
                if (ev.type == EV_KEY && ev.code == KEY_POWER && ev.value) {
                    printf("guest: power button\n");
                    sync();
                    reboot(RB_POWER_OFF);
                }
            }
        }
    }
}

static uint64_t boot_id(void)
{
    uint64_t r = 0;
    /* no entropy is needed, only a different number at each boot; never block for it */
    syscall(SYS_getrandom, &r, sizeof r, 4 /* GRND_INSECURE */);
    return r ^ ((uint64_t)time(NULL) << 20) ^ __builtin_ia32_rdtsc();
}

int main(void)
{
    static char cmdline[2048], v[128], ip[64], collector[64];
    static uint8_t sector[SECTOR] __attribute__((aligned(4096)));
    struct beat *b = (void *)sector;
    struct pollfd inputs[INPUTS];
    uint64_t *mem = NULL;

    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, cmdline, sizeof cmdline - 1) <= 0)
        die("/proc/cmdline");
    close(fd);
    if (strstr(cmdline, "lab.probe")) { /* lab asks only whether this accelerator runs code */
        printf("guest: probe ok\n");
        reboot(RB_AUTOBOOT);
    }
    crc_init();
    load_modules();
    for (int i = 0; i < INPUTS; i++) {
        snprintf(v, sizeof v, "/dev/input/event%d", i);
        int event = strstr(cmdline, "lab.deaf") ? -1 : open(v, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        inputs[i] = (struct pollfd){event, POLLIN, 0};
    }

    memcpy(b->magic, MAGIC, 8);
    b->boot_id = rng_state = boot_id() | 1;
    b->period_ms = (uint32_t)atoi(param(cmdline, "lab.period=", v, sizeof v, "100"));
    snprintf(b->guest, sizeof b->guest, "%s", param(cmdline, "lab.name=", v, sizeof v, "?"));
    size_t pages = (size_t)atol(param(cmdline, "lab.fill=", v, sizeof v, "0")) * 256;
    int64_t dirty_kib = atol(param(cmdline, "lab.dirty=", v, sizeof v, "0"));
    int sock = open_net(param(cmdline, "lab.ip=", ip, sizeof ip, "0.0.0.0"),
                        param(cmdline, "lab.collector=", collector, sizeof collector, "0.0.0.0"),
                        b->mac);
    int burn = burn_percent(atoi(param(cmdline, "lab.burn=", v, sizeof v, "0")));
    int orders = open_orders();
    if (dirty_kib && !pages)
        pages = 16 * 256;
    if (pages)
        mem = fill_memory(pages * PAGE);
    int disk = open_disk(&b->capacity);
    b->n = next_number(disk, b->capacity);
    printf("guest: %s boots %016llx at beat %llu, net %s\n", b->guest,
           (unsigned long long)b->boot_id, (unsigned long long)b->n, sock < 0 ? "missing" : "ok");

    const int64_t period = b->period_ms * (NSEC / 1000);
    int64_t next = now_ns(), dirty_owed = 0;
    for (size_t page = 0;; b->n++) {
        b->uptime_ns = (uint64_t)now_ns();
        b->sent_ns = 0;
        b->crc = crc32_of(b, sizeof *b - 4);
        if (pwrite(disk, sector, SECTOR, (off_t)(b->n % b->capacity) * SECTOR) != (ssize_t)SECTOR) {
            b->failed++;
            printf("guest: write of beat %llu failed: %s\n", (unsigned long long)b->n,
                   strerror(errno));
        }
        b->sent_ns = (uint64_t)now_ns(); /* tells a slow disk from a guest that stood still */
        b->crc = crc32_of(b, sizeof *b - 4);
        if (sock >= 0)
            (void)!send(sock, b, sizeof *b, MSG_DONTWAIT);
        /* the rate is per beat, not per second of wall time: no burst after a pause */
        dirty_owed += dirty_kib * b->period_ms;
        for (; mem && dirty_owed >= 4000; dirty_owed -= 4000) {
            mem[page * (PAGE / 8)] = rng();
            page = (page + 1) % pages;
        }
        take_orders(orders, &burn);
        if (burn)
            burn_cpu(burn, period);
        next += period;
        if (next < now_ns())
            next = now_ns() + period;
        sleep_until(next, inputs);
    }
}
