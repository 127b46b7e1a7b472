/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Latency a stream of HTTP/2 (RFC 9113), and so of gRPC, on connections without TLS. A request lasts from the arrival of the
 * client's HEADERS frame to the send of the last byte with END_STREAM. Only frame headers are looked at: they are read from
 * the server's own buffer, where the system call that has just read or sent has them.
 *
 * A connection is counted by stream when the first bytes that are read from it are the client's preface. All others stay
 * with turns: those that were open before the sensor came, TLS, HTTP/1.1 and what is upgraded from it. So does one whose
 * frames are lost sight of, because bytes pass by that no system call has in a buffer (io_uring, splice).
 *
 *	               HEADERS                 END_STREAM sent
 *	id 0 --------------------> id --------------------------> id 0   requests++
 *	          arrivals++        |  RST_STREAM, close
 *	                            |---------------------------> id 0   abandoned++
 *	                            |  a pause between two of its frames
 *	                            '---> id | STREAMING          streaming++, and of no further interest
 *
 * One thread at a time reads from a connection and one sends, or it could not be parsed by the server itself, but both at
 * once. So each step of a stream is one compare-and-exchange of its id, and whoever wins it counts. Hence, always:
 * arrivals = requests + abandoned + streaming + streams in flight (and those that were lost, which are withdrawn).
 */
#ifndef TAILGOV_HTTP2_H
#define TAILGOV_HTTP2_H

#include "turns.h"
#include "user-bytes.h"

#define PREFACE_BYTES 24
#define FRAME_HEADER_BYTES 9
/* Streams that can be in flight on a connection at a time, the streaming ones among them; more are counted as dropped. */
#define STREAM_SLOTS 256 /* a power of two */
/* A stream's slot is one of so many: consecutive ids never compete for one. */
#define STREAM_WAYS 8
#define STREAM_WAY_STEP 37
#define STREAM_ARRIVALS 128 /* a power of two */
/* Of a call's parser: a flood of tiny frames in a single call costs no more than this. */
#define MOST_STEPS 8192
/* A response that was begun and then says nothing for so long is no longer waited for. */
#define QUIET_NS (10ULL * 1000 * 1000 * 1000)
/* Nor one that has sent something since then; a server that is merely late has come to its end by then. */
#define QUIET_AFTER_DATA_NS (1000ULL * 1000 * 1000)

/* Set in the id of a stream that is streaming: the protocol itself uses 31 bits. */
#define STREAMING (1u << 31)

/* RFC 9113, section 6. */
enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PRIORITY = 2,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH_PROMISE = 5,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9,
};

enum frame_flag {
	FLAG_ACK = 0x1,
	FLAG_END_STREAM = 0x1,
	FLAG_END_HEADERS = 0x4,
};

struct frame {
	u32 length;
	u32 stream;
	u8 type;
	u8 flags;
};

/* Where a direction's parser is between two calls. */
struct direction {
	/* The sequence number of the next byte. */
	u32 next_seq;
	/* Of the payload of the frame that was begun. */
	u32 payload_left;
	/* The stream that ends with this frame's last byte; 0: none. */
	u32 ending;
	/* The stream that ends with its header block, which CONTINUATION frames carry on; 0: none. */
	u32 ending_headers;
	/* A frame header of which only so many bytes have come. */
	u32 header_bytes;
	/* The first frame was seen, which must be SETTINGS. */
	u32 begun;
	u8 header[16];
};

/* What came or went last on a stream. */
enum last_frame {
	LAST_REQUEST,
	LAST_RESPONSE_HEADERS,
	LAST_RESPONSE_DATA,
};

struct stream {
	/* 0: a free slot. */
	u32 id;
	u32 last_frame;
	u64 arrival_ns;
	u64 read_ns;
	u64 last_ns;
};

struct http2 {
	struct direction received;
	struct direction sent;
	/* The highest stream that the client has opened. */
	u32 last_stream;
	/* From here on `arrivals` tells when bytes arrived; what came before is in the connection's own ring. */
	u32 arrivals_from_seq;
	/* What came before has been read. */
	u32 arrivals_alone;
	u32 head;
	u32 tail;
	u32 reserved;
	struct arrival arrivals[STREAM_ARRIVALS];
	struct stream streams[STREAM_SLOTS];
};

/*
 * Purpose: frames and streams of each HTTP/2 connection, 10.4 KB. Key: the socket. Value: struct http2. Lifetime: from the
 * preface, or what may become one, to the end of the socket, or until it is none or frames are lost sight of. Full: when the
 * kernel has no memory for an entry, or the socket may have no more (net.core.optmem_max), the connection is counted by turn.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct http2);
} http2_connections SEC(".maps");

/* The bytes of one call, as far as they are not parsed. */
struct cursor {
	struct http2 *http2;
	struct user_bytes bytes;
	u64 now;
	/* Of the next byte. */
	u32 seq;
	u32 target;
	/* What is read no longer makes sense. */
	u32 lost;
	/* The turns' arrivals, by which the first frames are dated. */
	struct connection *connection;
};

static __always_inline struct http2 *find_http2(struct sock *sk)
{
	return bpf_sk_storage_get(&http2_connections, sk, NULL, 0);
}

/* Streams have figures of their own, behind those of all targets' turns. */
static __always_inline struct stripe *stream_stripe_of(u32 target)
{
	return stripe_of(first_stream_set + target);
}

static __always_inline void count_stream(u32 target, enum counter counter)
{
	count(first_stream_set + target, counter);
}

/* --- arrivals */

static __always_inline struct arrival *arrival_at(struct http2 *http2, u32 at)
{
	return &http2->arrivals[at & (STREAM_ARRIVALS - 1)];
}

/* What came from `from_seq` up to `arrived_seq`. */
static __noinline int note_stream_arrival(struct http2 *http2, u32 from_seq, u32 arrived_seq, u64 now)
{
	u32 head = http2->head;

	if (head - http2->tail >= STREAM_ARRIVALS) {
		/* Full: the newest entry stretches over these bytes, too, and keeps its earlier time. */
		arrival_at(http2, head - 1)->seq = arrived_seq;
		return 0;
	}
	if (!head && !http2->arrivals_alone)
		http2->arrivals_from_seq = from_seq;
	arrival_at(http2, head)->ns = now;
	arrival_at(http2, head)->seq = arrived_seq;
	/* The reader must see the entry before it sees that there is one more. */
	__sync_fetch_and_add(&http2->head, 1);
	return 0;
}

static __noinline int on_stream_arrival(struct sock *sk, struct connection *connection, u32 arrived_seq, u64 now)
{
	struct http2 *http2 = find_http2(sk);
	u32 from_seq = connection->arrived_seq;

	connection->arrived_seq = arrived_seq;
	connection->arrived_clock = now;
	if (!http2)
		return 0;
	if (control_of(connection->target)->armed & ALARM_ARRIVAL_AFTER_IDLE)
		raise_alarm(connection->target, ALARM_ARRIVAL_AFTER_IDLE, now);
	return note_stream_arrival(http2, from_seq, arrived_seq, now);
}

/*
 * Many streams may be opened before the server reads for the first time, more than the connection's own ring, which is full,
 * has room for. Returns false where that cannot be so, or the kernel has no memory.
 */
static __noinline bool remember_stream_arrival(struct sock *sk, struct connection *connection, u32 arrived_seq, u64 now)
{
	struct http2 *http2;

	if (!connection->preface || connection->preface > PREFACE_BYTES)
		return false;
	http2 = bpf_sk_storage_get(&http2_connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!http2)
		return false;
	note_stream_arrival(http2, later_arrival(connection, connection->head - 1)->seq, arrived_seq, now);
	return true;
}

/* When the byte at `seq` arrived; 0 where that is not known. Frames are looked up in their order: older entries are dropped. */
static __noinline u64 arrival_of_frame(struct http2 *http2, struct connection *connection, u32 seq)
{
	u32 head = http2->head;
	u32 at = http2->tail;
	u64 ns = 0;

	if (!http2->arrivals_alone) {
		if (!head || seq_after(http2->arrivals_from_seq, seq))
			return arrival_of(connection, seq);
		http2->arrivals_alone = true;
	}
	for (u32 i = 0; i < STREAM_ARRIVALS; i++) {
		if (at == head)
			break;
		if (seq_after(arrival_at(http2, at)->seq, seq)) {
			ns = arrival_at(http2, at)->ns;
			break;
		}
		at++;
	}
	http2->tail = at;
	return ns;
}

/* --- streams */

/* The slot whose id is `id`, be it streaming or not; with 0 a free one for `stream`. */
static __noinline struct stream *find_stream(struct http2 *http2, u32 stream, u32 id)
{
	for (u32 way = 0; way < STREAM_WAYS; way++) {
		u32 slot = ((stream >> 1) + way * STREAM_WAY_STEP) & (STREAM_SLOTS - 1);

		if ((http2->streams[slot].id & ~STREAMING) == id)
			return &http2->streams[slot];
	}
	return NULL;
}

/* Takes the stream out of the table. True where it was in flight, for the one who took it. */
static __always_inline bool take_stream(struct stream *stream, u32 id)
{
	if (__sync_val_compare_and_swap(&stream->id, id, 0) == id)
		return true;
	__sync_val_compare_and_swap(&stream->id, id | STREAMING, 0);
	return false;
}

static __always_inline void begin_streaming(struct stream *stream, u32 id, u32 target)
{
	if (__sync_val_compare_and_swap(&stream->id, id, id | STREAMING) == id)
		count_stream(target, COUNTER_STREAMING);
}

static __noinline int open_stream(struct cursor *cursor, u32 id, u32 seq)
{
	struct connection *connection = cursor->connection;
	struct http2 *http2 = cursor->http2;
	u32 target = cursor->target;
	u64 now = cursor->now;
	struct stream *stream;
	u64 arrival_ns;

	stream = find_stream(http2, id, 0);
	if (!stream) {
		count_stream(target, COUNTER_DROPPED);
		return 0;
	}
	arrival_ns = arrival_of_frame(http2, connection, seq) ?: now;
	stream->arrival_ns = arrival_ns;
	stream->read_ns = now;
	stream->last_ns = now;
	stream->last_frame = LAST_REQUEST;
	count_stream(target, COUNTER_ARRIVALS);
	__sync_lock_test_and_set(&stream->id, id);
	/* Whoever closed the connection meanwhile may have looked at the slot before it was taken. */
	if (is_closed(progress_of(connection)) && take_stream(stream, id))
		count_stream(target, COUNTER_ABANDONED);
	count_waiting(target, arrival_ns, now);
	return 0;
}

/* More of the request. One that comes in pieces with pauses between them is a conversation, not a request. */
static __noinline int on_request_frame(struct cursor *cursor, u32 id, u32 seq)
{
	struct stream *stream = find_stream(cursor->http2, id, id);
	u64 now = cursor->now;
	u64 arrival_ns;

	if (!stream || stream->id != id)
		return 0;
	if (elapsed_ns(stream->last_ns, now) > extend_gap_ns) {
		/* A server that reads late makes no pause. */
		arrival_ns = arrival_of_frame(cursor->http2, cursor->connection, seq) ?: now;
		if (elapsed_ns(stream->last_ns, arrival_ns) > extend_gap_ns)
			begin_streaming(stream, id, cursor->target);
	}
	stream->last_ns = now;
	if (stream->last_frame != LAST_REQUEST)
		stream->last_frame = LAST_RESPONSE_HEADERS;
	return 0;
}

/*
 * More of the response. Data after a pause is one more message of a conversation. An end after a pause, in trailers or in an
 * empty frame, is that of a late server.
 */
static __noinline int on_response_frame(struct cursor *cursor, u32 id, bool has_data)
{
	struct stream *stream = find_stream(cursor->http2, id, id);
	u64 now = cursor->now;
	struct stripe *stripe;

	if (!stream || stream->id != id)
		return 0;
	if (stream->last_frame == LAST_REQUEST) {
		stripe = stream_stripe_of(cursor->target);
		if (stripe) {
			u64 first_response_ns = elapsed_ns(stream->arrival_ns, now);

			add(stripe, COUNTER_FIRST_RESPONSE_NS, first_response_ns);
			add_to_histogram(stripe, HISTOGRAM_FIRST_RESPONSE, first_response_ns, 1);
		}
		stream->last_frame = LAST_RESPONSE_HEADERS;
	} else if (has_data && stream->last_frame == LAST_RESPONSE_DATA &&
		   elapsed_ns(stream->last_ns, now) > extend_gap_ns) {
		begin_streaming(stream, id, cursor->target);
	}
	if (has_data)
		stream->last_frame = LAST_RESPONSE_DATA;
	stream->last_ns = now;
	return 0;
}

static __noinline int abandon_stream(struct http2 *http2, u32 id, u32 target)
{
	struct stream *stream = find_stream(http2, id, id);

	if (stream && take_stream(stream, id))
		count_stream(target, COUNTER_ABANDONED);
	return 0;
}

static __noinline int complete_stream(struct http2 *http2, u32 id, u32 target, u64 now)
{
	struct stream *stream = find_stream(http2, id, id);
	struct stripe *stripe = stream_stripe_of(target);
	u64 arrival_ns, read_ns;

	if (!stream || !stripe)
		return 0;
	arrival_ns = stream->arrival_ns;
	read_ns = stream->read_ns;
	if (!take_stream(stream, id))
		return 0;
	record_turn(target, stripe, arrival_ns, read_ns, now);
	if (recording) {
		/* Told of once, and known by its slot. */
		struct turn_record turn = { .connection = (u64)stream, .arrival_ns = arrival_ns, .read_ns = read_ns,
					    .sent_ns = now, .target = target - 1 };

		stream_turn(&turn);
	}
	return 0;
}

/* --- all streams of a connection */

struct every_stream {
	struct http2 *http2;
	struct walk_result *result;
	u64 now;
	u32 target;
	/* Whether they are over because their ends cannot be seen. */
	u32 lost;
};

static long end_stream_at(u32 slot, void *context)
{
	struct every_stream *every = context;
	struct stream *stream = &every->http2->streams[slot & (STREAM_SLOTS - 1)];
	u32 id = stream->id;

	if (!id || !take_stream(stream, id & ~STREAMING))
		return 0;
	if (every->lost)
		count_stream(every->target, COUNTER_WITHDRAWN);
	else
		count_stream(every->target, COUNTER_ABANDONED);
	return 0;
}

static __noinline int end_all_streams(struct sock *sk, u32 target, bool lost)
{
	struct every_stream every = { .http2 = find_http2(sk), .target = target, .lost = lost };

	if (every.http2)
		bpf_loop(STREAM_SLOTS, end_stream_at, &every, 0);
	return 0;
}

static long look_at_stream(u32 slot, void *context)
{
	struct every_stream *every = context;
	struct stream *stream = &every->http2->streams[slot & (STREAM_SLOTS - 1)];
	struct walk_result *result = every->result;
	u32 id = stream->id;
	u64 quiet_ns, arrival_ns;

	if (!id || (id & STREAMING))
		return 0;
	quiet_ns = elapsed_ns(stream->last_ns, every->now);
	if ((stream->last_frame == LAST_RESPONSE_DATA && quiet_ns > extend_gap_ns && quiet_ns > QUIET_AFTER_DATA_NS) ||
	    (stream->last_frame == LAST_RESPONSE_HEADERS && quiet_ns > QUIET_NS)) {
		begin_streaming(stream, id, every->target);
		return 0;
	}
	arrival_ns = stream->arrival_ns;
	result->in_flight++;
	if (!result->oldest_arrival_ns || arrival_ns < result->oldest_arrival_ns)
		result->oldest_arrival_ns = arrival_ns;
	return 0;
}

static __noinline int walk_streams(struct sock *sk, u32 target)
{
	struct every_stream every = {
		.http2 = find_http2(sk),
		.result = &walk_results[MAX_TARGETS + ((target - 1) & (MAX_TARGETS - 1))],
		.now = bpf_ktime_get_ns(),
		.target = target,
	};

	if (every.http2)
		bpf_loop(STREAM_SLOTS, look_at_stream, &every, 0);
	return 0;
}

/* --- frames */

/* Whether this can be a frame, by what section 6 demands of every one of its type. */
static __always_inline bool makes_sense(const struct frame *frame)
{
	switch (frame->type) {
	case FRAME_DATA:
	case FRAME_HEADERS:
	case FRAME_PUSH_PROMISE:
	case FRAME_CONTINUATION:
		return frame->stream;
	case FRAME_PRIORITY:
		return frame->stream && frame->length == 5;
	case FRAME_RST_STREAM:
		return frame->stream && frame->length == 4;
	case FRAME_SETTINGS:
		return !frame->stream && frame->length % 6 == 0;
	case FRAME_PING:
		return !frame->stream && frame->length == 8;
	case FRAME_GOAWAY:
		return !frame->stream && frame->length >= 8;
	case FRAME_WINDOW_UPDATE:
		return frame->length == 4;
	default:
		/* Extensions: to be ignored. */
		return true;
	}
}

static __always_inline void on_received_frame(struct cursor *cursor, const struct frame *frame, u32 seq)
{
	struct http2 *http2 = cursor->http2;
	u32 id = frame->stream;

	if (frame->type == FRAME_HEADERS && (id & 1) && id > http2->last_stream) {
		http2->last_stream = id;
		open_stream(cursor, id, seq);
	} else if (frame->type == FRAME_DATA || frame->type == FRAME_HEADERS) {
		on_request_frame(cursor, id, seq);
	} else if (frame->type == FRAME_RST_STREAM) {
		abandon_stream(http2, id, cursor->target);
	}
}

static __always_inline void on_sent_frame(struct cursor *cursor, const struct frame *frame)
{
	struct direction *sent = &cursor->http2->sent;
	u32 id = frame->stream;

	if (frame->type == FRAME_DATA || frame->type == FRAME_HEADERS) {
		on_response_frame(cursor, id, frame->type == FRAME_DATA && frame->length);
		if (!(frame->flags & FLAG_END_STREAM))
			return;
		if (frame->type == FRAME_DATA || (frame->flags & FLAG_END_HEADERS))
			sent->ending = id;
		else
			sent->ending_headers = id;
	} else if (frame->type == FRAME_CONTINUATION) {
		if (sent->ending_headers != id || !(frame->flags & FLAG_END_HEADERS))
			return;
		sent->ending = id;
		sent->ending_headers = 0;
	} else if (frame->type == FRAME_RST_STREAM) {
		abandon_stream(cursor->http2, id, cursor->target);
	}
}

static __always_inline struct direction *direction_of(struct http2 *http2, const bool sent)
{
	return sent ? &http2->sent : &http2->received;
}

static __always_inline void on_frame_header(struct cursor *cursor, const u8 *header, u32 seq, const bool sent)
{
	struct direction *direction = direction_of(cursor->http2, sent);
	struct frame frame = {
		.length = header[0] << 16 | header[1] << 8 | header[2],
		.type = header[3],
		.flags = header[4],
		.stream = (header[5] & 0x7f) << 24 | header[6] << 16 | header[7] << 8 | header[8],
	};

	if (!makes_sense(&frame) || (!direction->begun && frame.type != FRAME_SETTINGS)) {
		cursor->lost = true;
		return;
	}
	direction->begun = true;
	direction->payload_left = frame.length;
	if (sent)
		on_sent_frame(cursor, &frame);
	else
		on_received_frame(cursor, &frame, seq);
}

/* Steps over what is here of a payload, and over the end of its frame. */
static __always_inline void skip_payload(struct cursor *cursor, struct direction *direction)
{
	u32 here = bytes_here(&cursor->bytes);
	u32 skipped = direction->payload_left < here ? direction->payload_left : here;

	step_over(&cursor->bytes, skipped);
	cursor->seq += skipped;
	direction->payload_left -= skipped;
	if (direction->payload_left || !direction->ending)
		return;
	complete_stream(cursor->http2, direction->ending, cursor->target, cursor->now);
	direction->ending = 0;
}

/* One frame, or what is here of it. */
static __always_inline long parse_step(struct cursor *cursor, const bool sent)
{
	struct direction *direction = direction_of(cursor->http2, sent);
	u8 header[FRAME_HEADER_BYTES];
	u32 here;

	if (cursor->bytes.left == 0)
		return 1;
	here = bytes_here(&cursor->bytes);
	if (!here) {
		if (next_vector(&cursor->bytes))
			return 0;
		cursor->lost = true;
		return 1;
	}
	if (!direction->payload_left) {
		u32 had = direction->header_bytes & 15;
		u32 wanted;

		if (had == 0 && here >= FRAME_HEADER_BYTES) {
			if (bpf_probe_read_user(header, FRAME_HEADER_BYTES, (void *)cursor->bytes.at)) {
				cursor->lost = true;
				return 1;
			}
			wanted = FRAME_HEADER_BYTES;
		} else {
			wanted = had < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES - had : 0;
			if (wanted > here)
				wanted = here;
			if (!copy_user_bytes(direction->header, had, wanted, cursor->bytes.at)) {
				cursor->lost = true;
				return 1;
			}
			direction->header_bytes = had + wanted;
		}
		step_over(&cursor->bytes, wanted);
		cursor->seq += wanted;
		if (had + wanted < FRAME_HEADER_BYTES)
			return 0;
		if (direction->header_bytes) {
			__builtin_memcpy(header, direction->header, FRAME_HEADER_BYTES);
			direction->header_bytes = 0;
		}
		on_frame_header(cursor, header, cursor->seq - FRAME_HEADER_BYTES, sent);
		if (cursor->lost)
			return 1;
	}
	skip_payload(cursor, direction);
	return 0;
}

static long parse_received(u32 step, void *cursor)
{
	return parse_step(cursor, false);
}

static long parse_sent(u32 step, void *cursor)
{
	return parse_step(cursor, true);
}

/* --- connections */

/*
 * The frames of a connection have been lost sight of. Its streams are forgotten, and what comes is counted by turn; the rest of
 * what is being sent answers nothing.
 */
static __noinline int lose_frames(struct sock *sk, struct connection *connection)
{
	u32 target = connection->target;

	connection->reply = REPLY_OVER;
	connection->tail = connection->head;
	if (!__sync_lock_test_and_set(&connection->streams, false))
		return 0;
	end_all_streams(sk, target, true);
	bpf_sk_storage_delete(&http2_connections, sk);
	count_stream(target, COUNTER_LOST);
	count(target, COUNTER_CONNECTIONS);
	return 0;
}

/* A call has moved `bytes` bytes, up to `end_seq`. Returns false where their frames cannot be told. */
static __always_inline bool parse_call(struct sock *sk, struct cursor *cursor, u32 bytes, u32 end_seq, const bool sent)
{
	struct direction *direction = direction_of(cursor->http2, sent);

	cursor->seq = end_seq - bytes;
	if (direction->next_seq != cursor->seq)
		return false;
	direction->next_seq = end_seq;
	if (!find_user_bytes(&cursor->bytes, sk, bytes, sent)) {
		/* Inside a payload, as where a file is sent, nothing need be known of them. */
		if (direction->payload_left < bytes)
			return false;
		cursor->bytes.here = bytes;
		skip_payload(cursor, direction);
		return true;
	}
	if (sent)
		bpf_loop(MOST_STEPS, parse_sent, cursor, 0);
	else
		bpf_loop(MOST_STEPS, parse_received, cursor, 0);
	return !cursor->lost && cursor->bytes.left == 0;
}

static __noinline int on_stream_read(struct sock *sk, struct connection *connection, int ret, int flags)
{
	struct cursor cursor = { .http2 = find_http2(sk), .connection = connection, .target = connection->target };
	struct tcp_sock *tcp = tcp_of(sk);

	if (!cursor.http2 || !tcp)
		return 0;
	/* What data ready took for turns before it saw that there are none. */
	if (in_flight(connection, progress_of(connection)) > 0)
		withdraw_arrivals(connection, 0);
	cursor.now = read_time(tcp, connection->arrived_clock);
	connection->turn_read_ns = cursor.now;
	/* With MSG_TRUNC the bytes were thrown away. */
	if ((flags & MSG_TRUNC) || !parse_call(sk, &cursor, ret, payload_read(sk, tcp), false))
		lose_frames(sk, connection);
	return 0;
}

static __noinline int on_stream_send(struct sock *sk, struct connection *connection, int ret)
{
	struct cursor cursor = { .http2 = find_http2(sk), .connection = connection, .target = connection->target };
	struct tcp_sock *tcp = tcp_of(sk);

	if (!cursor.http2 || !tcp || ret <= 0)
		return 0;
	cursor.now = send_time(tcp, connection->turn_read_ns);
	/* Sent before the preface was read, and looked at only now. */
	if (!cursor.http2->sent.begun && cursor.http2->sent.next_seq == tcp->write_seq)
		return 0;
	if (!parse_call(sk, &cursor, ret, tcp->write_seq, true))
		lose_frames(sk, connection);
	return 0;
}

/* RFC 9113, section 3.4. */
const volatile u8 preface[32] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Matches the preface with what is here of it. */
static long match_step(u32 step, void *context)
{
	struct cursor *cursor = context;
	u32 matched = (cursor->connection->preface - 1) & 31;
	u32 here = bytes_here(&cursor->bytes);
	u32 wanted;
	u8 read[32] = { 0 };
	u64 limit;

	if (matched >= PREFACE_BYTES || cursor->bytes.left == 0)
		return 1;
	if (!here) {
		if (next_vector(&cursor->bytes))
			return 0;
		cursor->lost = true;
		return 1;
	}
	wanted = PREFACE_BYTES - matched < here ? PREFACE_BYTES - matched : here;
	if (!copy_user_bytes(read, 0, wanted, cursor->bytes.at)) {
		cursor->lost = true;
		return 1;
	}
	/* A number of its own: what the verifier learns of it in the loop must not make a case of each `wanted` afterwards. */
	limit = wanted;
	asm volatile("%0 &= 31" : "+r"(limit));
	for (u32 i = 0; i < PREFACE_BYTES; i++) {
		if (i < limit && read[i] != preface[(matched + i) & 31]) {
			cursor->lost = true;
			return 1;
		}
	}
	step_over(&cursor->bytes, wanted);
	cursor->seq += wanted;
	cursor->connection->preface = 1 + matched + wanted;
	return 0;
}

/* The first bytes of the connection were the preface: what was taken for a turn is none. */
static __noinline int begin_streams(struct sock *sk, struct connection *connection, struct cursor *cursor)
{
	struct tcp_sock *tcp = tcp_of(sk);
	struct http2 *http2;
	u64 before;

	if (!tcp)
		return 0;
	http2 = bpf_sk_storage_get(&http2_connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!http2) {
		count(connection->target, COUNTER_CONNECTIONS);
		return 0;
	}
	/* Servers may send their SETTINGS before they read. They are frames as a whole. */
	http2->sent.begun = tcp->bytes_acked + (u32)(tcp->write_seq - tcp->snd_una) > 0;
	http2->sent.next_seq = tcp->write_seq;
	http2->received.next_seq = payload_read(sk, tcp);
	before = progress_of(connection);
	if (is_closed(before) || is_open(connection, before))
		return 0;
	__sync_lock_test_and_set(&connection->streams, true);
	withdraw_arrivals(connection, 0);
	count_stream(connection->target, COUNTER_CONNECTIONS);
	cursor->http2 = http2;
	bpf_loop(MOST_STEPS, parse_received, cursor, 0);
	if (cursor->lost || cursor->bytes.left)
		lose_frames(sk, connection);
	return 0;
}

/*
 * A read from a connection of which it is not known yet what it speaks. Returns true where that has been dealt with: it is
 * HTTP/2, or as much of the preface as has come is.
 */
static __noinline bool on_first_read(struct sock *sk, struct connection *connection, int ret, int flags)
{
	struct cursor cursor = { .connection = connection, .now = bpf_ktime_get_ns(), .target = connection->target };
	struct tcp_sock *tcp = tcp_of(sk);
	u32 bytes = ret;
	bool matched;

	if (!tcp || ret <= 0)
		return false;
	cursor.seq = payload_read(sk, tcp) - bytes;
	if ((flags & MSG_TRUNC) || !find_user_bytes(&cursor.bytes, sk, bytes, false))
		cursor.lost = true;
	else
		bpf_loop(2 * PREFACE_BYTES, match_step, &cursor, 0);
	matched = connection->preface > PREFACE_BYTES;
	if (!cursor.lost && !matched && cursor.bytes.left == 0)
		return true;
	connection->preface = 0;
	if (cursor.lost || !matched) {
		/* See remember_stream_arrival(). */
		bpf_sk_storage_delete(&http2_connections, sk);
		count(connection->target, COUNTER_CONNECTIONS);
		return false;
	}
	begin_streams(sk, connection, &cursor);
	if (!connection->reader_known)
		remember_reader(connection->target);
	return connection->streams || is_closed(progress_of(connection));
}

#endif
