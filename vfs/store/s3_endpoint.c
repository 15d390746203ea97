#include "vfs/store/s3_endpoint.h"

#include "base/http_head.h"

#define AWS STR("amazonaws.com")

static bool contains(struct str s, struct str part)
{
    return str_find(s, part) >= 0;
}

static struct str until_dot(struct str s)
{
    ptrdiff_t dot = str_find_char(s, '.');
    return dot < 0 ? s : str_first(s, (size_t)dot);
}

static struct str behind_dot(struct str s)
{
    ptrdiff_t dot = str_find_char(s, '.');
    return dot < 0 ? STR_EMPTY : str_from(s, (size_t)dot + 1);
}

/* Of "s3.REGION.amazonaws.com", "s3-REGION.…", "s3.dualstack.REGION.…". */
static struct str aws_region(struct str host)
{
    if (str_starts(host, STR("s3-")) || str_starts(host, STR("s3.")))
        host = str_from(host, 3);
    if (str_starts(host, STR("dualstack.")))
        host = str_from(host, sizeof("dualstack.") - 1);
    struct str region = until_dot(host);
    if (str_starts(host, AWS) || str_is(region, "external-1"))
        return STR("us-east-1");
    return region;
}

static bool is_china(struct str region)
{
    return str_starts(region, STR("cn-"));
}

static void set_aws(struct s3_endpoint *e, struct str bucket, struct str region, struct arena *arena)
{
    e->bucket = bucket;
    e->region = region;
    /* No certificate fits a bucket with dots in front of the host. */
    e->by_host = str_find_char(bucket, '.') < 0;
    const char *suffix = is_china(region) ? ".cn" : "";
    e->host = e->by_host ? arena_printf(arena, "%.*s.s3.%.*s.amazonaws.com%s", STR_ARG(bucket), STR_ARG(region), suffix)
                         : arena_printf(arena, "s3.%.*s.amazonaws.com%s", STR_ARG(region), suffix);
}

static void set_compatible(struct s3_endpoint *e, struct str bucket, struct str host, bool by_host, struct arena *arena)
{
    e->bucket = bucket;
    e->by_host = by_host;
    e->host = by_host ? arena_printf(arena, "%.*s.%.*s", STR_ARG(bucket), STR_ARG(host)) : arena_dup(arena, host);
}

/* The name of a private link to AWS: BUCKET.….REGION.vpce.amazonaws.com. */
static struct str vpce_region(struct str host)
{
    ptrdiff_t at = str_find(host, STR(".vpce.amazonaws.com"));
    if (at < 0)
        return STR_EMPTY;
    struct str before = str_first(host, (size_t)at);
    ptrdiff_t dot = str_rfind_char(before, '.');
    return dot < 0 ? STR_EMPTY : str_from(before, (size_t)dot + 1);
}

/* http://BUCKET.HOST */
static bool parse_host_only(struct s3_endpoint *e, struct str host, bool virtual_hosts, struct arena *arena)
{
    struct str rest = behind_dot(host);
    if (rest.len == 0) { /* the name of an AWS bucket alone */
        set_aws(e, host, e->region, arena);
        return true;
    }
    struct str region = vpce_region(host);
    ptrdiff_t s3 = str_find(host, STR(".s3"));
    if (!contains(host, AWS) || region.len > 0) {
        set_compatible(e, until_dot(host), rest, virtual_hosts, arena);
        if (region.len > 0)
            e->region = region;
    } else if (s3 > 0) {
        set_aws(e, str_first(host, (size_t)s3), aws_region(str_from(host, (size_t)s3 + 1)), arena);
    } else {
        return false;
    }
    return e->bucket.len > 0;
}

/* Takes "http://" or "https://" off. */
static bool take_scheme(struct str *base, bool *tls)
{
    ptrdiff_t at = str_find(*base, STR("://"));
    if (at < 0) {
        *tls = str_find_char(*base, '.') < 0 || str_ends(*base, STR(".amazonaws.com"));
        return true;
    }
    struct str name = str_first(*base, (size_t)at);
    *base = str_from(*base, (size_t)at + 3);
    *tls = str_eq_nocase(name, STR("https"));
    return *tls || str_eq_nocase(name, STR("http"));
}

/* http://HOST/BUCKET, where anything behind the bucket's name is ignored. */
static bool parse_path(struct s3_endpoint *e, struct str host, struct str path, bool virtual_hosts, struct arena *arena)
{
    struct str name;
    if (!str_split(&path, '/', &name) || name.len == 0)
        return false;
    if (contains(host, AWS))
        set_aws(e, name, aws_region(host), arena);
    else
        set_compatible(e, name, host, virtual_hosts, arena);
    return true;
}

bool s3_endpoint_parse(struct str bucket, bool virtual_hosts, struct str default_region, struct arena *arena,
                       struct s3_endpoint *out)
{
    struct s3_endpoint e = {.region = arena_dup(arena, default_region)};
    struct str base, query;
    http_split_target(arena_dup(arena, bucket), &base, &query);
    if (!auth_query_parse(query, arena, &e.parameters) || !take_scheme(&base, &e.tls))
        return false;
    while (str_ends(base, STR("/")))
        base.len--;
    ptrdiff_t slash = str_find_char(base, '/');
    struct str host = slash < 0 ? base : str_first(base, (size_t)slash);
    struct str path = slash < 0 ? STR_EMPTY : str_from(base, (size_t)slash + 1);
    if (host.len == 0 || str_find_char(host, '@') >= 0)
        return false;
    bool ok = path.len > 0 ? parse_path(&e, host, path, virtual_hosts, arena)
                           : parse_host_only(&e, host, virtual_hosts, arena);
    if (ok)
        *out = e;
    return ok;
}
