# cmake -DBUILD=.. -DSOURCE=.. -DWORK=.. -DGENERATOR=.. -DFLAGS=.. -DMPIRUN=.. -DPYTHON=.. -P install_test.cmake
#
# Installs into an empty folder, then configures and builds a project from outside against it, lets the contract suites
# loose on what it brings, and runs its program.
function(run)
  list(JOIN ARGV " " words)
  message(STATUS "${words}")
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

get_filename_component(tests ${SOURCE}/../.. ABSOLUTE)
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
foreach(program deeppcr-bench deeppcr-plot deeppcr-export-pytorch)
  run(${WORK}/prefix/bin/${program} --help)
endforeach()
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${WORK}/prefix "-DCMAKE_CXX_FLAGS=${FLAGS}" -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DDEEPPCR_TESTS=${tests})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/contracts "--gtest_filter=*leaky_cell*:*SolverContract*sweeps*")
foreach(ranks 2 3)
  run(${MPIRUN} ${ranks} ${WORK}/build/contracts "--gtest_filter=*SolverContract*sweeps*")
endforeach()
run(${PYTHON} ${CMAKE_CURRENT_LIST_DIR}/outside_test.py ${WORK}/build/outside 2 ${MPIRUN})
