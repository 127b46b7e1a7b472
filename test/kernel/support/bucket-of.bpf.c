// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* Lets a test ask the kernel side's bucket_of(): it fills `times_ns`, runs the iterator and reads `buckets`. */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include "histogram.h"

#define TIMES 4096

u64 times_ns[TIMES];
u32 buckets[TIMES];

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/bpf_map")
int compute(void *context)
{
	for (u32 i = 0; i < TIMES; i++)
		buckets[i] = bucket_of(times_ns[i]);
	return 0;
}
