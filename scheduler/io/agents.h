/* scheduler/io/agents.h: the agents' sessions.
 * Purpose  TLS has proven a certificate of role agent; here the hello is held against it, the
 *          protocol agreed on, each frame decoded and bound-checked once, and handed to the core as
 *          events. A second connection of a host replaces the first.
 * Errors   a peer that breaks a rule gets a bye with the precise reason, is closed and logged once.
 * Owner    agents_free ends every session.   Thread loop. */
#pragma once

#include "lib/net/loop.h"
#include "lib/net/tls.h"
#include "scheduler/io/queue.h"

struct agents;
struct agents_config {
    struct loop *loop;
    struct queue *queue; /* borrows until agents_free */
    int64_t heartbeat_us, term;
};
struct agents *agents_new(const struct agents_config *cfg);
void agents_free(struct agents *a);
/* Begin to accept. Borrows tls until agents_free. */
int agents_listen(struct agents *a, const char *address, struct tls *tls, struct err *e);
int agents_port(const struct agents *a);

/* One frame to the agent of host; dropped when it is not connected. */
void agents_send(struct agents *a, const char *host, const char *text);
/* The core was rebuilt: all agents must introduce themselves and report anew. */
void agents_restart(struct agents *a, int64_t term);
