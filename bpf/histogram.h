/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * A log-linear histogram of times: 32 buckets an octave over units of 8 ns, so that from 256 ns up a bucket is at most
 * 3.1 % as wide as its lower bound. 1,024 buckets reach 2^36 units, or 550 s; longer times fall into the last.
 * src/core/histogram.ts has the same layout.
 */
#ifndef TAILGOV_HISTOGRAM_H
#define TAILGOV_HISTOGRAM_H

#include "kernel-types.h"

#define UNIT_SHIFT 3
#define SUB_BUCKET_BITS 5
#define SUB_BUCKETS (1 << SUB_BUCKET_BITS)
#define BUCKETS 1024
/* Every octave above the first SUB_BUCKETS units has SUB_BUCKETS buckets. */
#define OCTAVES (BUCKETS / SUB_BUCKETS)
#define BEYOND_UNITS (1ULL << (OCTAVES - 1 + SUB_BUCKET_BITS))

/*
 * One step of a binary logarithm: where `rest` is 2^bits or more, it is shifted by `bits`. Without a branch, for which way
 * it goes is hard to predict; the asm keeps the compiler from making one.
 */
#define LOG2_STEP(bits)                                                                                                \
	({                                                                                                             \
		u64 excess = ((1ULL << (bits)) - 1) - rest;                                                            \
		asm volatile("" : "+r"(excess));                                                                       \
		excess = (excess >> 63) * (bits);                                                                      \
		octave += excess;                                                                                      \
		rest >>= excess;                                                                                       \
	})

/* The bucket that a time of `ns` nanoseconds falls into: always below BUCKETS. */
static __always_inline u64 bucket_of(u64 ns)
{
	u64 units = ns >> UNIT_SHIFT;
	u64 rest = units >> SUB_BUCKET_BITS;
	u64 octave = 0;
	u64 bucket;

	if (units >= BEYOND_UNITS)
		return BUCKETS - 1;
	LOG2_STEP(16);
	LOG2_STEP(8);
	LOG2_STEP(4);
	LOG2_STEP(2);
	LOG2_STEP(1);
	/* `units >> octave` is the sub-bucket, with a leading one from the first octave on: that adds SUB_BUCKETS. */
	bucket = octave * SUB_BUCKETS + (units >> octave);
	/* The compiler knows that it is in range and would leave this out, but the verifier wants to see it. */
	asm volatile("%0 &= %1" : "+r"(bucket) : "i"(BUCKETS - 1));
	return bucket;
}

#endif
