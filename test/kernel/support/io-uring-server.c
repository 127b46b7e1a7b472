// SPDX-License-Identifier: MIT
/*
 * A TCP server that accepts, receives and sends through io_uring alone and answers whatever one receive takes with "pong\n".
 * It prints the port that it listens on. One operation is in flight for each connection.
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 256, CONNECTIONS = 1024, BUFFER_BYTES = 4096 };

static int ring;
static struct io_uring_sqe *entries;
static unsigned *submission_tail, *submission_mask, *submission_array;
static unsigned *completion_head, *completion_tail, *completion_mask;
static struct io_uring_cqe *completions;
static char buffers[CONNECTIONS][BUFFER_BYTES];
static char reply[] = "pong\n";

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t bytes, off_t offset)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

static void set_up(void)
{
	struct io_uring_params params = {};
	char *submissions, *completion_ring;

	ring = syscall(__NR_io_uring_setup, ENTRIES, &params);
	if (ring < 0)
		fail("io_uring_setup");
	submissions = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	completion_ring = map(params.cq_off.cqes + params.cq_entries * sizeof(*completions), IORING_OFF_CQ_RING);
	entries = (void *)map(params.sq_entries * sizeof(*entries), IORING_OFF_SQES);
	submission_tail = (unsigned *)(submissions + params.sq_off.tail);
	submission_mask = (unsigned *)(submissions + params.sq_off.ring_mask);
	submission_array = (unsigned *)(submissions + params.sq_off.array);
	completion_head = (unsigned *)(completion_ring + params.cq_off.head);
	completion_tail = (unsigned *)(completion_ring + params.cq_off.tail);
	completion_mask = (unsigned *)(completion_ring + params.cq_off.ring_mask);
	completions = (void *)(completion_ring + params.cq_off.cqes);
}

/* Hands one operation to the kernel; with `wait` it also waits until one has completed. */
static void enter(unsigned submit, unsigned wait)
{
	if (syscall(__NR_io_uring_enter, ring, submit, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0) < 0)
		fail("io_uring_enter");
}

static void start(int operation, int fd, void *buffer, unsigned bytes)
{
	unsigned tail = *submission_tail, index = tail & *submission_mask;

	entries[index] = (struct io_uring_sqe){
		.opcode = operation,
		.fd = fd,
		.addr = (uintptr_t)buffer,
		.len = bytes,
		.user_data = (uint64_t)operation << 32 | (unsigned)fd,
	};
	submission_array[index] = index;
	__atomic_store_n(submission_tail, tail + 1, __ATOMIC_RELEASE);
	enter(1, 0);
}

static void on_completion(int operation, int fd, int result)
{
	if (operation == IORING_OP_ACCEPT) {
		if (result < 0 || result >= CONNECTIONS)
			fail("accept");
		start(IORING_OP_RECV, result, buffers[result], BUFFER_BYTES);
		start(IORING_OP_ACCEPT, fd, NULL, 0);
	} else if (result <= 0) {
		close(fd);
	} else if (operation == IORING_OP_RECV) {
		start(IORING_OP_SEND, fd, reply, sizeof(reply) - 1);
	} else {
		start(IORING_OP_RECV, fd, buffers[fd], BUFFER_BYTES);
	}
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_up();
	if (bind(listener, (void *)&address, length) || listen(listener, 256) ||
	    getsockname(listener, (void *)&address, &length))
		fail("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	start(IORING_OP_ACCEPT, listener, NULL, 0);
	for (;;) {
		unsigned head = *completion_head;

		if (head == __atomic_load_n(completion_tail, __ATOMIC_ACQUIRE)) {
			enter(0, 1);
			continue;
		}
		struct io_uring_cqe completion = completions[head & *completion_mask];

		__atomic_store_n(completion_head, head + 1, __ATOMIC_RELEASE);
		on_completion(completion.user_data >> 32, (int)completion.user_data, completion.res);
	}
}
