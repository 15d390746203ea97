/* Who may have how much of a volume's memory. Everything that a volume's data holds is counted here: blocks that are
 * kept or being read, what writers hold, buffers for compressing and encrypting. Pure; guarded by its owner, the cache
 * (cache.h).
 *
 * Idle blocks make way for everybody. Readers and writers have three quarters each at most, so that neither shuts the
 * other out; who reads ahead gets nothing once half is in use. Blocks that are lent to slow clients may stay so for long:
 * half at most, counted among the readers', and not as in use to who reads ahead, who has a quarter left then. So that
 * everybody gets on with little memory, one block may always be read, one be written, and one be encoded at a time: by
 * these the sum may be more than the maximum. */
#ifndef VFS_DATA_BUDGET_H
#define VFS_DATA_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum data_memory {
    DATA_IDLE,  /* blocks that nobody uses just now */
    DATA_READ,  /* blocks that are loaded or used, and what loading takes beside */
    DATA_AHEAD, /* as DATA_READ, and counted there, for nobody who waits */
    DATA_WRITE, /* of writers, until it is uploaded */
    DATA_CODE,  /* of uploads, while they are encoded and sent; of merging slices */
    DATA_LENT,  /* blocks whose bytes are being sent to somebody (data_cache_lend) */
    DATA_MEMORY_KINDS
};

struct data_budget {
    uint64_t max;
    uint64_t used[DATA_MEMORY_KINDS];
};

uint64_t data_budget_used(const struct data_budget *b);
/* Whether there is room for `size` more bytes of the kind once *out_evict bytes of idle blocks are gone. */
MUST_USE bool data_budget_fits(const struct data_budget *b, enum data_memory kind, uint64_t size, uint64_t *out_evict);
/* Whether `size` bytes that are read may be lent. */
MUST_USE bool data_budget_may_lend(const struct data_budget *b, uint64_t size);
void data_budget_take(struct data_budget *b, enum data_memory kind, uint64_t size);
void data_budget_give(struct data_budget *b, enum data_memory kind, uint64_t size);

#endif
