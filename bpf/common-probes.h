/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The programs that every method has: connections that close, the walk over all of them, and sendfile where it goes a way
 * of its own.
 */
#ifndef TAILGOV_COMMON_PROBES_H
#define TAILGOV_COMMON_PROBES_H

#include "secondary-probes.h"
#include "turns.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	return on_state_change(sk, new_state);
}

static __always_inline int after_send(struct socket *socket, int ret)
{
	struct sock *sk = socket->sk;

	return sk ? on_send(sk, ret) : 0;
}

struct page;

/* sendfile and splice to a socket up to Linux 6.4, for both address families; later they are sends like any other. */
SEC("fexit/inet_sendpage")
int BPF_PROG(page_sent, struct socket *socket, struct page *page, int offset, size_t size, int flags, int ret)
{
	return after_send(socket, ret);
}

SEC("iter/bpf_sk_storage_map")
int walk_connections(struct bpf_iter__bpf_sk_storage_map *context)
{
	struct sock *sk = context->sk;

	/* NULL: the end of the walk. */
	return sk ? on_walk(sk) : 0;
}

#endif
