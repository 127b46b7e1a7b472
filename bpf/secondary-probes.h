/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The programs of secondary.h, which every method has. They are loaded where secondary signals are asked for. */
#ifndef TAILGOV_SECONDARY_PROBES_H
#define TAILGOV_SECONDARY_PROBES_H

#include "secondary.h"
#include "system-call.h"
#include <bpf/bpf_tracing.h>

/* By number: whether a system call waits for work. Set before the object is loaded. */
const volatile u8 waiting_calls[SYSCALLS] = {};

SEC("tp_btf/sys_enter")
int BPF_PROG(wait_begins, struct pt_regs *regs, long id)
{
	u64 number = call_number(regs);

	return number < SYSCALLS && waiting_calls[number & (SYSCALLS - 1)] ? on_wait_begins() : 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, struct pt_regs *regs, long ret)
{
	u64 number = call_number(regs);

	return number < SYSCALLS && waiting_calls[number & (SYSCALLS - 1)] ? on_call_ends() : 0;
}

SEC("iter/task")
int walk_threads(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;

	/* NULL: the end of the walk. */
	return task ? on_thread_walk(task) : 0;
}

#endif
