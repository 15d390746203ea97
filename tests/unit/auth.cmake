# Unit tests of auth/
add_unit_test(auth_sigv4 LIB auth)
