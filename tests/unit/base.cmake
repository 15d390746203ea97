# Unit tests of base/
add_unit_test(base_digest LIB base)
