#include "tests/support/unit.h"

#include "s3api/content_type.h"

static void by_extension(void **state UNUSED)
{
    static const struct {
        const char *key, *type;
    } rows[] = {
        {"a.txt", "text/plain"},
        {"A.TXT", "text/plain"},
        {"dir.d/photo.JpEg", "image/jpeg"},
        {"archive.tar.gz", "application/gzip"},
        {"data/part-0.parquet", "application/vnd.apache.parquet"},
        {"reads.bam", "application/vnd.ga4gh.bam"},
        {"scan.dcm", "application/dicom"},
        {"model.safetensors", "application/octet-stream"},
        {"notes.ipynb", "application/x-ipynb+json"},
        {"lines.jsonl", "application/jsonl"},
        {"matrix.npy", "application/x-npy"},
        {"3d.3gp", "video/3gpp"},
        {"last.zst", "application/zstd"},
        {"a.webmanifest", "application/manifest+json"},
        {"readme", "binary/octet-stream"},
        {"", "binary/octet-stream"},
        {".", "binary/octet-stream"},
        {"a.", "binary/octet-stream"},
        {"a.unknown", "binary/octet-stream"},
        {"a.averyveryverylongextension", "binary/octet-stream"},
        {"v1.txt/file", "binary/octet-stream"},
        {"dir/", "application/x-directory"},
        {"dir.txt/", "application/x-directory"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(s3_content_type_of(str_z(rows[i].key)), rows[i].type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_extension)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
