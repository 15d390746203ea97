/* XML bodies: any bytes give a tree within the limits, or nothing. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "base/xml.h"

static size_t visit(const struct xml_node *n, size_t depth)
{
    CHECK(!n || depth <= LIMIT_XML_DEPTH);
    size_t count = 0;
    for (; n; n = n->next) {
        CHECK(n->name.len > 0);
        count += 1 + visit(n->first_child, depth + 1);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    CHECK(visit(xml_parse(fuzz_str(data, size), arena), 1) <= LIMIT_XML_ELEMENTS);
    arena_free(arena);
    return 0;
}
