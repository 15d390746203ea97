/* The setting record of a JuiceFS-format volume, which any client of the volume can write. What parses is checked without a
 * crash, and what is written parses to the same again. */
#include "tests/fuzz/fuzz.h"

#include "vfs/meta/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct meta_settings *s = NULL, *again = NULL;
    struct buf error = buf_make(1 << 20), record = buf_make(1 << 20), shown = buf_make(1 << 20);
    if (meta_settings_parse(fuzz_str(data, size), &s, &error) == 0) {
        CHECK(meta_settings_check(s, &error) == 0 || error.len > 0);
        meta_settings_write(s, &record);
        meta_settings_show(s, &shown);
        if (record.len < 64 * 1024) { /* escapes may make the record larger than what may be read */
            CHECK(meta_settings_parse(buf_str(&record), &again, &error) == 0);
            CHECK(str_eq(s->name, again->name) && str_eq(s->secret_key, again->secret_key));
            CHECK(s->capacity == again->capacity && s->trash_days == again->trash_days);
            CHECK(str_eq(s->unknown, again->unknown));
        }
    }
    meta_settings_free(s);
    meta_settings_free(again);
    buf_done(&error);
    buf_done(&record);
    buf_done(&shown);
    return 0;
}
