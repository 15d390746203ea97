# add_module(<folder> SOURCES … [USES <lower folders>] [LIBS <third party, private>])
function(add_module name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
  add_library(${name} STATIC ${M_SOURCES})
  target_link_libraries(${name} PUBLIC project_options Threads::Threads ${M_USES} PRIVATE ${M_LIBS})
endfunction()

# add_unit_test(<folder>_<module> LIB <folder> [SOURCES extra…]): tests/unit/<folder>_<module>_test.c, linking that folder's
# library only, so that the link line checks the layers too.
function(add_unit_test name)
  cmake_parse_arguments(T "" "LIB" "SOURCES" ${ARGN})
  add_executable(${name}_test ${name}_test.c ${T_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${T_LIB} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${name}_test)
endfunction()
