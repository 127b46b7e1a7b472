/* SPDX-License-Identifier: MIT */
/*
 * When packets of an HTTP/2 connection without TLS passed the loopback device: reads them from a packet socket, follows the
 * frames of both directions, and tells of each stream when the packet with its request's HEADERS and when the packet with the
 * end of its response went by.
 *
 *	stream-times PORT FILE
 *
 * To be started before the only connection to PORT; says `ready`, and ends at SIGTERM. FILE: three u64 a stream in the order
 * in which they ended: its number, and CLOCK_MONOTONIC in ns twice. On stdout one line of JSON: packets that it missed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS (1 << 22)
#define PREFACE 24
#define FRAME_HEAD 9
enum { DATA = 0, HEADERS = 1, END_STREAM = 1 };

/* One direction of the connection. */
struct flow {
	bool known;
	uint32_t next_seq;
	uint32_t skip;
	size_t head_length;
	unsigned char head[FRAME_HEAD];
};

static volatile sig_atomic_t stopped;
static uint64_t begun_ns[STREAMS];
static FILE *file;
static uint64_t gaps;

static void stop(int number)
{
	stopped = number;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void take_frame(const unsigned char *head, bool to_server, uint64_t ns)
{
	uint32_t stream = (head[5] & 0x7f) << 24 | head[6] << 16 | head[7] << 8 | head[8];
	uint64_t record[3];

	if (head[3] > HEADERS || stream / 2 >= STREAMS)
		return;
	if (to_server && head[3] == HEADERS)
		begun_ns[stream / 2] = ns;
	if (to_server || !(head[4] & END_STREAM))
		return;
	record[0] = stream;
	record[1] = begun_ns[stream / 2];
	record[2] = ns;
	if (fwrite(record, sizeof(record), 1, file) != 1)
		die("write");
}

/* A frame is timed by the packet that its payload ends in. */
static void take_payload(struct flow *flow, bool to_server, const unsigned char *bytes, size_t length, uint64_t ns)
{
	while (length) {
		size_t taken;

		if (flow->skip) {
			taken = flow->skip < length ? flow->skip : length;
			flow->skip -= taken;
			/* A frame with a payload ends where that ends. */
			if (!flow->skip && flow->head_length == FRAME_HEAD) {
				take_frame(flow->head, to_server, ns);
				flow->head_length = 0;
			}
		} else {
			taken = FRAME_HEAD - flow->head_length;
			taken = taken < length ? taken : length;
			memcpy(flow->head + flow->head_length, bytes, taken);
			flow->head_length += taken;
			if (flow->head_length == FRAME_HEAD) {
				flow->skip = flow->head[0] << 16 | flow->head[1] << 8 | flow->head[2];
				if (!flow->skip) {
					take_frame(flow->head, to_server, ns);
					flow->head_length = 0;
				}
			}
		}
		bytes += taken;
		length -= taken;
	}
}

static void take_packet(struct flow flows[2], uint16_t port, unsigned char *packet, size_t size, bool outgoing, uint64_t ns)
{
	struct iphdr *ip = (void *)(packet + ETH_HLEN);
	struct tcphdr *tcp = (void *)((unsigned char *)ip + ip->ihl * 4);
	unsigned char *payload;
	struct flow *flow;
	bool to_server;
	uint32_t seq;
	size_t length;

	if (size < ETH_HLEN + sizeof(*ip) || ip->version != 4 || ip->protocol != IPPROTO_TCP)
		return;
	to_server = ntohs(tcp->dest) == port;
	/* On loopback each is seen as it goes and as it comes. */
	if ((!to_server && ntohs(tcp->source) != port) || outgoing == to_server)
		return;
	flow = &flows[to_server];
	seq = ntohl(tcp->seq);
	payload = (unsigned char *)tcp + tcp->doff * 4;
	length = packet + size - payload;
	if (tcp->syn) {
		*flow = (struct flow){ .known = true, .next_seq = seq + 1, .skip = to_server ? PREFACE : 0 };
		return;
	}
	if (!flow->known || !length)
		return;
	/* What is sent again has been seen. */
	if ((int32_t)(seq - flow->next_seq) < 0)
		return;
	gaps += seq != flow->next_seq;
	flow->next_seq = seq + length;
	take_payload(flow, to_server, payload, length, ns);
}

/* TCP over IPv4 from or to a port, whole: all else stays in the kernel. */
static void filter_by_port(int fd, uint16_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 8),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 6),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETH_HLEN),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH_HLEN),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH_HLEN + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		die("filter");
}

int main(int count, char **arguments)
{
	static unsigned char packet[1 << 17];
	struct sigaction action = { .sa_handler = stop };
	struct sockaddr_ll place = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct tpacket_stats stats = {};
	socklen_t stats_size = sizeof(stats);
	struct flow flows[2] = {};
	int one = 1, room = 256 << 20, fd;
	uint64_t offset_ns;

	if (count != 3) {
		fprintf(stderr, "stream-times PORT FILE\n");
		return 2;
	}
	file = fopen(arguments[2], "w");
	if (!file)
		die(arguments[2]);
	fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (fd < 0)
		die("packet socket");
	filter_by_port(fd, atoi(arguments[1]));
	place.sll_ifindex = if_nametoindex("lo");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&place, sizeof(place)))
		die("packet socket");
	sigaction(SIGTERM, &action, NULL);
	offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	puts("ready");
	fflush(stdout);
	for (;;) {
		char control[128];
		struct sockaddr_ll from;
		struct iovec part = { packet, sizeof(packet) };
		struct msghdr message = { &from, sizeof(from), &part, 1, control, sizeof(control), 0 };
		/* What has been queued is read to its end. */
		ssize_t size = recvmsg(fd, &message, stopped ? MSG_DONTWAIT : 0);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		struct timespec time;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN && stopped)
			break;
		if (size < 0 || !header || header->cmsg_type != SCM_TIMESTAMPNS)
			die("recvmsg");
		memcpy(&time, CMSG_DATA(header), sizeof(time));
		take_packet(flows, atoi(arguments[1]), packet, size, from.sll_pkttype == PACKET_OUTGOING,
			    time.tv_sec * 1000000000ull + time.tv_nsec - offset_ns);
	}
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &stats_size);
	if (fclose(file))
		die(arguments[2]);
	printf("{\"missed\":%llu}\n", (unsigned long long)(gaps + stats.tp_drops));
	return 0;
}
