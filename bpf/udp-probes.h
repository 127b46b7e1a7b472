/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The programs of udp.h: trace points that are older than BPF programs for them. They are loaded where a target is a UDP port. */
#ifndef TAILGOV_UDP_PROBES_H
#define TAILGOV_UDP_PROBES_H

#include "udp.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(datagram_arrived, struct sk_buff *skb)
{
	return on_datagram(skb);
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(datagram_read, struct sk_buff *skb, int length)
{
	return on_datagram_read(skb);
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(datagram_sent, struct sk_buff *skb)
{
	return on_datagram_sent(skb);
}

SEC("iter/bpf_map_elem")
int walk_datagrams(struct bpf_iter__bpf_map_elem *context)
{
	struct udp_peer *key = context->key;
	struct udp_peer peer;

	/* NULL: the end of the walk. */
	if (!key)
		return 0;
	peer = *key;
	return on_udp_walk(&peer);
}

#endif
