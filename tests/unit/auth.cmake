# Unit tests of auth/
add_unit_test(auth_signing_key LIB auth)
add_unit_test(auth_sigv4 LIB auth)
add_unit_test(auth_sigv4_chunk LIB auth)
add_unit_test(auth_sigv2 LIB auth)
add_unit_test(auth_verify LIB auth)
add_unit_test(auth_identity LIB auth)
add_unit_test(auth_store LIB auth)
add_unit_test(auth_live LIB auth)
add_unit_test(auth_session LIB auth)
add_unit_test(auth_secret LIB auth)
add_unit_test(auth_policy_parse LIB auth)
add_unit_test(auth_policy_evaluate LIB auth)
add_unit_test(auth_authorize LIB auth)
# These two damage a store behind its back.
target_link_libraries(auth_store_test PRIVATE PkgConfig::SQLITE)
target_link_libraries(auth_live_test PRIVATE PkgConfig::SQLITE)
# Sees what the comparing functions of the C library are given.
target_link_options(auth_secret_test PRIVATE -Wl,--wrap=memcmp,--wrap=bcmp,--wrap=strcmp,--wrap=strncmp,--wrap=strcasecmp,--wrap=strncasecmp)
