/* scheduler/io/recorder.h: every event the core saw, so that a replay prints the same decisions.
 * Shapes   JSON lines {"t":now_us,"wall":wall_us,"ev":"msg",...} in DIR/events-NNNNNN.jsonl; the first
 *          line of each file names version and term. Secrets are left out (codec_encode_public).
 *          Ticks and heartbeats that decided nothing are left out: they change no state but time.
 *          {"ev":"said","digest":"..."} follows an event that decided something. Policies are kept whole.
 * Limits   files of 16 MiB, the newest 32 are kept.
 * Errors   a recorder that cannot write stops recording and says so once; it never stops the core.
 * Thread   core thread. */
#pragma once

#include "scheduler/core/core.h"

struct recorder;

/* dir NULL: records nothing. Gives *ret. */
int recorder_open(const char *dir, struct recorder **ret, struct err *e);
void recorder_close(struct recorder *r);
void recorder_start(struct recorder *r, int64_t term, int64_t now_us, int64_t wall_us);
/* What the core was restored from, between recorder_start and the first event. */
struct recorder_state {
    const char *kind, *host; /* "host" "vm" "sample" "run" "move"; host of a VM */
    const struct shape *shape;
    const void *obj;
    int64_t since_wall_us; /* of a VM */
};
void recorder_state(struct recorder *r, const struct recorder_state *st);
/* All is restored: what that decided. */
void recorder_restored(struct recorder *r, int64_t next_seq, uint64_t digest);
/* The policy in force at that moment; policies that come later are events. */
void recorder_policy(struct recorder *r, const struct policy *p);
/* Before the step; for ticks and heartbeats (recorder_waits) after it, when it decided something. */
void recorder_event(struct recorder *r, const struct core_event *ev);
bool recorder_waits(const struct core_event *ev);
/* What the step decided: core_effects_digest, for a replay to compare. */
void recorder_said(struct recorder *r, uint64_t digest);
/* Hand what is buffered to the kernel: at the end of a batch. */
void recorder_flush(struct recorder *r);
