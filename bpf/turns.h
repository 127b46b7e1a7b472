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
 * Closing takes a connection from any stage to its end, and counts it as abandoned if a turn was in flight. Hence, once all has
 * settled: arrivals = requests + abandoned + connections in ARRIVED or OPEN.
 *
 * Data arrives in softirq under the socket's lock, mostly on another CPU than the server's; reads and sends return in their own
 * threads without the lock. What costs most here is to take a cache line over from another CPU, and after it an atomic
 * operation, which has to wait for such a line. So the two sides write to lines of their own, and where a client waits for each
 * reply neither looks at the other's:
 *
 * - Data ready alone says what has arrived, and counts arrivals in `begun`. It need not look at the server's line where
 *   nothing is left unread and the server has sent something since the arrival before: then that one has been answered.
 *   Else it looks, after a full barrier.
 * - The server's side says how many of these arrivals are `settled`: the difference is in flight. A read opens a turn by a
 *   plain store, for two reads that do so at a time store the same. The first send completes it by the one compare-and-exchange
 *   of a request: whoever wins it counts, and settles all that has been read.
 * - When a request arrived is told by data ready's line. But where one segment has come and no more, TCP's own state tells it,
 *   which the server has at hand; and that it was one arrival. See sole_arrival().
 * - A turn has one arrival. Where another number of them is settled (data ready took more bytes of a request for one more,
 *   or nobody saw it arrive), whoever settles them corrects the count by the difference. Where it was taken for granted that
 *   somebody saw it, so does the next to look: data ready at the next arrival, a walk, the end of the connection.
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
/*
 * Whether each CPU has a stripe of its own, and each of the numbers that every request adds to is added to by one program alone.
 * The kernel does not let a program interrupt itself on a CPU: then nothing can come between reading a number and writing it.
 */
const volatile bool exclusive_stripes = false;

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

#define LATER_ARRIVALS 16 /* twice a power of two */
/* So many bytes behind what is being read nothing can be that a read may still ask for. */
#define FAR (1 << 30)

/* When the bytes before `seq`, and not before the arrival that came before, arrived. */
struct arrival {
	u64 ns;
	u32 seq;
	u32 reserved;
};

/*
 * A cache line for each side, and one for both, which is seldom written: there the kernel looks to find the value, for
 * 8 bytes of its own come before it. The lines of the two sides lie neither behind that line nor side by side in the same
 * 128 bytes: a CPU fetches such neighbours unasked, and takes them from the other one. What plain requests do not touch is
 * between them.
 */
struct connection {
	/* Counted by stream: see http2.h. */
	u32 streams;
	/* Where the ring of later arrivals ends, which data ready moves. */
	u32 head;
	/* Where it begins, which may lag behind what has been read. */
	u32 tail;
	u8 target;
	u8 reader_known;
	/* While it is not known whether this is HTTP/2: 1 + how much of the preface has been read. */
	u8 preface;
	u8 pad_1;
	u64 pad_2[5];

	/* What arrived while a turn was in flight: a ring, here its even places. Written by data ready alone. */
	struct arrival later_even[LATER_ARRIVALS / 2];

	/* Of data ready. The end of the payload that has arrived. */
	u32 arrived_seq;
	/* Arrivals that were counted. */
	u32 begun;
	/* The last two of them, in turn: a read may still be on its way to the older one when the newer one comes. */
	struct arrival first[2];
	/* How much the server had sent when the last one came. */
	u32 sent_seq;
	/* TCP's clock at the newest arrival, its low half. */
	u32 arrived_clock;
	u64 pad_3[2];

	/* The ring's odd places. */
	struct arrival later_odd[LATER_ARRIVALS / 2];

	/* Of the server's side. Which turn was completed, and how many arrivals are settled: see progress(). */
	u64 progress;
	/* The open turn, and how far its first read has read. */
	u64 turn_arrival_ns;
	u64 turn_read_ns;
	/* The turn whose reply may still be extended: its last send is exchanged atomically, for two threads may send. */
	u64 reply_arrival_ns;
	u64 reply_read_ns;
	u64 reply_sent_ns;
	/* The turn that was opened last, 0 and 1 by turns. */
	u32 opened;
	u32 turn_read_seq;
	union {
		/* How many segments had come when the turn was opened. */
		u32 segs_in;
		/* Of a Unix-domain socket: how far it has been read. */
		u32 read_seq;
	};
	u8 reply;
	/* Whether TCP has told when the open turn arrived: see sole_arrival(). */
	u8 sole;
	u8 pad_4[2];
};

/* The value comes 8 bytes after the beginning of a cache line. */
#define LINE_OF(member) ((__builtin_offsetof(struct connection, member) + 8) / 64)
_Static_assert(LINE_OF(arrived_seq) == 3 && LINE_OF(later_odd) == 4, "data ready has a line of its own");
_Static_assert(LINE_OF(progress) == 6 && sizeof(struct connection) + 8 == 7 * 64, "the server's side has one, too");

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

#ifdef HAS_RDONLY_CAST
/* Linux 6.2. Takes no time, but does not look at what it casts. */
extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym;
#endif

/* Of a socket that has a struct connection: NULL where it is a Unix-domain socket, for all others are TCP's. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
#ifdef HAS_RDONLY_CAST
	if (sk->__sk_common.skc_family == AF_UNIX)
		return NULL;
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
#else
	return bpf_skc_to_tcp_sock(sk);
#endif
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

/* Of a counter that one program alone adds to. */
static __always_inline void add_alone(struct stripe *stripe, enum counter counter, u64 value)
{
	if (exclusive_stripes)
		stripe->counters[counter] += value;
	else
		add(stripe, counter, value);
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
	struct stripe *stripe = stripe_of(target);

	if (stripe)
		add_alone(stripe, COUNTER_ARRIVALS, 1);
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

/* A request was taken up. Mostly it did not wait for long, and then nothing is written. */
static __always_inline void count_waiting(u32 target, u64 arrival_ns, u64 now)
{
	struct target_control *control = control_of(target);

	if ((control->armed & ALARM_WAITING) && elapsed_ns(arrival_ns, now) > control->wait_budget_ns &&
	    __sync_fetch_and_add(&control->waiting, 1) + 1 >= control->waiting_budget)
		raise_alarm(target, ALARM_WAITING, now);
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

/* No reply can follow in these states. */
static __always_inline bool has_ended(int state)
{
	const u32 ended = 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_TIME_WAIT | 1 << TCP_CLOSE | 1 << TCP_LAST_ACK |
			  1 << TCP_CLOSING;

	return ended >> (state & 31) & 1;
}

/* Nothing of what has arrived has been read yet. */
static __always_inline bool begins_here(struct sock *sk, struct tcp_sock *tcp)
{
	return tcp->bytes_received == (u32)(payload_arrived(sk, tcp) - payload_read(sk, tcp));
}

/* From http2.h: what becomes of connections that are counted by stream. */
static bool remember_stream_arrival(struct sock *sk, struct connection *connection, u32 arrived_seq, u64 now);
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
	/* Made by another hook at the same time. */
	if (connection->target)
		return connection;
	connection->target = target;
	connection->arrived_seq = payload_read(sk, tcp);
	connection->first[0].seq = connection->arrived_seq;
	connection->first[1].seq = connection->arrived_seq;
	connection->sent_seq = tcp->write_seq;
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
	struct arrival *half = at & 1 ? connection->later_odd : connection->later_even;

	return &half[at / 2 & (LATER_ARRIVALS / 2 - 1)];
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

static __noinline int remember_later_arrival(struct sock *sk, struct connection *connection, u32 seq, u32 read_seq, u64 now)
{
	u32 head = connection->head;

	if (head - connection->tail >= LATER_ARRIVALS && !make_room(connection, read_seq)) {
		if (parse_http2 && remember_stream_arrival(sk, connection, seq, now))
			return 0;
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

/* Takes the arrival where it brought the byte at `seq` and bytes up to `*nearest` beyond it at most. */
static __always_inline u64 nearer_arrival(struct arrival *arrival, u32 seq, u32 *nearest, u64 ns)
{
	u32 beyond = arrival->seq - seq - 1;

	if (beyond >= *nearest)
		return ns;
	*nearest = beyond;
	return arrival->ns;
}

/* When the byte at `seq` arrived; 0 where that is not known: the arrival that ends soonest after it brought it. */
static __always_inline u64 arrival_of(struct connection *connection, u32 seq)
{
	u32 nearest = connection->arrived_seq - seq;
	u64 ns = 0;
	u32 at;

	if ((s32)nearest <= 0)
		return 0;
	ns = nearer_arrival(&connection->first[0], seq, &nearest, ns);
	ns = nearer_arrival(&connection->first[1], seq, &nearest, ns);
	if (connection->tail == connection->head)
		return ns;
	at = find_later_arrival(connection, seq);
	return at == connection->head ? ns : nearer_arrival(later_arrival(connection, at), seq, &nearest, ns);
}

/* The byte at `seq` is being read. What came before it must go: 4 GB later it would look new. */
static __always_inline void forget_arrivals_before(struct connection *connection, u32 seq)
{
	if (connection->tail != connection->head)
		connection->tail = find_later_arrival(connection, seq);
}

/* The same by data ready, of an arrival that was left far behind. */
static __always_inline void forget_if_far(struct arrival *arrival, u32 read_seq)
{
	if ((s32)(read_seq - arrival->seq) > FAR)
		arrival->seq = read_seq;
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
static __always_inline u64 read_time(struct tcp_sock *tcp, u32 arrived_clock)
{
	u64 ns = tcp_clock(tcp);

	return ns && (u32)ns != arrived_clock ? ns : bpf_ktime_get_ns();
}

/*
 * Of a send that has just returned, where nothing waits to be sent: when TCP sent the last segment, if that is told and was
 * after `before_ns`; else TCP's clock, which an ACK may have moved on that came while the socket was the sender's.
 */
static __always_inline u64 send_time(struct tcp_sock *tcp, u64 before_ns)
{
	u64 clock = tcp && tcp->snd_nxt == tcp->write_seq ? tcp_clock(tcp) : 0;

	if (!clock || !elapsed_ns(before_ns, clock))
		return bpf_ktime_get_ns();
	if (bpf_core_field_exists(tcp->tcp_wstamp_ns)) {
		u64 sent_ns = tcp->tcp_wstamp_ns;

		if (elapsed_ns(before_ns, sent_ns) && (s64)(clock - sent_ns) >= 0)
			return sent_ns;
	}
	return clock;
}

/* In the upper half of `progress`, beside the turn that was completed, which is 0 or 1. */
#define CLOSED 2
/* When it was completed, nothing had come since its first read. */
#define UNDISTURBED 4

static __always_inline u64 progress(u32 completed, u32 settled)
{
	return (u64)completed << 32 | settled;
}

static __always_inline u32 completed_turn(u64 progress)
{
	return progress >> 32 & 1;
}

static __always_inline u64 progress_of(struct connection *connection)
{
	return *(volatile u64 *)&connection->progress;
}

static __always_inline bool is_closed(u64 progress)
{
	return progress >> 32 & CLOSED;
}

static __always_inline bool is_open(struct connection *connection, u64 progress)
{
	return !is_closed(progress) && connection->opened != completed_turn(progress);
}

static __always_inline u32 begun_by_now(struct connection *connection)
{
	return *(volatile u32 *)&connection->begun;
}

/* Arrivals that were counted and are not settled. More than one only where not all of them were arrivals. */
static __always_inline s32 in_flight(struct connection *connection, u64 progress)
{
	return begun_by_now(connection) - (u32)progress;
}

/* So many more arrivals are settled than turns that had them; below 0: so many less. */
static __noinline int correct_arrivals(u32 target, s32 surplus)
{
	struct stripe *stripe = stripe_of(target);

	if (!stripe)
		return 0;
	if (surplus > 0)
		add(stripe, COUNTER_WITHDRAWN, surplus);
	else
		add(stripe, COUNTER_LATE_ARRIVALS, -(s64)surplus);
	return 0;
}

/* What has arrived is not counted: by whoever finds it first. */
static __noinline int count_late_arrival(struct connection *connection, u64 before, u64 now)
{
	u32 target = connection->target;

	if (__sync_val_compare_and_swap(&connection->progress, before, progress(before >> 32, (u32)before - 1)) != before)
		return 0;
	correct_arrivals(target, -1);
	if (control_of(target)->armed & ALARM_ARRIVAL_AFTER_IDLE)
		raise_alarm(target, ALARM_ARRIVAL_AFTER_IDLE, now);
	return 0;
}

/* No turn is open. Where less than no arrival is in flight, one was answered that was taken for counted and is not. */
static __always_inline void count_unseen(struct connection *connection, u64 before, u64 now)
{
	if (in_flight(connection, before) < 0)
		count_late_arrival(connection, before, now);
}

/* Leaves `left` arrivals in flight at most, and withdraws the rest: sends or reads that no hook tells of took them. */
static __noinline int withdraw_arrivals(struct connection *connection, u32 left)
{
	u64 before = progress_of(connection);
	s32 surplus = in_flight(connection, before) - left;

	if (surplus > 0 && !is_closed(before) &&
	    __sync_val_compare_and_swap(&connection->progress, before, progress(before >> 32, (u32)before + surplus)) == before)
		correct_arrivals(connection->target, surplus);
	return 0;
}

static __always_inline void begin_arrival(struct connection *connection, u32 seq, u64 now)
{
	u32 begun = connection->begun + 1;
	struct arrival *first = &connection->first[begun & 1];

	first->ns = now;
	first->seq = seq;
	/* Whoever sees what has arrived sees that it is counted. */
	barrier();
	*(volatile u32 *)&connection->begun = begun;
}

/* A function of its own, so that a socket of no target saves no registers for it; so are reads and sends. */
static __noinline int on_target_data_ready(struct sock *sk, u32 target)
{
	struct connection *connection;
	u32 arrived_seq, read_seq;
	struct tcp_sock *tcp;
	bool first;
	u64 now;

	connection = find_connection(sk) ?: create_connection(sk, target);
	if (!connection)
		return 0;
	tcp = tcp_of(sk);
	if (!tcp)
		return 0;
	arrived_seq = payload_arrived(sk, tcp);
	read_seq = payload_read(sk, tcp);
	/* Said before, or read without having been said. */
	if (!seq_after(arrived_seq, connection->arrived_seq) || arrived_seq == read_seq || has_ended(sk->__sk_common.skc_state))
		return 0;
	now = arrival_time(tcp);
	if (parse_http2 && connection->streams)
		return on_stream_arrival(sk, connection, arrived_seq, now);
	first = connection->arrived_seq == read_seq && tcp->write_seq != connection->sent_seq;
	if (!first) {
		u64 progress;

		/* A full barrier: it pairs with the first send, which leaves OPEN and then looks for bytes. */
		__sync_lock_test_and_set(&connection->arrived_seq, arrived_seq);
		progress = progress_of(connection);
		first = !is_open(connection, progress) && in_flight(connection, progress) <= 0;
		if (first)
			count_unseen(connection, progress, now);
	}
	connection->arrived_clock = now;
	forget_if_far(&connection->first[0], read_seq);
	forget_if_far(&connection->first[1], read_seq);
	if (!first)
		return remember_later_arrival(sk, connection, arrived_seq, read_seq, now);
	connection->sent_seq = tcp->write_seq;
	begin_arrival(connection, arrived_seq, now);
	barrier();
	*(volatile u32 *)&connection->arrived_seq = arrived_seq;
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

/* The turn's times have been noted. Whoever sends in another thread has been told to by the one that reads, which orders the two. */
static __always_inline void open_turn(struct connection *connection, u64 before)
{
	barrier();
	*(volatile u32 *)&connection->opened = !completed_turn(before);
}

/*
 * When the bytes that have just been read arrived, where TCP itself can tell: then data ready's line may stay where it is. 0
 * where it cannot.
 *
 * It can where just one segment has come since the last turn was opened (`segs_in`), and acknowledged something of the last
 * reply (`delivered_mstamp` is after it). The turn was undisturbed, so all bytes since are of this segment. And it is this
 * segment that has set `delivered_mstamp`, for nothing but the processing of an ACK does: no timer, no keepalive, no ACK of
 * our own. That is how a client goes on that waits for each reply, unless it thinks for longer than it may delay its ACK
 * (some 40 ms), which is then a segment by itself.
 *
 * The one arrival is in flight: an undisturbed turn leaves nothing unsettled, and data ready was called for the segment, unless
 * SO_RCVLOWAT asks for more bytes. That it ran cannot be known here, for the kernel skips a program that interrupts itself:
 * count_unseen() makes up for it.
 *
 * Segments are counted before they are processed. One that was on its way when the last turn was opened has been processed by
 * the time that the reply was handed over, for both take the socket's lock: then the turn was not undisturbed.
 */
static __always_inline u64 sole_arrival(struct sock *sk, struct connection *connection, struct tcp_sock *tcp, u64 before,
					u32 *segs_in)
{
	u64 ns, clock;

	if (!bpf_core_field_exists(tcp->segs_in) || !bpf_core_field_exists(tcp->delivered_mstamp))
		return 0;
	/* In this order: a segment that comes meanwhile is noticed before its time can be taken for that of the bytes. */
	ns = *(volatile u64 *)&tcp->delivered_mstamp * 1000;
	*segs_in = *(volatile u32 *)&tcp->segs_in;
	clock = tcp_clock(tcp);
	if (!(before >> 32 & UNDISTURBED) || *segs_in != connection->segs_in + 1 ||
	    (s64)(ns - connection->reply_sent_ns) <= 0 || connection->head != connection->tail || sk->sk_rcvlowat > 1 || !clock)
		return 0;
	/* Where the read has not moved TCP's clock that tells the ns, too; else it is the middle of the µs. */
	return clock - ns < 1000 ? clock : ns + 500;
}

/* The same where data ready has to be asked. */
static __noinline u64 noted_arrival(struct connection *connection, u32 from_seq, u64 before, u64 now)
{
	/* Not known where the bytes came before the sensor did: then the turn starts here. */
	u64 arrival_ns = arrival_of(connection, from_seq) ?: now;

	forget_arrivals_before(connection, from_seq);
	if (in_flight(connection, before) <= 0)
		count_late_arrival(connection, before, now);
	return arrival_ns;
}

static __noinline int on_target_read(struct sock *sk, u32 target, int ret, int flags)
{
	struct connection *connection = find_connection(sk);
	u64 now, arrival_ns, before;
	struct tcp_sock *tcp;
	u32 read_seq, segs_in = 0;
	bool sole;

	if (secondary_signals)
		note_serving_thread(target);
	if (parse_http2 && connection) {
		if (connection->streams)
			return on_stream_read(sk, connection, ret, flags);
		if (connection->preface && on_first_read(sk, connection, ret, flags))
			return 0;
	}
	connection = connection ?: create_connection(sk, target);
	if (!connection)
		return 0;
	before = progress_of(connection);
	if (is_closed(before) || is_open(connection, before))
		return in_flight(connection, before) > 1 ? withdraw_arrivals(connection, 1) : 0;
	tcp = tcp_of(sk);
	if (!tcp)
		return 0;

	read_seq = payload_read(sk, tcp);
	arrival_ns = sole_arrival(sk, connection, tcp, before, &segs_in);
	sole = arrival_ns;
	now = read_time(tcp, sole ? arrival_ns : connection->arrived_clock);
	if (!sole)
		arrival_ns = noted_arrival(connection, read_seq - ret, before, now);
	connection->sole = sole;
	connection->segs_in = segs_in;
	connection->turn_arrival_ns = arrival_ns;
	connection->turn_read_ns = now;
	connection->turn_read_seq = read_seq;
	open_turn(connection, before);

	if (!connection->reader_known) {
		connection->reader_known = true;
		remember_reader(target);
	}
	count_waiting(target, arrival_ns, now);
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
	u32 *count = &stripe->counts[histogram][bucket_of(ns)];

	if (exclusive_stripes)
		*count += times;
	else
		__sync_fetch_and_add(count, times);
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

/* Whether more has come than the turn's first read took: mostly not, and then there is no need to look at data ready's line. */
static __always_inline bool more_has_come(struct connection *connection, struct tcp_sock *tcp)
{
	return !tcp || *(volatile u32 *)&tcp->rcv_nxt != connection->turn_read_seq;
}

/* Whether data ready has told of bytes that are left unread. `tcp` is NULL for a Unix-domain socket. */
static __noinline bool has_unread(struct sock *sk, struct connection *connection, struct tcp_sock *tcp)
{
	u32 arrived_seq = *(volatile u32 *)&connection->arrived_seq;

	if (!tcp)
		return arrived_seq != connection->turn_read_seq && unread_messages(sk);
	return seq_after(arrived_seq, payload_read(sk, tcp));
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

	add_alone(stripe, COUNTER_SOCKET_WAIT_NS, socket_wait_ns);
	add_alone(stripe, COUNTER_HANDLING_TIME_NS, handling_time_ns);
	add_to_histogram(stripe, HISTOGRAM_LATENCY, latency_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_SOCKET_WAIT, socket_wait_ns, 1);
	add_to_histogram(stripe, HISTOGRAM_HANDLING_TIME, handling_time_ns, 1);
	if (slo_ns && latency_ns > slo_ns)
		count_late(target, stripe, now);
}

static __always_inline void complete_turn(struct sock *sk, struct connection *connection, u64 before)
{
	u64 arrival_ns = connection->turn_arrival_ns;
	u64 read_ns = connection->turn_read_ns;
	struct tcp_sock *tcp = tcp_of(sk);
	u64 now = send_time(tcp, read_ns);
	u32 target = connection->target;
	struct stripe *stripe = stripe_of(target);
	bool more = more_has_come(connection, tcp);
	u32 turn = !completed_turn(before) | (more ? 0 : UNDISTURBED);
	u64 after, found;
	u32 unread;
	s32 settled;

	if (!stripe)
		return;
	connection->reply_arrival_ns = arrival_ns;
	connection->reply_read_ns = read_ns;
	connection->reply_sent_ns = now;
	connection->reply = out_of_space(sk) ? REPLY_CUT_SHORT : REPLY_SENT;
	/* What is left unread, or came while the reply was made, is the next turn, and is in flight from now on. */
	unread = more && has_unread(sk, connection, tcp);
	barrier();
	after = progress(turn, connection->sole && !more ? (u32)before + 1 : begun_by_now(connection) - unread);
	found = __sync_val_compare_and_swap(&connection->progress, before, after);
	if (found != before) {
		/* Completed by another send, unless another read has corrected a count at the same time. */
		before = found;
		after = progress(turn, begun_by_now(connection) - unread);
		if (!is_open(connection, before) ||
		    __sync_val_compare_and_swap(&connection->progress, before, after) != before)
			return;
	}
	settled = (u32)after - (u32)before;
	if (settled != 1)
		correct_arrivals(target, settled - 1);
	record_turn(target, stripe, arrival_ns, read_ns, now);
	tell_recording(connection, arrival_ns, read_ns, now, 0);

	/* Asked again: what arrived just before IDLE was seen by nobody. */
	if (!unread && more_has_come(connection, tcp) && has_unread(sk, connection, tcp) && in_flight(connection, after) <= 0)
		count_late_arrival(connection, after, now);
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
	add_alone(stripe, COUNTER_HANDLING_TIME_NS, new_handling_time_ns - old_handling_time_ns);
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
	u64 now = ret > 0 ? send_time(tcp_of(sk), connection->reply_sent_ns) : bpf_ktime_get_ns();

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
	u64 before;

	if (secondary_signals && connection && ret > 0)
		note_send(target);
	if (parse_http2 && connection && connection->streams)
		return on_stream_send(sk, connection, ret);
	before = connection ? progress_of(connection) : 0;
	if (connection && is_open(connection, before)) {
		if (ret > 0)
			complete_turn(sk, connection, before);
		return 0;
	}
	if (connection && in_flight(connection, before) > 1)
		withdraw_arrivals(connection, 1);
	if (connection && connection->reply != REPLY_NONE) {
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
	u64 before, after;
	s32 left;

	if (!has_ended(state))
		return 0;
	connection = find_connection(sk);
	if (!connection)
		return 0;
	/* Under the socket's lock: nothing more is counted as arrived. */
	after = progress(CLOSED, connection->begun);
	before = __sync_lock_test_and_set(&connection->progress, after);
	left = (u32)after - (u32)before;
	if (is_closed(before))
		return 0;
	if (parse_http2 && connection->streams) {
		if (left)
			correct_arrivals(connection->target, left);
		return end_all_streams(sk, connection->target, false);
	}
	if (left > 0) {
		count(connection->target, COUNTER_ABANDONED);
		left--;
	}
	/* More than one, or less than none. */
	if (left)
		correct_arrivals(connection->target, left);
	return 0;
}

/* One connection of a walk over all of them. */
static __always_inline int on_walk(struct sock *sk)
{
	struct connection *connection = find_connection(sk);
	struct walk_result *result;
	struct tcp_sock *tcp;
	u64 arrival_ns, before;

	if (!connection)
		return 0;
	walk_results[(connection->target - 1) & (MAX_TARGETS - 1)].connections++;
	before = progress_of(connection);
	if (parse_http2 && connection->streams) {
		return walk_streams(sk, connection->target);
	} else if (is_open(connection, before)) {
		arrival_ns = connection->turn_arrival_ns;
	} else if (!is_closed(before) && in_flight(connection, before) > 0) {
		tcp = tcp_of(sk);
		if (sk->__sk_common.skc_family == AF_UNIX)
			arrival_ns = arrival_of(connection, connection->read_seq);
		else if (tcp)
			arrival_ns = arrival_of(connection, payload_read(sk, tcp));
		else
			return 0;
	} else {
		if (!is_closed(before))
			count_unseen(connection, before, bpf_ktime_get_ns());
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
