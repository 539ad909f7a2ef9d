/* scheduler/io/api.h: the routes of the HTTP API.
 * Purpose  Check what comes from outside once (method, path, parameters, body, role), turn it into
 *          an item for the core thread, which answers through http_reply.
 * Errors   every refusal is {"schema":"drover.error/1","code","message","cure"} with its status.
 * Thread   loop. */
#pragma once

#include "lib/net/http.h"
#include "scheduler/io/queue.h"

struct api {
    struct queue *queue; /* borrows */
};
/* struct http_config.on_request; arg is the struct api. */
void api_on_request(void *arg, struct http *h, const struct http_req *r);

/* Text of one refusal; cure may be NULL. Gives.   Thread any. */
char *api_error_text(const char *code, const char *message, const char *cure);
