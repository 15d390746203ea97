/* Is the gateway well? A thread looks at the volume every few seconds; a volume that does not answer (a dead NFS server) holds
 * that thread and nobody else, and counts as unreachable after a while. Answers are read from what it saw last, so that
 * health checks cost nothing and never block. Thread: any, unless said otherwise. */
#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct gw_health;
struct gw_loop;
struct vfs;

/* All borrowed. Thread: main. */
struct gw_health *gw_health_start(struct vfs *volume, struct gw_loop *const *loops, size_t loop_count);
void gw_health_stop(struct gw_health *h);
/* From now on not ready: new connections should go elsewhere. */
void gw_health_set_draining(struct gw_health *h);
/* The event loops turn. */
bool gw_health_is_live(const struct gw_health *h);
/* Live, the volume answers, and we are not about to stop. */
bool gw_health_is_ready(struct gw_health *h);
/* The same as JSON, with reasons. */
void gw_health_write(struct gw_health *h, struct buf *out);

#endif
