/* Drives the metadata of a JuiceFS-format volume from a script: lines of tab-separated words on standard input, an answer
 * per line. For the interoperability tests, which do the same through the official client and compare.
 * usage: meta_tool URL [options: uid=N gid=N] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/encode.h"
#include "vfs/meta/meta.h"

enum { WORDS = 8, LINE = 8192 };

static struct meta *m;

struct words {
    struct str word[WORDS];
    size_t count;
};

static uint64_t number(struct str s)
{
    return strtoull(s.ptr, NULL, 0);
}

/* The directory that holds a path's last component. */
static int parent_of(struct str path, meta_ino *out_parent, struct str *out_name)
{
    const ptrdiff_t slash = str_rfind_char(path, '/');
    struct meta_attr attr;
    *out_name = str_from(path, slash < 0 ? 0 : (size_t)slash + 1);
    int rc = meta_resolve(m, NULL, META_ROOT, str_first(path, slash < 0 ? 0 : (size_t)slash), out_parent, &attr);
    return rc < 0 || attr.type == META_DIRECTORY ? rc : -ENOTDIR; /* as a kernel finds on the way */
}

static int node_of(struct str path, meta_ino *out)
{
    struct meta_attr attr;
    return meta_resolve(m, NULL, META_ROOT, path, out, &attr);
}

static int make_node(const struct words *w, const struct meta_new *what)
{
    meta_ino parent, ino;
    struct str name;
    int rc = parent_of(w->word[1], &parent, &name);
    return rc < 0 ? rc : meta_mknod(m, NULL, parent, name, what, &ino, NULL);
}

/* mknod PATH TYPE MODE */
static int do_mknod(const struct words *w)
{
    const struct meta_new what = {
        .type = (uint8_t)number(w->word[2]), .mode = (uint16_t)number(w->word[3]), .umask = 022, .rdev = 0x103};
    return make_node(w, &what);
}

/* symlink PATH TARGET */
static int do_symlink(const struct words *w)
{
    return make_node(w, &(struct meta_new){.type = META_SYMLINK, .mode = 0777, .target = w->word[2]});
}

/* link PATH NEW */
static int do_link(const struct words *w)
{
    meta_ino ino, parent;
    struct str name;
    int rc = node_of(w->word[1], &ino);
    if (rc >= 0)
        rc = parent_of(w->word[2], &parent, &name);
    return rc < 0 ? rc : meta_link(m, NULL, ino, parent, name, NULL);
}

/* unlink PATH */
static int do_unlink(const struct words *w)
{
    meta_ino parent;
    struct str name;
    int rc = parent_of(w->word[1], &parent, &name);
    return rc < 0 ? rc : meta_unlink(m, NULL, parent, name, 0, NULL);
}

/* rmdir PATH */
static int do_rmdir(const struct words *w)
{
    meta_ino parent;
    struct str name;
    int rc = parent_of(w->word[1], &parent, &name);
    return rc < 0 ? rc : meta_rmdir(m, NULL, parent, name, 0);
}

/* rename PATH NEW FLAGS */
static int do_rename(const struct words *w)
{
    meta_ino from, to;
    struct str from_name, to_name;
    int rc = parent_of(w->word[1], &from, &from_name);
    if (rc >= 0)
        rc = parent_of(w->word[2], &to, &to_name);
    return rc < 0 ? rc : meta_rename(m, NULL, from, from_name, to, to_name, (unsigned)number(w->word[3]), NULL, NULL);
}

/* setattr PATH MODE UID GID MTIME_NS */
static int do_setattr(const struct words *w)
{
    const uint64_t ns = number(w->word[5]);
    const struct meta_attr in = {
        .mode = (uint16_t)number(w->word[2]),
        .uid = (uint32_t)number(w->word[3]),
        .gid = (uint32_t)number(w->word[4]),
        .mtime = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)},
    };
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    if (rc >= 0)
        rc = meta_setattr(m, NULL, ino, META_SET_UID | META_SET_GID, &in, NULL);
    return rc < 0 ? rc : meta_setattr(m, NULL, ino, META_SET_MODE | META_SET_MTIME, &in, NULL);
}

/* setxattr PATH NAME VALUE */
static int do_setxattr(const struct words *w)
{
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    return rc < 0 ? rc : meta_xattr_set(m, ino, w->word[2], w->word[3], 0);
}

/* removexattr PATH NAME */
static int do_removexattr(const struct words *w)
{
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    return rc < 0 ? rc : meta_xattr_remove(m, ino, w->word[2]);
}

static enum meta_acl_type acl_type(struct str word)
{
    return str_is(word, "default") ? META_ACL_DEFAULT : META_ACL_ACCESS;
}

/* setacl PATH access|default HEX */
static int do_setacl(const struct words *w)
{
    uint8_t bytes[LINE];
    struct meta_acl rule;
    meta_ino ino;
    const size_t size = w->word[3].len / 2;
    if (!hex_decode(w->word[3], bytes, size))
        return -EINVAL;
    int rc = node_of(w->word[1], &ino);
    if (rc >= 0)
        rc = meta_acl_parse_xattr(str_of((const char *)bytes, size), &rule);
    if (rc < 0)
        return rc;
    rc = meta_acl_set(m, NULL, ino, acl_type(w->word[2]), &rule);
    meta_acl_done(&rule);
    return rc;
}

static void print_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        printf("%02x", (unsigned char)s.ptr[i]);
}

/* getacl PATH access|default */
static int do_getacl(const struct words *w)
{
    struct meta_acl rule;
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    if (rc >= 0)
        rc = meta_acl_get(m, ino, acl_type(w->word[2]), &rule);
    if (rc < 0)
        return rc;
    struct buf value = buf_make(LINE);
    meta_acl_format_xattr(&rule, &value);
    print_hex(buf_str(&value));
    printf("\t");
    buf_done(&value);
    meta_acl_done(&rule);
    return 0;
}

/* put PATH MODE: draft, publish (replacing), close */
static int do_put(const struct words *w)
{
    meta_ino parent;
    struct meta_draft draft;
    struct str name;
    int rc = parent_of(w->word[1], &parent, &name);
    if (rc >= 0)
        rc = meta_draft(m, NULL, parent, (uint16_t)number(w->word[2]), 022, &draft);
    if (rc < 0)
        return rc;
    rc = meta_publish(m, NULL, draft.ino, parent, name, &(struct meta_publish){.draft = &draft}, NULL);
    meta_node_close(m, draft.ino);
    return rc;
}

/* stage PATH: and leave it so */
static int do_stage(const struct words *w)
{
    meta_ino parent;
    struct meta_draft draft;
    struct str name;
    int rc = parent_of(w->word[1], &parent, &name);
    if (rc >= 0)
        rc = meta_draft(m, NULL, parent, 0644, 0, &draft);
    return rc < 0 ? rc : meta_stage(m, &draft);
}

/* open PATH: and leave it so */
static int do_open(const struct words *w)
{
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    return rc < 0 ? rc : meta_node_open(m, NULL, ino, META_OPEN_READ, NULL);
}

/* truncate PATH SIZE */
static int do_truncate(const struct words *w)
{
    meta_ino ino;
    int rc = node_of(w->word[1], &ino);
    return rc < 0 ? rc : meta_truncate(m, NULL, ino, number(w->word[2]), false, NULL);
}

/* tree PATH: all below, each in one line, before the answer */

struct tree {
    struct buf path;
    struct meta_edge_scan scan;
    struct entry {
        struct buf name;
        meta_ino ino;
        struct meta_attr attr;
    } *entries;
    size_t count;
};

static int take(void *arg, const struct meta_entry *e)
{
    struct tree *t = arg;
    CHECK(e->attr != NULL); /* no damage is expected */
    t->entries = realloc(t->entries, (t->count + 1) * sizeof(*t->entries));
    CHECK(t->entries != NULL); /* out of memory */
    struct entry *entry = &t->entries[t->count++];
    *entry = (struct entry){.name = buf_make(META_NAME_MAX), .ino = e->ino, .attr = *e->attr};
    buf_add(&entry->name, e->name);
    return 0;
}

static int print_xattr(void *arg, struct str name, struct str value)
{
    (void)arg;
    printf("\t%.*s=", STR_ARG(name));
    print_hex(value);
    return 0;
}

static int print_entry(struct str path, const struct entry *e)
{
    struct buf target = buf_make(META_SYMLINK_MAX);
    int rc = e->attr.type == META_SYMLINK ? meta_readlink(m, e->ino, &target) : 0;
    print_hex(path);
    printf("\t%llu\t%d\t%o\t%u\t%u\t%u\t%llu\t%lld%09ld\t", (unsigned long long)e->ino, e->attr.type, e->attr.mode,
           e->attr.uid, e->attr.gid, e->attr.nlink, (unsigned long long)e->attr.length, (long long)e->attr.mtime.tv_sec,
           e->attr.mtime.tv_nsec);
    print_hex(buf_str(&target));
    if (rc >= 0)
        rc = meta_xattr_list(m, e->ino, print_xattr, NULL);
    printf("\n");
    buf_done(&target);
    return rc;
}

static int walk(meta_ino dir, struct buf *path)
{
    struct tree t = {.scan = {.parent = dir, .want = META_EDGE_ATTR}};
    int rc = meta_readdir(m, NULL, &t.scan, take, &t);
    for (size_t i = 0; i < t.count; i++) {
        struct entry *e = &t.entries[i];
        const size_t len = path->len;
        if (len > 0)
            buf_addc(path, '/');
        buf_add(path, buf_str(&e->name));
        if (rc >= 0)
            rc = print_entry(buf_str(path), e);
        if (rc >= 0 && e->attr.type == META_DIRECTORY)
            rc = walk(e->ino, path);
        buf_truncate(path, len);
        buf_done(&e->name);
    }
    free(t.entries);
    return rc;
}

static int do_tree(const struct words *w)
{
    meta_ino ino;
    struct buf path = buf_make(LINE);
    int rc = node_of(w->word[1], &ino);
    if (rc >= 0)
        rc = walk(ino, &path);
    buf_done(&path);
    return rc;
}

static const struct {
    const char *name;
    size_t words;
    int (*fn)(const struct words *w);
} commands[] = {
    {"mknod", 4, do_mknod},       {"symlink", 3, do_symlink},   {"link", 3, do_link},
    {"unlink", 2, do_unlink},     {"rmdir", 2, do_rmdir},       {"rename", 4, do_rename},
    {"setattr", 6, do_setattr},   {"setxattr", 4, do_setxattr}, {"removexattr", 3, do_removexattr},
    {"setacl", 4, do_setacl},     {"getacl", 3, do_getacl},     {"put", 3, do_put},
    {"stage", 2, do_stage},       {"open", 2, do_open},         {"truncate", 3, do_truncate},
    {"tree", 2, do_tree},
};

static int run(const struct words *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (str_is(w->word[0], commands[i].name) && w->count == commands[i].words)
            return commands[i].fn(w);
    }
    fprintf(stderr, "not a command of %zu words: %.*s\n", w->count, STR_ARG(w->word[0]));
    exit(2);
}

static void run_line(char *line)
{
    struct words w = {.count = 0};
    struct str rest = str_z(line);
    line[strcspn(line, "\n")] = '\0';
    rest = str_z(line);
    while (w.count < WORDS && str_split(&rest, '\t', &w.word[w.count]))
        w.count++;
    int rc = run(&w);
    printf("= %s\n", rc < 0 ? strerrorname_np(-rc) : "ok");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[LINE];
    const char *error = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: meta_tool URL\n");
        return 2;
    }
    int rc = meta_open(str_z(argv[1]), &(struct meta_options){.skip_dir_mtime_ms = 100, .mount_point = "meta_tool"}, &m, &error);
    if (rc < 0) {
        fprintf(stderr, "meta_tool: %s: %s\n", argv[1], error);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin))
        run_line(line);
    meta_close(m);
    return 0;
}
