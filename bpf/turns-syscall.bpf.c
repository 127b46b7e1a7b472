// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The `syscall` method: turns from system calls alone, for kernels that offer neither the trace points nor fentry, and as
 * the baseline that the other methods are compared with. Reconstructed from the description of eBeeMetrics: a read that
 * returned bytes begins a request, the next write to the same connection completes it. Of a target that is told to serve one
 * request a connection, a request lasts from the return of accept to the server's first step to close.
 *
 * What it does not see: how long the bytes waited in the socket (socket wait is always 0), bytes that a partial read left,
 * io_uring, splice, and calls of 32-bit programs. A turn's time runs from the read's end: a read that blocks would count
 * its idle time otherwise. The descriptor is resolved to its socket, so that a descriptor that was duplicated, inherited or
 * used again is not taken for another connection.
 *
 * Datagrams are not paired by descriptor, for one socket serves all peers: they are measured as by the other methods.
 */
#include "secondary-probes.h"
#include "system-call.h"
#include "turns.h"
#include "udp-probes.h"
#include "unix.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* In syscall_roles: the role, and from bit 4 on which argument holds flags as of recv(2); 0: none does. */
#define ROLE_READ 1
#define ROLE_SEND 2
#define ROLE_ACCEPT 3
#define ROLE_MASK 0xf
#define FLAGS_SHIFT 4

/* By number: what a system call does. Set before the object is loaded, for numbers differ between architectures. */
const volatile u8 syscall_roles[SYSCALLS] = {};

/* By target: whether a connection is a request. */
u8 by_connection[MAX_TARGETS];

enum stage {
	STAGE_IDLE,
	STAGE_OPEN,
	STAGE_CLOSED,
};

struct pairing {
	u64 read_ns;
	u64 sent_ns;
	u32 stage;
	u8 target;
	u8 reply;
	/* Of a Unix-domain socket: the walk that found it last. */
	u16 walk;
};

/*
 * Purpose: the state of each connection to a target. Key: see key_of(). Value: struct pairing. Lifetime: until the connection
 * closes, of which nothing tells for a Unix-domain socket. Full: the connection that was used least recently goes; a turn that
 * was open on it stays in flight.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct pairing);
} pairings SEC(".maps");

static __always_inline u64 first_argument(struct pt_regs *regs)
{
	struct pt_regs___call_x86 *x86 = (void *)regs;
	struct pt_regs___call_arm64 *arm64 = (void *)regs;

	return bpf_core_field_exists(x86->orig_ax) ? x86->di : arm64->orig_x0;
}

/* The flags of a receive call, 0 for a call that has none. */
static __always_inline u64 flags_of(struct pt_regs *regs, u32 role)
{
	struct pt_regs___call_x86 *x86 = (void *)regs;
	struct pt_regs___call_arm64 *arm64 = (void *)regs;
	u32 at = role >> FLAGS_SHIFT;

	if (bpf_core_field_exists(x86->orig_ax))
		return at == 2 ? x86->dx : at == 3 ? x86->r10 : 0;
	return at == 2 ? arm64->regs[2] : at == 3 ? arm64->regs[3] : 0;
}

/* The caller's open file `fd`, or NULL. */
static __always_inline struct file *file_of(u32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file = NULL;

	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

/*
 * The address of a TCP socket, by which it is known when it closes. Another Unix-domain socket may get the address of one that has
 * closed unheard of: it is known by its inode, whose number of 32 bits takes long to come again.
 */
static __always_inline u64 key_of(struct file *file, struct sock *sk)
{
	bool is_unix = unix_targets && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX;

	return is_unix ? (u32)BPF_CORE_READ(file, f_inode, i_ino) : (u64)sk;
}

static __always_inline bool is_unix_key(u64 key)
{
	return !(key >> 32);
}

static __always_inline bool is_socket(struct inode *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFSOCK;
}

static __noinline u32 unix_target_of(struct file *file, struct sock *sk)
{
	if (!is_socket(BPF_CORE_READ(file, f_inode)) || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX ||
	    BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return 0;
	return find_unix_target(sk);
}

/*
 * As find_target() and is_own_connection(), of a socket that may be gone any moment. The port is asked first, even of what
 * may be no socket at all: it rules out nearly everything, and what is read of a wrong pointer is harmless.
 */
static __always_inline u32 target_of(struct file *file, struct sock *sk)
{
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	u32 target = port_target[port];
	struct listener_key key = { .port = port };
	u32 *listener;
	u16 family;

	/* A Unix-domain socket has no port. */
	if (unix_targets && !port)
		return unix_target_of(file, sk);
	if (!target || !is_socket(BPF_CORE_READ(file, f_inode)))
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	key.netns_inum = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!by_namespace || target != PORT_BY_NAMESPACE)
		return key.netns_inum == netns_inum ? target : 0;
	listener = bpf_map_lookup_elem(&listeners, &key);
	return listener ? *listener : 0;
}

static __always_inline int read_returned(u64 key, u32 target)
{
	struct pairing *pairing = bpf_map_lookup_elem(&pairings, &key);
	u64 now;

	if (secondary_signals)
		note_serving_thread(target);
	if (!pairing) {
		struct pairing fresh = { .target = target };

		bpf_map_update_elem(&pairings, &key, &fresh, BPF_NOEXIST);
		pairing = bpf_map_lookup_elem(&pairings, &key);
		remember_reader(target);
	}
	if (!pairing) {
		count(target, COUNTER_DROPPED);
		return 0;
	}
	if (pairing->stage == STAGE_OPEN)
		return 0;
	now = bpf_ktime_get_ns();
	pairing->read_ns = now;
	if (__sync_val_compare_and_swap(&pairing->stage, STAGE_IDLE, STAGE_OPEN) == STAGE_IDLE)
		count_arrival(target, now);
	return 0;
}

static __always_inline int send_returned(u64 key, u32 target, struct socket *socket)
{
	struct pairing *pairing = bpf_map_lookup_elem(&pairings, &key);
	u64 now = bpf_ktime_get_ns();
	u64 read_ns;
	u8 reply = BPF_CORE_READ(socket, flags) & (1 << SOCK_NOSPACE) ? REPLY_CUT_SHORT : REPLY_SENT;
	struct stripe *stripe;

	if (!pairing)
		return 0;
	if (secondary_signals)
		note_send(target);
	read_ns = pairing->read_ns;
	if (__sync_val_compare_and_swap(&pairing->stage, STAGE_OPEN, STAGE_IDLE) == STAGE_OPEN) {
		pairing->sent_ns = now;
		pairing->reply = reply;
		stripe = stripe_of(target);
		if (stripe)
			record_turn(target, stripe, read_ns, read_ns, now);
		return 0;
	}
	if (pairing->reply == REPLY_SENT && elapsed_ns(pairing->sent_ns, now) > extend_gap_ns)
		pairing->reply = REPLY_OVER;
	if (pairing->reply == REPLY_OVER || pairing->reply == REPLY_NONE) {
		count(target, COUNTER_UNSOLICITED);
		return 0;
	}
	pairing->reply = reply;
	return extend_turn(target, read_ns, read_ns, &pairing->sent_ns, now);
}

static __always_inline bool is_by_connection(u32 target)
{
	return by_connection[(target - 1) & (MAX_TARGETS - 1)];
}

static __always_inline int accepted(u64 key, u32 target)
{
	u64 now = bpf_ktime_get_ns();
	struct pairing fresh = { .read_ns = now, .stage = STAGE_OPEN, .target = target };

	/* Nothing is accepted twice: what an earlier socket of this address left is over. */
	if (bpf_map_update_elem(&pairings, &key, &fresh, 0)) {
		count(target, COUNTER_DROPPED);
		return 0;
	}
	remember_reader(target);
	count_arrival(target, now);
	return 0;
}

/* Every system call comes here: what moved no bytes, or is of no interest, leaves first. */
SEC("tp_btf/sys_exit")
int BPF_PROG(call_returned, struct pt_regs *regs, long ret)
{
	struct socket *socket;
	struct file *file;
	struct sock *sk;
	u32 role, does, target;
	u64 number, key;

	if (ret <= 0)
		return 0;
	number = call_number(regs);
	role = number < SYSCALLS ? syscall_roles[number & (SYSCALLS - 1)] : 0;
	if (!role || (flags_of(regs, role) & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
		return 0;
	does = role & ROLE_MASK;
	file = file_of(does == ROLE_ACCEPT ? ret : first_argument(regs));
	socket = file ? BPF_CORE_READ(file, private_data) : NULL;
	sk = socket ? BPF_CORE_READ(socket, sk) : NULL;
	target = sk ? target_of(file, sk) : 0;
	if (!target || is_by_connection(target) != (does == ROLE_ACCEPT))
		return 0;
	key = key_of(file, sk);
	if (does == ROLE_ACCEPT)
		return accepted(key, target);
	return does == ROLE_READ ? read_returned(key, target) : send_returned(key, target, socket);
}

/* A connection whose request it is has come to its end: answered, unless its client has reset it. */
static __always_inline int connection_ended(struct sock *sk, struct pairing *pairing)
{
	struct stripe *stripe = stripe_of(pairing->target);

	if (sk->sk_err)
		count(pairing->target, COUNTER_ABANDONED);
	else if (stripe)
		record_turn(pairing->target, stripe, pairing->read_ns, pairing->read_ns, bpf_ktime_get_ns());
	return 0;
}

/*
 * No reply can follow: what was open is abandoned, and the state freed. A socket's address may be used again after it. These
 * are the first states that a close or a shutdown of the server, or a reset, leads to.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	u64 key = (u64)sk;
	struct pairing *pairing;

	if (new_state != TCP_FIN_WAIT1 && new_state != TCP_LAST_ACK && new_state != TCP_CLOSING && new_state != TCP_CLOSE)
		return 0;
	pairing = bpf_map_lookup_elem(&pairings, &key);
	if (!pairing)
		return 0;
	if (__sync_lock_test_and_set(&pairing->stage, STAGE_CLOSED) == STAGE_OPEN) {
		if (is_by_connection(pairing->target))
			connection_ended(sk, pairing);
		else
			count(pairing->target, COUNTER_ABANDONED);
	}
	bpf_map_delete_elem(&pairings, &key);
	return 0;
}

static __always_inline int on_pairing_walk(struct pairing *pairing)
{
	struct walk_result *result = &walk_results[(pairing->target - 1) & (MAX_TARGETS - 1)];

	result->connections++;
	if (pairing->stage != STAGE_OPEN)
		return 0;
	result->in_flight++;
	if (!result->oldest_arrival_ns || pairing->read_ns < result->oldest_arrival_ns)
		result->oldest_arrival_ns = pairing->read_ns;
	return 0;
}

SEC("iter/bpf_map_elem")
int walk_connections(struct bpf_iter__bpf_map_elem *context)
{
	struct pairing *pairing = context->value;
	u64 *key = context->key;

	/* NULL: the end of the walk. */
	return pairing && key && !is_unix_key(*key) ? on_pairing_walk(pairing) : 0;
}

/* The same of Unix-domain sockets that are still open, by whatever descriptors. Loaded where a target is one. */
SEC("iter/task_file")
int walk_unix_connections(struct bpf_iter__task_file *context)
{
	struct file *file = context->file;
	struct pairing *pairing;
	u16 walk;
	u64 key;

	if (!file || !is_socket(file->f_inode))
		return 0;
	key = (u32)file->f_inode->i_ino;
	pairing = bpf_map_lookup_elem(&pairings, &key);
	walk = context->meta->session_id;
	/* Descriptors that were inherited lead to the same socket. */
	if (!pairing || pairing->walk == walk)
		return 0;
	pairing->walk = walk;
	return on_pairing_walk(pairing);
}
