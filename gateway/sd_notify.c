#include "gateway/sd_notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

#define FIRST_FD 3
#define FDS_MAX 64

void gw_sd_notify(const char *state)
{
    struct str path = str_z(getenv("NOTIFY_SOCKET"));
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof(to.sun_path) || (path.ptr[0] != '/' && path.ptr[0] != '@'))
        return;
    memcpy(to.sun_path, path.ptr, path.len);
    if (path.ptr[0] == '@')
        to.sun_path[0] = '\0';
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A manager that does not listen is no reason to stop serving. */
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len));
}

/* Is the variable, a process id, ours (or absent)? */
static bool is_for_us(const char *name)
{
    uint64_t pid;
    struct str text = str_z(getenv(name));
    return text.len == 0 || (str_parse_u64(text, &pid) && pid == (uint64_t)getpid());
}

uint64_t gw_sd_watchdog_ms(void)
{
    uint64_t usec;
    if (!str_parse_u64(str_z(getenv("WATCHDOG_USEC")), &usec) || !is_for_us("WATCHDOG_PID"))
        return 0;
    return usec / 1000;
}

int gw_sd_listen_fds(void)
{
    uint64_t count;
    if (!getenv("LISTEN_PID") || !is_for_us("LISTEN_PID") ||
        !str_parse_u64_max(str_z(getenv("LISTEN_FDS")), FDS_MAX, &count))
        return 0;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return (int)count;
}
