/* Bytes that stand in several places, in their order: what one call is given of a body at once. Views only; owns nothing.
 * Thread: any. */
#ifndef BASE_PIECES_H
#define BASE_PIECES_H

#include "base/str.h"

struct pieces {
    const struct str *at;
    size_t count;
};

static inline struct pieces pieces_at(const struct str *at, size_t count)
{
    return (struct pieces){at, count};
}

/* Bytes of all of them. */
static inline size_t pieces_len(struct pieces p)
{
    size_t len = 0;
    for (size_t i = 0; i < p.count; i++)
        len += p.at[i].len;
    return len;
}

#endif
