/* The volume contract over JuiceFS-format volumes: metadata in SQLite, blocks in a directory. argv[1]: the configuration;
 * argv[2]: a pattern for the names of the tests to run. */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/contract/volume_contract.h"
#include "vfs/meta/meta.h"
#include "vfs/meta/settings.h"

static char root_path[PATH_MAX];

static int remove_node(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    return ftw->level == 0 ? 0 : remove(path);
}

static const char *url_of(char text[PATH_MAX + 32])
{
    snprintf(text, PATH_MAX + 32, "sqlite3://%s/meta.db", root_path);
    return text;
}

static void format(uint32_t block_size_kib, uint32_t trash_days, const char *compression)
{
    char url[PATH_MAX + 32], bucket[PATH_MAX + 32];
    const char *error = "";
    CHECK(nftw(root_path, remove_node, 16, FTW_DEPTH | FTW_PHYS) == 0);
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_new();
    snprintf(bucket, sizeof(bucket), "%s/blocks/", root_path);
    CHECK(mkdir(bucket, 0755) == 0);
    s->name = STR("contract");
    s->storage = STR("file");
    s->bucket = meta_settings_keep(s, str_z(bucket));
    s->block_size_kib = block_size_kib;
    s->trash_days = trash_days;
    s->compression = str_z(compression);
    if (meta_format(str_z(url_of(url)), s, false, &error) < 0)
        check_failed(error, 0, "meta_format");
}

/* Many blocks even in small files. */
static void wipe_small(const struct volume_kind *k)
{
    (void)k;
    format(64, 0, "none");
}

static void wipe_usual(const struct volume_kind *k)
{
    (void)k;
    format(4096, 1, "lz4");
}

static struct vfs *open_volume(const struct volume_kind *k, enum vfs_sync_mode sync)
{
    char url[PATH_MAX + 32];
    const struct vfs_options options = {.sync = sync};
    struct vfs *v = NULL;
    const char *error = "";
    if (vfs_open_volume(url_of(url), &options, &v, &error) < 0)
        check_failed(k->name, 0, error);
    return v;
}

static const struct volume_kind kinds[] = {
    {.name = "small-blocks", .wipe = wipe_small, .open = open_volume},
    {.name = "trash-lz4", .wipe = wipe_usual, .open = open_volume},
};

int main(int argc, char **argv)
{
    const struct volume_kind *k = NULL;
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(argv[1], kinds[i].name) == 0)
            k = &kinds[i];
    }
    if (!k) {
        fprintf(stderr, "usage: %s small-blocks|trash-lz4 [test]\n", argv[0]);
        return 2;
    }
    const char *base = getenv("SLUICE_TEST_DIR");
    snprintf(root_path, sizeof(root_path), "%s/sluice-jfs-XXXXXX", base ? base : "/var/tmp");
    if (!mkdtemp(root_path)) {
        perror(root_path);
        return 2;
    }
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    int failed = volume_contract(k);
    CHECK(nftw(root_path, remove_node, 16, FTW_DEPTH | FTW_PHYS) == 0);
    if (rmdir(root_path) < 0)
        perror(root_path);
    return failed > 0;
}
