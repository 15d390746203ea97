#include <errno.h>

#include "vfs/meta/settings.h"

/* Versions: "1.3.0-beta1+2024-01-01" */

struct version {
    uint64_t numbers[3];
    struct str pre;
};

static bool version_parse(struct str text, struct version *out)
{
    ptrdiff_t plus = str_find_char(text, '+'), dash;
    struct str number;
    *out = (struct version){0};
    if (plus > 0)
        text = str_first(text, (size_t)plus);
    dash = str_find_char(text, '-');
    if (dash > 0) {
        out->pre = str_from(text, (size_t)dash + 1);
        text = str_first(text, (size_t)dash);
    }
    if (text.len == 0)
        return false;
    for (size_t i = 0; str_split(&text, '.', &number); i++)
        if (i == 3 || !str_parse_u64(number, &out->numbers[i]))
            return false;
    return true;
}

/* A release is later than what came before it, whatever the names of that; those compare as text. */
static int compare_pre(struct str a, struct str b)
{
    if (a.len == 0 || b.len == 0)
        return (a.len == 0) - (b.len == 0);
    return str_cmp(a, b);
}

bool meta_version_compare(struct str a, struct str b, int *out)
{
    struct version x, y;
    if (!version_parse(a, &x) || !version_parse(b, &y))
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (x.numbers[i] != y.numbers[i]) {
            *out = x.numbers[i] < y.numbers[i] ? -1 : 1;
            return true;
        }
    }
    *out = compare_pre(x.pre, y.pre);
    return true;
}

static int refuse(struct buf *error, const char *setting, struct str value, const char *why)
{
    buf_addf(error, "the volume's setting %s (%.*s) %s", setting, STR_ARG(value), why);
    return -ENOTSUP;
}

static int check_versions(const struct meta_settings *s, struct buf *error)
{
    const struct {
        const char *setting;
        struct str value;
        int bad; /* how ours must not compare */
    } bounds[] = {{"MinClientVersion", s->min_client_version, -1}, {"MaxClientVersion", s->max_client_version, 1}};
    if (s->meta_version > META_VERSION)
        return refuse(error, "MetaVersion", STR("above 1"), "is of a later generation than this program knows");
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        int order = 0;
        if (bounds[i].value.len == 0)
            continue;
        if (!meta_version_compare(STR(META_CLIENT_VERSION), bounds[i].value, &order))
            return refuse(error, bounds[i].setting, bounds[i].value, "is no version");
        if ((order < 0 && bounds[i].bad < 0) || (order > 0 && bounds[i].bad > 0))
            return refuse(error, bounds[i].setting, bounds[i].value,
                          "keeps this program out, which behaves as JuiceFS " META_CLIENT_VERSION);
    }
    return 0;
}

static bool is_one_of(struct str value, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(value, str_z(known[i])))
            return true;
    return false;
}

static int check_data(const struct meta_settings *s, struct buf *error)
{
    static const char *const compressions[] = {"", "none", "lz4", "zstd"};
    static const char *const ciphers[] = {"", "aes256gcm-rsa", "chacha20-rsa"};
    uint32_t kib = s->block_size_kib;
    if (kib < 64 || kib > 16384 || (kib & (kib - 1)) != 0)
        return refuse(error, "BlockSize", STR_EMPTY, "is none of 64 to 16384 KiB, a power of two");
    if (!is_one_of(s->compression, compressions, ARRAY_SIZE(compressions)))
        return refuse(error, "Compression", s->compression, "is not known here");
    if ((s->encrypt_key.len > 0 || s->key_encrypted) && !is_one_of(s->encrypt_algo, ciphers, ARRAY_SIZE(ciphers)))
        return refuse(error, "EncryptAlgo", s->encrypt_algo, "is not known here");
    if (s->shards > 256)
        return refuse(error, "Shards", STR_EMPTY, "is more than 256");
    return 0;
}

static int check_secrets(const struct meta_settings *s, struct buf *error)
{
    const struct str removed = STR("removed");
    if (str_eq(s->secret_key, removed) || str_eq(s->session_token, removed) || str_eq(s->encrypt_key, removed))
        return refuse(error, "SecretKey, SessionToken or EncryptKey", removed,
                      "was taken out by a dump: set it again with `juicefs config`");
    return 0;
}

/* Features whose neglect would damage what others rely on (§8.1). Ranger and Kerberos bind the Hadoop SDK only. */
static int check_features(const struct meta_settings *s, struct buf *error)
{
    if (s->change_log)
        return refuse(error, "ChangeLog", STR("true"), "is not honoured: its readers would miss our changes");
    if (s->unknown_set)
        return refuse(error, "record", s->unknown, "has members that are not known here");
    return 0;
}

int meta_settings_check(const struct meta_settings *s, struct buf *error)
{
    static int (*const checks[])(const struct meta_settings *s, struct buf *error) = {check_versions, check_data,
                                                                                      check_secrets, check_features};
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        int rc = checks[i](s, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int meta_settings_check_update(const struct meta_settings *old, const struct meta_settings *s, struct buf *error)
{
    const struct {
        const char *setting;
        bool same;
    } rules[] = {
        {"Name", str_eq(old->name, s->name)},
        {"BlockSize", old->block_size_kib == s->block_size_kib},
        {"Compression", str_eq(old->compression, s->compression)},
        {"Shards", old->shards == s->shards},
        {"HashPrefix", old->hash_prefix == s->hash_prefix},
        {"MetaVersion", old->meta_version == s->meta_version},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].same)
            continue;
        buf_addf(error, "the volume's setting %s cannot change once it is formatted", rules[i].setting);
        return -EINVAL;
    }
    return 0;
}

bool meta_settings_name_ok(struct str name)
{
    bool ok = name.len >= 3 && name.len <= 63 && name.ptr[0] != '-' && name.ptr[name.len - 1] != '-';
    for (size_t i = 0; ok && i < name.len; i++) {
        char c = name.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return ok;
}

uint32_t meta_settings_block_size_kib(uint64_t bytes)
{
    uint32_t kib = 64;
    while (kib < 16384 && (uint64_t)kib * 2 * 1024 <= bytes)
        kib *= 2;
    return kib;
}
