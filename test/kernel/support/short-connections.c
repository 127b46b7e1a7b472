// SPDX-License-Identifier: MIT
/*
 * A client whose connections live for one HTTP request, or not even that: `short-connections PORT COUNT THREADS`. It prints
 * how many connections sent something, and how many were answered.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KINDS = 8, PORTS_AN_ADDRESS = 10000, MOST_THREADS = 16 };

static const char request[] = "GET / HTTP/1.0\r\n\r\n";
static struct sockaddr_in server = { .sin_family = AF_INET };
static long next_connection, count, sent, answered;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* From an address of its own now and then, for closed connections keep their ports for a while. */
static int connect_from(long index)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001 + index / PORTS_AN_ADDRESS) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
	    bind(fd, (void *)&own, sizeof(own)) || connect(fd, (void *)&server, sizeof(server)))
		fail("connect");
	return fd;
}

static void send_part(int fd, size_t bytes)
{
	if (send(fd, request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		fail("send");
	__sync_fetch_and_add(&sent, 1);
}

static void await_reply(int fd)
{
	char buffer[4096];
	long bytes = 0, more;

	while ((more = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		bytes += more;
	if (more < 0 || bytes == 0)
		fail("receive");
	__sync_fetch_and_add(&answered, 1);
}

static void close_with_reset(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void use_once(long index)
{
	int fd = connect_from(index);

	switch (index % KINDS) {
	case 0: /* goes without a word */
		close(fd);
		break;
	case 1: /* goes in the middle of a word */
		send_part(fd, sizeof(request) / 2);
		close(fd);
		break;
	case 2: /* asks, and does not wait */
		send_part(fd, sizeof(request) - 1);
		close_with_reset(fd);
		break;
	case 3: /* as it should be */
		send_part(fd, sizeof(request) - 1);
		await_reply(fd);
		close(fd);
		break;
	default:
		send_part(fd, sizeof(request) - 1);
		await_reply(fd);
		close_with_reset(fd);
	}
}

static void *work(void *unused)
{
	for (;;) {
		long index = __sync_fetch_and_add(&next_connection, 1);

		if (index >= count)
			return NULL;
		use_once(index);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[MOST_THREADS];
	int many = argc == 4 ? atoi(argv[3]) : 0;

	if (many < 1 || many > MOST_THREADS) {
		fprintf(stderr, "usage: short-connections PORT COUNT THREADS\n");
		return 2;
	}
	server.sin_port = htons(atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = atol(argv[2]);
	for (int i = 0; i < many; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			fail("pthread_create");
	for (int i = 0; i < many; i++)
		pthread_join(threads[i], NULL);
	printf("{\"sent\": %ld, \"answered\": %ld}\n", sent, answered);
}
