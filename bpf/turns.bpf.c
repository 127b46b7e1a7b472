// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* The `tracepoint` method: turns from the kernel's own trace points for sockets (Linux 6.3). */
#define HAS_RDONLY_CAST /* of Linux 6.2 */
#include "common-probes.h"
#include "udp-probes.h"
#include "unix-probes.h"

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
	return is_unix_stream(sk) ? on_unix_data_ready(sk) : on_data_ready(sk);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(read_returned, struct sock *sk, int ret, int flags)
{
	return is_unix_stream(sk) ? on_unix_read(sk, ret, flags) : on_read(sk, ret, flags);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_returned, struct sock *sk, int ret)
{
	return is_unix_stream(sk) ? on_unix_send(sk, ret) : on_send(sk, ret);
}
