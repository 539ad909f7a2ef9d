#include "lib/model/load.h"

#define T struct vm_load
SHAPE(vm_load_shape, T, SF_STR_REQ(T, uuid), SF_INT_OR(T, cpu_mcpu, -1),
      SF_INT_OR(T, rss_bytes, -1), SF_INT_OR(T, read_Bps, -1), SF_INT_OR(T, write_Bps, -1),
      SF_INT_OR(T, rx_Bps, -1), SF_INT_OR(T, tx_Bps, -1));
#undef T
#define T struct host_load
SHAPE(host_load_shape, T, SF_STR(T, source), SF_INT_OR(T, cpu_mcpu, -1),
      SF_INT_OR(T, guests_mcpu, -1), SF_INT_OR(T, mem_free_bytes, -1),
      SF_INT_OR(T, psi_cpu_ppm, -1), SF_INT_OR(T, psi_mem_ppm, -1),
      SF_INT_OR(T, psi_mem_full_ppm, -1), SF_INT_OR(T, psi_io_ppm, -1),
      SF_INT_OR(T, psi_io_full_ppm, -1), SF_INT_OR(T, rx_Bps, -1), SF_INT_OR(T, tx_Bps, -1));
#undef T
#define T struct load_report
SHAPE(load_report_shape, T, SF_INT_REQ(T, period_us), SF_INT_REQ(T, next_us),
      SF_OBJ(T, host, &host_load_shape), SF_LIST(T, vms, &vm_load_shape));
#undef T
#define T struct cpu_figures
SHAPE(cpu_figures_shape, T, SF_INT_OR(T, now_mcpu, -1), SF_INT_OR(T, m5_mcpu, -1),
      SF_INT_OR(T, h1_mcpu, -1), SF_INT_OR(T, d1_mcpu, -1), SF_INT_OR(T, p95_mcpu, -1),
      SF_INT_OR(T, soon_mcpu, -1), SF_INT_OR(T, forecast_mcpu, -1),
      SF_INT_OR(T, forecast_error_mcpu, -1));
#undef T
