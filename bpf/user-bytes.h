/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The bytes that the running system call has read from a socket or sent to it, where they lie in the memory of its process.
 * The call's number and arguments are in the registers that the process entered the kernel with.
 */
#ifndef TAILGOV_USER_BYTES_H
#define TAILGOV_USER_BYTES_H

#include "kernel-types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct user_bytes {
	/* Where the next byte is, and how many lie there in one piece. */
	u64 at;
	u64 here;
	/* The pieces that follow: an array of struct iovec, in the process's memory. */
	u64 vector;
	u32 vectors;
	/* Of the call as a whole. */
	u32 left;
};

struct iovec {
	u64 base;
	u64 length;
};

/* include/linux/socket.h, as a process of 64 bits has it */
struct user_msghdr {
	u64 name;
	u64 name_length;
	u64 vector;
	u64 vectors;
	u64 control;
	u64 control_length;
	u64 flags;
};

/* How a system call tells where its bytes are. */
enum call {
	CALL_UNKNOWN,
	CALL_BUFFER,
	CALL_VECTOR,
	CALL_MESSAGE,
};

/* One case a system call, by its number: in arch/x86/entry/syscalls/syscall_64.tbl, in include/uapi/asm-generic/unistd.h. */
static __always_inline enum call call_of_x86(u64 number, bool sent)
{
	switch (number) {
	case 0: /* read */
	case 45: /* recvfrom */
		return sent ? CALL_UNKNOWN : CALL_BUFFER;
	case 1: /* write */
	case 44: /* sendto */
		return sent ? CALL_BUFFER : CALL_UNKNOWN;
	case 19: /* readv */
		return sent ? CALL_UNKNOWN : CALL_VECTOR;
	case 20: /* writev */
		return sent ? CALL_VECTOR : CALL_UNKNOWN;
	case 47: /* recvmsg */
		return sent ? CALL_UNKNOWN : CALL_MESSAGE;
	case 46: /* sendmsg */
		return sent ? CALL_MESSAGE : CALL_UNKNOWN;
	default:
		return CALL_UNKNOWN;
	}
}

static __always_inline enum call call_of_arm64(u64 number, bool sent)
{
	switch (number) {
	case 63: /* read */
	case 207: /* recvfrom */
		return sent ? CALL_UNKNOWN : CALL_BUFFER;
	case 64: /* write */
	case 206: /* sendto */
		return sent ? CALL_BUFFER : CALL_UNKNOWN;
	case 65: /* readv */
		return sent ? CALL_UNKNOWN : CALL_VECTOR;
	case 66: /* writev */
		return sent ? CALL_VECTOR : CALL_UNKNOWN;
	case 212: /* recvmsg */
		return sent ? CALL_UNKNOWN : CALL_MESSAGE;
	case 211: /* sendmsg */
		return sent ? CALL_MESSAGE : CALL_UNKNOWN;
	default:
		return CALL_UNKNOWN;
	}
}

/*
 * Whether `fd` of this process is the socket. A completion of io_uring may run on top of a system call that has to do with
 * another file, or in a thread that has made none.
 */
static __always_inline bool is_file_of(struct task_struct *task, u64 fd, struct sock *sk)
{
	struct files_struct *files = task->files;
	struct fdtable *table;
	struct file *file;
	void *private_data;

	if (!files)
		return false;
	table = files->fdt;
	if (!table || fd >= table->max_fds)
		return false;
	if (bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd))
		return false;
	if (bpf_core_read(&private_data, sizeof(private_data), &file->private_data))
		return false;
	return private_data == sk->sk_socket;
}

static __always_inline u32 bytes_here(const struct user_bytes *bytes)
{
	return bytes->here < bytes->left ? bytes->here : bytes->left;
}

static __always_inline void step_over(struct user_bytes *bytes, u32 count)
{
	bytes->at += count;
	bytes->here -= count;
	bytes->left -= count;
}

/* Goes on to the next piece, which may be empty. False where there is none. */
static __always_inline bool next_vector(struct user_bytes *bytes)
{
	struct iovec piece;

	if (!bytes->vectors || bpf_probe_read_user(&piece, sizeof(piece), (void *)bytes->vector))
		return false;
	bytes->at = piece.base;
	bytes->here = piece.length;
	bytes->vector += sizeof(piece);
	bytes->vectors--;
	return true;
}

/* Copies `count` bytes to `to + offset`, both below 32. Masks what is used: the compiler would check a copy of it. */
static __always_inline bool copy_user_bytes(u8 *to, u64 offset, u64 count, u64 from)
{
	asm volatile("%0 &= 31\n\t%1 &= 31" : "+r"(offset), "+r"(count));
	return !bpf_probe_read_user(to + offset, count, (void *)from);
}

/* False where the bytes of this call are in no buffer of the process: sendfile, splice, io_uring, calls of 32 bits. */
static __always_inline bool find_user_bytes(struct user_bytes *bytes, struct sock *sk, u32 count, bool sent)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);
	struct pt_regs___call_x86 *x86 = (void *)registers;
	struct pt_regs___call_arm64 *arm64 = (void *)registers;
	struct user_msghdr message;
	u64 fd, second, third;
	enum call call;

	bytes->left = count;
	bytes->here = 0;
	bytes->vectors = 0;
	if (bpf_core_field_exists(x86->orig_ax)) {
		call = call_of_x86(x86->orig_ax, sent);
		fd = x86->di;
		second = x86->si;
		third = x86->dx;
	} else if (bpf_core_field_exists(arm64->syscallno)) {
		call = call_of_arm64(arm64->syscallno, sent);
		fd = arm64->orig_x0;
		second = arm64->regs[1];
		third = arm64->regs[2];
	} else {
		return false;
	}
	if (call == CALL_UNKNOWN || !is_file_of(task, fd, sk))
		return false;
	if (call == CALL_BUFFER) {
		bytes->at = second;
		bytes->here = count;
		return true;
	}
	bytes->vector = second;
	bytes->vectors = third;
	if (call == CALL_MESSAGE) {
		if (bpf_probe_read_user(&message, sizeof(message), (void *)second))
			return false;
		bytes->vector = message.vector;
		bytes->vectors = message.vectors;
	}
	return true;
}

#endif
