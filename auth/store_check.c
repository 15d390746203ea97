#include "auth/store_check.h"

#include "auth/identity_internal.h"
#include "base/limits.h"

#define NAME_SIZE_MAX 64
#define ID_SIZE_MAX 128
#define DISPLAY_NAME_SIZE_MAX 128
#define EMAIL_SIZE_MAX 254                      /* RFC 5321 §4.5.3.1.3, without the angle brackets */
#define BUCKET_SIZE_MAX LIMIT_KEY_SEGMENT_BYTES /* a bucket made through POSIX is any folder */

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '@';
}

static bool is_graph_char(char c)
{
    return c > ' ' && c < 0x7f;
}

static bool is_text_char(char c)
{
    return (unsigned char)c >= ' ' && c != 0x7f;
}

static bool is_made_of(struct str s, bool (*allowed)(char c), size_t size_min, size_t size_max)
{
    if (s.len < size_min || s.len > size_max)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!allowed(s.ptr[i]))
            return false;
    }
    return true;
}

static bool is_bucket(struct str s)
{
    return is_made_of(s, is_text_char, 1, BUCKET_SIZE_MAX) && str_is_utf8(s) && str_find_char(s, '/') < 0 &&
           !str_is(s, ".") && !str_is(s, "..");
}

/* (uid_t)-1 means "leave as it is" to the kernel: a worker would go on as whoever it was before. */
static bool is_posix_id(uint32_t id)
{
    return id != UINT32_MAX;
}

static const char *check_posix(const struct auth_posix *p)
{
    bool good = is_posix_id(p->uid) && is_posix_id(p->gid);
    for (size_t i = 0; i < p->group_count; i++)
        good = good && is_posix_id(p->groups[i]);
    return p->set && !good ? "a uid or gid is 0 to 4294967294" : NULL;
}

const char *auth_check_user(const struct auth_user_spec *spec)
{
    if (!is_made_of(spec->name, is_name_char, 1, NAME_SIZE_MAX))
        return "a user's name is 1 to 64 of A-Z a-z 0-9 . _ - @";
    if (str_is(spec->name, AUTH_ROOT_NAME))
        return "the name root is reserved for the administrator of SLUICE_ROOT_ACCESS_KEY";
    if (spec->id.len > 0 && !is_made_of(spec->id, is_graph_char, 1, ID_SIZE_MAX))
        return "a user's id is 1 to 128 printable ASCII characters without blanks";
    if (!is_made_of(spec->display_name, is_text_char, 0, DISPLAY_NAME_SIZE_MAX) || !str_is_utf8(spec->display_name))
        return "a display name is at most 128 bytes of UTF-8 without control characters";
    if (spec->email.len > 0 &&
        (!is_made_of(spec->email, is_graph_char, 3, EMAIL_SIZE_MAX) || str_find_char(spec->email, '@') < 0))
        return "an e-mail address is at most 254 printable characters with an @";
    for (size_t i = 0; i < spec->bucket_count; i++) {
        if (!is_bucket(spec->buckets[i]))
            return "a bucket's name is 1 to 255 bytes of UTF-8 without / and control characters, not . or ..";
    }
    return check_posix(&spec->posix);
}

const char *auth_check_name(struct str name)
{
    return is_made_of(name, is_name_char, 1, NAME_SIZE_MAX) ? NULL : "a name is 1 to 64 of A-Z a-z 0-9 . _ - @";
}

const char *auth_check_access_key(struct str access_key)
{
    return is_made_of(access_key, is_name_char, 3, LIMIT_ACCESS_KEY_BYTES)
               ? NULL
               : "an access key is 3 to 128 of A-Z a-z 0-9 . _ - @";
}

const char *auth_check_secret(struct str secret)
{
    return is_made_of(secret, is_graph_char, 8, LIMIT_SECRET_KEY_BYTES)
               ? NULL
               : "a secret key is 8 to 128 printable ASCII characters without blanks";
}
