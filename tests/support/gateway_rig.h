/* A gateway in one process, over the fake engine, and a client for it that can be as rude as the test wants. */
#ifndef TESTS_SUPPORT_GATEWAY_RIG_H
#define TESTS_SUPPORT_GATEWAY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct rig_options {
    uint64_t memory;           /* 0: plenty */
    uint32_t workers;          /* 0: 4 */
    uint64_t head_timeout_ms, idle_timeout_ms, body_timeout_ms; /* 0: 5 s */
    size_t queue_max;          /* 0: plenty */
    uint32_t connections_max;  /* 0: plenty */
    const char *tls_cert, *tls_key;
};

struct rig;

/* loops: 2. */
struct rig *rig_start(const struct rig_options *o);
/* Cuts what is open; all ops must have been ended, all memory returned. */
void rig_stop(struct rig *r);
uint16_t rig_port(const struct rig *r);
unsigned rig_connections(const struct rig *r);
unsigned rig_in_flight(const struct rig *r);
void rig_drain(struct rig *r);
struct gw_tls *rig_tls(struct rig *r);
/* Waits up to 5 s until no exchange is in flight and every op begun has ended. */
bool rig_settles(struct rig *r);
/* Waits until (*value)() reaches at least `least`, up to 5 s. */
bool rig_reaches(uint64_t (*value)(void), uint64_t least);

/* A connected socket with receive timeout 5 s. */
int rig_connect(const struct rig *r);
void rig_send(int fd, const char *text);
/* size bytes of the fake engine's pattern; false when the peer has closed. */
bool rig_send_pattern(int fd, uint64_t size);

struct rig_answer {
    int status;        /* 0: the connection ended before a head came */
    struct buf head;   /* with the empty line */
    struct buf body;   /* without transfer coding */
    bool whole;        /* the body came as its head promised */
};
/* Reads one answer; bytes behind it stay in the socket. head: the request was HEAD. */
struct rig_answer rig_read_answer(int fd, bool head);
void rig_answer_done(struct rig_answer *a);
/* Sends a request, reads its answer: status and body must be these (body NULL: any). */
void rig_expect(int fd, const char *request, int status, const char *body);
/* The peer closes, without more bytes and without a reset. */
bool rig_is_closed(int fd);
/* Header present? */
bool rig_has_header(const struct rig_answer *a, const char *line);

#endif
