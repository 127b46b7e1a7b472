// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The `fentry` method: turns from the entries and exits of the functions through which all data of a socket goes, for
 * kernels that lack the trace points (Linux 5.13 to 6.2). Reads and sends are taken where inet sockets enter the protocol:
 * these functions are called by pointer, have kept their arguments over the years, and see what the trace points would see,
 * MSG_PEEK and decrypted bytes of kernel TLS included. Programs whose function the running kernel lacks are not loaded.
 *
 * A program that interrupts itself on its CPU is skipped by the kernel. That can befall an arrival that comes while the
 * backlog of another socket is worked off, or while a message is put into a Unix-domain socket, whose turn then starts at its
 * read; and on a fully preemptible kernel reads and sends, too.
 */
#include "common-probes.h"
#include "udp-probes.h"
#include "unix-probes.h"

/* Arguments that are not looked at. */
struct msghdr;
struct pipe_inode_info;

static __always_inline int after_read(struct socket *socket, int ret, int flags)
{
	struct sock *sk = socket->sk;

	return sk ? on_read(sk, ret, flags) : 0;
}

SEC("fentry/sock_def_readable")
int BPF_PROG(data_ready, struct sock *sk)
{
	return is_unix_stream(sk) ? on_unix_data_ready(sk) : on_data_ready(sk);
}

/* Has a function of its own. Seen for the sake of being counted as dropped. */
SEC("fentry/subflow_data_ready")
int BPF_PROG(mptcp_data_ready, struct sock *sk)
{
	return on_data_ready(sk);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(read_returned, struct socket *socket, struct msghdr *message, size_t size, int flags, int ret)
{
	return after_read(socket, ret, flags);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(read6_returned, struct socket *socket, struct msghdr *message, size_t size, int flags, int ret)
{
	return after_read(socket, ret, flags);
}

/* splice and sendfile from a socket. */
SEC("fexit/tcp_splice_read")
int BPF_PROG(splice_returned, struct socket *socket, s64 *position, struct pipe_inode_info *pipe, size_t size,
	     unsigned int flags, int ret)
{
	return after_read(socket, ret, 0);
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(send_returned, struct socket *socket, struct msghdr *message, size_t size, int ret)
{
	return after_send(socket, ret);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(send6_returned, struct socket *socket, struct msghdr *message, size_t size, int ret)
{
	return after_send(socket, ret);
}

/* What is called by pointer for stream sockets of the Unix domain. Loaded where a target is one. */
SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(unix_read_returned, struct socket *socket, struct msghdr *message, size_t size, int flags, int ret)
{
	struct sock *sk = socket->sk;

	return sk ? on_unix_read(sk, ret, flags) : 0;
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(unix_send_returned, struct socket *socket, struct msghdr *message, size_t size, int ret)
{
	return after_unix_send(socket, ret);
}
