/* What speaks against moving a VM wherever it would go: its state, its disks, its devices. */
#include "tests/unit/filterfix.h"

static void test_vm_state(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    immovable(&f, 0, R_NONE);
    v->state = VM_SHUTOFF;
    immovable(&f, 0, R_NONE);
    v->state = VM_PAUSED;
    immovable(&f, 0, R_VM_PAUSED);
    v->state = VM_CRASHED;
    immovable(&f, 0, R_VM_STATE);
    v->state = VM_RUNNING;
    v->job = VM_JOB_OTHER;
    immovable(&f, 0, R_VM_BUSY);
    v->job = VM_JOB_NONE;
    v->persistent = false;
    immovable(&f, 0, R_TRANSIENT);
    v->persistent = true;
    v->managed_save = true;
    immovable(&f, 0, R_MANAGED_SAVE);
    v->managed_save = false;
    v->mem_bytes = -1;
    immovable(&f, 0, R_SIZE_UNKNOWN);
    v->mem_bytes = 4 * GIB;
    v->foreign = xstrdup("nova");
    immovable(&f, 0, R_FOREIGN);
    free(v->foreign);
    v->foreign = NULL;
    f.s.vms[0].other_run = true;
    immovable(&f, 0, R_IN_FLIGHT);
    f.s.vms[0].other_run = false;
    f.s.hosts[0].connected = false;
    immovable(&f, 0, R_UNREACHABLE_SOURCE);
    f.s.hosts[0].connected = true;
    fleet_rule(&f, "not-these", RULE_EXCLUDE, "a", NULL);
    immovable(&f, 0, R_EXCLUDED);
    f.p.rules[0].kind = RULE_MAINTENANCE_ONLY;
    immovable(&f, 0, R_NONE);
    fleet_done(&f);
}

static void test_disks(void **state)
{
    (void)state;
    static const struct {
        int device, kind, code;
        const char *cache;
    } cases[] = {
        {DISK_DISK, DISK_RBD, R_NONE, "writeback"}, /* librbd is coherent in every mode */
        {DISK_DISK, DISK_RBD, R_NONE, "unsafe"},
        {DISK_DISK, DISK_FILE, R_LOCAL_DISK, "none"},
        {DISK_DISK, DISK_BLOCK, R_LOCAL_DISK, "none"},
        {DISK_LUN, DISK_BLOCK, R_LOCAL_DISK, "none"},
        {DISK_DISK, DISK_VOLUME, R_LOCAL_DISK, "none"},
        {DISK_DISK, DISK_NETWORK, R_NOT_RBD, "none"},
        {DISK_CDROM, DISK_EMPTY, R_NONE, NULL},
        {DISK_CDROM, DISK_RBD, R_NONE, NULL},
        {DISK_CDROM, DISK_FILE, R_LOCAL_MEDIA, NULL},
        {DISK_FLOPPY, DISK_FILE, R_LOCAL_MEDIA, NULL},
        {DISK_CDROM, DISK_NETWORK, R_NOT_RBD, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_fleet f;
        fleet_init(&f, 2, 16, 1);
        struct disk *d = &fleet_vm(&f, "a", 0, 4)->disks[0];
        d->device = cases[i].device;
        d->kind = cases[i].kind;
        d->cache = xstrdup(cases[i].cache);
        immovable(&f, 0, cases[i].code);
        fleet_done(&f);
    }
}

static void test_devices_and_words(void **state)
{
    (void)state;
    struct test_fleet f;
    struct reason why;
    fleet_init(&f, 2, 16, 1);
    struct vm *v = fleet_vm(&f, "web-3", 0, 4);
    *vec_add(&v->nics, &v->n_nics) = (struct nic){.kind = NIC_HOSTDEV};
    immovable(&f, 0, R_HOSTDEV);
    v->nics[0].kind = NIC_BRIDGE;
    struct hostdev *d = vec_add(&v->hostdevs, &v->n_hostdevs);
    *d = (struct hostdev){.kind = xstrdup("pci"), .address = xstrdup("0000:01:00.0")};
    immovable(&f, 0, R_HOSTDEV);
    v->n_hostdevs = 0;
    free(d->kind);
    free(d->address);
    v->disks[0].device = DISK_CDROM;
    v->disks[0].kind = DISK_FILE;
    assert_false(plan_vm_movable(&f.s, &f.p, 0, &why));
    assert_string_equal(why.cure, "eject the medium: virsh change-media web-3 vda --eject");
    shape_done(&reason_shape, &why);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_state),
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_devices_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
