/* The configuration of `sluice serve`: one table of options (config.c) serves the command line, SLUICE_* variables and the
 * config file; precedence: command line, environment, file, default. Immutable once made. Thread: any. */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/str.h"
#include "s3api/s3.h"
#include "vfs/vfs.h"

#define GW_LISTEN_MAX 16

struct gw_config {
    struct arena *texts;              /* owns every string below */
    const char *volume;               /* path or URL */
    const char *listen[GW_LISTEN_MAX]; /* "127.0.0.1:9000", "[::1]:9000", "unix:/run/sluice.sock"; repeatable option */
    size_t listen_count;
    const char *admin;                /* as listen; "off" for none */
    const char *state_dir;
    const char *region;               /* "us-east-1" */
    const char *domain;               /* NULL: path style only */
    const char *bucket;               /* NULL: directories are buckets */
    enum vfs_sync_mode sync;
    enum vfs_xattr_mode xattr;
    const char *root_access_key, *root_secret_key; /* NULL: none given */
    uint32_t user_requests, user_rate; /* 0: no limit */
    bool proxies_only;
    const char *roles; /* NULL: none */
    bool sigv2;
    uint32_t anonymous_uid, anonymous_gid; /* of requests without a signature, when the process is root */
    enum s3_ownership ownership;      /* BucketOwnerEnforced unless given */
    bool block_public_access;         /* for buckets without a PublicAccessBlock of their own */
    bool read_only;
    const char *tls_cert, *tls_key;   /* PEM; both or none */
    bool ktls;                        /* the kernel encrypts, if it can */
    uint32_t loops;                   /* event-loop threads; default: cores the process may use */
    uint32_t workers;                 /* blocking threads; default 32 */
    uint32_t connections_max;         /* default 10000 */
    uint64_t memory;                  /* bytes for chunks in flight and, with those, all that the volume holds */
    struct vfs_cache_options cache;   /* of JuiceFS-format volumes, on disk */
    uint64_t head_timeout_ms, idle_timeout_ms, body_timeout_ms;
    uint64_t drain_delay_ms;          /* after SIGTERM: not ready but still accepting; default 0 */
    uint64_t drain_timeout_ms;        /* for requests in flight; default 60 s */
    uint64_t upload_expiry_s;         /* default 7 days */
    const char *access_log;           /* path, "-" (stdout), "off"; default "off" */
    const char *log_file;             /* NULL: stderr */
    enum log_level log_level;
    bool log_json;
    const char *trusted_proxies;      /* comma-separated CIDRs whose X-Forwarded-For counts; NULL: none */
};

/* Parses argv (after the subcommand), environment and --config file. On failure returns -EINVAL with one or more lines in
 * error: which option, what was given, what is allowed. Release with
 * gw_config_done. */
MUST_USE int gw_config_parse(int argc, char **argv, struct gw_config *out, struct buf *error);
void gw_config_done(struct gw_config *c);
/* Text of --help for the serve options, grouped. */
void gw_config_help(struct buf *out);
/* Processors that this process may run on. */
uint32_t gw_usable_cores(void);
/* The state folder that serve would use without --state: SLUICE_STATE or the default, in the arena; NULL when there is none. */
const char *gw_config_state_dir(struct arena *arena);
/* Effective values, secrets redacted (`sluice config dump`). */
void gw_config_dump(const struct gw_config *c, struct buf *out);

#endif
