/* scheduler/io/queue.h: what happened, on its way to the core thread.
 * Purpose  the loop thread and the policy watcher push, the core thread takes all there is at once:
 *          one batch, one transaction.
 * Limits   LIM_EVENT_QUEUE items and LIM_EVENT_BYTES of decoded frames. Ends of connections are
 *          always taken (there is at most one per connection that was accepted before).
 * Owner    items are heap-allocated and owned by the queue until taken.
 * Thread   any; one taker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/git.h"
#include "policy/policy.h"
#include "scheduler/core/request.h"
#include "scheduler/core/state.h"
#include "scheduler/io/xml.h"

enum item_type {
    ITEM_AGENT_UP,      /* host, instance */
    ITEM_AGENT_DOWN,    /* host */
    ITEM_MSG,           /* host, msg */
    ITEM_REQUEST,       /* http, request, key */
    ITEM_QUERY,         /* http, query, text, n1, n2 */
    ITEM_POLICY,        /* policy */
    ITEM_POLICY_BAD,    /* text: why it was refused; source */
    ITEM_POLICY_BEHIND, /* a change that cannot be read yet; source */
};
/* What a query asks for, and in text, n1, n2 what it is about. */
enum query {
    QUERY_HOSTS,
    QUERY_VMS,
    QUERY_RUNS,
    QUERY_RUN,     /* n1 id, n2 journal after seq */
    QUERY_EXPLAIN, /* text: vm */
    QUERY_JOURNAL, /* n1 after, n2 limit */
    QUERY_HEALTH,
    QUERY_SNAPSHOT,
    QUERY_POLICY,
};
struct item {
    enum item_type type;
    char *host, *instance, *text;
    bool sends_xml, tells_ceph; /* ITEM_AGENT_UP */
    struct msg msg;
    struct xml_blobs xml; /* texts taken out of msg */
    uint64_t http;
    struct request request;
    char *key; /* Idempotency-Key, NULL none */
    enum query query;
    int64_t n1, n2;
    struct policy policy;
    struct git_source source; /* where the policy directory is */
    size_t cost;              /* bytes, for the limit */
};
struct item *item_new(enum item_type type);
void item_free(struct item *i);

struct queue;
struct queue *queue_new(void);
void queue_free(struct queue *q);
/* Takes item on success. -ENOBUFS when a limit is reached (not for ITEM_AGENT_DOWN), -ESHUTDOWN after
 * queue_close; then the item is still the caller's. */
int queue_push(struct queue *q, struct item *item);
/* Wait at most timeout_us for the first item, then take all. Gives the items and the array (free()).
 * Returns false once the queue is closed and empty. */
bool queue_take(struct queue *q, int64_t timeout_us, struct item ***ret, size_t *ret_n);
void queue_close(struct queue *q);
