# deeppcr_add_module(NAME SOURCES ... DEPENDS ... PRIVATE_DEPENDS ...)
#
# One module is one static library `deeppcr_NAME`, alias `deeppcr::NAME`. Headers live in
# include/deeppcr/NAME where other modules use them, as "deeppcr/NAME/x.hpp"; those of the module alone stand beside its
# sources, as "NAME/x.hpp", and are not installed.
add_library(deeppcr_options INTERFACE)
target_compile_features(deeppcr_options INTERFACE cxx_std_17)
target_compile_definitions(deeppcr_options INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
target_compile_options(deeppcr_options INTERFACE
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wall>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wextra>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wshadow>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>>
  $<BUILD_INTERFACE:$<$<BOOL:${DEEPPCR_WARNINGS_AS_ERRORS}>:-Werror>>
  $<BUILD_INTERFACE:$<$<BOOL:${DEEPPCR_NATIVE}>:-march=native>>)
if(DEEPPCR_SANITIZE)
  target_compile_options(deeppcr_options INTERFACE
    $<BUILD_INTERFACE:-fsanitize=address,undefined> $<BUILD_INTERFACE:-fno-omit-frame-pointer>)
  target_link_options(deeppcr_options INTERFACE
    $<BUILD_INTERFACE:-fsanitize=address,undefined>)
endif()
if(DEEPPCR_SIMULATOR)
  # Each simulated rank has a copy of the program in one process: nothing of it may be shared by name.
  target_compile_definitions(deeppcr_options INTERFACE DEEPPCR_SIMULATOR SMPI_NO_OVERRIDE_MALLOC)
  target_compile_options(deeppcr_options INTERFACE -fno-gnu-unique)
  target_link_options(deeppcr_options INTERFACE LINKER:-Bsymbolic -s)
endif()
if(DEEPPCR_FUZZER)
  target_compile_options(deeppcr_options INTERFACE $<BUILD_INTERFACE:-fsanitize=fuzzer-no-link>)
endif()
install(TARGETS deeppcr_options EXPORT deeppcrTargets)

function(deeppcr_add_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(deeppcr_${name} STATIC ${ARG_SOURCES})
  add_library(deeppcr::${name} ALIAS deeppcr_${name})
  set_target_properties(deeppcr_${name} PROPERTIES EXPORT_NAME ${name}
                        POSITION_INDEPENDENT_CODE ON)
  target_include_directories(deeppcr_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(deeppcr_${name}
    PUBLIC deeppcr_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  install(TARGETS deeppcr_${name} EXPORT deeppcrTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()
