# Unit tests of base/
add_unit_test(base_digest LIB base)
add_unit_test(base_secretbox LIB base)
add_unit_test(base_http_head LIB base)
add_unit_test(base_http_value LIB base)
