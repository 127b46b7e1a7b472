// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* The `tracepoint` method: turns from the kernel's own trace points for sockets (Linux 6.3). */
#include "turns.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	return on_state_change(sk, new_state);
}

SEC("iter/bpf_sk_storage_map")
int walk_connections(struct bpf_iter__bpf_sk_storage_map *context)
{
	struct sock *sk = context->sk;

	/* NULL: the end of the walk. */
	return sk ? on_walk(sk) : 0;
}
