/* `sluice mount`: two processes. The keeper mounts, holds the descriptors of /dev/fuse, and starts the server, which does all
 * the rest; when the server dies, the keeper starts another one, which goes on where the first left off, while programs that
 * use the mount wait. The keeper knows nothing of the volume and stays a few megabytes small.
 *
 *   keeper --START---------> server    what the server before had told, and the memory of files with unsaved bytes
 *   server --OPENED--------> keeper    the volume is open: its name, the metadata session
 *   keeper --DEVICES-------> server    descriptors; the first time the keeper mounts before
 *   server --INIT----------> keeper    the kernel's first request, once in the mount's life: from now on it works
 *
 * Both are one program: what servers run is the file that the keeper runs, even when another one has its name since. An upgrade
 * (SIGHUP) replaces the keeper first. A candidate, the program that has the name now, looks at what it would be given and says
 * whether it can go on with that; if so the server ends, the keeper executes the program in its own place (mount_state.c), and that
 * starts a server. If not, all stays as it is.
 *
 * Thread: main, unless said otherwise. */
#ifndef GATEWAY_MOUNT_H
#define GATEWAY_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/cache_options.h"

#define GW_MOUNT_LISTS_MAX 16

enum gw_mount_role { GW_MOUNT_KEEPER, GW_MOUNT_SERVER, GW_MOUNT_CANDIDATE, GW_MOUNT_SUCCESSOR };

struct gw_mount_options {
    const char *url;
    char *mount_point; /* absolute; owned */
    struct buf passed;       /* of -o, for mount(8) and FUSE */
    const char *subdir; /* NULL: the volume's root */
    bool background, read_only, no_sync, no_background_jobs, hide_internal, enable_cap, enable_selinux;
    int umask; /* -1: the programs' own */
    double store_patience_s; /* 0: the default */
    double attr_cache_s, entry_cache_s, dir_entry_cache_s, negative_cache_s;
    uint64_t memory, io_size_max;
    struct vfs_cache_options cache;
    const char *metrics; /* NULL or "off": none */
    const char *log_file;
    enum log_level log_level;
    char *lists[GW_MOUNT_LISTS_MAX]; /* owned: the values of -o, which options point into */
    size_t list_count;
    enum gw_mount_role role;
    int inherited; /* but for the first keeper: the descriptor of the server's channel, of the others' state */
};

/* -EINVAL with lines in error. Release with gw_mount_options_done. */
MUST_USE int gw_mount_options_parse(int argc, char **argv, struct gw_mount_options *out, struct buf *error);
void gw_mount_options_done(struct gw_mount_options *o);
void gw_mount_options_help(struct buf *out);

/* The channel (mount_channel.c) --------------------------------------------------------------------------------------- */

/* The most that INIT has had in any kernel is 104 bytes. */
#define GW_MOUNT_INIT_MAX 512
#define GW_MOUNT_NAME_MAX 64

enum gw_mount_verb { GW_MOUNT_START = 1, GW_MOUNT_OPENED, GW_MOUNT_DEVICES, GW_MOUNT_INIT };
struct gw_mount_message {
    uint32_t verb;
    uint32_t generation;
    uint64_t session;
    uint32_t can_resend;
    uint32_t init_size;
    char init[GW_MOUNT_INIT_MAX];
    char name[GW_MOUNT_NAME_MAX]; /* NUL-terminated */
};
/* The mount's device, and clones of it. */
#define GW_MOUNT_DEVICES_MAX (1 + LIMIT_FUSE_THREADS)
struct gw_mount_devices {
    int fds[GW_MOUNT_DEVICES_MAX];
    size_t count;
};

/* devices may be NULL. -EPIPE: the other side has gone. */
MUST_USE int gw_mount_send(int channel, const struct gw_mount_message *m, const struct gw_mount_devices *devices);
/* The next message; devices (may be NULL) gets what came with it. -EPIPE, -EPROTO. */
MUST_USE int gw_mount_receive(int channel, struct gw_mount_message *out, struct gw_mount_devices *devices);
void gw_mount_close_devices(struct gw_mount_devices *d);

/* What outlives servers, and the keeper's program (mount_state.c) --------------------------------------------------------- */

struct gw_mount_state {
    struct gw_mount_message told;    /* what a server is told at its start */
    struct gw_mount_devices devices; /* the first one is the mount's; none: not mounted yet */
    struct gw_mount_devices unsaved; /* one descriptor at most: what servers leave behind (vfs/fuse/unsaved.h) */
};
/* In memory, as a descriptor; -errno. */
MUST_USE int gw_mount_state_write(const struct gw_mount_state *s);
/* -EPROTO: of a version that is not known here, or its descriptors are not there. */
MUST_USE int gw_mount_state_read(int fd, struct gw_mount_state *out);
/* Whether a program executed in this one's place has the descriptors. -errno. */
MUST_USE int gw_mount_state_set_inherited(const struct gw_mount_state *s, bool inherited);

/* Processes ---------------------------------------------------------------------------------------------------------- */

/* How a server ends that another one shall follow, as after kill -9, but on purpose. */
#define GW_MOUNT_EXIT_AGAIN 75
/* How a candidate ends that can go on; no other program does. */
#define GW_MOUNT_EXIT_ABLE 76

/* Returns the exit code. args: the command line behind "mount", for the servers. ready (-1: nobody) gets a byte when the mount
 * works, and is closed. */
int gw_mount_keep(const struct gw_mount_options *o, int argc, char **argv, int ready);
/* Returns the exit code. */
int gw_mount_serve(const struct gw_mount_options *o);

/* The process's metrics over HTTP, at /metrics (mount_metrics.c). NULL when the address cannot be bound: said in the log. */
struct gw_mount_metrics;
struct gw_mount_metrics *gw_mount_metrics_start(const char *address);
void gw_mount_metrics_stop(struct gw_mount_metrics *m);

#endif
