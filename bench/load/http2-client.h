/* SPDX-License-Identifier: MIT */
/* As much of an HTTP/2 client (RFC 9113) as unary gRPC calls without TLS take. Part of open-loop.c. */

#define FRAME_HEAD 9
enum frame_type { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
#define END_STREAM 1
#define ACK 1
#define END_HEADERS 4

/* By stream, as many of the newest as are surely enough: which of `connections` waits for it. */
#define STREAMS 65536
static uint16_t slot_of_stream[STREAMS];
static uint32_t last_stream;
/* Where the second frame of a request begins. */
static size_t data_at;

static size_t put_frame(char *at, uint32_t length, uint8_t type, uint8_t flags, uint32_t stream)
{
	uint32_t id = htonl(stream);

	at[0] = length >> 16;
	at[1] = length >> 8;
	at[2] = length;
	at[3] = type;
	at[4] = flags;
	memcpy(at + 5, &id, 4);
	return FRAME_HEAD;
}

/* A header field that is not indexed, RFC 7541: its name by number in the static table, or 0 and the name. */
static size_t put_field(char *at, uint8_t name, const char *literal, const char *value)
{
	size_t length = 0;

	if (name >= 15) {
		at[length++] = 15;
		at[length++] = name - 15;
	} else {
		at[length++] = name;
	}
	if (!name) {
		at[length++] = strlen(literal);
		length += sprintf(at + length, "%s", literal);
	}
	at[length++] = strlen(value);
	return length + sprintf(at + length, "%s", value);
}

/* HEADERS, and DATA with a message of five bytes. Both lack their stream. */
static size_t grpc_request(char *at, const char *path)
{
	static const char message[] = "\0\0\0\0\5hello";
	size_t length = FRAME_HEAD;

	/* POST, http: fields 3 and 6 of the static table, whole. */
	at[length++] = 0x83;
	at[length++] = 0x86;
	length += put_field(at + length, 4, NULL, path);
	length += put_field(at + length, 1, NULL, "localhost");
	length += put_field(at + length, 31, NULL, "application/grpc");
	length += put_field(at + length, 0, "te", "trailers");
	put_frame(at, length - FRAME_HEAD, HEADERS, END_HEADERS, 0);
	data_at = length;
	length += put_frame(at + length, sizeof(message) - 1, DATA, END_STREAM, 0);
	memcpy(at + length, message, sizeof(message) - 1);
	return length + sizeof(message) - 1;
}

/* Writes a new stream into the request. */
static uint32_t next_stream(char *request, int slot)
{
	uint32_t stream = last_stream ? last_stream + 2 : 1, id = htonl(stream);

	last_stream = stream;
	slot_of_stream[stream / 2 % STREAMS] = slot;
	memcpy(request + 5, &id, 4);
	memcpy(request + data_at + 5, &id, 4);
	return stream;
}

static void send_all(int fd, const char *bytes, size_t length)
{
	if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		die("send");
}

/* The preface, no settings, and room for 2 GB of replies. */
static void greet(int fd)
{
	char bytes[64];
	uint32_t room = htonl(0x7fffffff - 65535);
	size_t length = sprintf(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

	length += put_frame(bytes + length, 0, SETTINGS, 0, 0);
	length += put_frame(bytes + length, 4, WINDOW_UPDATE, 0, 0);
	memcpy(bytes + length, &room, 4);
	send_all(fd, bytes, length + 4);
}

static void take_frame(struct connection *slots, uint8_t type, uint8_t flags, uint32_t stream, const char *payload)
{
	char answer[FRAME_HEAD + 8];
	struct connection *slot;

	switch (type) {
	case SETTINGS:
		if (!(flags & ACK))
			send_all(slots[0].fd, answer, put_frame(answer, 0, SETTINGS, ACK, 0));
		return;
	case PING:
		if (flags & ACK)
			return;
		put_frame(answer, 8, PING, ACK, 0);
		memcpy(answer + FRAME_HEAD, payload, 8);
		send_all(slots[0].fd, answer, sizeof(answer));
		return;
	case RST_STREAM:
	case GOAWAY:
		/* GOAWAY's is behind the last stream. */
		fprintf(stderr, "open-loop: the server ended %s with error %d\n", type == GOAWAY ? "the connection" : "a stream",
			payload[type == GOAWAY ? 7 : 3]);
		exit(1);
	case DATA:
	case HEADERS:
		slot = &slots[slot_of_stream[stream / 2 % STREAMS]];
		if ((flags & END_STREAM) && slot->busy && slot->stream == stream)
			end_request(slot, now_ns());
	}
}

/* Frames come whole or in pieces; what is left of one waits for the rest. */
static void read_streams(struct connection *slots)
{
	static char buffer[1 << 18];
	static size_t kept;

	for (;;) {
		ssize_t length = recv(slots[0].fd, buffer + kept, sizeof(buffer) - kept, 0);
		size_t at = 0, end;

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length <= 0) {
			fprintf(stderr, "open-loop: the server closed the connection\n");
			exit(1);
		}
		end = kept + length;
		while (end - at >= FRAME_HEAD) {
			const unsigned char *head = (unsigned char *)buffer + at;
			size_t size = head[0] << 16 | head[1] << 8 | head[2];
			uint32_t stream;

			if (end - at < FRAME_HEAD + size)
				break;
			memcpy(&stream, head + 5, 4);
			take_frame(slots, head[3], head[4], ntohl(stream) & 0x7fffffff, buffer + at + FRAME_HEAD);
			at += FRAME_HEAD + size;
		}
		kept = end - at;
		memmove(buffer, buffer + at, kept);
	}
}
