/* A small object store over HTTP for tests of the s3 driver: keeps objects in memory, checks no signatures (but that there
 * is one), and misbehaves when told to. Speaks PUT, GET with ranges, HEAD, DELETE and ListObjectsV2 of one bucket, "b". */
#ifndef TESTS_SUPPORT_STORE_RIG_H
#define TESTS_SUPPORT_STORE_RIG_H

#include <stdint.h>

enum store_rig_fault {
    RIG_GOOD,
    RIG_500,
    RIG_SLOW_DOWN,  /* 503 with the code SlowDown */
    RIG_429,
    RIG_403,
    RIG_RESET,      /* no answer: the connection is reset */
    RIG_CUT_BODY,   /* half the promised body, then the end */
    RIG_SHORT,      /* a body, and a length, that lack the last byte */
    RIG_CORRUPT,    /* one wrong byte */
    RIG_STALL,      /* half the body, then silence until the client goes */
    RIG_NO_RANGES,  /* 200 and everything */
    RIG_WRONG_RANGE,/* another range than was asked for */
    RIG_NO_LENGTH,  /* a body that ends with the connection */
    RIG_BAD_XML,
    RIG_WRONG_KEYS, /* a listing with a key of somebody else */
};

struct store_rig;
struct store_rig *store_rig_start(void);
void store_rig_stop(struct store_rig *r);
uint16_t store_rig_port(const struct store_rig *r);
/* The next `count` requests meet this fault. */
void store_rig_fail(struct store_rig *r, enum store_rig_fault fault, unsigned count);
/* Requests and connections since the start. */
unsigned store_rig_requests(struct store_rig *r);
unsigned store_rig_connections(struct store_rig *r);
/* Most requests that were in work at once. */
unsigned store_rig_peak(struct store_rig *r);
/* Every request takes so long. */
void store_rig_delay(struct store_rig *r, unsigned ms);

#endif
