// SPDX-License-Identifier: MIT
/*
 * A TCP server that makes exactly the system calls that its script says, over and over on each connection, until the peer
 * closes: `scripted-server HOST SCRIPT`. It prints the port that it listens on.
 *
 *   rN  one recv of at most N bytes            sN  one blocking send of N bytes
 *   RN  recv until N bytes have come           nN  N bytes in non-blocking sends, waiting for room between them
 *   pN  one recv of at most N bytes, peeking   bN  send buffer of N bytes
 *   qN  wait until N bytes can be read         wN  sleep N ms
 *   tN  one splice of at most N bytes          fN  one sendfile of N bytes
 *   kN  keepalive after N s of rest            lN  ask to be told of N bytes (SO_RCVLOWAT), but look until there is one
 *   j   from here on another thread does the same on this connection
 *   h   shut the sending side down             c   close
 *   x   close with a reset
 *   dHEX one send of these bytes               eHEX a send for each of these bytes
 *   vHEX one writev of these bytes, in pieces of 1, 2, 3, ... bytes
 *   iN  one readv of at most N bytes, into pieces of 1, 2, 3, ... bytes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 << 20 };

static const char *script;
static const char payload[BUFFER_BYTES];

/* Of a thread: whether its connection has another one. */
static __thread int joined;

static void *serve(void *argument);
static void *join(void *argument);

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Another thread for a connection that was accepted or duplicated. */
static void start(void *(*run)(void *), intptr_t fd)
{
	pthread_t thread;

	if (fd < 0)
		fail("descriptor");
	if (pthread_create(&thread, NULL, run, (void *)fd))
		fail("pthread_create");
	pthread_detach(thread);
}

static int receive(int fd, size_t bytes, int flags)
{
	static __thread char buffer[65536];

	return recv(fd, buffer, bytes < sizeof(buffer) ? bytes : sizeof(buffer), flags) > 0;
}

static int receive_all(int fd, size_t bytes)
{
	static __thread char buffer[65536];

	while (bytes > 0) {
		ssize_t got = recv(fd, buffer, bytes < sizeof(buffer) ? bytes : sizeof(buffer), 0);

		if (got <= 0)
			return 0;
		bytes -= got;
	}
	return 1;
}

static void sleep_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static int wait_for_bytes(int fd, int bytes)
{
	int available = 0;

	poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
	while (ioctl(fd, FIONREAD, &available) == 0 && available > 0 && available < bytes)
		sleep_ms(1);
	return available >= bytes;
}

static int send_without_blocking(int fd, size_t bytes)
{
	while (bytes > 0) {
		ssize_t sent = send(fd, payload, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return 0;
		if (sent > 0)
			bytes -= sent;
		if (bytes > 0)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
	}
	return 1;
}

static int splice_away(int fd, size_t bytes)
{
	int ends[2];
	ssize_t got;

	if (pipe(ends))
		fail("pipe");
	got = splice(fd, NULL, ends[1], NULL, bytes, 0);
	close(ends[0]);
	close(ends[1]);
	return got > 0;
}

static int send_file(int fd, size_t bytes)
{
	int file = memfd_create("reply", 0);
	ssize_t sent;

	if (file < 0 || ftruncate(file, bytes))
		fail("memfd_create");
	sent = sendfile(fd, file, NULL, bytes);
	close(file);
	return sent == (ssize_t)bytes;
}

/* Divides a buffer into pieces of 1, 2, 3, ... bytes; returns how many there are. */
static int in_pieces(char *buffer, size_t bytes, struct iovec pieces[IOV_MAX])
{
	int count = 0;

	for (size_t at = 0; at < bytes && count < IOV_MAX; count++) {
		size_t length = bytes - at < (size_t)count + 1 ? bytes - at : (size_t)count + 1;

		pieces[count] = (struct iovec){ buffer + at, length };
		at += length;
	}
	return count;
}

static int read_pieces(int fd, size_t bytes)
{
	static __thread char buffer[65536];
	struct iovec pieces[IOV_MAX];

	return readv(fd, pieces, in_pieces(buffer, bytes < sizeof(buffer) ? bytes : sizeof(buffer), pieces)) > 0;
}

static size_t parse_hex(const char *hex, char *bytes, size_t most)
{
	size_t count = 0;

	while (count < most && isxdigit(hex[0]) && isxdigit(hex[1])) {
		const char digits[] = { hex[0], hex[1], 0 };

		bytes[count++] = strtol(digits, NULL, 16);
		hex += 2;
	}
	return count;
}

static int send_bytes(int fd, char command, const char *hex)
{
	static __thread char bytes[65536];
	struct iovec pieces[IOV_MAX];
	size_t count = parse_hex(hex, bytes, sizeof(bytes));

	if (command == 'd')
		return send(fd, bytes, count, MSG_NOSIGNAL) == (ssize_t)count;
	if (command == 'v')
		return writev(fd, pieces, in_pieces(bytes, count, pieces)) == (ssize_t)count;
	for (size_t at = 0; at < count; at++)
		if (write(fd, bytes + at, 1) != 1)
			return 0;
	return 1;
}

static int look_for_byte(int fd, int told_from)
{
	ssize_t got;
	char byte;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &told_from, sizeof(told_from)))
		return 0;
	while ((got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		sleep_ms(1);
	return got > 0;
}

static int keep_alive(int fd, int seconds)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0 &&
	       setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds)) == 0 &&
	       setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds)) == 0;
}

/* Once a connection. Each thread has a descriptor of its own, which it closes. */
static int be_joined(int fd)
{
	if (!joined)
		start(join, dup(fd));
	joined = 1;
	return 1;
}

/* Returns 0 when the connection is over. */
static int run(int fd, char command, const char *argument, int number)
{
	struct linger reset = { 1, 0 };

	switch (command) {
	case 'r':
		return receive(fd, number, 0);
	case 'R':
		return receive_all(fd, number);
	case 'p':
		return receive(fd, number, MSG_PEEK);
	case 's':
		return send(fd, payload, number, MSG_NOSIGNAL) == number;
	case 't':
		return splice_away(fd, number);
	case 'f':
		return send_file(fd, number);
	case 'n':
		return send_without_blocking(fd, number);
	case 'b':
		return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &number, sizeof(number)) == 0;
	case 'q':
		return wait_for_bytes(fd, number);
	case 'w':
		sleep_ms(number);
		return 1;
	case 'k':
		return keep_alive(fd, number);
	case 'l':
		return look_for_byte(fd, number);
	case 'j':
		return be_joined(fd);
	case 'h':
		return shutdown(fd, SHUT_WR) == 0;
	case 'd':
	case 'e':
	case 'v':
		return send_bytes(fd, command, argument);
	case 'i':
		return read_pieces(fd, number);
	case 'x':
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return 0;
	case 'c':
		return 0;
	default:
		fprintf(stderr, "script: no command %c\n", command);
		exit(2);
	}
}

static void *serve(void *argument)
{
	int fd = (intptr_t)argument;
	const char *at = script;

	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		const char *end = strchrnul(at, ' ');
		char command = *at;
		int number = atoi(at + 1);

		if (!run(fd, command, at + 1, number))
			break;
		at = *end ? end + 1 : script;
	}
	close(fd);
	return NULL;
}

static void *join(void *argument)
{
	joined = 1;
	return serve(argument);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *v4 = (void *)&address;
	struct sockaddr_in6 *v6 = (void *)&address;
	socklen_t length = sizeof(address);
	int listener;

	if (argc != 3 || !*argv[2])
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	script = argv[2];
	if (inet_pton(AF_INET, argv[1], &v4->sin_addr) == 1)
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, argv[1], &v6->sin6_addr) == 1)
		address.ss_family = AF_INET6;
	else
		return 2;
	listener = socket(address.ss_family, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (void *)&address, sizeof(address)) || listen(listener, 128))
		fail("listen");
	getsockname(listener, (void *)&address, &length);
	printf("%d\n", ntohs(v4->sin_port));
	fflush(stdout);
	for (;;)
		start(serve, accept(listener, NULL, NULL));
}
