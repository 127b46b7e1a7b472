/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Turns on Unix-domain stream sockets. There are no sequence numbers: messages are counted instead, each of which is one
 * buffer in the receiver's queue and is said to be ready once. How many are left unread tells how far a read has read.
 *
 * An accepted socket has the path of the one that it was accepted from, so the inode tells the target. Nothing says that a
 * Unix-domain socket closes: user space finds what it left in flight by a walk.
 */
#ifndef TAILGOV_UNIX_H
#define TAILGOV_UNIX_H

#include "turns.h"

/* Whether a target is a Unix-domain socket. Where none is, the verifier takes out all that is here. */
const volatile bool unix_targets = false;

/*
 * Purpose: the target of a listening Unix-domain socket. Key: device and inode. Value: the target's index + 1. Lifetime:
 * user space puts in and takes out as sockets come and go. Full: never, it has room for all targets.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_TARGETS);
	__type(key, struct unix_key);
	__type(value, u32);
} unix_listeners SEC(".maps");

static __always_inline bool is_unix_stream(struct sock *sk)
{
	return unix_targets && sk->__sk_common.skc_family == AF_UNIX && sk->sk_type == SOCK_STREAM;
}

/* The target's index + 1, or 0. Only a socket that is bound to a file, or was accepted from one, has a path. */
static __always_inline u32 find_unix_target(struct sock *sk)
{
	/* The helper that would check the cast is of Linux 5.16; who calls has looked at the family. */
	struct unix_sock *unix_socket = (struct unix_sock *)sk;
	struct inode *inode = BPF_CORE_READ(unix_socket, path.dentry, d_inode);
	struct unix_key key = {};
	u32 *target;

	if (!inode)
		return 0;
	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	target = bpf_map_lookup_elem(&unix_listeners, &key);
	return target ? *target : 0;
}

static __noinline struct connection *create_unix_connection(struct sock *sk)
{
	u32 target = sk->__sk_common.skc_state == TCP_LISTEN ? 0 : find_unix_target(sk);
	struct connection *connection;

	if (!target)
		return NULL;
	connection = bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection) {
		count(target, COUNTER_DROPPED);
		return NULL;
	}
	connection->target = target;
	return connection;
}

static __always_inline int on_unix_data_ready(struct sock *sk)
{
	struct connection *connection = find_connection(sk) ?: create_unix_connection(sk);
	struct arrival *first;
	u64 now, before;
	u32 seq;

	/* A reader on another CPU may have taken it before this was said; a peer that closes says it, too. */
	if (!connection || !unread_messages(sk))
		return 0;
	now = bpf_ktime_get_ns();
	/* A full barrier: it pairs with the first send, which leaves OPEN and then looks for messages. */
	seq = __sync_fetch_and_add(&connection->arrived_seq, 1) + 1;
	before = progress_of(connection);
	if (is_open(connection, before) || in_flight(connection, before) > 0)
		return remember_later_arrival(sk, connection, seq, connection->read_seq, now);
	/* No lock here: two that arrive at a time may both be counted, and each is. */
	first = &connection->first[(__sync_fetch_and_add(&connection->begun, 1) + 1) & 1];
	first->ns = now;
	first->seq = seq;
	count_arrival(connection->target, now);
	return 0;
}

static __always_inline int on_unix_read(struct sock *sk, int ret, int flags)
{
	struct connection *connection;
	u32 first_unread, unread;
	u64 now, arrival_ns, before;

	if (ret <= 0 || (flags & (MSG_PEEK | MSG_OOB)))
		return 0;
	connection = find_connection(sk) ?: create_unix_connection(sk);
	if (!connection)
		return 0;
	first_unread = connection->read_seq;
	unread = unread_messages(sk);
	if (unread > connection->arrived_seq - first_unread)
		unread = connection->arrived_seq - first_unread;
	connection->read_seq = connection->arrived_seq - unread;
	before = progress_of(connection);
	if (is_open(connection, before))
		return 0;
	if (secondary_signals)
		note_serving_thread(connection->target);
	now = bpf_ktime_get_ns();
	arrival_ns = arrival_of(connection, first_unread) ?: now;
	forget_arrivals_before(connection, first_unread);
	connection->turn_arrival_ns = arrival_ns;
	connection->turn_read_ns = now;
	connection->turn_read_seq = connection->read_seq;
	if (in_flight(connection, before) <= 0)
		count_late_arrival(connection, before, now);
	open_turn(connection, before);
	if (!connection->reader_known) {
		connection->reader_known = true;
		remember_reader(connection->target);
	}
	count_waiting(connection->target, arrival_ns, now);
	return 0;
}

static __always_inline int on_unix_send(struct sock *sk, int ret)
{
	struct connection *connection;
	u64 before;

	if (ret <= 0 && ret != -EAGAIN)
		return 0;
	connection = find_connection(sk);
	if (!connection)
		return 0;
	if (secondary_signals && ret > 0)
		note_send(connection->target);
	before = progress_of(connection);
	if (is_open(connection, before)) {
		if (ret > 0)
			complete_turn(sk, connection, before);
	} else if (connection->reply != REPLY_NONE) {
		on_further_send(sk, connection, ret);
	}
	return 0;
}

#endif
