#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/str.h"

#define STOCK_BYTES 256

static _Thread_local struct {
    unsigned char bytes[STOCK_BYTES];
    size_t left; /* the unused bytes are the last ones */
} stock;

static void kernel_random(void *out, size_t size)
{
    unsigned char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

/* A child must not draw what its parent draws. */
static void drop_stock(void)
{
    stock.left = 0;
}

static void watch_forks(void)
{
    CHECK(pthread_atfork(NULL, NULL, drop_stock) == 0);
}

void random_bytes(void *out, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, watch_forks) == 0);
    if (size == 0)
        return;
    if (size > STOCK_BYTES) {
        kernel_random(out, size);
        return;
    }
    if (stock.left < size) {
        kernel_random(stock.bytes, STOCK_BYTES);
        stock.left = STOCK_BYTES;
    }
    unsigned char *at = stock.bytes + STOCK_BYTES - stock.left;
    memcpy(out, at, size);
    /* Keys and tokens are made here: no copy of them stays behind. */
    secure_zero(at, size);
    stock.left -= size;
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof(value));
    return value;
}

void random_text(char *out, size_t count, const char *alphabet)
{
    size_t letters = strlen(alphabet);
    CHECK(letters >= 1 && letters <= 256);
    size_t fair = 256 - 256 % letters; /* bytes from here on would favour the first letters */
    for (size_t i = 0; i < count;) {
        unsigned char byte;
        random_bytes(&byte, 1);
        if (byte < fair)
            out[i++] = alphabet[byte % letters];
    }
}
