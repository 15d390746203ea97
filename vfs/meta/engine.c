#include "vfs/meta/engine.h"

static const struct meta_engine_ops *const engines[] = {&meta_sqlite};

static const struct meta_engine_ops *find(struct str scheme)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (str_is(scheme, engines[i]->scheme))
            return engines[i];
    }
    return NULL;
}

int meta_engine_open(struct str url, const struct meta_engine_options *options, struct meta_engine **out,
                     const char **out_error)
{
    const ptrdiff_t end = str_find(url, STR("://"));
    if (end < 0) {
        *out_error = "a metadata URL looks like sqlite3://FILE";
        return -EINVAL;
    }
    const struct meta_engine_ops *ops = find(str_first(url, (size_t)end));
    if (!ops) {
        *out_error = "no metadata engine of this name; there is: sqlite3";
        return -ENOTSUP;
    }
    return ops->open(url, options, out, out_error);
}

void meta_engine_close(struct meta_engine *e)
{
    if (e)
        e->ops->close(e);
}
