/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Latency a turn. A turn lasts from the first unread byte that arrives on a connection to the last byte of the reply that
 * is handed to the socket before new input is read. The handlers here know nothing of how they are attached: whoever calls
 * them says that a socket has new data, that a read or a send returned, that a connection changed its state.
 *
 *	        data ready             read                   first send
 *	IDLE ---------------> ARRIVED -------> OPEN ------------------------------> IDLE
 *	          arrivals++                            requests++, and at once
 *	                                                ARRIVED, arrivals++ if bytes are left unread
 *
 * Closing takes a connection from any stage to CLOSED, and counts it as abandoned if a turn was in flight. Data arrives in
 * softirq under the socket's lock; reads and sends return in their own threads without it. So each step from stage to stage
 * is one compare-and-exchange and whoever wins it counts. Hence, always: arrivals = requests + abandoned + connections in
 * ARRIVED or OPEN.
 */
#ifndef TAILGOV_TURNS_H
#define TAILGOV_TURNS_H

#include "kernel-types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "histogram.h"
#include "recording.h"
#include "secondary.h"
#include "shared.h"

/* Set before the object is loaded. */
const volatile u64 extend_gap_ns = 50 * 1000 * 1000;
/* The namespace of the ports in port_target. */
const volatile u32 netns_inum = 0;
/* Whether `listeners` is in use. Where it is not, the verifier takes out all that asks it. */
const volatile bool by_namespace = false;
/* A target has 2^stripe_shift stripes. */
const volatile u32 stripe_shift = 0;

/* Whether any target may speak HTTP/2. Where it is false nothing of http2.h is loaded. */
const volatile bool parse_http2 = false;
/* How many targets there are: the figures of their streams come behind those of their turns. */
const volatile u32 first_stream_set = 0;

/*
 * By local port: 0 for a port of no target, else the target's index + 1 or PORT_BY_NAMESPACE. A socket of no target costs
 * this one look-up.
 */
u8 port_target[PORTS];
struct target_control controls[MAX_TARGETS];
/* Of turns, then of streams. */
struct walk_result walk_results[2 * MAX_TARGETS];
/* By target: whether its connections may speak HTTP/2. */
u8 may_speak_http2[MAX_TARGETS];

enum stage {
	STAGE_IDLE,
	STAGE_ARRIVED,
	STAGE_OPEN,
	STAGE_CLOSED,
	/* Counted by stream: see http2.h. */
	STAGE_STREAMS,
};

/* Whether a send that follows the first one belongs to the same reply. */
enum reply {
	/* No turn was seen yet. */
	REPLY_NONE,
	/* Within extend_gap_ns of the last send. */
	REPLY_SENT,
	/* The last send was short or refused: the rest follows, however late. */
	REPLY_CUT_SHORT,
	/* No: what follows until new input is read is unsolicited. */
	REPLY_OVER,
};

#define LATER_ARRIVALS 16 /* a power of two */

/* When the bytes before `seq`, and not before the arrival that came before, arrived. */
struct arrival {
	u64 ns;
	u32 seq;
	u32 reserved;
};

struct connection {
	/* One cache line, which is all that a plain request and its reply touch: data often arrives on another CPU. */
	u32 stage;
	/* The end of the payload that has arrived. */
	u32 arrived_seq;
	/* What arrived while nothing was in flight. */
	u64 first_ns;
	u32 first_seq;
	/* Where the ring of later arrivals ends and begins; the beginning may lag behind what has been read. */
	u32 head;
	u32 tail;
	u8 target;
	u8 reply;
	u8 reader_known;
	/* While it is not known whether this is HTTP/2: 1 + how much of the preface has been read. */
	u8 preface;
	/* The open turn, and how far its first read has read. */
	u64 turn_arrival_ns;
	u64 turn_read_ns;
	u32 turn_read_seq;
	/* TCP's clock at the newest arrival, its low half. */
	u32 arrived_clock;

	/* The turn whose reply may still be extended: its last send is exchanged atomically, for two threads may send. */
	u64 reply_arrival_ns;
	u64 reply_read_ns;
	u64 reply_sent_ns;
	/* Of a Unix-domain socket: how far it has been read. */
	u32 read_seq;
	u32 reserved2;
	/* What arrived while a turn was in flight. Written by data ready alone. */
	struct arrival later[LATER_ARRIVALS];
};

/*
 * Purpose: the state of each connection to a target. Key: the socket. Value: struct connection. Lifetime: the socket's own.
 * Full: never; when the kernel has no memory for an entry the event is counted as dropped.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/*
 * Purpose: histograms and counters. Key: index << stripe_shift | stripe, the index being the target's, and for its streams that
 * of its turns + first_stream_set. Value: struct stripe. Lifetime: the
 * object's. Full: never, it is sized for the targets before it is loaded. User space reads it through mapped memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct stripe);
} stripes SEC(".maps");

/*
 * Purpose: the processes that serve a target, whose CPU time user space sums. Key: target and tgid. Value: unused.
 * Lifetime: user space takes out those that have ended. Full: the least recently found go first; user space remembers what it
 * has seen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct reader_key);
	__type(value, u8);
} readers SEC(".maps");

/*
 * Purpose: alarms that wake user space. Record: struct alarm. Full: cannot be, while at most one alarm of a kind is armed
 * for a target; an alarm that finds no room arms itself again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} alarms SEC(".maps");

/*
 * Purpose: ports whose target depends on the network namespace. Key: namespace and local port. Value: the target's
 * index + 1. Lifetime: user space puts in and takes out as servers come and go. Full: user space logs what found no room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct listener_key);
	__type(value, u32);
} listeners SEC(".maps");

static __always_inline bool seq_after(u32 a, u32 b)
{
	return (s32)(a - b) > 0;
}

/* Whether `seq` lies after `from` and not after `to`, however far from both it is. */
static __always_inline bool is_between(u32 seq, u32 from, u32 to)
{
	return seq - from - 1 < to - from;
}

/* A difference of two readings of the clock, which may step back by some ns from CPU to CPU. */
static __always_inline u64 elapsed_ns(u64 from, u64 to)
{
	return (s64)(to - from) > 0 ? to - from : 0;
}

static __always_inline u32 netns_of(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

static __noinline u32 find_listener(struct sock *sk)
{
	struct listener_key key = { .netns_inum = netns_of(sk), .port = sk->__sk_common.skc_num };
	u32 *target = bpf_map_lookup_elem(&listeners, &key);

	return target ? *target : 0;
}

/* The target's index + 1, or 0. Of sockets of any kind: create_connection() tells which ones are connections. */
static __always_inline u32 find_target(struct sock *sk)
{
	u32 target = port_target[sk->__sk_common.skc_num];

	return by_namespace && target == PORT_BY_NAMESPACE ? find_listener(sk) : target;
}

/* A port in port_target means that of our own namespace; `listeners` has looked at the namespace already. */
static __always_inline bool is_in_namespace(struct sock *sk)
{
	return (by_namespace && port_target[sk->__sk_common.skc_num] == PORT_BY_NAMESPACE) ||
	       netns_of(sk) == netns_inum;
}

static __always_inline bool is_own_connection(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) && sk->__sk_common.skc_state != TCP_LISTEN &&
	       is_in_namespace(sk);
}

static __always_inline struct target_control *control_of(u32 target)
{
	return &controls[(target - 1) & (MAX_TARGETS - 1)];
}

static __always_inline struct stripe *stripe_of(u32 target)
{
	u32 stripe = bpf_get_smp_processor_id() & ((1u << stripe_shift) - 1);
	u32 key = (target - 1) << stripe_shift | stripe;

	return bpf_map_lookup_elem(&stripes, &key);
}

static __always_inline void add(struct stripe *stripe, enum counter counter, u64 value)
{
	__sync_fetch_and_add(&stripe->counters[counter], value);
}

static __always_inline void count(u32 target, enum counter counter)
{
	struct stripe *stripe = stripe_of(target);

	if (stripe)
		add(stripe, counter, 1);
}

static __noinline int raise_alarm(u32 target, u32 kind, u64 now)
{
	struct target_control *control = control_of(target);
	struct alarm alarm = { .at_ns = now, .target = target - 1, .kind = kind };

	if (!(__sync_fetch_and_and(&control->armed, ~kind) & kind))
		return 0;
	if (bpf_ringbuf_output(&alarms, &alarm, sizeof(alarm), BPF_RB_FORCE_WAKEUP))
		__sync_fetch_and_or(&control->armed, kind);
	return 0;
}

static __always_inline void count_arrival(u32 target, u64 now)
{
	count(target, COUNTER_ARRIVALS);
	if (control_of(target)->armed & ALARM_ARRIVAL_AFTER_IDLE)
		raise_alarm(target, ALARM_ARRIVAL_AFTER_IDLE, now);
}

static __always_inline void count_late(u32 target, struct stripe *stripe, u64 now)
{
	struct target_control *control = control_of(target);

	add(stripe, COUNTER_OVER_SLO, 1);
	if ((control->armed & ALARM_LATE) && __sync_fetch_and_add(&control->late, 1) + 1 >= control->late_budget)
		raise_alarm(target, ALARM_LATE, now);
}

/* The end of the payload that has arrived. A FIN, which takes a number, was the last thing that came. */
static __always_inline u32 payload_arrived(struct sock *sk, struct tcp_sock *tcp)
{
	return tcp->rcv_nxt - (sk->__sk_common.skc_state == TCP_CLOSE_WAIT);
}

/* The end of the payload that has been read: a read that reaches the FIN steps over it. */
static __always_inline u32 payload_read(struct sock *sk, struct tcp_sock *tcp)
{
	u32 seq = tcp->copied_seq;

	return seq - (sk->__sk_common.skc_state == TCP_CLOSE_WAIT && seq == tcp->rcv_nxt);
}

/* Nothing of what has arrived has been read yet. */
static __always_inline bool begins_here(struct sock *sk, struct tcp_sock *tcp)
{
	return tcp->bytes_received == (u32)(payload_arrived(sk, tcp) - payload_read(sk, tcp));
}

/* From http2.h: what becomes of connections that are counted by stream. */
static int on_stream_arrival(struct sock *sk, struct connection *connection, u32 arrived_seq, u64 now);
static bool on_first_read(struct sock *sk, struct connection *connection, int ret, int flags);
static int on_stream_read(struct sock *sk, struct connection *connection, int ret, int flags);
static int on_stream_send(struct sock *sk, struct connection *connection, int ret);
static int end_all_streams(struct sock *sk, u32 target, bool lost);
static int walk_streams(struct sock *sk, u32 target);

static __noinline struct connection *create_connection(struct sock *sk, u32 target)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct connection *connection;

	if (!tcp || !is_own_connection(sk))
		return NULL;
	/* An MPTCP subflow's data is read through another socket: its turns would never end. */
	if (bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp)
		connection = NULL;
	else
		connection = bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection) {
		count(target, COUNTER_DROPPED);
		return NULL;
	}
	connection->target = target;
	connection->arrived_seq = payload_read(sk, tcp);
	if (parse_http2 && may_speak_http2[(target - 1) & (MAX_TARGETS - 1)] && begins_here(sk, tcp))
		connection->preface = 1;
	else
		count(target, COUNTER_CONNECTIONS);
	return connection;
}

static __always_inline struct connection *find_connection(struct sock *sk)
{
	return bpf_sk_storage_get(&connections, sk, NULL, 0);
}

static __always_inline struct arrival *later_arrival(struct connection *connection, u32 at)
{
	return &connection->later[at & (LATER_ARRIVALS - 1)];
}

/*
 * The ring is full. What has been read is merged into one entry with the earliest time, for the read that took it may not
 * have returned yet. Returns false where that frees nothing.
 */
static __noinline bool make_room(struct connection *connection, u32 read_seq)
{
	u32 tail = connection->tail;
	u32 last_read = 0;

	for (u32 i = 1; i < LATER_ARRIVALS; i++) {
		if (seq_after(later_arrival(connection, tail + i)->seq, read_seq))
			break;
		last_read = i;
	}
	if (!last_read)
		return false;
	later_arrival(connection, tail + last_read)->ns = later_arrival(connection, tail)->ns;
	/* A read may have moved it meanwhile: then there is room, too. */
	__sync_val_compare_and_swap(&connection->tail, tail, tail + last_read);
	return true;
}

static __noinline int remember_later_arrival(struct connection *connection, u32 seq, u32 read_seq, u64 now)
{
	u32 head = connection->head;

	if (head - connection->tail >= LATER_ARRIVALS && !make_room(connection, read_seq)) {
		/* The newest entry stretches over these bytes, too, and keeps its earlier time. */
		later_arrival(connection, head - 1)->seq = seq;
		return 0;
	}
	later_arrival(connection, head)->ns = now;
	later_arrival(connection, head)->seq = seq;
	connection->head = head + 1;
	return 0;
}

/* The place of the later arrival that brought the byte at `seq`; `head` where there is none. */
static __noinline u32 find_later_arrival(struct connection *connection, u32 seq)
{
	u32 head = connection->head;
	u32 at = connection->tail;

	for (u32 i = 0; i < LATER_ARRIVALS; i++) {
		if (at == head || is_between(later_arrival(connection, at)->seq, seq, connection->arrived_seq))
			break;
		at++;
	}
	return at;
}

/* When the byte at `seq` arrived; 0 where that is not known. What arrived first is older than the ring's entries. */
static __always_inline u64 arrival_of(struct connection *connection, u32 seq)
{
	u32 at;

	if (!seq_after(connection->arrived_seq, seq))
		return 0;
	if (is_between(connection->first_seq, seq, connection->arrived_seq))
		return connection->first_ns;
	at = find_later_arrival(connection, seq);
	return at == connection->head ? 0 : later_arrival(connection, at)->ns;
}

/* The byte at `seq` is being read. What came before it must go: 4 GB later it would look new. */
static __always_inline void forget_arrivals_before(struct connection *connection, u32 seq)
{
	if (connection->tail != connection->head)
		connection->tail = find_later_arrival(connection, seq);
	if (!is_between(connection->first_seq, seq, connection->arrived_seq))
		connection->first_seq = seq;
}

/*
 * The clock is what costs most here, above all in a virtual machine. But TCP reads it, too, and keeps what it read: when it
 * begins to process the segment that it now reports, when it has copied what a read takes, and when it begins to transmit.
 * 0 where that cannot be relied upon: kernel TLS reads and sends at other times.
 */
static __always_inline u64 tcp_clock(struct tcp_sock *tcp)
{
	return bpf_core_field_exists(tcp->tcp_clock_cache) && !tcp->inet_conn.icsk_ulp_ops ? tcp->tcp_clock_cache : 0;
}

static __always_inline u64 arrival_time(struct tcp_sock *tcp)
{
	return bpf_core_field_exists(tcp->tcp_clock_cache) ? tcp->tcp_clock_cache : bpf_ktime_get_ns();
}

/* Of a read that has just returned: TCP's clock, where it has gone on since the newest arrival. */
static __always_inline u64 read_time(struct connection *connection, struct tcp_sock *tcp)
{
	u64 ns = tcp_clock(tcp);

	return ns && (u32)ns != connection->arrived_clock ? ns : bpf_ktime_get_ns();
}

/* Of a send that has just returned: TCP's clock, where it has gone on since `before_ns` and nothing waits to be sent. */
static __always_inline u64 send_time(struct sock *sk, u64 before_ns)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	u64 ns = tcp && tcp->snd_nxt == tcp->write_seq ? tcp_clock(tcp) : 0;

	return ns && elapsed_ns(before_ns, ns) ? ns : bpf_ktime_get_ns();
}

/* A function of its own, so that a socket of no target saves no registers for it; so are reads and sends. */
static __noinline int on_target_data_ready(struct sock *sk, u32 target)
{
	struct connection *connection;
	struct tcp_sock *tcp;
	u32 arrived_seq;
	u64 now;

	connection = find_connection(sk) ?: create_connection(sk, target);
	if (!connection)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	arrived_seq = payload_arrived(sk, tcp);
	if (!seq_after(arrived_seq, connection->arrived_seq))
		return 0;
	now = arrival_time(tcp);
	if (parse_http2 && connection->stage == STAGE_STREAMS)
		return on_stream_arrival(sk, connection, arrived_seq, now);
	/* Before the arrival that it covers: a reader drops what lies beyond it. */
	connection->arrived_seq = arrived_seq;
	connection->arrived_clock = now;
	if (connection->stage == STAGE_IDLE) {
		connection->first_ns = now;
		connection->first_seq = arrived_seq;
	} else {
		remember_later_arrival(connection, arrived_seq, payload_read(sk, tcp), now);
	}
	/* Tried at every stage: as a full barrier it pairs with the first send, which leaves OPEN and then looks for bytes. */
	if (__sync_val_compare_and_swap(&connection->stage, STAGE_IDLE, STAGE_ARRIVED) == STAGE_IDLE)
		count_arrival(target, now);
	return 0;
}

/* The socket has something to read: new bytes, a FIN, or what was said before. */
static __always_inline int on_data_ready(struct sock *sk)
{
	u32 target = find_target(sk);

	return target ? on_target_data_ready(sk, target) : 0;
}

static __noinline int remember_reader(u32 target)
{
	struct reader_key key = { .target = target - 1, .tgid = bpf_get_current_pid_tgid() >> 32 };
	u8 value = 0;

	if (!bpf_map_lookup_elem(&readers, &key))
		bpf_map_update_elem(&readers, &key, &value, 0);
	return 0;
}

static __noinline int on_target_read(struct sock *sk, u32 target, int ret, int flags)
{
	struct connection *connection = find_connection(sk);
	struct target_control *control;
	struct tcp_sock *tcp;
	u32 stage, read_seq;
	u64 now, arrival_ns;

	if (secondary_signals)
		note_serving_thread(target);
	if (parse_http2 && connection) {
		if (connection->stage == STAGE_STREAMS)
			return on_stream_read(sk, connection, ret, flags);
		if (connection->preface && on_first_read(sk, connection, ret, flags))
			return 0;
	}
	if (connection && connection->stage >= STAGE_OPEN)
		return 0;
	connection = connection ?: create_connection(sk, target);
	if (!connection)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;

	now = read_time(connection, tcp);
	/* Not known where the bytes came before the sensor did: then the turn starts here. */
	read_seq = payload_read(sk, tcp);
	arrival_ns = arrival_of(connection, read_seq - ret) ?: now;
	forget_arrivals_before(connection, read_seq - ret);
	connection->turn_arrival_ns = arrival_ns;
	connection->turn_read_ns = now;
	connection->turn_read_seq = read_seq;
	stage = __sync_val_compare_and_swap(&connection->stage, STAGE_ARRIVED, STAGE_OPEN);
	if (stage == STAGE_IDLE &&
	    __sync_val_compare_and_swap(&connection->stage, STAGE_IDLE, STAGE_OPEN) == STAGE_IDLE)
		count_arrival(target, now);

	if (!connection->reader_known) {
		connection->reader_known = true;
		remember_reader(target);
	}
	control = control_of(target);
	if ((control->armed & ALARM_WAITING) && elapsed_ns(arrival_ns, now) > control->wait_budget_ns)
		raise_alarm(target, ALARM_WAITING, now);
	return 0;
}

/* A receive call returned `ret`. The first one of a turn opens it. */
static __always_inline int on_read(struct sock *sk, int ret, int flags)
{
	u32 target;

	if (ret <= 0 || (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
		return 0;
	target = find_target(sk);
	return target ? on_target_read(sk, target, ret, flags) : 0;
}

static __always_inline void add_to_histogram(struct stripe *stripe, enum histogram histogram, u64 ns, s32 times)
{
	__sync_fetch_and_add(&stripe->counts[histogram][bucket_of(ns)], times);
}

/* Right after a send: the socket took only part of it, or has no room for more. */
static __always_inline bool out_of_space(struct sock *sk)
{
	return sk->sk_socket->flags & (1 << SOCK_NOSPACE);
}

/* Of a Unix-domain socket. */
static __always_inline u32 unread_messages(struct sock *sk)
{
	return sk->sk_receive_queue.qlen;
}

static __noinline bool is_unread(struct sock *sk, u32 arrived_seq)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (sk->__sk_common.skc_family == AF_UNIX)
		return unread_messages(sk);
	return tcp && seq_after(arrived_seq, payload_read(sk, tcp));
}

/* The turn's first read mostly took all there was: then there is no need to look at the socket. */
static __always_inline bool has_unread(struct sock *sk, struct connection *connection)
{
	u32 arrived_seq = connection->arrived_seq;

	return arrived_seq != connection->turn_read_seq && is_unread(sk, arrived_seq);
}

/* Called where a turn completes, and where more of it is known. */
static __always_inline void tell_recording(struct connection *connection, u64 arrival_ns, u64 read_ns, u64 sent_ns,
					   u32 flags)
{
	struct turn_record turn;

	if (!recording)
		return;
	turn.connection = (u64)connection;
	turn.arrival_ns = arrival_ns;
	turn.read_ns = read_ns;
	turn.sent_ns = sent_ns;
	turn.target = connection->target - 1;
	turn.flags = flags | (connection->reply == REPLY_CUT_SHORT ? TURN_CUT_SHORT : 0);
	stream_turn(&turn);
}

static __always_inline void record_turn(u32 target, struct stripe *stripe, u64 arrival_ns, u64 read_ns, u64 now)
{
	u64 latency_ns = elapsed_ns(arrival_ns, now);
	u64 socket_wait_ns = elapsed_ns(arrival_ns, read_ns);
	u64 handling_time_ns = elapsed_ns(read_ns, now);
	u64 slo_ns = control_of(target)->slo_ns;

	add(stripe, COUNTER_SOCKET_WAIT_NS, socket_wait_ns);
	add(stripe, COUNTER_HANDLING_TIME_NS, handling_time_ns);
	add_to_histogram(stripe, HISTOGRAM_LATENCY, latency_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_SOCKET_WAIT, socket_wait_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_HANDLING_TIME, handling_time_ns, 1);
	if (slo_ns && latency_ns > slo_ns)
		count_late(target, stripe, now);
}

static __always_inline void complete_turn(struct sock *sk, struct connection *connection)
{
	u64 arrival_ns = connection->turn_arrival_ns;
	u64 read_ns = connection->turn_read_ns;
	u64 now = send_time(sk, read_ns);
	u32 target = connection->target;
	struct stripe *stripe = stripe_of(target);
	u32 next_stage;

	if (!stripe)
		return;
	connection->reply_arrival_ns = arrival_ns;
	connection->reply_read_ns = read_ns;
	connection->reply_sent_ns = now;
	connection->reply = out_of_space(sk) ? REPLY_CUT_SHORT : REPLY_SENT;
	/* What is left unread, or came while the reply was made, is the next turn, and is in flight from now on. */
	next_stage = has_unread(sk, connection) ? STAGE_ARRIVED : STAGE_IDLE;
	if (__sync_val_compare_and_swap(&connection->stage, STAGE_OPEN, next_stage) != STAGE_OPEN)
		return;
	record_turn(target, stripe, arrival_ns, read_ns, now);
	tell_recording(connection, arrival_ns, read_ns, now, 0);

	/* Asked again: what arrived just before IDLE was seen by nobody. */
	if (next_stage == STAGE_IDLE && has_unread(sk, connection))
		next_stage = __sync_val_compare_and_swap(&connection->stage, STAGE_IDLE, STAGE_ARRIVED) == STAGE_IDLE ?
				     STAGE_ARRIVED :
				     STAGE_IDLE;
	if (next_stage == STAGE_ARRIVED)
		count_arrival(target, now);
}

/* A further send of a reply: the turn lasted until now. `last_sent_ns` points to where the time of the last send is kept. */
static __noinline int extend_turn(u32 target, u64 arrival_ns, u64 read_ns, u64 *last_sent_ns, u64 now)
{
	u64 sent_ns = __sync_lock_test_and_set(last_sent_ns, now);
	u64 old_latency_ns = elapsed_ns(arrival_ns, sent_ns);
	u64 new_latency_ns = elapsed_ns(arrival_ns, now);
	u64 old_handling_time_ns = elapsed_ns(read_ns, sent_ns);
	u64 new_handling_time_ns = elapsed_ns(read_ns, now);
	struct stripe *stripe = stripe_of(target);
	u64 slo_ns = control_of(target)->slo_ns;

	if (!stripe)
		return 0;
	add(stripe, COUNTER_HANDLING_TIME_NS, new_handling_time_ns - old_handling_time_ns);
	add_to_histogram(stripe, HISTOGRAM_LATENCY, new_latency_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_LATENCY, old_latency_ns, -1);
	add_to_histogram(stripe, HISTOGRAM_HANDLING_TIME, new_handling_time_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_HANDLING_TIME, old_handling_time_ns, -1);
	if (slo_ns && old_latency_ns <= slo_ns && new_latency_ns > slo_ns)
		count_late(target, stripe, now);
	return 0;
}

/* True where nothing has been read from the connection, by whomever: a greeting, not the reply to what came before us. */
static __always_inline bool nothing_read(struct sock *sk)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	return tcp && tcp->bytes_received <= tcp->rcv_nxt - tcp->copied_seq;
}

/* A send with no turn open: the rest of a reply, or unsolicited. */
static __noinline int on_further_send(struct sock *sk, struct connection *connection, int ret)
{
	u64 now = ret > 0 ? send_time(sk, connection->reply_sent_ns) : bpf_ktime_get_ns();

	if (connection->reply == REPLY_SENT && elapsed_ns(connection->reply_sent_ns, now) > extend_gap_ns)
		connection->reply = REPLY_OVER;
	if (connection->reply == REPLY_OVER) {
		if (ret > 0)
			count(connection->target, COUNTER_UNSOLICITED);
	} else if (ret < 0) {
		connection->reply = REPLY_CUT_SHORT;
		tell_recording(connection, connection->reply_arrival_ns, connection->reply_read_ns,
			       connection->reply_sent_ns, TURN_CONTINUES);
	} else {
		connection->reply = out_of_space(sk) ? REPLY_CUT_SHORT : REPLY_SENT;
		extend_turn(connection->target, connection->reply_arrival_ns, connection->reply_read_ns,
			    &connection->reply_sent_ns, now);
		tell_recording(connection, connection->reply_arrival_ns, connection->reply_read_ns, now, TURN_CONTINUES);
	}
	return 0;
}

static __noinline int on_target_send(struct sock *sk, u32 target, int ret)
{
	struct connection *connection = find_connection(sk);

	if (secondary_signals && connection && ret > 0)
		note_send(target);
	if (parse_http2 && connection && connection->stage == STAGE_STREAMS)
		return on_stream_send(sk, connection, ret);
	if (connection && connection->stage == STAGE_OPEN) {
		if (ret > 0)
			complete_turn(sk, connection);
	} else if (connection && connection->reply != REPLY_NONE) {
		on_further_send(sk, connection, ret);
	} else if (ret > 0 && is_own_connection(sk) && nothing_read(sk)) {
		count(target, COUNTER_UNSOLICITED);
	}
	return 0;
}

/* A send call returned `ret`. The first one of a turn completes it. */
static __always_inline int on_send(struct sock *sk, int ret)
{
	u32 target;

	if (ret <= 0 && ret != -EAGAIN)
		return 0;
	target = find_target(sk);
	return target ? on_target_send(sk, target, ret) : 0;
}

/*
 * A connection goes over to another state. In these no reply can follow. The port is not looked at: a socket that is reset
 * has given it back.
 */
static __always_inline int on_state_change(struct sock *sk, int state)
{
	struct connection *connection;
	u32 stage;

	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK && state != TCP_CLOSING && state != TCP_CLOSE)
		return 0;
	connection = find_connection(sk);
	if (!connection)
		return 0;
	stage = __sync_lock_test_and_set(&connection->stage, STAGE_CLOSED);
	if (stage == STAGE_ARRIVED || stage == STAGE_OPEN)
		count(connection->target, COUNTER_ABANDONED);
	else if (parse_http2 && stage == STAGE_STREAMS)
		end_all_streams(sk, connection->target, false);
	return 0;
}

/* One connection of a walk over all of them. */
static __always_inline int on_walk(struct sock *sk)
{
	struct connection *connection = find_connection(sk);
	struct walk_result *result;
	struct tcp_sock *tcp;
	u64 arrival_ns;

	if (!connection)
		return 0;
	walk_results[(connection->target - 1) & (MAX_TARGETS - 1)].connections++;
	if (connection->stage == STAGE_OPEN) {
		arrival_ns = connection->turn_arrival_ns;
	} else if (connection->stage == STAGE_ARRIVED) {
		tcp = bpf_skc_to_tcp_sock(sk);
		if (sk->__sk_common.skc_family == AF_UNIX)
			arrival_ns = arrival_of(connection, connection->read_seq);
		else if (tcp)
			arrival_ns = arrival_of(connection, payload_read(sk, tcp));
		else
			return 0;
	} else if (parse_http2 && connection->stage == STAGE_STREAMS) {
		return walk_streams(sk, connection->target);
	} else {
		return 0;
	}
	result = &walk_results[(connection->target - 1) & (MAX_TARGETS - 1)];
	result->in_flight++;
	if (arrival_ns && (!result->oldest_arrival_ns || arrival_ns < result->oldest_arrival_ns))
		result->oldest_arrival_ns = arrival_ns;
	return 0;
}

/* The other half of the hooks above. */
#include "http2.h"

#endif
