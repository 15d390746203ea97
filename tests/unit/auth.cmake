# Unit tests of auth/
add_unit_test(auth_signing_key LIB auth)
add_unit_test(auth_sigv4 LIB auth)
add_unit_test(auth_sigv4_chunk LIB auth)
add_unit_test(auth_sigv2 LIB auth)
add_unit_test(auth_verify LIB auth)
