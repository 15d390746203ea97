#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"

/* The first block holds what a small request needs and survives arena_reset. */
#define BLOCK_BYTES_FIRST (16 * 1024)
#define BLOCK_BYTES_MAX (256 * 1024)
/* No request needs this much control data: more is a runaway loop, better stopped than left to take the machine down.
 */
#define ARENA_BYTES_MAX ((size_t)512 * 1024 * 1024)

struct block {
    struct block *older;
    size_t capacity;
    size_t used;
    alignas(max_align_t) char data[];
};

struct hook {
    struct hook *older;
    arena_cleanup_fn fn;
    void *data;
};

struct arena {
    struct block *newest; /* never NULL; the last of the chain is the first block */
    struct hook *hooks;   /* newest first */
    size_t size;
};

static struct block *block_new(struct arena *a, size_t capacity, struct block *older)
{
    CHECK(capacity <= ARENA_BYTES_MAX - a->size);
    struct block *block = malloc(sizeof(*block) + capacity);
    CHECK(block != NULL); /* out of memory */
    block->older = older;
    block->capacity = capacity;
    block->used = 0;
    a->size += capacity;
    return block;
}

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof(*a));
    CHECK(a != NULL); /* out of memory */
    a->newest = block_new(a, BLOCK_BYTES_FIRST, NULL);
    return a;
}

/* A hook may allocate and even register hooks: each is taken off before it runs. */
static void run_hooks(struct arena *a)
{
    while (a->hooks) {
        struct hook *hook = a->hooks;
        a->hooks = hook->older;
        hook->fn(hook->data);
    }
}

void arena_reset(struct arena *a)
{
    run_hooks(a);
    while (a->newest->older) {
        struct block *block = a->newest;
        a->newest = block->older;
        a->size -= block->capacity;
        free(block);
    }
    a->newest->used = 0;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a->newest);
    free(a);
}

void arena_freep(struct arena **a)
{
    arena_free(*a);
    *a = NULL;
}

static size_t next_capacity(const struct arena *a, size_t size)
{
    /* As large as all before: doubling, until blocks are large enough for their overhead to vanish. */
    size_t capacity = a->size < BLOCK_BYTES_MAX ? a->size : BLOCK_BYTES_MAX;
    return size > capacity ? size : capacity;
}

/* Not zeroed. */
static char *take(struct arena *a, size_t size, size_t *out_rounded)
{
    CHECK(size <= ARENA_BYTES_MAX);
    size_t unit = alignof(max_align_t);
    size_t rounded = size ? (size + unit - 1) / unit * unit : unit;
    if (rounded > a->newest->capacity - a->newest->used)
        a->newest = block_new(a, next_capacity(a, rounded), a->newest);
    char *memory = a->newest->data + a->newest->used;
    a->newest->used += rounded;
    *out_rounded = rounded;
    return memory;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t rounded;
    char *memory = take(a, size, &rounded);
    return memset(memory, 0, rounded);
}

char *arena_dupz(struct arena *a, struct str s)
{
    CHECK(s.len < SIZE_MAX);
    size_t rounded;
    char *copy = take(a, s.len + 1, &rounded);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str arena_dup(struct arena *a, struct str s)
{
    return str_of(arena_dupz(a, s), s.len);
}

struct str arena_join(struct arena *a, const struct str *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].len;
    struct buf b = buf_over(arena_alloc(a, size + 1), size + 1);
    for (size_t i = 0; i < count; i++)
        buf_add(&b, parts[i]);
    return buf_str(&b);
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, again); /* measured above */
    va_end(again);
    return str_of(text, (size_t)len);
}

void arena_on_free(struct arena *a, arena_cleanup_fn fn, void *data)
{
    struct hook *hook = arena_new_of(a, struct hook);
    *hook = (struct hook){.older = a->hooks, .fn = fn, .data = data};
    a->hooks = hook;
}

size_t arena_size(const struct arena *a)
{
    return a->size;
}
