/* Messages between keeper and server, one a packet, with descriptors. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/mount.h"

union control {
    struct cmsghdr head; /* for its alignment */
    char bytes[CMSG_SPACE(GW_MOUNT_DEVICES_MAX * sizeof(int))];
};

int gw_mount_send(int channel, const struct gw_mount_message *m, const struct gw_mount_devices *devices)
{
    struct gw_mount_message copy = *m;
    struct iovec part = {.iov_base = &copy, .iov_len = sizeof(copy)};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (devices && devices->count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(devices->count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(devices->count * sizeof(int));
        memcpy(CMSG_DATA(c), devices->fds, devices->count * sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(channel, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    return n == (ssize_t)sizeof(copy) ? 0 : -EPROTO;
}

static void take_devices(struct msghdr *message, struct gw_mount_devices *out)
{
    out->count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        out->count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(out->fds, CMSG_DATA(c), out->count * sizeof(int));
    }
}

int gw_mount_receive(int channel, struct gw_mount_message *out, struct gw_mount_devices *devices)
{
    struct gw_mount_message m;
    struct iovec part = {.iov_base = &m, .iov_len = sizeof(m)};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (devices) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    ssize_t n;
    do {
        n = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
    if (devices)
        take_devices(&message, devices);
    if (n != (ssize_t)sizeof(m) || m.init_size > sizeof(m.init) || m.name[sizeof(m.name) - 1] != '\0')
        return -EPROTO;
    *out = m;
    return 0;
}

void gw_mount_close_devices(struct gw_mount_devices *d)
{
    for (size_t i = 0; i < d->count; i++)
        close(d->fds[i]);
    d->count = 0;
}
