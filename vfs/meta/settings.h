/* The setting record of a JuiceFS-format volume (§1): what `format` decided, read by every client at every heartbeat.
 * Members that we do not know are kept when the record is written again. Secrets are plain in memory and sealed in the
 * record (§1.4; anybody who may read the record can open them). Thread: any; a value is used by one thread at a time. */
#ifndef VFS_META_SETTINGS_H
#define VFS_META_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

/* The newest layout of metadata that exists, and the release of JuiceFS whose behaviour ours is: volumes state the
 * releases that may use them (§1.3). */
#define META_VERSION 1
#define META_CLIENT_VERSION "1.4.0"

/* Texts are views of the settings' own memory or of constants; empty: not set. */
struct meta_settings {
    struct arena *arena; /* owns */
    struct str name;     /* all objects are below "name/" */
    struct str uuid;
    struct str storage, storage_class, bucket;
    struct str tiers; /* JSON: storage classes by number (1.4); kept as it is */
    struct str access_key, secret_key, session_token;
    uint32_t block_size_kib;
    struct str compression; /* "", "none", "lz4", "zstd", any case */
    uint32_t shards;        /* > 1: that many buckets */
    bool hash_prefix;
    uint64_t capacity, inodes; /* bytes, nodes; 0: no limit */
    struct str encrypt_key, encrypt_algo; /* PEM; empty: objects are not encrypted, whatever the algorithm */
    bool key_encrypted; /* the record came with sealed secrets */
    int64_t upload_limit_mbps, download_limit_mbps;
    uint32_t trash_days; /* 0: no trash */
    uint32_t meta_version;
    struct str min_client_version, max_client_version;
    bool dir_stats, user_group_quota, enable_acl;
    struct str ranger_rest_url, ranger_service;
    bool change_log;
    int64_t change_log_max_age_s, change_log_max_lines;
    struct str kerb_conf;
    struct str unknown; /* members of other names: `"Name":value` joined by ',' */
    bool unknown_set;   /* one of them says something (not null, false, 0 or empty) */
};

/* What `juicefs format` sets when nothing is asked for, with a new UUID; name and bucket are empty. */
MUST_USE struct meta_settings *meta_settings_new(void);
/* NULL is fine. Wipes the secrets. */
void meta_settings_free(struct meta_settings *s);
void meta_settings_freep(struct meta_settings **s);
MUST_USE struct meta_settings *meta_settings_dup(const struct meta_settings *s);

/* Texts that settings shall keep. */
struct str meta_settings_keep(struct meta_settings *s, struct str text);

/* Reads a record, opening its secrets. -EINVAL: not JSON, or a member of the wrong type; -EBADMSG: a secret does not open.
 * *error gets a line for people. A secret that `dump` removed reads "removed". Accepts what meta_settings_check refuses. */
MUST_USE int meta_settings_parse(struct str json, struct meta_settings **out, struct buf *error);
/* Appends the record as official clients write it, with freshly sealed secrets. */
void meta_settings_write(const struct meta_settings *s, struct buf *out);
/* The same for people's eyes: secrets read "removed". */
void meta_settings_show(const struct meta_settings *s, struct buf *out);

/* May this program use a volume of these settings? -ENOTSUP with *error naming the member that says no: a version out of
 * range, a feature that is not honoured, a value out of its range. */
MUST_USE int meta_settings_check(const struct meta_settings *s, struct buf *error);
/* May the record `old` be replaced by `s` while data exists? -EINVAL with *error naming the member that may not change. */
MUST_USE int meta_settings_check_update(const struct meta_settings *old, const struct meta_settings *s, struct buf *error);
/* 3 to 63 of a-z, 0-9 and '-', no '-' at the ends. */
bool meta_settings_name_ok(struct str name);
/* Down to a power of two, then into 64 KiB to 16 MiB, as `juicefs format` does. */
uint32_t meta_settings_block_size_kib(uint64_t bytes);

/* <0, 0, >0; false when one is no version (§1.3). */
MUST_USE bool meta_version_compare(struct str a, struct str b, int *out);

#endif
