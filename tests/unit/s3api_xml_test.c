#include "tests/support/unit.h"

#include "base/limits.h"
#include "s3api/xml.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* Reading */

static void test_reads_what_clients_send(void **state)
{
    (void)state;
    /* s3cmd: no namespace, number first, unquoted tag; boto3: namespace, quotes; Go: numeric references. */
    static const char *const documents[] = {
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>abc</ETag></Part></CompleteMultipartUpload>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n  <Part>\n    <ETag>abc</ETag>"
        "<PartNumber> 1 </PartNumber></Part>\n</CompleteMultipartUpload>\n",
        "<s3:CompleteMultipartUpload xmlns:s3='urn:x'><s3:Part><s3:ETag>a<!-- c -->b&#99;</s3:ETag>"
        "<s3:PartNumber>1</s3:PartNumber></s3:Part></s3:CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><ETag><![CDATA[abc]]></ETag><PartNumber>1</PartNumber></Part>"
        "</CompleteMultipartUpload>",
        "\xef\xbb\xbf<CompleteMultipartUpload><Part><ETag>abc</ETag><PartNumber>1</PartNumber></Part>"
        "</CompleteMultipartUpload>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        const struct xml_node *root = xml_parse(str_z(documents[i]), arena);
        if (!root)
            fail_msg("%s", documents[i]);
        assert_str(root->name, "CompleteMultipartUpload");
        assert_int_equal(xml_child_count(root, "Part"), 1);
        assert_str(xml_child_text(xml_child(root, "Part"), "ETag"), "abc");
        assert_str(xml_child_text(xml_child(root, "Part"), "PartNumber"), "1");
    }
}

static void test_entities_and_blanks(void **state)
{
    (void)state;
    const struct xml_node *root =
        xml_parse(STR("<r><k> &lt;&gt;&amp;&quot;&apos;&#34;&#x2f;\xc3\xa9 </k><e/><f></f></r>"), arena);
    assert_non_null(root);
    /* A key may begin and end with blanks: only xml_child_text trims. */
    assert_str(xml_child(root, "k")->text, " <>&\"'\"/\xc3\xa9 ");
    assert_str(xml_child_text(root, "k"), "<>&\"'\"/\xc3\xa9");
    assert_non_null(xml_child_text(root, "e").ptr);
    assert_str(xml_child_text(root, "e"), "");
    assert_str(xml_child_text(root, "f"), "");
    assert_null(xml_child_text(root, "absent").ptr);
    assert_null(xml_child(NULL, "k"));
    assert_int_equal(xml_child_count(NULL, "k"), 0);
}

static void test_type_attribute(void **state)
{
    (void)state;
    const struct xml_node *root = xml_parse(
        STR("<g xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' a='b' xsi:type='Group'><x/></g>"), arena);
    assert_non_null(root);
    assert_str(root->type_attribute, "Group");
    assert_str(root->first_child->type_attribute, "");
}

/* SEC-50 */
static void test_refuses(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "",
        " ",
        "x",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a>&nbsp;</a>",
        "<a>&undefined;</a>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "<a b=c/>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/x'> %p;]><a/>",
        "<!DOCTYPE l [<!ENTITY a '0123456789'><!ENTITY b '&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;'>]><l>&c;</l>",
        "<?xml version='1.0' encoding='UTF-16'?><a>\xe2",
    };
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
        if (xml_parse(str_z(documents[i]), arena))
            fail_msg("%s", documents[i]);
    assert_null(xml_parse(str_of("<a>\0</a>", 8), arena));
    /* The same document in UTF-16, where "<!DOCTYPE" would not be seen as bytes. */
    assert_null(xml_parse(str_of("\xff\xfe<\0a\0/\0>\0", 10), arena));
    assert_null(xml_parse(str_of("<\0a\0/\0>\0", 8), arena));
}

static void test_declared_encoding_is_not_believed(void **state)
{
    (void)state;
    static const char *const encodings[] = {"UTF-8", "ISO-8859-1", "UTF-16", "UTF-7", "EBCDIC-CP-US", "nonsense"};
    for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
        struct str document =
            arena_printf(arena, "<?xml version=\"1.0\" encoding=\"%s\"?><a><k>+ADw-\xc3\xa9</k></a>", encodings[i]);
        const struct xml_node *root = xml_parse(document, arena);
        if (root)
            assert_str(xml_child_text(root, "k"), "+ADw-\xc3\xa9");
    }
}

static struct str nested(size_t depth)
{
    struct buf b = buf_make(10000);
    for (size_t i = 0; i < depth; i++)
        buf_addz(&b, "<a>");
    for (size_t i = 0; i < depth; i++)
        buf_addz(&b, "</a>");
    struct str s = arena_dup(arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static void test_depth(void **state)
{
    (void)state;
    assert_non_null(xml_parse(nested(LIMIT_XML_DEPTH), arena));
    assert_null(xml_parse(nested(LIMIT_XML_DEPTH + 1), arena));
    assert_null(xml_parse(nested(1000), arena));
}

static struct str many(size_t count)
{
    struct buf b = buf_make(10 * 1024 * 1024);
    buf_addz(&b, "<r>");
    for (size_t i = 0; i < count; i++)
        buf_addz(&b, "<a/>");
    buf_addz(&b, "</r>");
    struct str s = arena_dup(arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static void test_element_count(void **state)
{
    (void)state;
    const struct xml_node *root = xml_parse(many(LIMIT_XML_ELEMENTS - 1), arena);
    assert_non_null(root);
    assert_int_equal(xml_child_count(root, "a"), LIMIT_XML_ELEMENTS - 1);
    assert_null(xml_parse(many(LIMIT_XML_ELEMENTS), arena));
}

static void test_long_text(void **state)
{
    (void)state;
    size_t len = 300000;
    char *text = arena_alloc(arena, len + 1);
    memset(text, 'x', len);
    const struct xml_node *root = xml_parse(arena_printf(arena, "<r>%s</r>", text), arena);
    assert_non_null(root);
    assert_int_equal(root->text.len, len);
}

/* Writing */

static void test_writes(void **state)
{
    (void)state;
    struct buf b = buf_make(10000);
    xml_begin(&b);
    xml_open_ns(&b, "R");
    xml_text(&b, "T", STR("a<b>&\"c'\r\n\t\x01\x7f\xff\xef\xbf\xbf\xf0\x9f\x98\x80"));
    xml_u64(&b, "N", UINT64_MAX);
    xml_bool(&b, "B", true);
    xml_etag(&b, "E", STR("abc-1"));
    xml_time(&b, "D", 1255369830123456789);
    xml_open(&b, "O");
    xml_close(&b, "O");
    xml_close(&b, "R");
    assert_str(
        buf_str(&b),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<T>a&lt;b&gt;&amp;&quot;c'&#13;\n\t\xef\xbf\xbd\x7f\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80</T>"
        "<N>18446744073709551615</N><B>true</B><E>&quot;abc-1&quot;</E><D>2009-10-12T17:50:30.123Z</D><O></O></R>");
    buf_done(&b);
}

static void test_every_byte_comes_back(void **state)
{
    (void)state;
    for (unsigned c = 0x20; c < 0x80; c++) {
        struct buf b = buf_make(100);
        char byte = (char)c;
        xml_text(&b, "r", str_of(&byte, 1));
        const struct xml_node *root = xml_parse(buf_str(&b), arena);
        assert_non_null(root);
        assert_int_equal(root->text.len, 1);
        assert_int_equal(root->text.ptr[0], byte);
        buf_done(&b);
    }
}

static void test_writing_sticks_at_the_maximum(void **state)
{
    (void)state;
    struct buf b = buf_make(10);
    xml_text(&b, "name", STR("value"));
    assert_true(b.failed);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_clients_send),
        cmocka_unit_test(test_entities_and_blanks),
        cmocka_unit_test(test_type_attribute),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_declared_encoding_is_not_believed),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_element_count),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_every_byte_comes_back),
        cmocka_unit_test(test_writing_sticks_at_the_maximum),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
