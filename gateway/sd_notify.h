/* The service manager's protocols: state notifications (sd_notify(3)) and passed sockets (sd_listen_fds(3)). Forty lines
 * instead of libsystemd and what it links. Does nothing when not started by one. Thread: main. */
#ifndef GATEWAY_SD_NOTIFY_H
#define GATEWAY_SD_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=…", … */
void gw_sd_notify(const char *state);
/* Interval in which WATCHDOG=1 is expected; 0: none. */
uint64_t gw_sd_watchdog_ms(void);
/* Sockets passed, from descriptor 3 on; 0 without. Takes the variables out of the environment. */
int gw_sd_listen_fds(void);

#endif
