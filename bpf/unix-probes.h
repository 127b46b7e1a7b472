/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the methods with handlers for Unix-domain sockets share beside them. Loaded where a target is one. */
#ifndef TAILGOV_UNIX_PROBES_H
#define TAILGOV_UNIX_PROBES_H

#include "common-probes.h"
#include "unix.h"

static __always_inline int after_unix_send(struct socket *socket, int ret)
{
	struct sock *sk = socket->sk;

	return sk ? on_unix_send(sk, ret) : 0;
}

/* sendfile and splice to a socket up to Linux 6.4; later they are sends like any other. */
SEC("fexit/unix_stream_sendpage")
int BPF_PROG(unix_page_sent, struct socket *socket, struct page *page, int offset, size_t size, int flags, int ret)
{
	return after_unix_send(socket, ret);
}

#endif
