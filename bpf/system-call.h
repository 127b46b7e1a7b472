/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What a program at sys_enter or sys_exit can tell of the call. */
#ifndef TAILGOV_SYSTEM_CALL_H
#define TAILGOV_SYSTEM_CALL_H

#include "kernel-types.h"
#include <bpf/bpf_core_read.h>

#define SYSCALLS 512 /* a power of two */
/* __USER32_CS of x86. */
#define USER32_CS 0x23

/* SYSCALLS, for which no table has an entry, for what is no call of a 64-bit program. */
static __always_inline u64 call_number(struct pt_regs *regs)
{
	struct pt_regs___call_x86 *x86 = (void *)regs;
	struct pt_regs___call_arm64 *arm64 = (void *)regs;

	if (bpf_core_field_exists(x86->orig_ax))
		return x86->cs == USER32_CS ? SYSCALLS : x86->orig_ax;
	return bpf_core_field_exists(arm64->syscallno) ? (u32)arm64->syscallno : SYSCALLS;
}

#endif
