/* A request head from text, for tests that start behind the HTTP parser. */
#ifndef TESTS_SUPPORT_HEAD_H
#define TESTS_SUPPORT_HEAD_H

#include "base/check.h"
#include "base/http_head.h"

/* "GET /path?query\nHost: example.com\nx-amz-date: …\n": method and target, then a header a line. The views are into
 * text. */
static inline struct http_head head_of(const char *text)
{
    struct http_head head = {.minor_version = 1};
    struct str rest = str_z(text), line, name;
    CHECK(str_split(&rest, '\n', &line));
    CHECK(str_split(&line, ' ', &head.method));
    head.target = line;
    while (str_split(&rest, '\n', &line)) {
        if (!str_split(&line, ':', &name) || name.len == 0)
            continue;
        CHECK(head.header_count < LIMIT_HEADER_COUNT);
        head.headers[head.header_count++] = (struct http_header){name, str_trim(line)};
    }
    return head;
}

#endif
