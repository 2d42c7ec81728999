/* What the two ends of a benchmark, host.c and guest.c, agree on. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* linux/vm_sockets.h, which musl does not bring. */
struct sockaddr_vm {
  unsigned short svm_family;
  unsigned short svm_reserved1;
  unsigned int svm_port;
  unsigned int svm_cid;
  unsigned char svm_zero[8];
};
#define VMADDR_CID_ANY 0xffffffffU
#define VMADDR_CID_HOST 2U

/* The port on which the guest's first program reports, the agent's own too; and the one of the bulk transfers. */
#define CONTROL_PORT 1024
#define BULK_PORT 1025

#define BULK_BUFFER_SIZE (256 * 1024)

/*
 * A bulk connection carries orders of the guest: 'S' and a length: the guest sends that much and the host answers one byte;
 * 'R' and a length: the host sends that much; 'P' and a number of times: the host sends back one byte each time.
 */
struct bulk_order {
  char operation;
  char reserved[7];
  uint64_t count;
};

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline int read_all(int fd, void *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = read(fd, (char *)buffer + done, size - done);
    if (count == 0 || (count < 0 && errno != EINTR)) return -1;
    if (count > 0) done += (size_t)count;
  }
  return 0;
}

static inline int write_all(int fd, const void *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = write(fd, (const char *)buffer + done, size - done);
    if (count < 0 && errno != EINTR) return -1;
    if (count > 0) done += (size_t)count;
  }
  return 0;
}

static inline int receive_bulk(int fd, char *buffer, uint64_t size) {
  while (size > 0) {
    ssize_t count = read(fd, buffer, size < BULK_BUFFER_SIZE ? size : BULK_BUFFER_SIZE);
    if (count == 0 || (count < 0 && errno != EINTR)) return -1;
    if (count > 0) size -= (uint64_t)count;
  }
  return 0;
}

static inline int send_bulk(int fd, const char *buffer, uint64_t size) {
  while (size > 0) {
    size_t part = size < BULK_BUFFER_SIZE ? size : BULK_BUFFER_SIZE;
    if (write_all(fd, buffer, part) < 0) return -1;
    size -= part;
  }
  return 0;
}

#endif
