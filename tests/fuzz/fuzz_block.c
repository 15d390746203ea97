/* Objects of a store: any bytes decode to a block of the length asked for, or are refused. The first byte chooses how. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "tests/support/jfs_objects.h"

#define BLOCK_MAX 4096

static struct data_codec codecs[ARRAY_SIZE(jfs_objects)];

static void make_codecs(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(jfs_objects); i++) {
        const char *why;
        codecs[i].compression = jfs_objects[i].compression;
        if (jfs_objects[i].algorithm)
            CHECK(data_cipher_new(str_z(jfs_key), STR_EMPTY, str_z(jfs_objects[i].algorithm), &codecs[i].cipher, &why) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made)
        make_codecs();
    made = true;
    if (size < 1)
        return 0;
    const struct data_codec *c = &codecs[data[0] % ARRAY_SIZE(jfs_objects)];
    size_t block_size = data[0] / ARRAY_SIZE(jfs_objects) ? (data[0] * 16u) % BLOCK_MAX + 1 : strlen(JFS_BLOCK);
    char *object = malloc(size), *block = malloc(block_size); /* exact, for the sanitizer */
    CHECK(object != NULL && block != NULL);
    memcpy(object, data + 1, size - 1);
    int rc = data_codec_decode(c, object, size - 1, block, block_size);
    CHECK(rc == 0 || rc == -EBADMSG);
    free(object);
    free(block);
    return 0;
}
