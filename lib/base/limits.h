/* lib/base/limits.h: every bound on input and on queues, in one place.
 * Hitting one is a named error (and a metric), never silence. */
#pragma once

enum {
    LIM_FRAME_BYTES = 4 << 20,       /* one wire frame, checked before allocation */
    LIM_JSON_DEPTH = 32,
    LIM_HTTP_HEADER_BYTES = 16 << 10,
    LIM_HTTP_BODY_BYTES = 1 << 20,
    LIM_NUMA_CELLS = 64,             /* of one host; node sets are kept as bits */
    LIM_NAME_BYTES = 253,            /* host and VM names */
    LIM_HOSTS = 16384,
    LIM_VMS_PER_HOST = 2048,
    LIM_VCPUS = 4096,                /* of one VM that somebody asks about */
    LIM_DISKS_PER_VM = 256,
    LIM_LIST_ITEMS = 8192,           /* any list of a message */
    LIM_LABEL_KEY_BYTES = 63,
    LIM_LABEL_VALUE_BYTES = 255,
    LIM_XML_BYTES = 1 << 20,         /* one domain XML */
    LIM_CONN_QUEUE_BYTES = 16 << 20, /* unsent bytes per agent before it is dropped */
    LIM_EVENT_QUEUE = 65536,
    LIM_EVENT_BYTES = 256 << 20,     /* frames waiting for the core thread */
    LIM_HANDSHAKES = 256,            /* TLS handshakes in progress per listener */
    LIM_HTTP_PENDING = 256,          /* requests not answered yet */
    LIM_HTTP_PARAMS = 32,            /* query parameters of one request */
    LIM_SANS = 64,                   /* names in one certificate */
    LIM_CONFIG_BYTES = 1 << 20,
    LIM_POLICY_FILE_BYTES = 1 << 20,
    LIM_POLICY_FILES = 256,
    LIM_SPREAD = 16,                 /* domains that a rule asks for: 2^n ways to be in flight */
    LIM_YAML_DEPTH = 16,
    LIM_WINDOWS = 16,                /* of one policy */
    LIM_ZONES = 2048,                /* names that are looked at for "did you mean" */
    LIM_ZONE_NAME_BYTES = 64,
    LIM_ZONE_CHANGES = 512,          /* Africa/Casablanca has 130 until 2037 */
    LIM_RUNS_KEPT = 1000,
    LIM_RETRIES = 16,
    LIM_WAYS_STAYS = 8,              /* VMs that stay for which ways out are looked for */
    LIM_WAYS_HOSTS = 8,              /* hosts tried with one kind of change */
    LIM_WAYS_TRIES = 40,             /* changes tried for one VM that stays */
    LIM_WAYS_WORK = 2000000,         /* VMs and pairs of VM and host looked at by all of them */
    LIM_SNAPSHOT_BYTES = 512 << 20,  /* 16384 hosts of 20 VMs take about 300 MB */
    LIM_SNAPSHOT_VMS = 1 << 20,
};
