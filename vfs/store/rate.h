/* A limit of bytes per second, shared by all who transfer. Thread: any. */
#ifndef VFS_STORE_RATE_H
#define VFS_STORE_RATE_H

#include <stdint.h>

#include "base/mutex.h"

struct rate {
    struct mutex lock; /* guards what follows */
    uint64_t bytes_per_s; /* 0: no limit */
    uint64_t free_ns;     /* when what was let through has gone at that rate */
    uint64_t changes;     /* of the limit */
};

void rate_init(struct rate *r);
void rate_done(struct rate *r);
/* Who waits under the old limit goes at once. */
void rate_set(struct rate *r, uint64_t bytes_per_s);
/* Returns when so many bytes more may go. In the order of the calls; a transfer larger than a second's worth goes when those before it
 * have been paid for, and those behind it wait for it. */
void rate_wait(struct rate *r, uint64_t bytes);

#endif
