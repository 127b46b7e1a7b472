// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * What is compared with: an event for each request, sent to user space through a ring buffer. A read that returned bytes
 * begins a request and the next write to the same descriptor of the same process ends it, which is how eBeeMetrics is
 * described to work; reconstructed, with the calls that Redis and nginx make. The time runs from the end of the read.
 */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "system-call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Numbers of x86-64. */
enum { READ = 0, WRITE = 1, READV = 19, WRITEV = 20, SENDFILE = 40, SENDTO = 44, RECVFROM = 45, SENDMSG = 46, RECVMSG = 47 };

const volatile u32 server_tgid = 0;

struct request_event {
	u64 end_ns;
	u64 latency_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u64);
} begun SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

SEC("tp_btf/sys_exit")
int BPF_PROG(call_returned, struct pt_regs *regs, long ret)
{
	struct pt_regs___call_x86 *x86 = (void *)regs;
	struct request_event event;
	u64 number = call_number(regs);
	u64 key, now, *begun_ns;

	if (ret <= 0 || bpf_get_current_pid_tgid() >> 32 != server_tgid)
		return 0;
	key = (u64)server_tgid << 32 | (u32)x86->di;
	switch (number) {
	case READ:
	case READV:
	case RECVFROM:
	case RECVMSG:
		now = bpf_ktime_get_ns();
		bpf_map_update_elem(&begun, &key, &now, 0);
		return 0;
	case WRITE:
	case WRITEV:
	case SENDFILE:
	case SENDTO:
	case SENDMSG:
		begun_ns = bpf_map_lookup_elem(&begun, &key);
		if (!begun_ns)
			return 0;
		event.end_ns = bpf_ktime_get_ns();
		event.latency_ns = event.end_ns - *begun_ns;
		bpf_map_delete_elem(&begun, &key);
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	}
	return 0;
}
