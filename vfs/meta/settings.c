#include "vfs/meta/settings.h"

#include <errno.h>
#include <stddef.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/secretbox.h"

#define REMOVED "removed"

/* Members of the record, in the order in which official clients write them */

enum kind { TEXT, SECRET, RAW, BOOL, U32, U64, I64 };

struct member {
    const char *name;
    enum kind kind;
    bool always; /* written even when it says nothing */
    size_t offset;
};

#define MEMBER(name, kind, always, field) {name, kind, always, offsetof(struct meta_settings, field)}
static const struct member members[] = {
    MEMBER("Name", TEXT, true, name),
    MEMBER("UUID", TEXT, true, uuid),
    MEMBER("Storage", TEXT, true, storage),
    MEMBER("StorageClass", TEXT, false, storage_class),
    MEMBER("Tiers", RAW, false, tiers),
    MEMBER("Bucket", TEXT, true, bucket),
    MEMBER("AccessKey", TEXT, false, access_key),
    MEMBER("SecretKey", SECRET, false, secret_key),
    MEMBER("SessionToken", SECRET, false, session_token),
    MEMBER("BlockSize", U32, true, block_size_kib),
    MEMBER("Compression", TEXT, false, compression),
    MEMBER("Shards", U32, false, shards),
    MEMBER("HashPrefix", BOOL, false, hash_prefix),
    MEMBER("Capacity", U64, false, capacity),
    MEMBER("Inodes", U64, false, inodes),
    MEMBER("EncryptKey", SECRET, false, encrypt_key),
    MEMBER("EncryptAlgo", TEXT, false, encrypt_algo),
    MEMBER("KeyEncrypted", BOOL, false, key_encrypted),
    MEMBER("UploadLimit", I64, false, upload_limit_mbps),
    MEMBER("DownloadLimit", I64, false, download_limit_mbps),
    MEMBER("TrashDays", U32, true, trash_days),
    MEMBER("MetaVersion", U32, false, meta_version),
    MEMBER("MinClientVersion", TEXT, false, min_client_version),
    MEMBER("MaxClientVersion", TEXT, false, max_client_version),
    MEMBER("DirStats", BOOL, false, dir_stats),
    MEMBER("UserGroupQuota", BOOL, false, user_group_quota),
    MEMBER("EnableACL", BOOL, true, enable_acl),
    MEMBER("RangerRestUrl", TEXT, false, ranger_rest_url),
    MEMBER("RangerService", TEXT, false, ranger_service),
    MEMBER("ChangeLog", BOOL, false, change_log),
    MEMBER("ChangeLogMaxAge", I64, false, change_log_max_age_s),
    MEMBER("ChangeLogMaxLines", I64, false, change_log_max_lines),
    MEMBER("KerbConf", TEXT, false, kerb_conf),
};

static void *field_of(struct meta_settings *s, const struct member *m)
{
    return (char *)s + m->offset;
}

static const void *const_field_of(const struct meta_settings *s, const struct member *m)
{
    return (const char *)s + m->offset;
}

static struct str text_of(const struct meta_settings *s, const struct member *m)
{
    return *(const struct str *)const_field_of(s, m);
}

static bool is_text(enum kind kind)
{
    return kind == TEXT || kind == SECRET || kind == RAW;
}

/* Life */

static struct meta_settings *settings_alloc(void)
{
    struct arena *arena = arena_new();
    struct meta_settings *s = arena_new_of(arena, struct meta_settings);
    s->arena = arena;
    return s;
}

static struct str new_uuid(struct arena *arena)
{
    uint8_t b[16];
    random_bytes(b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10 */
    b[8] = (b[8] & 0x3f) | 0x80;
    char hex[32];
    hex_encode(b, sizeof(b), hex);
    return arena_printf(arena, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

struct meta_settings *meta_settings_new(void)
{
    struct meta_settings *s = settings_alloc();
    s->uuid = new_uuid(s->arena);
    s->storage = STR("file");
    s->block_size_kib = 4096;
    s->compression = STR("none");
    s->encrypt_algo = STR("aes256gcm-rsa");
    s->trash_days = 1;
    s->meta_version = META_VERSION;
    s->min_client_version = STR("1.1.0-A");
    s->dir_stats = true;
    return s;
}

void meta_settings_free(struct meta_settings *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        struct str secret = members[i].kind == SECRET ? text_of(s, &members[i]) : STR_EMPTY;
        /* Secrets are always of the arena: parse and keep copy them. */
        if (secret.len > 0)
            secure_zero((void *)(uintptr_t)secret.ptr, secret.len);
    }
    arena_free(s->arena);
}

void meta_settings_freep(struct meta_settings **s)
{
    meta_settings_free(*s);
}

struct str meta_settings_keep(struct meta_settings *s, struct str text)
{
    return text.len > 0 ? arena_dup(s->arena, text) : STR_EMPTY;
}

struct meta_settings *meta_settings_dup(const struct meta_settings *s)
{
    struct meta_settings *copy = settings_alloc();
    struct arena *arena = copy->arena;
    *copy = *s;
    copy->arena = arena;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (is_text(members[i].kind))
            *(struct str *)field_of(copy, &members[i]) = meta_settings_keep(copy, text_of(s, &members[i]));
    copy->unknown = meta_settings_keep(copy, s->unknown);
    return copy;
}

/* Secrets: base64 of nonce, cipher text and tag, AES-128-GCM under the MD5 of the UUID (§1.4) */

static void secret_key_of(struct str uuid, uint8_t out[DIGEST_SIZE_MAX])
{
    digest_bytes(DIGEST_MD5, uuid, out);
}

static int open_secret(struct meta_settings *s, struct str *secret)
{
    uint8_t key[DIGEST_SIZE_MAX];
    size_t sealed_size;
    if (secret->len == 0 || str_is(*secret, REMOVED))
        return 0;
    char *sealed = arena_alloc(s->arena, secret->len);
    if (!base64_decode(*secret, sealed, secret->len, &sealed_size))
        return -EBADMSG;
    secret_key_of(s->uuid, key);
    struct buf plain = buf_make(secret->len);
    int rc = secretbox_open128(key, str_of(sealed, sealed_size), &plain);
    if (rc == 0) {
        *secret = meta_settings_keep(s, buf_str(&plain));
        secure_zero(plain.ptr, plain.len);
    }
    buf_done(&plain);
    return rc;
}

static void write_secret(struct str uuid, struct str secret, struct buf *out)
{
    uint8_t key[DIGEST_SIZE_MAX];
    struct buf sealed = buf_make(LIMIT_SETTINGS_BYTES);
    if (str_is(secret, REMOVED)) {
        buf_add_json(out, secret);
        return;
    }
    secret_key_of(uuid, key);
    secretbox_seal128(key, secret, &sealed);
    buf_addc(out, '"');
    buf_add_base64(out, sealed.ptr, sealed.len);
    buf_addc(out, '"');
    out->failed |= sealed.failed;
    buf_done(&sealed);
}

/* Reading */

static const struct member *member_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (str_eq_nocase(name, str_z(members[i].name)))
            return &members[i];
    return NULL;
}

static bool parse_i64(struct str digits, int64_t *out)
{
    uint64_t n;
    bool negative = str_starts(digits, STR("-"));
    if (!str_parse_u64_max(str_from(digits, negative), INT64_MAX, &n))
        return false;
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool read_number(const struct json *value, enum kind kind, void *field)
{
    uint64_t n;
    if (value->kind != JSON_IS_NUMBER)
        return false;
    if (kind == I64)
        return parse_i64(value->text, field);
    if (kind == U64)
        return str_parse_u64(value->text, field);
    bool ok = str_parse_u64_max(value->text, UINT32_MAX, &n);
    if (ok)
        *(uint32_t *)field = (uint32_t)n;
    return ok;
}

static bool read_text(const struct json *value, struct str *field)
{
    if (value->kind == JSON_IS_TEXT)
        *field = value->text;
    return value->kind == JSON_IS_TEXT;
}

static bool read_bool(const struct json *value, bool *field)
{
    if (value->kind == JSON_IS_BOOL)
        *field = str_is(value->text, "true");
    return value->kind == JSON_IS_BOOL;
}

static struct str raw_text(struct arena *arena, const struct json *value)
{
    struct buf text = buf_make(LIMIT_SETTINGS_BYTES);
    json_write(value, &text);
    struct str kept = arena_dup(arena, buf_str(&text));
    buf_done(&text);
    return kept;
}

static bool read_member(struct meta_settings *s, const struct member *m, const struct json *value)
{
    void *field = field_of(s, m);
    if (value->kind == JSON_IS_NULL && m->kind != RAW)
        return true; /* Go leaves the member as it is */
    switch (m->kind) {
    case TEXT:
    case SECRET:
        return read_text(value, field);
    case RAW:
        *(struct str *)field = raw_text(s->arena, value);
        return true;
    case BOOL:
        return read_bool(value, field);
    case U32:
    case U64:
    case I64:
        return read_number(value, m->kind, field);
    }
    return false;
}

static bool says_something(const struct json *value)
{
    switch (value->kind) {
    case JSON_IS_NULL:
        return false;
    case JSON_IS_BOOL:
        return str_is(value->text, "true");
    case JSON_IS_NUMBER:
        return !str_is(value->text, "0");
    case JSON_IS_TEXT:
        return value->text.len > 0;
    case JSON_IS_LIST:
    case JSON_IS_OBJECT:
        return value->count > 0;
    }
    return true;
}

static void keep_unknown(struct meta_settings *s, const struct json *value, struct buf *unknown)
{
    buf_addz(unknown, unknown->len ? "," : "");
    buf_add_json(unknown, value->name);
    buf_addc(unknown, ':');
    json_write(value, unknown);
    s->unknown_set |= says_something(value);
}

static int read_members(struct meta_settings *s, const struct json *object, struct buf *error)
{
    struct buf unknown = buf_make(LIMIT_SETTINGS_BYTES * 2);
    int rc = 0;
    for (const struct json *value = object->first; value && rc == 0; value = value->next) {
        const struct member *m = member_find(value->name);
        if (!m) {
            keep_unknown(s, value, &unknown);
        } else if (!read_member(s, m, value)) {
            buf_addf(error, "the volume's setting %s has a value that it cannot have", m->name);
            rc = -EINVAL;
        }
    }
    s->unknown = meta_settings_keep(s, buf_str(&unknown));
    if (unknown.failed)
        rc = -EINVAL;
    buf_done(&unknown);
    return rc;
}

static int open_secrets(struct meta_settings *s, struct buf *error)
{
    for (size_t i = 0; s->key_encrypted && i < ARRAY_SIZE(members); i++) {
        if (members[i].kind != SECRET || open_secret(s, field_of(s, &members[i])) == 0)
            continue;
        buf_addf(error, "the volume's setting %s cannot be decrypted", members[i].name);
        return -EBADMSG;
    }
    return 0;
}

int meta_settings_parse(struct str json, struct meta_settings **out, struct buf *error)
{
    CLEANUP(meta_settings_freep) struct meta_settings *s = settings_alloc();
    struct buf why = buf_make(256);
    const struct json *tree = json_parse(json, LIMIT_SETTINGS_BYTES, LIMIT_SETTINGS_DEPTH, s->arena, &why);
    int rc = 0;
    if (!tree || tree->kind != JSON_IS_OBJECT) {
        buf_addf(error, "the volume's setting record is %s", tree ? "no JSON object" : buf_z(&why));
        rc = -EINVAL;
    }
    buf_done(&why);
    if (rc == 0)
        rc = read_members(s, tree, error);
    if (rc == 0)
        rc = open_secrets(s, error);
    if (rc == 0)
        *out = TAKE(s);
    return rc;
}

/* Writing */

static bool is_empty(const struct meta_settings *s, const struct member *m)
{
    const void *field = const_field_of(s, m);
    switch (m->kind) {
    case TEXT:
    case SECRET:
    case RAW:
        return text_of(s, m).len == 0;
    case BOOL:
        return !*(const bool *)field;
    case U32:
        return *(const uint32_t *)field == 0;
    case U64:
        return *(const uint64_t *)field == 0;
    case I64:
        return *(const int64_t *)field == 0;
    }
    return false;
}

static void write_value(const struct meta_settings *s, const struct member *m, bool seal, struct buf *out)
{
    const void *field = const_field_of(s, m);
    switch (m->kind) {
    case TEXT:
        buf_add_json(out, text_of(s, m));
        break;
    case SECRET:
        if (seal)
            write_secret(s->uuid, text_of(s, m), out);
        else
            buf_add_json(out, STR(REMOVED));
        break;
    case RAW:
        buf_add(out, text_of(s, m));
        break;
    case BOOL:
        buf_addz(out, *(const bool *)field ? "true" : "false");
        break;
    case U32:
        buf_add_u64(out, *(const uint32_t *)field);
        break;
    case U64:
        buf_add_u64(out, *(const uint64_t *)field);
        break;
    case I64:
        buf_addf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    }
}

static bool has_secret(const struct meta_settings *s)
{
    return s->secret_key.len > 0 || s->session_token.len > 0 || s->encrypt_key.len > 0;
}

static void write_record(const struct meta_settings *s, bool seal, struct buf *out)
{
    struct meta_settings as_written = *s;
    as_written.key_encrypted = has_secret(s);
    const char *separator = "{\n";
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (!members[i].always && is_empty(&as_written, &members[i]))
            continue;
        buf_addf(out, "%s\"%s\": ", separator, members[i].name);
        write_value(&as_written, &members[i], seal, out);
        separator = ",\n";
    }
    if (s->unknown.len > 0) {
        buf_addz(out, separator);
        buf_add(out, s->unknown);
    }
    buf_addz(out, "\n}");
}

void meta_settings_write(const struct meta_settings *s, struct buf *out)
{
    write_record(s, true, out);
}

void meta_settings_show(const struct meta_settings *s, struct buf *out)
{
    write_record(s, false, out);
}
