/* scheduler/core/runhosts.h: the hosts of a request and of a run, and how people read them.   PURE.
 * Owner    everything copies; what is given is freed by the caller.   Thread any. */
#pragma once

#include "scheduler/core/request.h"
#include "scheduler/core/state.h"

/* Names from hosts[], or else the one of host; each once. */
void request_hosts(const struct request *req, char ***ret, size_t *ret_n);
void names_done(char **names, size_t n);
/* Was it confirmed by the name of every host, and no other? Spaces and "host/" do not count. */
bool request_confirms(const struct request *req);

/* As run_place. Gives. */
char *request_place(const struct request *req);

/* Into a fresh run. */
void run_add_host(struct run *r, const char *name, int was);
/* A record of a time when a run had one host. */
void run_upgrade(struct run *r);
struct run_host *run_host(const struct run *r, const char *name); /* NULL: not of the run */
/* Is it still to be emptied? */
bool run_leaves(const struct run *r, const char *host);
/* Sums up hosts[] in proof. */
void run_sum_proof(struct run *r);

/* "h1, h2, h3". Gives; NULL: none. */
char *run_host_list(const struct run *r, const char *between);
/* "host/h1", "hosts h1, h2", "12 hosts (h1, h2, h3, ...)", "the fleet". Gives. */
char *run_place(const struct run *r);
/* "the host is up as before", "the hosts are as before". Gives. */
char *run_left_as(const struct run *r);
