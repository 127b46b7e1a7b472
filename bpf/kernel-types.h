/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The few kernel types and constants that the probes touch. Only the fields that are read are declared: their places in
 * the running kernel are found by CO-RE when the object is loaded, so the order and the sizes here mean nothing.
 */
#ifndef TAILGOV_KERNEL_TYPES_H
#define TAILGOV_KERNEL_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef unsigned long size_t;

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0
#define barrier() asm volatile("" ::: "memory")
#ifndef NULL
#define NULL ((void *)0)
#endif

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_NOEXIST = 1,
};

/* include/linux/socket.h, include/linux/net.h, include/uapi/asm-generic/errno-base.h */
enum {
	AF_UNIX = 1,
	AF_INET = 2,
	AF_INET6 = 10,
	MSG_OOB = 0x1,
	MSG_PEEK = 0x2,
	MSG_TRUNC = 0x20,
	MSG_ERRQUEUE = 0x2000,
	SOCK_STREAM = 1,
	SOCK_NOSPACE = 2,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	/* include/uapi/linux/stat.h */
	S_IFMT = 00170000,
	S_IFSOCK = 0140000,
	EAGAIN = 11,
};

/* include/net/tcp_states.h */
enum {
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	/* The local port, in host order; 0 once the socket has given its port back. */
	__u16 skc_num;
	possible_net_t skc_net;
};

struct socket {
	unsigned long flags;
	struct sock *sk;
};

struct sk_buff_head {
	__u32 qlen;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	struct sk_buff_head sk_receive_queue;
	u16 sk_type;
	u16 sk_protocol;
	int sk_err;
	/* Data is not said to be ready before there is so much of it. */
	int sk_rcvlowat;
};

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned char *head;
	__u16 network_header;
};

struct super_block {
	u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct dentry {
	struct inode *d_inode;
};

struct path {
	struct dentry *dentry;
};

struct unix_sock {
	struct path path;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	struct files_struct *files;
};

/* The registers of a system call, where the architecture keeps them. */
struct pt_regs___call_x86 {
	unsigned long orig_ax;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long cs;
};

struct pt_regs___call_arm64 {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};

struct inet_connection_sock {
	/* What sits on top of TCP, such as kernel TLS; NULL for nothing. */
	const void *icsk_ulp_ops;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	/* The next byte that will be sent for the first time, and the end of what the application has handed over. */
	u32 snd_nxt;
	u32 write_seq;
	/* The next byte that is expected from the peer; a FIN counts as one. */
	u32 rcv_nxt;
	/* The next byte that the application will read. */
	u32 copied_seq;
	u64 bytes_received;
	/* What the peer has got of what was handed over ends at snd_una, after bytes_acked bytes. */
	u32 snd_una;
	u64 bytes_acked;
	/* CLOCK_MONOTONIC in ns when TCP last received or sent a segment or, up to the kernels of today, let one be read. */
	u64 tcp_clock_cache;
	/* The same clock when the last segment was sent; where the connection is paced, when the next one may be. */
	u64 tcp_wstamp_ns;
	/* Segments that came, with payload or without, counted before they are processed. */
	u32 segs_in;
	/* The same clock in µs when the newest segment was processed that acknowledged something that we had sent. */
	u64 delivered_mstamp;
	/* Absent where the kernel is built without MPTCP. */
	bool is_mptcp;
};

struct bpf_iter_meta {
	u64 session_id;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

#endif
