/* agent/core/cmds.h: each command is carried out once, whatever is sent twice.   PURE.
 * Purpose  Remembers what was ordered by (type, job, attempt, operation, VM) and what came of it; refuses
 *          orders of a scheduler that is no longer the leader (a lower term).
 * Rules    migrate runs once: a repetition gets the first result, also a bad one. abort, tidy and
 *          power look before they act, so a repetition after a failure acts again, and after a
 *          success gets the first result. Checks, probes, tune and census are always carried out.
 * Bounds   CMDS_KEPT results; the oldest ended one makes room. CMDS_RUNNING_MAX may run at once.
 * Owner    commands and results are copied.   Thread loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/msg.h"

enum { CMDS_KEPT = 512, CMDS_RUNNING_MAX = 128 };

enum cmds_verdict {
    CMDS_RUN,      /* carry it out, then cmds_finish */
    CMDS_WAIT,     /* it is running: its end answers this id */
    CMDS_ANSWERED, /* *ret is the answer (owned by the caller) */
};

struct cmds;
struct cmds *cmds_new(void);
void cmds_free(struct cmds *c);

/* A scheduler said hello: its term counts from now on. False if it is lower than one seen. */
bool cmds_term(struct cmds *c, int64_t term);
int64_t cmds_term_seen(const struct cmds *c);

/* m: a command. *ret is filled for CMDS_ANSWERED only: a stored result, or a refusal (stale term, too
 * many at once). Its id is 0, its re is m's id. */
enum cmds_verdict cmds_take(struct cmds *c, const struct msg *m, struct msg *ret);
/* The command m ended with *result. Returns the id to answer: that of the latest repetition. */
int64_t cmds_finish(struct cmds *c, const struct msg *m, const struct msg *result);

/* This migration was begun before the agent was restarted: a repetition is answered with "began, the
 * outcome is not known here". */
void cmds_begun(struct cmds *c, int64_t job, int64_t attempt, const char *vm);
/* Was this migration ordered through this agent (running, ended or begun before a restart)? */
bool cmds_knows(const struct cmds *c, int64_t job, int64_t attempt, const char *vm);

/* Is a migration of this VM ordered here whose end is not known yet? */
bool cmds_migrating(const struct cmds *c, const char *vm);

/* The answer of the right type for m that says it could not be carried out. began: for migrate, that
 * libvirt may have been asked already. Gives into *ret; id 0, re = m's id. */
void cmds_failure(const struct msg *m, const char *code, const char *error, bool began,
                  struct msg *ret);
/* A new body of that type, initialised. Gives. */
void *cmds_body(enum msg_type type);
void cmds_copy(struct msg *dst, const struct msg *src);
