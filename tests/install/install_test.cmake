# cmake -DBUILD=.. -DSOURCE=.. -DWORK=.. -DGENERATOR=.. -DFLAGS=.. -DMPIRUN=.. -P install_test.cmake
#
# Installs into an empty folder, then configures, builds and runs an outside program against it.
function(run)
  list(JOIN ARGV " " words)
  message(STATUS "${words}")
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
foreach(program deeppcr-plot deeppcr-export-pytorch)
  run(${WORK}/prefix/bin/${program} --help)
endforeach()
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${WORK}/prefix "-DCMAKE_CXX_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${MPIRUN} 2 ${WORK}/build/leaky_cell)
