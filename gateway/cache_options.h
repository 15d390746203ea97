/* The options of the cache on disk, which `serve`, `mount` and `warmup` have in common, under the names and with the values of
 * `juicefs mount`. Thread: main. */
#ifndef GATEWAY_CACHE_OPTIONS_H
#define GATEWAY_CACHE_OPTIONS_H

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"
#include "vfs/cache_options.h"

/* For tables of options: ROW(name, argument, initial value, help), texts each. Defaults are official clients'. */
#define GW_CACHE_OPTIONS(ROW)                                                                                                   \
    ROW("cache-dir", "DIR[:DIR…]", "none", "cache on disk of a JuiceFS-format volume's blocks, one folder for each disk")       \
    ROW("cache-size", "SIZE", "100G", "of all its folders; a number alone counts MiB; 0: no cache")                             \
    ROW("cache-items", "N", "0", "blocks that it has at most; 0: no limit")                                                     \
    ROW("free-space-ratio", "RATIO", "0.1", "of its filesystems' space and inodes that stays free")                             \
    ROW("cache-mode", "OCTAL", "0600", "mode of its files")

void gw_cache_options_init(struct vfs_cache_options *out);
/* value lives as long as c. 1: done; 0: that is no option of the cache; -EINVAL: *out_allowed says what is allowed. */
MUST_USE int gw_cache_option_set(struct vfs_cache_options *c, struct str name, const char *value, const char **out_allowed);
/* The value as gw_cache_option_set reads it. name: one of them. */
void gw_cache_option_show(const struct vfs_cache_options *c, const char *name, struct buf *out);

#endif
