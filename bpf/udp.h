/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Requests by datagram: one that comes to a target's UDP port is a request, and the next one that the port's socket sends to
 * the same peer, by address and port, is its reply. Peers are told apart, so a request that is never answered delays no one else's.
 *
 *	netif_receive_skb: it arrives      skb_copy_datagram_iovec: it is read      net_dev_queue: the reply leaves
 */
#ifndef TAILGOV_UDP_H
#define TAILGOV_UDP_H

#include "turns.h"
#include <bpf/bpf_endian.h>

/* What is not answered within this time is abandoned. */
const volatile u64 udp_patience_ns = 5ull * 1000 * 1000 * 1000;

/* By local port in our network namespace: 0, or the target's index + 1. */
u8 udp_port_target[PORTS];

struct udp_peer {
	u32 address[4];
	/* In network order. */
	u16 port;
	u16 local_port;
};

#define PEER_REQUESTS 8 /* a power of two */

/* Requests of one peer that are not answered yet, in order: `answered` up to `arrived`. */
struct udp_requests {
	u32 arrived;
	u32 read;
	u32 answered;
	u32 target;
	struct {
		u64 arrival_ns;
		u64 read_ns;
	} ring[PEER_REQUESTS];
};

/*
 * Purpose: requests by datagram. Key: the peer and the local port. Value: struct udp_requests. Lifetime: the peer that was heard least
 * recently goes first. Full: see lifetime; user space counts what it had in flight as abandoned. Created where a target is a UDP port.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct udp_peer);
	__type(value, struct udp_requests);
} udp_peers SEC(".maps");

struct ports {
	u16 source;
	u16 destination;
};

/* Reads the headers of a UDP packet; `incoming`: the peer is its source. False for what is none. */
static __always_inline bool read_peer(struct sk_buff *skb, bool incoming, struct udp_peer *peer)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	unsigned char *network = head + BPF_CORE_READ(skb, network_header);
	struct ports ports;
	u32 length, local_port;
	u8 header[40];

	if (bpf_probe_read_kernel(header, 20, network))
		return false;
	if (header[0] >> 4 == 4) {
		/* Of fragments the first alone has ports. */
		if (header[9] != IPPROTO_UDP || (header[6] & 0x1f) || header[7])
			return false;
		__builtin_memcpy(peer->address, header + (incoming ? 12 : 16), 4);
		length = (header[0] & 0xf) * 4;
	} else {
		if (header[0] >> 4 != 6 || bpf_probe_read_kernel(header, 40, network) || header[6] != IPPROTO_UDP)
			return false;
		__builtin_memcpy(peer->address, header + (incoming ? 8 : 24), 16);
		length = 40;
	}
	if (bpf_probe_read_kernel(&ports, sizeof(ports), network + length))
		return false;
	peer->port = incoming ? ports.source : ports.destination;
	local_port = bpf_ntohs(incoming ? ports.destination : ports.source);
	/* The verifier of Linux 6.1 knows no bounds of what was swapped, and the compiler would leave this out. */
	asm volatile("%0 &= %1" : "+r"(local_port) : "i"(PORTS - 1));
	peer->local_port = local_port;
	return true;
}

static __always_inline int on_datagram(struct sk_buff *skb)
{
	struct udp_requests *requests, fresh = {};
	struct udp_peer peer = {};
	u32 target, at;
	u64 now;

	if (!read_peer(skb, true, &peer))
		return 0;
	target = udp_port_target[peer.local_port];
	if (!target || BPF_CORE_READ(skb, dev, nd_net.net, ns.inum) != netns_inum)
		return 0;
	requests = bpf_map_lookup_elem(&udp_peers, &peer);
	if (!requests) {
		fresh.target = target;
		bpf_map_update_elem(&udp_peers, &peer, &fresh, BPF_NOEXIST);
		requests = bpf_map_lookup_elem(&udp_peers, &peer);
	}
	if (!requests || requests->arrived - requests->answered >= PEER_REQUESTS) {
		count(target, COUNTER_DROPPED);
		return 0;
	}
	now = bpf_ktime_get_ns();
	at = requests->arrived & (PEER_REQUESTS - 1);
	requests->ring[at].arrival_ns = now;
	requests->ring[at].read_ns = 0;
	requests->arrived++;
	count_arrival(target, now);
	return 0;
}

static __always_inline int on_datagram_read(struct sk_buff *skb)
{
	struct udp_requests *requests;
	struct udp_peer peer = {};
	u32 target;

	if (!read_peer(skb, true, &peer))
		return 0;
	target = udp_port_target[peer.local_port];
	requests = target ? bpf_map_lookup_elem(&udp_peers, &peer) : NULL;
	if (!requests)
		return 0;
	/* What was given up meanwhile is not read any more. */
	if (seq_after(requests->answered, requests->read))
		requests->read = requests->answered;
	if (requests->read == requests->arrived)
		return 0;
	if (secondary_signals)
		note_serving_thread(target);
	requests->ring[requests->read++ & (PEER_REQUESTS - 1)].read_ns = bpf_ktime_get_ns();
	remember_reader(target);
	return 0;
}

static __always_inline int on_datagram_sent(struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct udp_requests *requests;
	struct udp_peer peer = {};
	struct stripe *stripe;
	u64 now, arrival_ns, read_ns;
	u32 target, at;

	if (!sk || !udp_port_target[BPF_CORE_READ(sk, __sk_common.skc_num)] ||
	    BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) != netns_inum || !read_peer(skb, false, &peer))
		return 0;
	target = udp_port_target[peer.local_port];
	stripe = target ? stripe_of(target) : NULL;
	if (!stripe)
		return 0;
	if (secondary_signals)
		note_send(target);
	requests = bpf_map_lookup_elem(&udp_peers, &peer);
	at = requests ? requests->answered : 0;
	if (!requests || at == requests->arrived) {
		count(target, COUNTER_UNSOLICITED);
		return 0;
	}
	now = bpf_ktime_get_ns();
	arrival_ns = requests->ring[at & (PEER_REQUESTS - 1)].arrival_ns;
	/* Not known where the read had to check the sum of what it copied. */
	read_ns = requests->ring[at & (PEER_REQUESTS - 1)].read_ns ?: arrival_ns;
	if (__sync_val_compare_and_swap(&requests->answered, at, at + 1) == at)
		record_turn(target, stripe, arrival_ns, read_ns, now);
	return 0;
}

/* One peer of a walk over all of them: gives up what is too old. */
static __always_inline int on_udp_walk(struct udp_peer *peer)
{
	/* What the walk itself offers cannot be indexed. */
	struct udp_requests *requests = bpf_map_lookup_elem(&udp_peers, peer);
	u64 now = bpf_ktime_get_ns();
	struct walk_result *result;
	u64 arrival_ns;

	if (!requests)
		return 0;
	result = &walk_results[(requests->target - 1) & (MAX_TARGETS - 1)];
	for (u32 i = 0; i < PEER_REQUESTS; i++) {
		u32 at = requests->answered;

		if (at == requests->arrived ||
		    elapsed_ns(requests->ring[at & (PEER_REQUESTS - 1)].arrival_ns, now) < udp_patience_ns)
			break;
		if (__sync_val_compare_and_swap(&requests->answered, at, at + 1) == at)
			count(requests->target, COUNTER_ABANDONED);
	}
	if (requests->answered == requests->arrived)
		return 0;
	arrival_ns = requests->ring[requests->answered & (PEER_REQUESTS - 1)].arrival_ns;
	result->in_flight += requests->arrived - requests->answered;
	result->connections++;
	if (!result->oldest_arrival_ns || arrival_ns < result->oldest_arrival_ns)
		result->oldest_arrival_ns = arrival_ns;
	return 0;
}

#endif
