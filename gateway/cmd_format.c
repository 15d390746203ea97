/* `sluice format META-URL NAME`: makes a JuiceFS-format volume. The options are those of `juicefs format`. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "vfs/jfs/admin.h"

static const char usage[] =
    "usage: sluice format META-URL NAME [OPTIONS]\n\n"
    "Makes a volume in the JuiceFS community format: metadata in the database META-URL (sqlite3://PATH), data in an object\n"
    "store. The official client can use it too.\n\n"
    "  --storage NAME           file, s3                                        (file)\n"
    "  --bucket URL             a folder; http(s)://HOST/BUCKET                 (needed)\n"
    "  --access-key, --secret-key, --session-token TEXT   of the object store; or ACCESS_KEY, SECRET_KEY, SESSION_TOKEN\n"
    "                           in the environment, where other users do not see them\n"
    "  --storage-class NAME     of the objects\n"
    "  --block-size SIZE        64K to 16M, a power of two; a number counts KiB  (4M)\n"
    "  --compress NAME          none, lz4, zstd                                 (none)\n"
    "  --encrypt-rsa-key FILE   PEM; its passphrase in JFS_RSA_PASSPHRASE\n"
    "  --encrypt-algo NAME      aes256gcm-rsa, chacha20-rsa                     (aes256gcm-rsa)\n"
    "  --shards N               spread over N buckets; %d in --bucket is the number\n"
    "  --hash-prefix            spread the objects' names\n"
    "  --capacity SIZE          limit of space; a number counts GiB\n"
    "  --inodes N               limit of files and directories\n"
    "  --trash-days N           what is removed is kept as long; 0: no trash    (1)\n"
    "  --enable-acl             POSIX access control lists; for good\n"
    "  --force                  replace the settings of a volume that exists\n"
    "  --no-update              leave a volume that exists as it is\n";

enum kind { TEXT, PEM_FILE, KIBIBYTES, GIBIBYTES, U32, U64, FLAG };

static const struct {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *environment;
} options[] = {
    {"storage", TEXT, offsetof(struct jfs_format, storage), NULL},
    {"bucket", TEXT, offsetof(struct jfs_format, bucket), NULL},
    {"access-key", TEXT, offsetof(struct jfs_format, access_key), "ACCESS_KEY"},
    {"secret-key", TEXT, offsetof(struct jfs_format, secret_key), "SECRET_KEY"},
    {"session-token", TEXT, offsetof(struct jfs_format, session_token), "SESSION_TOKEN"},
    {"storage-class", TEXT, offsetof(struct jfs_format, storage_class), NULL},
    {"compress", TEXT, offsetof(struct jfs_format, compression), NULL},
    {"encrypt-algo", TEXT, offsetof(struct jfs_format, encrypt_algo), NULL},
    {"encrypt-rsa-key", PEM_FILE, offsetof(struct jfs_format, encrypt_key), NULL},
    {"block-size", KIBIBYTES, offsetof(struct jfs_format, block_size), NULL},
    {"shards", U32, offsetof(struct jfs_format, shards), NULL},
    {"hash-prefix", FLAG, offsetof(struct jfs_format, hash_prefix), NULL},
    {"capacity", GIBIBYTES, offsetof(struct jfs_format, capacity), NULL},
    {"inodes", U64, offsetof(struct jfs_format, inodes), NULL},
    {"trash-days", U32, offsetof(struct jfs_format, trash_days), NULL},
    {"enable-acl", FLAG, offsetof(struct jfs_format, enable_acl), NULL},
    {"force", FLAG, offsetof(struct jfs_format, force), NULL},
    {"no-update", FLAG, offsetof(struct jfs_format, no_update), NULL},
};

static bool read_pem(const char *path, struct str *out, struct arena *arena)
{
    struct buf text = buf_make(LIMIT_SETTINGS_BYTES / 2);
    int rc = fd_read_file(AT_FDCWD, path, &text);
    if (rc < 0)
        fprintf(stderr, "sluice: %s: %s\n", path, strerror(-rc));
    else
        *out = arena_dup(arena, buf_str(&text));
    buf_done(&text);
    return rc == 0;
}

/* A size; a number alone counts units. */
static bool read_size(struct str text, uint64_t unit, uint64_t *out)
{
    uint64_t n;
    if (!str_parse_u64(text, &n))
        return str_parse_size(text, out);
    if (n > UINT64_MAX / unit)
        return false;
    *out = n * unit;
    return true;
}

static bool set_value(enum kind kind, const char *value, void *field, struct arena *arena)
{
    uint64_t n = 0;
    bool ok = false;
    switch (kind) {
    case TEXT:
        *(struct str *)field = str_z(value);
        return true;
    case PEM_FILE:
        return read_pem(value, field, arena);
    case KIBIBYTES:
        return read_size(str_z(value), 1024, field);
    case GIBIBYTES:
        return read_size(str_z(value), 1024 * 1024 * 1024, field);
    case U64:
        return str_parse_u64_max(str_z(value), INT64_MAX, field);
    case U32:
        ok = str_parse_u64_max(str_z(value), UINT32_MAX, &n);
        if (ok)
            *(uint32_t *)field = (uint32_t)n;
        return ok;
    case FLAG:
        return false;
    }
    return ok;
}

static bool set_option(struct jfs_format *f, struct str name, struct gw_args *args, struct arena *arena)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        void *field = (char *)f + options[i].offset;
        if (!str_is(name, options[i].name))
            continue;
        if (options[i].kind == FLAG) {
            *(bool *)field = true;
            return true;
        }
        const char *value = gw_args_value(args);
        if (value && set_value(options[i].kind, value, field, arena))
            return true;
        fprintf(stderr, "sluice: --%s: %s; `sluice format --help`\n", options[i].name, value ? "cannot be that" : "needs a value");
        return false;
    }
    fprintf(stderr, "sluice: there is no option --%.*s; `sluice format --help` lists them\n", STR_ARG(name));
    return false;
}

static void read_environment(struct jfs_format *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i].environment)
            *(struct str *)(void *)((char *)f + options[i].offset) = str_z(getenv(options[i].environment));
}

static bool parse(int argc, char **argv, struct jfs_format *f, struct arena *arena)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_OPTION) {
            if (!set_option(f, word, &args, arena))
                return false;
        } else if (f->name.ptr) {
            fprintf(stderr, "sluice: '%.*s' is one word too many\n", STR_ARG(word));
            return false;
        } else {
            *(f->url.ptr ? &f->name : &f->url) = word;
        }
    }
    if (!f->name.ptr)
        fputs(usage, stderr);
    return f->name.ptr != NULL;
}

int gw_cmd_format(int argc, char **argv)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct jfs_format f = jfs_format_defaults();
    if (argc > 0 && (str_is(str_z(argv[0]), "--help") || str_is(str_z(argv[0]), "-h"))) {
        fputs(usage, stdout);
        return 0;
    }
    read_environment(&f);
    if (!parse(argc, argv, &f, arena))
        return 2;
    struct buf out = buf_make(LIMIT_SETTINGS_BYTES), error = buf_make(LIMIT_SETTINGS_BYTES);
    int rc = jfs_format(&f, &out, &error);
    if (rc < 0)
        fprintf(stderr, "sluice: %s\n", buf_z(&error));
    else if (out.len > 0)
        printf("%s\n", buf_z(&out));
    buf_done(&out);
    buf_done(&error);
    return rc < 0 ? 1 : 0;
}
