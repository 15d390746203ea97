#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define CAPACITY_MIN 64

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = buf_make(b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

/* Capacity counts the NUL, so that it may exceed max by one. */
static void grow(struct buf *b, size_t needed)
{
    size_t capacity = b->capacity < CAPACITY_MIN / 2 ? CAPACITY_MIN : b->capacity * 2;
    if (capacity > b->max)
        capacity = b->max + 1;
    if (capacity < needed)
        capacity = needed;
    char *ptr = realloc(b->ptr, capacity);
    CHECK(ptr != NULL); /* out of memory */
    b->ptr = ptr;
    b->ptr[b->len] = '\0';
    b->capacity = capacity;
}

char *buf_reserve_more(struct buf *b, size_t size)
{
    DCHECK(b->len <= b->max || b->failed);
    if (b->failed || size > b->max - b->len) {
        b->failed = true;
        return NULL;
    }
    CHECK(size < SIZE_MAX - b->len);
    size_t needed = b->len + size + 1;
    if (needed > b->capacity)
        grow(b, needed);
    return b->ptr + b->len;
}

void buf_extend(struct buf *b, size_t size)
{
    CHECK(size < b->capacity - b->len);
    b->len += size;
    b->ptr[b->len] = '\0';
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(b, format, args);
    va_end(args);
}

/* Tries the room there is first: most texts fit and are then formatted once. */
void buf_addv(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->capacity - b->len;
    int size = vsnprintf(room ? b->ptr + b->len : NULL, room, format, args);
    CHECK(size >= 0);
    char *out = buf_reserve(b, (size_t)size);
    if (out) {
        if ((size_t)size >= room)
            (void)vsnprintf(out, (size_t)size + 1, format, again); /* same text, now with its room */
        buf_extend(b, (size_t)size);
    } else if (room) {
        b->ptr[b->len] = '\0';
    }
    va_end(again);
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(b, str_of(digits + at, sizeof(digits) - at));
}

void buf_truncate(struct buf *b, size_t len)
{
    CHECK(len <= b->len);
    b->len = len;
    if (b->ptr)
        b->ptr[len] = '\0';
}

void buf_consume(struct buf *b, size_t size)
{
    if (size == 0 || b->len == 0)
        return;
    if (size > b->len)
        size = b->len;
    b->len -= size;
    memmove(b->ptr, b->ptr + size, b->len + 1);
}

const char *buf_z(const struct buf *b)
{
    return b->ptr ? b->ptr : "";
}
