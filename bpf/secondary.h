/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Secondary signals: how long the threads that serve a target wait for work in epoll_wait, poll or select, and how evenly
 * sends follow one another. Where they are not asked for, the verifier takes out all that is here.
 */
#ifndef TAILGOV_SECONDARY_H
#define TAILGOV_SECONDARY_H

#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include "shared.h"

const volatile bool secondary_signals = false;

struct secondary_figures secondary[MAX_TARGETS];

/* In waited_ns: the thread waits; the rest is the time at which its wait began less what it had waited before. */
#define WAITING (1ull << 63)

/* One thread writes what it waited, a walk over all threads writes the rest. */
struct serving_thread {
	/* In one word, so that the walk sees either all of a wait or none of it. */
	u64 waited_ns;
	u64 told_waited_ns;
	u64 told_at_ns;
	u32 target;
	u32 reserved;
};

/*
 * Purpose: the threads that read from connections to targets, each for the target that it read from first. Key: the task.
 * Value: struct serving_thread. Lifetime: the task's own. Full: never; a thread for which the kernel has no memory is not looked
 * at. Not created where secondary signals are not asked for.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct serving_thread);
} serving_threads SEC(".maps");

static __always_inline struct secondary_figures *secondary_of(u32 target)
{
	return &secondary[(target - 1) & (MAX_TARGETS - 1)];
}

static __always_inline struct serving_thread *find_serving_thread(struct task_struct *task)
{
	return bpf_task_storage_get(&serving_threads, task, NULL, 0);
}

/* The current thread has read from a connection to the target. */
static __noinline int note_serving_thread(u32 target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct serving_thread *thread = find_serving_thread(task);

	if (thread)
		return 0;
	thread = bpf_task_storage_get(&serving_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread) {
		thread->target = target;
		thread->told_at_ns = bpf_ktime_get_ns();
	}
	return 0;
}

/* A send to a connection to the target took something. */
static __noinline int note_send(u32 target)
{
	struct secondary_figures *figures = secondary_of(target);
	u64 now = bpf_ktime_get_ns();
	u64 before = __sync_lock_test_and_set(&figures->last_sent_ns, now);
	/* The clock may step back by some ns from CPU to CPU. */
	u64 gap = (s64)(now - before) > 0 ? (now - before) >> GAP_SHIFT : 0;

	if (!before)
		return 0;
	__sync_fetch_and_add(&figures->gaps, 1);
	__sync_fetch_and_add(&figures->gap_sum, gap);
	__sync_fetch_and_add(&figures->gap_square_sum, gap * gap);
	return 0;
}

static __always_inline int on_wait_begins(void)
{
	struct serving_thread *thread = find_serving_thread(bpf_get_current_task_btf());

	if (thread && !(thread->waited_ns & WAITING))
		thread->waited_ns = (bpf_ktime_get_ns() - thread->waited_ns) | WAITING;
	return 0;
}

static __always_inline u64 waited_until(u64 waited_ns, u64 now)
{
	return waited_ns & WAITING ? now - (waited_ns & ~WAITING) : waited_ns;
}

static __always_inline int on_call_ends(void)
{
	struct serving_thread *thread = find_serving_thread(bpf_get_current_task_btf());

	if (thread && (thread->waited_ns & WAITING))
		thread->waited_ns = waited_until(thread->waited_ns, bpf_ktime_get_ns());
	return 0;
}

/* One thread of a walk over all threads of the machine: what it waited and lived since the walk before. */
static __always_inline int on_thread_walk(struct task_struct *task)
{
	struct serving_thread *thread = find_serving_thread(task);
	struct secondary_figures *figures;
	u64 now, waited_ns;

	if (!thread)
		return 0;
	now = bpf_ktime_get_ns();
	waited_ns = waited_until(*(volatile u64 *)&thread->waited_ns, now);
	figures = secondary_of(thread->target);
	figures->waited_ns += waited_ns - thread->told_waited_ns;
	figures->thread_ns += now - thread->told_at_ns;
	thread->told_waited_ns = waited_ns;
	thread->told_at_ns = now;
	return 0;
}

#endif
