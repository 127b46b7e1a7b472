// SPDX-License-Identifier: MIT
/*
 * A TCP server that answers each byte with one, but never an 'h', in ways that are hard to follow from outside:
 * `handover-server PORT MODE`. It says "ready" when it listens.
 *
 *   echo  one process for all connections
 *   fork  a process a connection
 *   pass  one process reads; for each answer it passes the connection's descriptor to another one, which sends it and closes it
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_BYTES = 256, EVENTS = 64 };

static int helper = -1;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void pass(int fd, char count)
{
	struct iovec data = { &count, 1 };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(helper, &message, 0) != 1)
		fail("sendmsg");
}

static void answer_passed(int from)
{
	static const char answer[MOST_BYTES];

	for (;;) {
		char count;
		struct iovec data = { &count, 1 };
		union control control;
		struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		int fd;

		if (recvmsg(from, &message, 0) != 1)
			exit(0);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		send(fd, answer, (unsigned char)count, MSG_NOSIGNAL);
		close(fd);
	}
}

/* Returns 0 when the connection is over. */
static int serve(int fd)
{
	static char bytes[MOST_BYTES - 1];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

	if (got <= 0)
		return 0;
	if (memchr(bytes, 'h', got))
		return 1;
	if (helper >= 0)
		pass(fd, got);
	else
		send(fd, bytes, got, MSG_NOSIGNAL);
	return 1;
}

static void serve_in_child(int fd, int listener)
{
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(listener);
		while (serve(fd))
			;
		_exit(0);
	}
	close(fd);
}

static void start_helper(void)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		fail("socketpair");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		answer_passed(ends[1]);
	}
	close(ends[1]);
	helper = ends[0];
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[EVENTS], wanted = { .events = EPOLLIN };
	int listener, poll, on = 1;

	if (argc != 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	if (!strcmp(argv[2], "pass"))
		start_helper();
	address.sin_port = htons(atoi(argv[1]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	poll = epoll_create1(0);
	wanted.data.fd = listener;
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1024) ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted))
		fail("listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				if (!serve(fd))
					close(fd);
				continue;
			}
			fd = accept(listener, NULL, NULL);
			if (fd < 0)
				fail("accept");
			if (!strcmp(argv[2], "fork")) {
				serve_in_child(fd, listener);
				continue;
			}
			wanted.data.fd = fd;
			if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted))
				fail("epoll_ctl");
		}
	}
}
