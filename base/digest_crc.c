#include "base/digest_internal.h"

#include <endian.h>
#include <limits.h>
#include <pthread.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <isa-l/crc.h>

#include "base/check.h"

/* Polynomials over GF(2)
 *
 * All three CRCs are "reflected": the most significant of the `width` bits is the coefficient of x^0, the least
 * significant one that of x^(width-1). `poly` leaves out x^width. All three start from and end with inverted bits,
 * which cancel out in the rule that combining uses: crc(A‖B) = crc(A) * x^(8 |B|) + crc(B) mod P. */

struct crc_field {
    uint64_t poly;
    unsigned width;
};

static const struct crc_field crc32_field = {0xEDB88320u, 32};
static const struct crc_field crc32c_field = {0x82F63B78u, 32};
static const struct crc_field crc64nvme_field = {0x9A6C9329AC4BC9B5u, 64};

static const struct crc_field *field_of(enum digest_kind kind)
{
    CHECK(kind == DIGEST_CRC32 || kind == DIGEST_CRC32C || kind == DIGEST_CRC64NVME);
    if (kind == DIGEST_CRC64NVME)
        return &crc64nvme_field;
    return kind == DIGEST_CRC32 ? &crc32_field : &crc32c_field;
}

static uint64_t times_x(const struct crc_field *f, uint64_t a)
{
    return (a >> 1) ^ (f->poly & (0 - (a & 1)));
}

static uint64_t times(const struct crc_field *f, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (unsigned degree = 0; degree < f->width; degree++) {
        product ^= b & (0 - ((a >> (f->width - 1 - degree)) & 1));
        b = times_x(f, b);
    }
    return product;
}

/* x^n mod P by repeated squaring. */
static uint64_t power_of_x(const struct crc_field *f, uint64_t n)
{
    uint64_t result = 1ull << (f->width - 1);
    for (uint64_t square = result >> 1; n > 0; n >>= 1) {
        if (n & 1)
            result = times(f, result, square);
        square = times(f, square, square);
    }
    return result;
}

/* CRC64NVME, portable: eight bytes per step */

/* What one byte, followed by `index` bytes of zero, adds to the state. */
static uint64_t crc64_table[8][256];

static void crc64_fill_table(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = times_x(&crc64nvme_field, state);
        crc64_table[0][byte] = state;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        for (int i = 1; i < 8; i++) {
            uint64_t before = crc64_table[i - 1][byte];
            crc64_table[i][byte] = (before >> 8) ^ crc64_table[0][before & 0xff];
        }
    }
}

static uint64_t crc64_by_table(uint64_t state, const char *p, size_t size)
{
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        word = le64toh(word) ^ state;
        state = 0;
        for (unsigned i = 0; i < 8; i++)
            state ^= crc64_table[7 - i][(word >> (8 * i)) & 0xff];
    }
    for (; size > 0; p++, size--)
        state = (state >> 8) ^ crc64_table[0][(state ^ (uint8_t)*p) & 0xff];
    return state;
}

/* CRC64NVME with carry-less multiplication
 *
 * 16 bytes X = H x^64 + L stand for the same remainder as H (x^(64+d) mod P) + L (x^d mod P) added d bits further on,
 * which is 16 bytes again (Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ", 2009).
 * Reflected operands give a product that is one x too high, hence d - 1 in the factors. The last 16 bytes go through
 * the table: that costs nothing worth a Barrett reduction. */

#if defined(__x86_64__)

#define CRC64_FOLD_MIN 64

/* The factors of H and L for d = 512 (four lanes) and d = 128 (one). */
static uint64_t crc64_by_512[2];
static uint64_t crc64_by_128[2];
static bool crc64_can_fold;

static void crc64_prepare_folding(void)
{
    crc64_by_512[0] = power_of_x(&crc64nvme_field, 64 + 512 - 1);
    crc64_by_512[1] = power_of_x(&crc64nvme_field, 512 - 1);
    crc64_by_128[0] = power_of_x(&crc64nvme_field, 64 + 128 - 1);
    crc64_by_128[1] = power_of_x(&crc64nvme_field, 128 - 1);
    crc64_can_fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

static inline __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i factors, __m128i next)
{
    __m128i h = _mm_clmulepi64_si128(x, factors, 0x00);
    __m128i l = _mm_clmulepi64_si128(x, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(h, l), next);
}

/* size >= CRC64_FOLD_MIN */
__attribute__((target("pclmul,sse4.1"))) static uint64_t crc64_by_folding(uint64_t state, const char *p, size_t size)
{
    __m128i by_512 = load16(crc64_by_512);
    __m128i by_128 = load16(crc64_by_128);
    __m128i x0 = _mm_xor_si128(load16(p), _mm_cvtsi64_si128((long long)state));
    __m128i x1 = load16(p + 16);
    __m128i x2 = load16(p + 32);
    __m128i x3 = load16(p + 48);
    for (p += 64, size -= 64; size >= 64; p += 64, size -= 64) {
        x0 = fold(x0, by_512, load16(p));
        x1 = fold(x1, by_512, load16(p + 16));
        x2 = fold(x2, by_512, load16(p + 32));
        x3 = fold(x3, by_512, load16(p + 48));
    }
    x0 = fold(x0, by_128, x1);
    x0 = fold(x0, by_128, x2);
    x0 = fold(x0, by_128, x3);
    for (; size >= 16; p += 16, size -= 16)
        x0 = fold(x0, by_128, load16(p));

    char last[16];
    _mm_storeu_si128((__m128i *)(void *)last, x0);
    return crc64_by_table(crc64_by_table(0, last, sizeof(last)), p, size);
}

static void crc64_prepare(void)
{
    crc64_fill_table();
    crc64_prepare_folding();
}

static uint64_t crc64_fastest(uint64_t state, const char *p, size_t size)
{
    if (!crc64_can_fold || size < CRC64_FOLD_MIN)
        return crc64_by_table(state, p, size);
    return crc64_by_folding(state, p, size);
}

#else

static void crc64_prepare(void)
{
    crc64_fill_table();
}

static uint64_t crc64_fastest(uint64_t state, const char *p, size_t size)
{
    return crc64_by_table(state, p, size);
}

#endif

static void crc64_prepare_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, crc64_prepare); /* fails for an invalid `once` only */
}

uint64_t digest_crc64_portable(uint64_t crc, struct str bytes)
{
    crc64_prepare_once();
    return ~crc64_by_table(~crc, bytes.ptr, bytes.len);
}

static uint64_t crc64nvme(uint64_t crc, struct str bytes)
{
    crc64_prepare_once();
    return ~crc64_fastest(~crc, bytes.ptr, bytes.len);
}

/* The CRCs of ISA-L: crc32_gzip_refl inverts before and after by itself, crc32_iscsi does neither. */

static uint64_t crc32(uint64_t crc, struct str bytes)
{
    return crc32_gzip_refl((uint32_t)crc, (const unsigned char *)bytes.ptr, bytes.len);
}

static uint64_t crc32c(uint64_t crc, struct str bytes)
{
    uint32_t state = ~(uint32_t)crc;
    /* Its length is an int, and its parameter lacks the const that it honours. */
    while (bytes.len > 0) {
        size_t size = bytes.len < INT_MAX ? bytes.len : INT_MAX;
        state = crc32_iscsi((unsigned char *)(uintptr_t)bytes.ptr, (int)size, state);
        bytes = str_of(bytes.ptr + size, bytes.len - size);
    }
    return (uint32_t)~state;
}

uint64_t digest_crc_update(enum digest_kind kind, uint64_t crc, struct str bytes)
{
    CHECK(kind == DIGEST_CRC32 || kind == DIGEST_CRC32C || kind == DIGEST_CRC64NVME);
    if (bytes.len == 0)
        return crc;
    if (kind == DIGEST_CRC64NVME)
        return crc64nvme(crc, bytes);
    return kind == DIGEST_CRC32 ? crc32(crc, bytes) : crc32c(crc, bytes);
}

void digest_crc_encode(enum digest_kind kind, uint64_t crc, uint8_t *out)
{
    for (size_t i = digest_size(kind); i-- > 0; crc >>= 8)
        out[i] = (uint8_t)crc;
}

static uint64_t crc_decode(enum digest_kind kind, const uint8_t *bytes)
{
    uint64_t crc = 0;
    for (size_t i = 0; i < digest_size(kind); i++)
        crc = crc << 8 | bytes[i];
    return crc;
}

void digest_crc_combine(enum digest_kind kind, const uint8_t *crc_a, const uint8_t *crc_b, uint64_t size_b,
                        uint8_t *out)
{
    const struct crc_field *f = field_of(kind);
    CHECK(size_b <= UINT64_MAX / 8);
    uint64_t shifted = times(f, crc_decode(kind, crc_a), power_of_x(f, 8 * size_b));
    digest_crc_encode(kind, shifted ^ crc_decode(kind, crc_b), out);
}
