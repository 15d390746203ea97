/* Composition root of `sluice serve`: volume, identities, engine, workers, loops, listeners; runs until told to stop, then
 * drains. Included by commands only. Thread: main. */
#ifndef GATEWAY_SERVER_H
#define GATEWAY_SERVER_H

#include "base/compiler.h"
#include "gateway/config.h"

/* Serves until SIGTERM or SIGINT, then drains (a second signal stops at once). SIGHUP reloads certificates and
 * identities and reopens log files; SIGUSR1 reopens logs only. Returns the exit code: 0 after a clean drain. What goes wrong at
 * start is said in one line on stderr. */
int gw_server_run(const struct gw_config *config);

#endif
