/* From an inode back to a path. */
#include "base/limits.h"
#include "vfs/meta/check.h"
#include "vfs/meta/internal.h"

struct step {
    meta_ino ino, parent;
    struct buf name;
};

static int take_name(void *arg, meta_ino parent, struct str name)
{
    struct step *s = arg;
    s->parent = parent;
    buf_reset(&s->name);
    buf_add(&s->name, name);
    return 1;
}

static int step_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct step *s = arg;
    (void)m;
    int rc = META_DO(t, name_scan, s->ino, take_name, s);
    return rc == 0 ? -ENOENT : rc < 0 ? rc : 0;
}

static bool is_top(meta_ino ino)
{
    return ino == META_ROOT || ino == META_TRASH;
}

/* Names are gathered from the end, each in front of those before. The top that was reached: root or trash; 0: none. */
static meta_ino climb(struct meta *m, meta_ino ino, struct buf *path)
{
    struct step s = {.ino = ino, .name = buf_make(META_NAME_MAX)};
    struct buf longer = buf_make(path->max);
    for (unsigned depth = 0; s.ino != 0 && !is_top(s.ino); depth++) {
        bool found = depth < LIMIT_META_DEPTH && meta_transact(m, META_TXN_READ, step_txn, &s) == 0;
        buf_reset(&longer);
        buf_addc(&longer, '/');
        buf_add(&longer, buf_str(&s.name));
        buf_add(&longer, buf_str(path));
        buf_reset(path);
        buf_add(path, buf_str(&longer));
        s.ino = found && !path->failed ? s.parent : 0;
    }
    buf_done(&longer);
    buf_done(&s.name);
    return s.ino;
}

void meta_path_of(struct meta *m, meta_ino ino, struct buf *out)
{
    struct buf path = buf_make(LIMIT_META_PATH_BYTES);
    meta_ino top = climb(m, ino, &path);
    if (top == 0)
        buf_addf(out, "inode %llu", (unsigned long long)ino);
    else
        buf_addf(out, "%s%s", top == META_TRASH ? "/" META_TRASH_NAME : path.len == 0 ? "/" : "", buf_z(&path));
    buf_done(&path);
}
