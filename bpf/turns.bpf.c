// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* The `tracepoint` method: turns from the kernel's own trace points for sockets (Linux 6.3). */
#include "common-probes.h"
#include "udp.h"
#include "unix.h"

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

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(datagram_arrived, struct sk_buff *skb)
{
	return udp_targets ? on_datagram(skb) : 0;
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(datagram_read, struct sk_buff *skb, int length)
{
	return udp_targets ? on_datagram_read(skb) : 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(datagram_sent, struct sk_buff *skb)
{
	return udp_targets ? on_datagram_sent(skb) : 0;
}

SEC("iter/bpf_map_elem")
int walk_datagrams(struct bpf_iter__bpf_map_elem *context)
{
	struct udp_peer *key = context->key;
	struct udp_peer peer;

	/* NULL: the end of the walk. */
	if (!udp_targets || !key)
		return 0;
	peer = *key;
	return on_udp_walk(&peer);
}
