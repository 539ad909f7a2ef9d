/* lib/model/load.h: how busy hosts and VMs are, as it was measured.   PURE, plain data.
 * Purpose  What an agent reports of load (docs/load.md), and what the scheduler makes of it for plans
 *          and people.
 * Units    _mcpu thousandths of one CPU: 1500 is one and a half CPUs; _Bps bytes/s; _ppm share of the
 *          time; -1 = unknown (never 0).
 * Owner    each struct owns all it points to.   Thread any, no sharing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/model/shape.h"

/* Counters, as they are read: two readings make figures. -1 unknown. Not sent. */
struct vm_reading {
    char *uuid;
    int64_t id;     /* of this start of it on this host: another one counts from anew */
    int64_t cpu_us; /* used so far */
    int64_t rss_bytes;
    int64_t read_bytes, write_bytes, rx_bytes, tx_bytes;
};
struct host_reading {
    const char *source; /* a constant */
    int64_t cpu_us;     /* all CPUs together */
    int64_t mem_free_bytes;
    int64_t psi_cpu_us, psi_mem_us, psi_mem_full_us, psi_io_us, psi_io_full_us;
    int64_t rx_bytes, tx_bytes;
};

/* Over the time since the reading before, of the same QEMU process. */
struct vm_load {
    char *uuid;
    int64_t cpu_mcpu; /* of all its vCPUs and of QEMU itself */
    int64_t rss_bytes;
    int64_t read_Bps, write_Bps; /* all disks */
    int64_t rx_Bps, tx_Bps;      /* all interfaces, as the guest sees it */
};
struct host_load {
    char *source;        /* "host", "cgroup": whose CPU and pressure this is */
    int64_t cpu_mcpu;    /* busy, of all its CPUs */
    int64_t guests_mcpu; /* of it, by VMs whose figure is known */
    int64_t mem_free_bytes;
    /* pressure: share of the time in which some, or all, of those who wanted to go on could not */
    int64_t psi_cpu_ppm, psi_mem_ppm, psi_mem_full_ppm, psi_io_ppm, psi_io_full_ppm;
    int64_t rx_Bps, tx_Bps; /* of the interface that migrations use */
};
struct load_report {
    int64_t period_us; /* the figures are of so long before */
    int64_t next_us;   /* another one comes within */
    struct host_load host;
    struct vm_load *vms; /* those not listed are as they were last told on this connection */
    size_t n_vms;
};

/* One figure over several times; 5 minutes and longer are means. Of a host: busy CPUs. */
struct cpu_figures {
    int64_t now_mcpu, m5_mcpu, h1_mcpu, d1_mcpu;
    int64_t p95_mcpu;            /* of quarter-hours of the last day, 95 % are at most so busy */
    int64_t soon_mcpu;           /* in a minute, as it rises or falls now */
    int64_t forecast_mcpu;       /* of the hour to come, by the same hour of former days */
    int64_t forecast_error_mcpu; /* how far it was wrong lately, in the mean */
};

extern const struct shape vm_load_shape, host_load_shape, load_report_shape, cpu_figures_shape;
