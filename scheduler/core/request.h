/* scheduler/core/request.h: what operators ask of the scheduler, and its answer.   PURE, plain data.
 * Shapes   request_shape: the body of POST /v1/requests; reply_shape: its answer.
 * Units    *_us: durations.   Owner: each owns its strings. */
#pragma once

#include "lib/model/model.h"
#include "lib/wire/msg.h"

enum verb {
    VERB_DRAIN, VERB_CORDON, VERB_RESUME, VERB_CANCEL, VERB_CHECK_HOST, VERB_CHECK_PAIR,
    VERB_LABEL,
    VERB_BALANCE, VERB_APPLY,
    VERB_SUSPEND_BALANCE, VERB_RESUME_BALANCE, /* what the policy's schedule begins */
    VERB_COUNT_
};
extern const char *const verb_names[VERB_COUNT_];
struct request {
    int verb;
    char *actor;         /* set by the API from the peer's credentials, never from the body */
    char *host, *host2;
    char **hosts;        /* VERB_DRAIN: in the place of host, any number */
    size_t n_hosts;
    int64_t run;         /* VERB_CANCEL, VERB_APPLY */
    bool dry_run, bring_home, make_room;
    char *on_blocked;    /* NULL: policy */
    char *mode;          /* VERB_BALANCE: of balance_mode_names; NULL: policy */
    int64_t max_moves;   /* VERB_BALANCE; 0: policy */
    bool forget_failures; /* VERB_BALANCE */
    int64_t parallel, deadline_us; /* deadline, or end of a suspension, from now; 0 none */
    char **to, **avoid, **allow_shutdown; /* of VMs: name, UUID or NAME@HOST; no patterns */
    size_t n_to, n_avoid, n_allow_shutdown;
    char *vm;            /* VERB_LABEL; VERB_BALANCE: to have room. Name, UUID or NAME@HOST */
    int64_t mem_bytes, vcpus; /* VERB_BALANCE: of a VM that is to have room; 0: not said */
    struct label *labels; /* to set */
    size_t n_labels;
    char **drop_labels;  /* keys to remove */
    size_t n_drop_labels;
    char *confirm;       /* the hosts' names once more, with commas: every VM that cannot move may be
                          * stopped */
    char *reason;
};
struct reply {
    int64_t http;        /* 200, 202, 404, 409, ... */
    int64_t exit;        /* what the CLI exits with (ux.md): 0 1 3 4 6 64 */
    char *code;          /* token for programs: "unknown_host", "joined", "already_up", ... */
    char *message;       /* sentence(s) for people */
    int64_t run;         /* created or joined, 0 none */
    bool joined;         /* an earlier request's run is followed */
    struct check_item *items; /* VERB_CHECK_* */
    size_t n_items;
};

/* "app=db": to be set, "app-": to be removed. False: neither. */
bool request_label(struct request *r, const char *word);

extern const struct shape request_shape, reply_shape;
