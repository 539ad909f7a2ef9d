/* What people get wrong, in one table: the same kind of mistake in a policy, a snapshot and the files
 * that importers read, with the exact words of the refusal. test_policy and test_snap have many more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/snap/snap.h"

#define GROUPS "default|uuid-1|preferred|||\n\n"
#define NODES  "n1|65536|1024|60000|1000|900|32|N|uuid-1\n\n"

#define HOSTS "host,memory\nkvm-1,64GiB\nkvm-2,64GiB\nh1,64GiB\n"
enum { TEN_MB = 10 << 20 };
enum reader { POLICY, SNAPSHOT, CSV, TABLE, GANETI };
static const char *const file_names[] = {"site.yaml", "fleet.json", "vms.csv", "vms.txt",
                                         "cluster.data"};

static const struct bad {
    const char *mistake;
    enum reader reader;
    const char *text, *message;
} table[] = {
    {"unknown key", POLICY, "version: 1\ncapacity:\n  memry: {}\n",
     "site.yaml:3:3: unknown key 'memry' in capacity; did you mean 'memory'?"},
    {"unknown key", SNAPSHOT, "{\"hosts\": [{\"name\": \"h1\", \"mem_byte\": 3}], \"vms\": []}",
     "fleet.json: hosts[0] (h1): mem_byte: unknown member; did you mean \"mem_bytes\"?"},
    {"unknown column", CSV, "hst,vm\nh1,a\n",
     "vms.csv:1: no column 'host' in the header 'hst, …'; expected host, vm, cpus and memory"},
    {"names in a circle", POLICY, "version: 1\nrules: &a\n  - *a\n",
     "site.yaml:2:8: anchors are not supported: write the value out"},
    {"names in a circle", POLICY,
     "version: 1\nrules:\n  - {name: ab, affinity: {vms: {names: [a, b]}}}\n"
     "  - {name: bc, affinity: {vms: {names: [b, c]}}}\n"
     "  - {name: ca, anti_affinity: {vms: {names: [c, a]}}}\n",
     "site.yaml:5: rule 'ca' keeps c and a apart, which are bound together by rule 'bc' at "
     "site.yaml:4 and rule 'ab' at site.yaml:3"},
    {"hard rules that contradict", POLICY,
     "version: 1\nrules:\n  - {name: only, host_required: {vms: {names: [a]}, hosts: {names: "
     "[h1]}}}\n"
     "  - {name: never, host_forbidden: {vms: {names: [a]}, hosts: {names: [h1]}}}\n",
     "site.yaml:4: rule 'never' contradicts rule 'only' at site.yaml:3: every host that the VMs "
     "need is forbidden"},
    {"NaN", POLICY, "version: 1\ncapacity: {vcpu: {overcommit: .nan}}\n",
     "site.yaml:2:31: capacity.vcpu.overcommit: expected a number from 0.1 to 100, got '.nan'"},
    {"NaN", SNAPSHOT, "{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": NaN}], \"vms\": []}",
     "fleet.json: line 1 column 42: invalid token near 'NaN'"},
    {"NaN", SNAPSHOT, "{\"hosts\": \"h1 nanGiB\", \"vms\": []}",
     "fleet.json: hosts: 'nanGiB': expected a size (4GiB), CPUs (32c), a state or key=value"},
    {"NaN", CSV, "host,vm,memory\nh1,a,nan\n",
     "vms.csv:2: memory 'nan': 'nan' is not a size such as 512MiB or 4GiB"},
    {"NaN", TABLE, "HOST  VM  MEMORY\nh1    a   nan\n",
     "vms.txt:2: MEMORY 'nan': 'nan' is not a size such as 512MiB or 4GiB"},
    {"NaN", GANETI, GROUPS "n1|nan|1024|60000|1000|900|32|N|uuid-1\n\n\n",
     "cluster.data:3: memory 'nan': expected a whole number"},
    {"a size too large", POLICY, "version: 1\ncapacity: {memory: {reserve: 99999999999999TiB}}\n",
     "site.yaml:2:30: capacity.memory.reserve: expected a size from 0 to 1024TiB, such as 4GiB, "
     "got '99999999999999TiB'"},
    {"a size too large", SNAPSHOT,
     "{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": 99999999999999999999}], \"vms\": []}",
     "fleet.json: line 1 column 59: too big integer near '99999999999999999999'"},
    {"a size too large", SNAPSHOT, "{\"hosts\": \"h1 99999999999999TiB\", \"vms\": []}",
     "fleet.json: hosts: '99999999999999TiB' is too large"},
    {"a size too large", SNAPSHOT,
     "{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": 9223372036854775807}], \"vms\": []}",
     "fleet.json: hosts[0]: mem_bytes: 9223372036854775807 is out of range: expected 0 to "
     "9007199254740992"},
    {"a size too large", CSV, "host,vm,memory\nh1,a,99999999999999TiB\n",
     "vms.csv:2: memory '99999999999999TiB': '99999999999999TiB' is too large"},
    {"a size too large", GANETI,
     GROUPS "n1|99999999999999999|1024|60000|1000|900|32|N|uuid-1\n\n\n",
     "cluster.data:3: memory '99999999999999999': 99999999999999999 is out of range: expected 0 to "
     "8796093022207"},
    {"a VM twice", SNAPSHOT, "{\"hosts\": \"h[1-2]\", \"vms\": [\"a@h1\", \"a@h1\"]}",
     "fleet.json: vms[1]: host h1 has two VMs called a (the other: vms[0])"},
    {"a VM twice", CSV, "host,vm\nh1,a\nh1,a\n",
     "vms.csv:3: host h1 has two VMs called a (the other: vms.csv:2)"},
    {"a VM twice", TABLE, "HOST  VM\nh1    a\nh1    a\n",
     "vms.txt:3: host h1 has two VMs called a (the other: vms.txt:2)"},
    {"a VM twice", GANETI,
     GROUPS NODES "a|1|1|1|running|Y|n1||rbd||1\na|1|1|1|running|Y|n1||rbd||1\n\n\n",
     "cluster.data:6: host n1 has two VMs called a (the other: cluster.data:5)"},
    {"a VM on a host that is not there", SNAPSHOT,
     "{\"hosts\": \"kvm-[1-2]\", \"vms\": [\"a@kvm-3\"]}",
     "fleet.json: vms[0]: vm a is on host 'kvm-3', which is not among the 2 hosts; did you mean "
     "'kvm-1'?"},
    {"a VM on a host that is not there", GANETI, GROUPS NODES "a|1|1|1|running|Y|n2||rbd||1\n\n\n",
     "cluster.data:5: vm a is on host 'n2', which is not among the 1 host; did you mean 'n1'?"},
};

static int read_policy(const char *text, size_t len, struct err *e)
{
    char dir[] = "/tmp/drover-bad-XXXXXX";
    struct policy p;
    assert_non_null(mkdtemp(dir));
    cleanup(freep) char *path = xasprintf("%s/%s", dir, file_names[POLICY]);
    assert_int_equal(file_write(path, text, len, 0644, NULL), 0);
    int r = policy_load(dir, &p, e);
    if (r == 0)
        policy_done(&p);
    unlink(path);
    rmdir(dir);
    return r;
}

static int read_fleet(enum reader reader, const char *text, size_t len, struct err *e)
{
    static const enum snap_format formats[] = {
        [CSV] = SNAP_CSV, [TABLE] = SNAP_TABLE, [GANETI] = SNAP_GANETI};
    static const struct snap_source hosts = {"hosts.csv", HOSTS};
    const struct snap_source file = {file_names[reader], text};
    const struct snap_import in = {
        .files = &file, .n_files = 1, .hosts = reader == CSV ? &hosts : NULL};
    cleanup(freep) char *notes = NULL;
    struct snap f;
    int r = reader == SNAPSHOT ? snap_parse(file.name, text, len, &f, e)
                               : snap_import(formats[reader], &in, &f, &notes, e);
    if (r == 0)
        snap_done(&f);
    return r;
}

/* Not read at all. */
static void too_long(void **state)
{
    (void)state;
    struct err e;
    cleanup(freep) char *text = xcalloc(1, TEN_MB + 1);
    memset(text, '#', TEN_MB);
    assert_true(read_policy(text, TEN_MB, &e) < 0);
    assert_string_equal(e.msg, "site.yaml: longer than 1048576 bytes");
    assert_int_equal(read_fleet(SNAPSHOT, text, (size_t)LIM_SNAPSHOT_BYTES + 1, &e), -E2BIG);
    assert_string_equal(e.msg, "fleet.json: 536870913 bytes, the limit is 536870912");
}

/* A list may leave hosts out: that is said, and nothing is placed there. */
static void host_of_no_row(void **state)
{
    (void)state;
    static const struct snap_source hosts = {"hosts.csv", HOSTS},
                                    vms = {"vms.csv", "host,vm\nkvm-3,a\n"};
    const struct snap_import in = {.files = &vms, .n_files = 1, .hosts = &hosts};
    cleanup(freep) char *notes = NULL;
    struct snap f;
    assert_int_equal(snap_import(SNAP_CSV, &in, &f, &notes, NULL), 0);
    assert_true(str_has_prefix(
        notes, "1 of 4 hosts have no row of their own: how much memory they have is not known, so "
               "nothing will be placed there\n"));
    snap_done(&f);
}

static void mistakes(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct bad *b = &table[i];
        struct err e = {.msg = "taken"};
        size_t len = strlen(b->text);
        int r = b->reader == POLICY ? read_policy(b->text, len, &e)
                                    : read_fleet(b->reader, b->text, len, &e);
        if (r == 0 || !str_eq(e.msg, b->message)) {
            print_message("%s, %s:\n  is   %s\n  want %s\n", b->mistake, file_names[b->reader],
                          e.msg, b->message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),
        cmocka_unit_test(too_long),
        cmocka_unit_test(host_of_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
