/* A client of a JuiceFS-format volume: metadata, store and data layer, opened together from a metadata URL and the settings found
 * there. What the gateway's volume, the mount and the commands stand on. */
#ifndef VFS_JFS_CLIENT_H
#define VFS_JFS_CLIENT_H

#include "vfs/data/data.h"
#include "vfs/meta/meta.h"
#include "vfs/store/store.h"

struct jfs_client_options {
    struct meta_options meta;
    struct data_options data;
    bool no_sync; /* blocks need not survive a loss of power */
    uint32_t store_patience_ms; /* for one operation of the store, repetitions included, roughly; 0: the default */
};

struct jfs_client {
    struct meta *meta;
    struct store *store; /* follows the settings, as official clients' */
    struct data *data;
    struct meta_settings *store_settings; /* those that it was opened by, or changed to */
    bool no_sync;
    uint32_t store_patience_ms;
};

/* out stays where it is until it is closed. *out_error: a line of text, static or thread-local, on failure. Thread: any. */
MUST_USE int jfs_client_open(struct str url, const struct jfs_client_options *options, struct jfs_client *out,
                             const char **out_error);
/* Flushes nothing: all files are closed. What is half open is fine. */
void jfs_client_close(struct jfs_client *c);
/* The same by meta_leave: another process goes on with the session. */
void jfs_client_leave(struct jfs_client *c);
/* The store that the settings name; for commands that need no more than that. */
MUST_USE int jfs_store_open(const struct meta_settings *settings, bool no_sync, struct store **out, const char **out_error);

#endif
