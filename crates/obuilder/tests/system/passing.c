// Two steps that share the machine's network: one gives the other a descriptor of its root, and is done; the other writes.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

int main(int count, char **args) {
  if (count != 3) return 2;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  // The first byte is 0: the name is in the network's namespace, and in no filesystem.
  strncpy(address.sun_path + 1, args[2], sizeof address.sun_path - 2);
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(args[2]);
  int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (strcmp(args[1], "give") == 0) {
    if (connect(sock, (void *)&address, length)) return fail("connect");
    int root = open("/", O_RDONLY | O_DIRECTORY);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &root, sizeof root);
    return sendmsg(sock, &message, 0) == 1 ? 0 : fail("sendmsg");
  }
  if (bind(sock, (void *)&address, length) || listen(sock, 1)) return fail("listen");
  printf("listening\n");
  fflush(stdout);
  int from = accept(sock, NULL, NULL), root = -1;
  if (recvmsg(from, &message, 0) != 1) return fail("recvmsg");
  memcpy(&root, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof root);
  // Far longer than it takes to publish a result.
  for (int number = 0; number < 200; number++) {
    char name[32];
    snprintf(name, sizeof name, "evil-%d", number);
    int file = openat(root, name, O_CREAT | O_WRONLY, 0644);
    if (file >= 0) close(file);
    usleep(10000);
  }
  return 0;
}
