/* Files that the loop sends itself: it may, as long as the bytes are in memory. Whether they are is asked of the kernel,
 * by reads that refuse to wait; what is not there is fetched by a step first. */
#include <errno.h>
#include <sys/uio.h>

#include "base/check.h"
#include "gateway/exchange_internal.h"

/* The kernel reads ahead in pieces of this size at least, so that one byte tells of its neighbours. */
#define PROBE_BYTES (128 * 1024)

static bool byte_in_memory(int fd, uint64_t offset)
{
    char byte;
    struct iovec iov = {&byte, 1};
    /* 0 is behind the end: sendfile finds that out too, without waiting. */
    return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0;
}

static bool in_memory(int fd, uint64_t offset, size_t size)
{
    for (size_t at = 0; at < size; at += PROBE_BYTES) {
        if (!byte_in_memory(fd, offset + at))
            return false;
    }
    return byte_in_memory(fd, offset + size - 1);
}

enum gw_next gw_exchange_file_window(struct gw_exchange *x, uint64_t offset, uint64_t left, size_t *out_size)
{
    CHECK(gw_loop_is_current(x->loop));
    CHECK(x->reply.body == GW_REPLY_FILE);
    CHECK(left > 0);
    size_t size = left < GW_WINDOW_BYTES ? (size_t)left : GW_WINDOW_BYTES;
    enum gw_next next = GW_NEXT_READY;
    mutex_lock(&x->lock);
    /* Just fetched: not asked about again, since some filesystems never answer reads that refuse to wait. */
    if (x->out_failed)
        next = GW_NEXT_FAILED;
    else if (offset >= x->warm_from && offset < x->warm_until)
        size = size < x->warm_until - offset ? size : (size_t)(x->warm_until - offset);
    else if (!in_memory(x->reply.fd, offset, size))
        next = GW_NEXT_WAIT;
    if (next == GW_NEXT_WAIT) {
        x->fetch_from = offset;
        x->fetch_size = size;
        gw_exchange_schedule(x);
    }
    mutex_unlock(&x->lock);
    *out_size = size;
    return next;
}
