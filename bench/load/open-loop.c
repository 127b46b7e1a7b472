/* SPDX-License-Identifier: MIT */
/*
 * An open-loop client: requests are sent at the instants of a Poisson process, whatever the server does, and each one's time
 * is taken from the instant at which it was due and from its write to the last byte of its reply.
 *
 *	open-loop PROTOCOL ADDRESS PORT RATE SECONDS CONNECTIONS SEED FILE [ARGUMENT]
 *
 * PROTOCOL: redis, memcached, http, http-close, dns, grpc. ARGUMENT: the command, the keys, the path or the name that is
 * asked for, / where not given. ADDRESS: of IPv4, or the path of a Unix-domain socket, whose PORT is 0.
 * CONNECTIONS: of grpc the most streams in flight on its one connection.
 * RATE: requests a second; 0: each connection sends its next request when the reply is there (finds the capacity).
 * FILE: one record a request in the order of the replies: three u64, CLOCK_MONOTONIC in ns: due, written, done.
 * On stdout one line of JSON: what it did, and how busy it was itself.
 *
 * One request a connection at a time. A request that finds no connection free waits for one; that is in the time from when
 * it was due, not in the time from its write. Between two instants it spins: a client that sleeps measures its own wake-up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define PATIENCE_NS 5000000000ull

enum protocol { REDIS, MEMCACHED, HTTP, HTTP_CLOSE, DNS, GRPC, PROTOCOLS };
static const char *const PROTOCOL_NAMES[PROTOCOLS] = { "redis", "memcached", "http", "http-close", "dns", "grpc" };

struct connection {
	int fd;
	bool busy;
	bool connecting;
	uint64_t due_ns, written_ns;
	/* Of the reply: its bytes after the head, or its lines, that are still to come (-1: the head is not complete). */
	int64_t left;
	/* Lines so far. */
	int64_t lines;
	/* Of grpc. */
	uint32_t stream;
	size_t head_length;
	char head[2048];
};

struct record {
	uint64_t due_ns, written_ns, done_ns;
};

static enum protocol protocol;
static union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
} address;
static char request[4096];
static size_t request_length;
static struct connection connections[MAX_CONNECTIONS];
static int connection_count, epoll_fd;
static int idle[MAX_CONNECTIONS], idle_count;
static struct record *records;
static size_t record_count, record_room;
static uint64_t failures, busy_ns;
static bool closed_loop, over;
/* Of memcached: all of them are there. */
static int key_count;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void end_request(struct connection *connection, uint64_t done_ns);

#include "http2-client.h"

/* xorshift64*, Vigna 2016: uniform in (0, 1]. */
static double uniform(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return ((*state * 2685821657736338717ull >> 11) + 1) / 9007199254740992.0;
}

static int count_of(const char *text, char what)
{
	int count = 0;

	while ((text = strchr(text, what))) {
		count++;
		text++;
	}
	return count;
}

static void make_request(const char *argument)
{
	if (strlen(argument) > sizeof(request) / 4)
		die("argument is too long");
	switch (protocol) {
	case REDIS: {
		char *words = strdup(argument);

		request_length = sprintf(request, "*%d\r\n", count_of(argument, ' ') + 1);
		for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
			request_length += sprintf(request + request_length, "$%zu\r\n%s\r\n", strlen(word), word);
		free(words);
		break;
	}
	case MEMCACHED:
		request_length = sprintf(request, "get %s\r\n", argument);
		key_count = count_of(argument, ' ') + 1;
		break;
	case GRPC:
		request_length = grpc_request(request, argument);
		break;
	case HTTP:
	case HTTP_CLOSE:
		request_length = sprintf(request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", argument,
					 protocol == HTTP_CLOSE ? "Connection: close\r\n" : "");
		break;
	default: {
		/* A query for the A record of a name, RFC 1035. */
		static const unsigned char head[12] = { 0x12, 0x34, 1, 0, 0, 1 };
		const char *label = argument;

		memcpy(request, head, sizeof(head));
		request_length = sizeof(head);
		while (*label) {
			size_t length = strcspn(label, ".");

			request[request_length++] = length;
			memcpy(request + request_length, label, length);
			request_length += length;
			label += length + (label[length] == '.');
		}
		memcpy(request + request_length, "\0\0\1\0\1", 5);
		request_length += 5;
	}
	}
}

static void open_connection(struct connection *connection)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };
	int one = 1;

	connection->fd = socket(address.any.sa_family, (protocol == DNS ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
	if (connection->fd < 0)
		die("socket");
	if (address.any.sa_family == AF_INET && protocol != DNS &&
	    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY");
	connection->connecting = connect(connection->fd, &address.any,
					 address.any.sa_family == AF_UNIX ? sizeof(address.un) : sizeof(address.in)) != 0;
	if (connection->connecting && errno != EINPROGRESS)
		die("connect");
	if (protocol == GRPC && !connection->connecting)
		greet(connection->fd);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event))
		die("epoll_ctl");
}

static void write_request(struct connection *connection)
{
	ssize_t written;

	connection->left = -1;
	connection->lines = 0;
	connection->head_length = 0;
	if (protocol == GRPC)
		connection->stream = next_stream(request, connection - connections);
	connection->written_ns = now_ns();
	written = send(connection->fd, request, request_length, MSG_NOSIGNAL);
	if (written != (ssize_t)request_length)
		die("send");
}

static void start_request(struct connection *connection, uint64_t due_ns)
{
	connection->busy = true;
	connection->due_ns = due_ns;
	if (protocol == HTTP_CLOSE) {
		open_connection(connection);
		/* Written when the connection stands. */
		if (connection->connecting)
			return;
	}
	write_request(connection);
}

static void end_request(struct connection *connection, uint64_t done_ns)
{
	if (record_count == record_room) {
		record_room = record_room ? 2 * record_room : 1 << 16;
		records = realloc(records, record_room * sizeof(*records));
		if (!records)
			die("realloc");
	}
	records[record_count++] = (struct record){ connection->due_ns, connection->written_ns, done_ns };
	connection->busy = false;
	if (protocol == HTTP_CLOSE)
		close(connection->fd);
	if (closed_loop && !over)
		start_request(connection, done_ns);
	else
		idle[idle_count++] = connection - connections;
}

/* The lines of a reply, by its first one. A value of Redis is told in two lines, one of memcached after a line of its own. */
static int64_t lines_of(const char *first)
{
	if (protocol == MEMCACHED)
		return strncmp(first, "VALUE", 5) ? 1 : 2 * key_count + 1;
	if (first[0] == '-') {
		fprintf(stderr, "open-loop: %.60s\n", first);
		exit(1);
	}
	if (first[0] == '*')
		return 1 + 2 * atoll(first + 1);
	return first[0] == '$' && first[1] != '-' ? 2 : 1;
}

/* The bytes that follow the head, or -1 while the head is not complete. */
static int64_t body_length(struct connection *connection)
{
	char *head = connection->head, *end, *field;

	end = strstr(head, "\r\n\r\n");
	if (!end)
		return -1;
	field = strcasestr(head, "\r\ncontent-length:");
	if (!field || strncmp(head, "HTTP/1.1 200", 12)) {
		fprintf(stderr, "open-loop: no 200 with a Content-Length: %.60s\n", head);
		exit(1);
	}
	return end + 4 + atoll(field + 17) - head - (int64_t)connection->head_length;
}

static size_t append_to_head(struct connection *connection, const char *bytes, size_t length)
{
	size_t room = sizeof(connection->head) - 1 - connection->head_length;
	size_t copied = length < room ? length : room;

	memcpy(connection->head + connection->head_length, bytes, copied);
	connection->head_length += copied;
	connection->head[connection->head_length] = 0;
	return copied;
}

/* Whether the reply is complete with these bytes. */
static bool take_bytes(struct connection *connection, const char *bytes, size_t length)
{
	bool by_line = protocol == REDIS || protocol == MEMCACHED;

	if (protocol == DNS)
		return true;
	if (by_line) {
		for (const char *at = bytes; (at = memchr(at, '\n', bytes + length - at)); at++)
			connection->lines++;
		if (connection->left < 0)
			append_to_head(connection, bytes, length);
		if (connection->left < 0 && connection->lines > 0)
			connection->left = lines_of(connection->head);
		return connection->left >= 0 && connection->lines >= connection->left;
	}
	if (connection->left < 0) {
		length -= append_to_head(connection, bytes, length);
		connection->left = body_length(connection);
		if (connection->left < 0)
			return false;
	}
	connection->left -= length;
	return connection->left <= 0;
}

static void read_reply(struct connection *connection)
{
	static char buffer[1 << 18];

	while (connection->busy && !connection->connecting) {
		ssize_t length = recv(connection->fd, buffer, sizeof(buffer), 0);

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length <= 0) {
			fprintf(stderr, "open-loop: the server closed a connection in a reply\n");
			exit(1);
		}
		if (take_bytes(connection, buffer, length))
			end_request(connection, now_ns());
	}
}

/* Whatever is ready now; never waits. */
static bool serve_connections(void)
{
	struct epoll_event events[64];
	uint64_t began_ns = now_ns();
	int count = epoll_wait(epoll_fd, events, 64, 0);

	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;

		if (connection->connecting && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
			int error = 0;
			socklen_t size = sizeof(error);

			getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
			if (error) {
				errno = error;
				die("connect");
			}
			connection->connecting = false;
			/* Before any answer to what the server says first. */
			if (protocol == GRPC)
				greet(connection->fd);
			if (connection->busy)
				write_request(connection);
		}
		if (protocol == GRPC)
			read_streams(connections);
		else if (connection->busy && (events[i].events & EPOLLIN))
			read_reply(connection);
	}
	if (count > 0)
		busy_ns += now_ns() - began_ns;
	return count > 0;
}

static void run(double rate, double seconds, uint64_t seed)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1, begin_ns, end_ns, next_ns, queue_room = 1 << 16;
	uint64_t *queue = malloc(queue_room * sizeof(*queue)), queue_head = 0, queue_tail = 0;

	for (int i = 0; i < 20; i++)
		uniform(&random);
	begin_ns = now_ns();
	end_ns = begin_ns + seconds * 1e9;
	next_ns = begin_ns + 1000000;
	if (closed_loop)
		while (idle_count)
			start_request(&connections[idle[--idle_count]], begin_ns);
	for (;;) {
		uint64_t at_ns = now_ns(), began_ns = at_ns;
		bool worked = false;

		if (!closed_loop)
			for (; next_ns <= at_ns && next_ns < end_ns; next_ns += -log(uniform(&random)) * 1e9 / rate) {
				if (queue_head - queue_tail == queue_room) {
					failures++;
					continue;
				}
				queue[queue_head++ % queue_room] = next_ns;
			}
		for (; queue_tail != queue_head && idle_count; worked = true)
			start_request(&connections[idle[--idle_count]], queue[queue_tail++ % queue_room]);
		if (worked)
			busy_ns += now_ns() - began_ns;
		serve_connections();
		if (at_ns >= end_ns) {
			over = true;
			if ((queue_tail == queue_head && idle_count == connection_count) || at_ns > end_ns + PATIENCE_NS)
				break;
		}
	}
	failures += queue_head - queue_tail + connection_count - idle_count;
	printf("{\"requests\":%zu,\"unanswered\":%llu,\"seconds\":%.3f,\"busyRatio\":%.3f}\n", record_count,
	       (unsigned long long)failures, seconds, busy_ns / (seconds * 1e9));
	free(queue);
}

int main(int count, char **arguments)
{
	struct rlimit limit = { MAX_CONNECTIONS + 64, MAX_CONNECTIONS + 64 };
	FILE *file;

	if (count < 9) {
		fprintf(stderr, "open-loop PROTOCOL ADDRESS PORT RATE SECONDS CONNECTIONS SEED FILE [ARGUMENT]\n");
		return 2;
	}
	while (protocol < PROTOCOLS && strcmp(arguments[1], PROTOCOL_NAMES[protocol]))
		protocol++;
	connection_count = atoi(arguments[6]);
	if (protocol == PROTOCOLS || connection_count < 1 || connection_count > MAX_CONNECTIONS) {
		fprintf(stderr, "open-loop: no such protocol, or not 1 to %d connections\n", MAX_CONNECTIONS);
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	if (arguments[2][0] == '/') {
		address.un.sun_family = AF_UNIX;
		strncpy(address.un.sun_path, arguments[2], sizeof(address.un.sun_path) - 1);
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(atoi(arguments[3]));
		if (inet_pton(AF_INET, arguments[2], &address.in.sin_addr) != 1)
			die("address");
	}
	make_request(count > 9 ? arguments[9] : "/");
	epoll_fd = epoll_create1(0);
	for (int i = 0; i < connection_count; i++) {
		if (protocol == GRPC && i > 0)
			connections[i].fd = connections[0].fd;
		else if (protocol != HTTP_CLOSE)
			open_connection(&connections[i]);
		idle[idle_count++] = i;
	}
	if (protocol != HTTP_CLOSE)
		for (int i = 0; i < connection_count; i++)
			while (connections[i].connecting)
				serve_connections();
	busy_ns = 0;
	closed_loop = atof(arguments[4]) == 0;
	run(atof(arguments[4]), atof(arguments[5]), strtoull(arguments[7], NULL, 10));
	file = fopen(arguments[8], "w");
	if (!file || fwrite(records, sizeof(*records), record_count, file) != record_count || fclose(file))
		die(arguments[8]);
	return 0;
}
