/* Growable bytes with a stated maximum and a sticky failure: appending past the maximum marks the buffer as failed and
 * drops the bytes, so that builders check once, at the end. Small control data only; object bytes travel in chunks.
 * Out of memory aborts (see docs/ARCHITECTURE.md, memory). Thread: one at a time. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct buf {
    char *ptr; /* never NULL after the first append; always NUL-terminated behind len */
    size_t len;
    size_t capacity;
    size_t max;
    bool failed;
};

/* An empty buffer of at most `max` bytes; allocates nothing. */
static inline struct buf buf_make(size_t max)
{
    return (struct buf){.max = max};
}

/* An empty buffer in `size` (at least 1) bytes that somebody else owns, an arena or a stack frame: it fails where others
 * would grow. Never give it to buf_done. */
static inline struct buf buf_over(char *memory, size_t size)
{
    memory[0] = '\0';
    return (struct buf){.ptr = memory, .capacity = size, .max = size - 1};
}

/* Frees the bytes and leaves an empty, usable buffer with the same maximum. Takes half-built ones. */
void buf_done(struct buf *b);
/* len = 0, failed = false; keeps the memory. */
void buf_reset(struct buf *b);
static inline void buf_add(struct buf *b, struct str s);
static inline void buf_addz(struct buf *b, const char *z);
static inline void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_addv(struct buf *b, const char *format, va_list args) PRINTF(2, 0);
void buf_add_u64(struct buf *b, uint64_t value);
/* Room for `size` more bytes at the end for the caller to fill; NULL (and failed) past the maximum. buf_extend adds what
 * was filled. */
static inline char *buf_reserve(struct buf *b, size_t size);
void buf_extend(struct buf *b, size_t size);
/* Back to `len` bytes, at most the present length: takes a failed step's bytes off. Does not clear `failed`. */
void buf_truncate(struct buf *b, size_t len);
/* Removes the first `size` bytes (clamped). */
void buf_consume(struct buf *b, size_t size);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr, b->len};
}
/* NUL-terminated content; "" when empty. Contains no promise about NULs inside. */
const char *buf_z(const struct buf *b);

/* What is appended is mostly a few bytes, hundreds of times per request: where there is room already, that is done in place. */

/* Makes the room, or fails. Use buf_reserve. */
char *buf_reserve_more(struct buf *b, size_t size);

static inline char *buf_reserve(struct buf *b, size_t size)
{
    bool has_room = !b->failed && b->len < b->capacity && size < b->capacity - b->len && size <= b->max - b->len;
    return has_room ? b->ptr + b->len : buf_reserve_more(b, size);
}

static inline void buf_add(struct buf *b, struct str s)
{
    char *room = buf_reserve(b, s.len);
    if (!room)
        return;
    if (s.len > 0)
        memcpy(room, s.ptr, s.len);
    room[s.len] = '\0';
    b->len += s.len;
}

static inline void buf_addz(struct buf *b, const char *z)
{
    buf_add(b, str_z(z));
}

static inline void buf_addc(struct buf *b, char c)
{
    buf_add(b, str_of(&c, 1));
}

#endif
