// SPDX-License-Identifier: MIT
/* The smallest program that needs what the sensor needs of the guest's kernel: BTF, fentry, global memory. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 syncs;

SEC("fentry/ksys_sync")
int BPF_PROG(count_sync)
{
	__sync_fetch_and_add(&syncs, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
