# How tests are registered: with their ranks, a timeout, one thread a rank, and the label ranksN.
#
#   deeppcr_add_test_binary(<name> SOURCES .. DEPENDS ..)
#   deeppcr_add_test(NAME <binary> RANKS 1 2 .. [ARGS ..] [LABELS ..] [TIMEOUT seconds])
#   deeppcr_add_failing_test(<test> BINARY <binary> RANKS n EXPECT <regex> [ARGS ..] [LABELS ..])
#   deeppcr_add_command_test(<test> COMMAND .. [RANKS n] [LABELS ..] [TIMEOUT seconds])
find_package(GTest REQUIRED)
find_program(DEEPPCR_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(NOT DEEPPCR_PYTHON)
  find_program(DEEPPCR_PYTHON python3 REQUIRED)
endif()

# A cluster's mpirun needs no special flags; running as root, or on fewer cores than ranks, does.
set(DEEPPCR_TEST_ENVIRONMENT OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 GTEST_COLOR=no)
cmake_host_system_information(RESULT DEEPPCR_CORES QUERY NUMBER_OF_PHYSICAL_CORES)
if(DEEPPCR_CORES LESS 16)
  list(APPEND DEEPPCR_TEST_ENVIRONMENT
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
    OMPI_MCA_hwloc_base_binding_policy=none)
endif()
execute_process(COMMAND id -u OUTPUT_VARIABLE DEEPPCR_USER OUTPUT_STRIP_TRAILING_WHITESPACE)
if(DEEPPCR_USER STREQUAL "0")
  list(APPEND DEEPPCR_TEST_ENVIRONMENT OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
endif()
if(DEEPPCR_SANITIZE)
  # OpenMPI, PETSc and HDF5 keep memory until the process ends: leaks there are not ours.
  # A test asks for more memory than there is.
  list(APPEND DEEPPCR_TEST_ENVIRONMENT ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1)
endif()
set(DEEPPCR_MPIRUN ${MPIEXEC_EXECUTABLE} ${MPIEXEC_PREFLAGS} ${MPIEXEC_NUMPROC_FLAG})

# A GoogleTest binary with the project's MPI-aware main.
function(deeppcr_add_test_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPENDS")
  deeppcr_refuse_unknown(${name} "${ARG_UNPARSED_ARGUMENTS}")
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE deeppcr_test_main ${ARG_DEPENDS})
endfunction()

# One CTest entry for each number of ranks: <binary>.n<ranks>.
function(deeppcr_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "NAME;TIMEOUT" "RANKS;ARGS;LABELS")
  deeppcr_refuse_unknown(${ARG_NAME} "${ARG_UNPARSED_ARGUMENTS}")
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${ARG_NAME}.n${ranks}
      COMMAND ${DEEPPCR_MPIRUN} ${ranks} $<TARGET_FILE:${ARG_NAME}> ${ARG_ARGS})
    deeppcr_set_test(${ARG_NAME}.n${ranks} ${ranks} "${ARG_TIMEOUT}" "${ARG_LABELS}")
  endforeach()
endfunction()

# A run that must fail (exit code not 0) and say what EXPECT matches.
function(deeppcr_add_failing_test test)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "BINARY;RANKS;EXPECT" "ARGS;LABELS")
  deeppcr_refuse_unknown(${test} "${ARG_UNPARSED_ARGUMENTS}")
  list(JOIN DEEPPCR_MPIRUN " " mpirun)
  list(JOIN ARG_ARGS " " args)
  add_test(NAME ${test} COMMAND sh -c
    "if ${mpirun} ${ARG_RANKS} $<TARGET_FILE:${ARG_BINARY}> ${args} 2>&1; then exit 1; fi; echo failed as it should")
  deeppcr_set_test(${test} ${ARG_RANKS} 120 "${ARG_LABELS}")
  set_tests_properties(${test} PROPERTIES
    PASS_REGULAR_EXPRESSION "${ARG_EXPECT}.*failed as it should")
endfunction()

# Any other command, such as a script; RANKS is the number of cores it keeps busy.
function(deeppcr_add_command_test test)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "RANKS;TIMEOUT" "COMMAND;LABELS")
  deeppcr_refuse_unknown(${test} "${ARG_UNPARSED_ARGUMENTS}")
  if(NOT ARG_RANKS)
    set(ARG_RANKS 1)
  endif()
  add_test(NAME ${test} COMMAND ${ARG_COMMAND})
  deeppcr_set_test(${test} ${ARG_RANKS} "${ARG_TIMEOUT}" "${ARG_LABELS}")
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77)
endfunction()

function(deeppcr_set_test test ranks timeout labels)
  if(NOT timeout)
    set(timeout 300)
  endif()
  if(DEEPPCR_SANITIZE)
    math(EXPR timeout "4 * ${timeout}")
  endif()
  set_tests_properties(${test} PROPERTIES
    PROCESSORS ${ranks} TIMEOUT ${timeout} LABELS "ranks${ranks};${labels}"
    ENVIRONMENT "${DEEPPCR_TEST_ENVIRONMENT}")
endfunction()

function(deeppcr_refuse_unknown name words)
  if(words)
    message(FATAL_ERROR "test ${name}: unknown words '${words}'")
  endif()
endfunction()
