/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Turns one by one, while a recording is asked for. A turn is told of at its first send, and again whenever a later send
 * extends it or shows that more will follow: user space knows it by its connection and arrival, keeps what was told last,
 * and takes it for ended once it can no longer be extended. While `recording` is 0 the verifier drops all of this.
 */
#ifndef TAILGOV_RECORDING_H
#define TAILGOV_RECORDING_H

#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include "shared.h"

/* Set before the object is loaded. */
const volatile u8 recording = 0;

/*
 * Purpose: turns on their way to a recording. Record: struct turn_record. Full: the turn is lost, and counted in
 * recording_lost. User space sizes it, and asks for records by itself: nobody is woken for them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} recorded SEC(".maps");

/* Records that found no room, by target. */
u64 recording_lost[MAX_TARGETS];

static __noinline int stream_turn(struct turn_record *turn)
{
	if (bpf_ringbuf_output(&recorded, turn, sizeof(*turn), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&recording_lost[turn->target & (MAX_TARGETS - 1)], 1);
	return 0;
}

#endif
