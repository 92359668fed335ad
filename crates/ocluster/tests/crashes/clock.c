// Preloaded into a program, so that a test can set its clock forward while it runs.

#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// How far the clock is ahead, in seconds: the contents of a file, to which the test writes.
static volatile const long *ahead;

__attribute__((constructor)) static void open_clock(void) {
  const char *path = getenv("CLOCK_AHEAD");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
  if (map == MAP_FAILED)
    abort();
  ahead = map;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_MONOTONIC && ahead)
    time->tv_sec += *ahead;
  return result;
}

// The timers of the kernel cannot be set forward, so they are shorter: what takes 20 s and 150 s takes 1 s and 2 s.
static int sooner(int name, int value) {
  switch (name) {
  case TCP_KEEPIDLE:
  case TCP_KEEPINTVL:
    return 1;
  case TCP_USER_TIMEOUT:
    return 2000;
  default:
    return value;
  }
}

int setsockopt(int socket, int level, int name, const void *value, socklen_t length) {
  int number;
  if (level == IPPROTO_TCP && length == sizeof number) {
    memcpy(&number, value, sizeof number);
    number = sooner(name, number);
    value = &number;
  }
  return (int)syscall(SYS_setsockopt, socket, level, name, value, length);
}
