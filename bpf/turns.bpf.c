// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* The `tracepoint` method: turns from the kernel's own trace points for sockets (Linux 6.3). */
#include "common-probes.h"

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
	return on_data_ready(sk);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(read_returned, struct sock *sk, int ret, int flags)
{
	return on_read(sk, ret, flags);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_returned, struct sock *sk, int ret)
{
	return on_send(sk, ret);
}
