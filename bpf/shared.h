/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the probes and user space share through mapped memory and the alarm ring. src/sensor/layout.ts mirrors it: change
 * both together.
 */
#ifndef TAILGOV_SHARED_H
#define TAILGOV_SHARED_H

#include "kernel-types.h"
#include "histogram.h"

#define MAX_TARGETS 64 /* a power of two, below 255 */
#define PORTS 65536
/* In port_target: whose port it is depends on the network namespace, and `listeners` tells. */
#define PORT_BY_NAMESPACE 255

enum histogram {
	HISTOGRAM_LATENCY,
	/* One entry a request, made when its reply is begun and never moved: this is what counts requests. */
	HISTOGRAM_SOCKET_WAIT,
	HISTOGRAM_HANDLING_TIME,
	/* Of streams: from the arrival to the first HEADERS of the response. */
	HISTOGRAM_FIRST_RESPONSE,
	HISTOGRAMS,
};

enum counter {
	/* Turns whose first byte came, and whose socket closed before a reply. */
	COUNTER_ARRIVALS,
	COUNTER_ABANDONED,
	/* Turns whose latency is over the target's slo_ns. */
	COUNTER_OVER_SLO,
	/* Sends that answer nothing. */
	COUNTER_UNSOLICITED,
	/* Events that could not be accounted. */
	COUNTER_DROPPED,
	/* Exact sums over all requests; the sum of latencies is their sum. */
	COUNTER_SOCKET_WAIT_NS,
	COUNTER_HANDLING_TIME_NS,
	/* Connections that were begun to be counted in this unit. */
	COUNTER_CONNECTIONS,
	/* Arrivals that were none, or whose end will not be seen. */
	COUNTER_WITHDRAWN,
	/* Streams that turned out to be streaming. */
	COUNTER_STREAMING,
	/* Connections whose frames were lost sight of, and which are counted by turn from then on. */
	COUNTER_LOST,
	/* Exact sum of the times to first response. */
	COUNTER_FIRST_RESPONSE_NS,
	/* Arrivals that are not among COUNTER_ARRIVALS: they were noticed by a read or a send. */
	COUNTER_LATE_ARRIVALS,
	COUNTERS,
};

/* A target's figures in one unit, spread over a few stripes so that CPUs seldom share a cache line. Cumulative; counts wrap. */
struct stripe {
	u32 counts[HISTOGRAMS][BUCKETS];
	u64 counters[COUNTERS];
};

enum alarm_kind {
	ALARM_LATE = 1 << 0,
	ALARM_WAITING = 1 << 1,
	ALARM_ARRIVAL_AFTER_IDLE = 1 << 2,
};

/*
 * What user space asks of the probes for one target. Written by user space, but for `armed`, `late` and `waiting`. A cache line
 * of its own, so that what is counted for one target takes no line away from requests of another.
 */
struct target_control {
	/* 0: no objective. */
	u64 slo_ns;
	u64 wait_budget_ns;
	u32 late_budget;
	/* Turns over the objective since ALARM_LATE was armed. */
	u32 late;
	u32 waiting_budget;
	/* Requests that waited for longer than wait_budget_ns since ALARM_WAITING was armed. */
	u32 waiting;
	/* Set of alarm_kind. User space sets bits, an alarm takes its own. */
	u32 armed;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct target_control) == 64, "a target's controls fill one cache line");

/* What a walk over all connections found of one target's turns, or of its streams. Zeroed by user space before the walk. */
struct walk_result {
	/* When the oldest one in flight arrived; 0: none in flight. */
	u64 oldest_arrival_ns;
	u64 in_flight;
	/* Whose state is kept, with a turn in flight or not. */
	u64 connections;
};

/* In figures of gaps a unit is 2^GAP_SHIFT ns. */
#define GAP_SHIFT 8

/* Of one target, cumulative; what threads waited and lived is added by a walk over them. */
struct secondary_figures {
	u64 waited_ns;
	u64 thread_ns;
	u64 last_sent_ns;
	/* Between sends: how many, their sum, and the sum of their squares. */
	u64 gaps;
	u64 gap_sum;
	u64 gap_square_sum;
};

struct alarm {
	u64 at_ns;
	u32 target;
	/* One alarm_kind. */
	u32 kind;
};

/* Where a target listens, when its port alone does not tell. */
struct listener_key {
	u32 netns_inum;
	u32 port;
};

/* A Unix-domain socket's file; the device as the kernel numbers it inside. */
struct unix_key {
	u64 inode;
	u64 device;
};

enum turn_flags {
	/* The reply was cut short: the rest follows, however late. */
	TURN_CUT_SHORT = 1 << 0,
	/* Tells more of a turn that was told of before. */
	TURN_CONTINUES = 1 << 1,
};

struct turn_record {
	/* Tells connections apart that are open at a time. */
	u64 connection;
	u64 arrival_ns;
	u64 read_ns;
	/* The last send so far. */
	u64 sent_ns;
	u32 target;
	/* Set of turn_flags. */
	u32 flags;
};

/* A process that reads a target's connections. */
struct reader_key {
	u32 target;
	u32 tgid;
};

#endif
