#include "s3api/key.h"

#include "base/limits.h"

/* Bucket names */

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Four numbers between dots look like an address and are none of the names DNS gives out. */
static bool is_ipv4(struct str name)
{
    struct str rest = name;
    struct str part;
    size_t parts = 0;
    uint64_t number;
    while (str_split(&rest, '.', &part)) {
        if (part.len > 3 || !str_parse_u64_max(part, 255, &number))
            return false;
        parts++;
    }
    return parts == 4;
}

/* Prefixes and suffixes that AWS gives a meaning of their own (access points, table and directory buckets). */
static bool has_reserved_affix(struct str name)
{
    static const char *const prefixes[] = {"xn--", "sthree-"};
    static const char *const suffixes[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts(name, str_z(prefixes[i])))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (str_ends(name, str_z(suffixes[i])))
            return true;
    return false;
}

bool s3_bucket_name_is_valid(struct str name)
{
    if (name.len < LIMIT_BUCKET_NAME_MIN || name.len > LIMIT_BUCKET_NAME_MAX)
        return false;
    if (!is_lower_alnum(name.ptr[0]) || !is_lower_alnum(name.ptr[name.len - 1]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char before = name.ptr[i - 1];
        char c = name.ptr[i];
        if (!is_lower_alnum(c) && c != '.' && c != '-')
            return false;
        /* A DNS label neither is empty nor starts or ends with a dash. */
        if ((c == '.' && !is_lower_alnum(before)) || (before == '.' && !is_lower_alnum(c)))
            return false;
    }
    return !is_ipv4(name) && !has_reserved_affix(name);
}

/* Reserved names */

/* The name as a filesystem that folds case may see it (ext4's casefold: without case, U+017F as "s", ignorable code
 * points gone): its ASCII characters in lower case. Other characters only make a name reserved that resembles one of
 * ours. */
static struct str ascii_skeleton(struct str name, char out[LIMIT_KEY_SEGMENT_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len && i < LIMIT_KEY_SEGMENT_BYTES; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (str_starts(str_from(name, i), STR("\xc5\xbf")))
            c = 's';
        if ((unsigned char)c < 0x80)
            out[len++] = c;
    }
    return str_of(out, len);
}

bool s3_name_is_reserved(struct str segment, bool at_bucket_root)
{
    /* .sys and .trash are directories of JuiceFS gateways and volumes, .minio.sys of MinIO; all of them at the root only.
     * JuiceFS's virtual files are not among them: a home directory has a .config of its own. */
    static const char *const root_names[] = {".sys", ".trash", ".minio.sys"};
    char skeleton_bytes[LIMIT_KEY_SEGMENT_BYTES];
    if (segment.len == 0 || (segment.ptr[0] != '.' && (unsigned char)segment.ptr[0] < 0x80))
        return false;
    struct str skeleton = ascii_skeleton(segment, skeleton_bytes);
    if (str_is(skeleton, ".sluice") || str_starts(skeleton, STR(".sluice-")))
        return true;
    for (size_t i = 0; at_bucket_root && i < ARRAY_SIZE(root_names); i++)
        if (str_is(skeleton, root_names[i]))
            return true;
    return false;
}

/* Keys */

static enum s3_error check_segment(struct str segment, bool first, const char **out_reason)
{
    if (segment.len == 0) {
        *out_reason = first ? "Keys that start with '/' cannot be stored as files"
                            : "Keys with an empty segment ('//') cannot be stored as files";
        return S3_INVALID_ARGUMENT;
    }
    if (str_is(segment, ".") || str_is(segment, "..")) {
        *out_reason = "Keys with a segment '.' or '..' cannot be stored as files";
        return S3_INVALID_ARGUMENT;
    }
    if (segment.len > LIMIT_KEY_SEGMENT_BYTES) {
        *out_reason = "Segments of a key (between '/') cannot be longer than 255 bytes";
        return S3_KEY_TOO_LONG;
    }
    if (s3_name_is_reserved(segment, first)) {
        *out_reason = "The key uses a name that is reserved";
        return S3_ACCESS_DENIED;
    }
    return S3_OK;
}

enum s3_error s3_key_parse(struct str key, struct s3_key *out, const char **out_reason)
{
    if (key.len == 0) {
        *out_reason = "A key must be specified";
        return S3_INVALID_ARGUMENT;
    }
    if (key.len > LIMIT_KEY_BYTES) {
        *out_reason = s3_error_message(S3_KEY_TOO_LONG);
        return S3_KEY_TOO_LONG;
    }
    if (!str_is_utf8(key)) {
        *out_reason = "Keys must be UTF-8";
        return S3_INVALID_URI;
    }
    if (str_find_char(key, '\0') >= 0) {
        *out_reason = "Keys with a NUL byte cannot be stored as files";
        return S3_INVALID_ARGUMENT;
    }
    bool is_directory = key.ptr[key.len - 1] == '/';
    struct str path = str_first(key, key.len - (is_directory ? 1 : 0));
    struct str rest = path;
    struct str segment;
    bool first = true;
    if (path.len == 0)
        return check_segment(path, true, out_reason);
    while (str_split(&rest, '/', &segment)) {
        enum s3_error error = check_segment(segment, first, out_reason);
        if (error != S3_OK)
            return error;
        first = false;
    }
    *out = (struct s3_key){.key = key, .path = path, .is_directory = is_directory};
    return S3_OK;
}
