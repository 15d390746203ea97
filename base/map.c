/* Open addressing with linear probing. Invariants: capacity is a power of two; at most three quarters of the slots are
 * used; between a key's home slot and its place no slot is empty (map_remove shifts back, so there are no tombstones).
 */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"

#define CAPACITY_MIN 16

struct slot {
    uint64_t hash;
    char *key; /* owned */
    size_t key_len;
    void *value; /* NULL: the slot is empty */
};

struct map {
    struct slot *slots;
    size_t capacity;
    size_t count;
};

/* SipHash-1-3 (Aumasson and Bernstein; the variant of Rust and Python) */

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_fill(void)
{
    random_bytes(seed, sizeof(seed));
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t siphash13(const uint64_t key[2], struct str s)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + at, 8);
        sip_word(v, word);
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t i = 0; at + i < s.len; i++)
        last |= (uint64_t)(unsigned char)s.ptr[at + i] << (8 * i);
    sip_word(v, last);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(struct str s)
{
    CHECK(pthread_once(&seed_once, seed_fill) == 0);
    return siphash13(seed, s);
}

/* The table */

static struct slot *slots_new(size_t capacity)
{
    struct slot *slots = calloc(capacity, sizeof(*slots));
    CHECK(slots != NULL); /* out of memory */
    return slots;
}

struct map *map_new(void)
{
    struct map *m = calloc(1, sizeof(*m));
    CHECK(m != NULL); /* out of memory */
    m->capacity = CAPACITY_MIN;
    m->slots = slots_new(m->capacity);
    return m;
}

void map_free(struct map *m, void (*free_value)(void *value))
{
    if (!m)
        return;
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->slots[i].value && free_value)
            free_value(m->slots[i].value);
        free(m->slots[i].key);
    }
    free(m->slots);
    free(m);
}

static size_t home_of(const struct map *m, uint64_t hash)
{
    return (size_t)hash & (m->capacity - 1);
}

static size_t next_of(const struct map *m, size_t index)
{
    return (index + 1) & (m->capacity - 1);
}

/* The key's slot, or the empty one where it belongs. */
static struct slot *find_slot(const struct map *m, uint64_t hash, struct str key)
{
    size_t index = home_of(m, hash);
    while (m->slots[index].value) {
        const struct slot *slot = &m->slots[index];
        if (slot->hash == hash && str_eq(str_of(slot->key, slot->key_len), key))
            break;
        index = next_of(m, index);
    }
    return &m->slots[index];
}

void *map_get(const struct map *m, struct str key)
{
    return find_slot(m, hash_bytes(key), key)->value;
}

static void grow(struct map *m)
{
    struct map larger = {.capacity = m->capacity * 2, .count = m->count};
    larger.slots = slots_new(larger.capacity);
    for (size_t i = 0; i < m->capacity; i++) {
        const struct slot *slot = &m->slots[i];
        if (slot->value)
            *find_slot(&larger, slot->hash, str_of(slot->key, slot->key_len)) = *slot;
    }
    free(m->slots);
    *m = larger;
}

static char *key_dup(struct str key)
{
    char *copy = malloc(key.len + 1);
    CHECK(copy != NULL); /* out of memory */
    if (key.len > 0)
        memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    return copy;
}

void *map_set(struct map *m, struct str key, void *value)
{
    CHECK(value != NULL);
    uint64_t hash = hash_bytes(key);
    struct slot *slot = find_slot(m, hash, key);
    if (slot->value) {
        void *before = slot->value;
        slot->value = value;
        return before;
    }
    if (m->count + 1 > m->capacity / 4 * 3) {
        grow(m);
        slot = find_slot(m, hash, key);
    }
    *slot = (struct slot){.hash = hash, .key = key_dup(key), .key_len = key.len, .value = value};
    m->count++;
    return NULL;
}

/* Moves later members of the probe chain into the hole, as far as their home slots allow. */
static void close_hole(struct map *m, size_t hole)
{
    for (size_t i = next_of(m, hole); m->slots[i].value; i = next_of(m, i)) {
        size_t mask = m->capacity - 1;
        size_t from_home = (i - home_of(m, m->slots[i].hash)) & mask;
        size_t from_hole = (i - hole) & mask;
        if (from_home < from_hole)
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole] = (struct slot){0};
}

void *map_remove(struct map *m, struct str key)
{
    struct slot *slot = find_slot(m, hash_bytes(key), key);
    void *value = slot->value;
    if (!value)
        return NULL;
    free(slot->key);
    close_hole(m, (size_t)(slot - m->slots));
    m->count--;
    return value;
}

size_t map_count(const struct map *m)
{
    return m->count;
}

bool map_next(const struct map *m, size_t *cursor, struct str *out_key, void **out_value)
{
    while (*cursor < m->capacity) {
        const struct slot *slot = &m->slots[(*cursor)++];
        if (!slot->value)
            continue;
        *out_key = str_of(slot->key, slot->key_len);
        *out_value = slot->value;
        return true;
    }
    return false;
}
