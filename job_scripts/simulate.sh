#!/bin/bash
# Scaling of the real sources on simulated clusters (SimGrid's SMPI), from a fresh Debian 12 on:
#
#   job_scripts/simulate.sh                                  builds, runs the table, writes runs/simulate/
#   job_scripts/simulate.sh build                            builds PETSc and deeppcr-simulate for the simulator
#   job_scripts/simulate.sh run RANKS CLUSTER [options..]    one run of deeppcr-simulate, CSV on stdout; CLUSTER: fast or slow
#
# DEEPPCR_CACHE     where PETSc's sources and its build stay           (build/simgrid)
# RANKS             of the table                                       (1 4 16 64 256 1024)
# CLUSTERS          of the table                                       (fast slow)
# NODE_CORES        of a node, each with a rank                        (32)
# DEEPPCR_SIMULATED_COMPUTE=none: only the network takes time
#
# Compute is what the kernels have counted, in seconds by the table in core/machine; so two runs give the same figures.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cache=${DEEPPCR_CACHE:-$root/build/simgrid}
petsc=$cache/petsc
program=$root/build/simulator/bin/deeppcr-simulate
cores=${NODE_CORES:-32}

# The machine's own package sources, for source packages, in a folder of their own. One line a suite and component.
fetch_petsc() {
  local folder=$cache/source
  mkdir -p "$folder/lists/partial"
  rm -rf "$folder"/petsc-*/  # of another version
  # shellcheck disable=SC2016  # apt's own words
  apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u >"$folder/sources.list"
  (
    cd "$folder"
    local own=(-o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o "Dir::State::lists=$folder/lists" -o APT::Sandbox::User=root)
    apt-get "${own[@]}" update && apt-get "${own[@]}" source --only-source petsc
  ) >"$cache/fetch.log" 2>&1 </dev/null || fail "PETSc's source package could not be fetched; the whole log is $cache/fetch.log"
}

# PETSc as a static library, so that each simulated rank has its own. Time in it counts for nothing: -O1.
build_petsc() {
  [[ ! -e $petsc/lib/pkgconfig/PETSc.pc ]] || return 0
  mkdir -p "$cache"
  say "Fetching PETSc's sources"
  fetch_petsc
  say "Building PETSc for the simulator, some 10 minutes on two cores; log: $cache/petsc.log"
  (
    unset MAKEFLAGS
    set -e  # which an || behind the brackets would switch off
    cd "$cache"/source/petsc-*/
    export PETSC_DIR=$PWD PETSC_ARCH=simgrid
    /usr/bin/python3 ./configure --prefix="$petsc" --with-cc=gcc --with-cxx=g++ --with-fc=0 --with-batch=1 \
      --with-mpi-include=/usr/include/smpi --with-mpi-lib="$(simgrid_library)" \
      --with-debugging=0 --with-shared-libraries=0 --with-pic=0 CFLAGS=-fPIC CXXFLAGS=-fPIC COPTFLAGS=-O1 CXXOPTFLAGS=-O1 \
      --with-blaslapack-lib="$(pkg-config --libs openblas)" --with-x=0 --with-ssl=0 --with-hwloc=0
    make -f gmakefile -j "$(nproc)" V=0 libs
    make install
  ) >"$cache/petsc.log" 2>&1 &
  wait $! || fail "PETSc could not be built; the whole log is $cache/petsc.log"
}
simgrid_library() { ldconfig -p | awk '$1 == "libsimgrid.so" { print $NF; exit }'; }

build_program() {
  need "$program_packages$simulator_packages"
  build_petsc
  export PKG_CONFIG_PATH=$petsc/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  build simulator deeppcr-simulate "" -DCMAKE_CXX_FLAGS_RELEASE=-O1
}

# platform CLUSTER NODES: nodes at one switch. A message between nodes passes two links of half the latency;
# within a node 20 GB/s and 0.4 us. (The second line is the format's name for itself; nothing is fetched.)
platform() {
  local bandwidth latency
  case $1 in
    fast) bandwidth=12.5GBps latency=0.75us ;;  # 100 Gbit/s, 1.5 us
    slow) bandwidth=1.25GBps latency=10us ;;    # 10 Gbit/s, 20 us
    *) fail "cluster '$1': fast or slow are known" ;;
  esac
  cat <<XML
<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" suffix="" radical="0-$(($2 - 1))" speed="1Gf" core="$cores"
           bw="$bandwidth" lat="$latency" loopback_bw="20GBps" loopback_lat="0.4us"/>
</platform>
XML
}

# run RANKS CLUSTER OPTIONS..
# Broadcasts, of which timed passes have none, go by a tree: what is chosen for 1024 ranks otherwise takes minutes.
run() {
  local ranks=$1 cluster=$2 folder options
  options=("${@:3}")
  local nodes=$(((ranks + cores - 1) / cores))
  folder=$(mktemp -d)
  platform "$cluster" "$nodes" >"$folder/platform.xml"
  for ((rank = 0; rank < ranks; ++rank)); do echo "node-$((rank / cores))"; done >"$folder/hosts"
  local code=0
  (
    cd "$folder"  # where copies of the program for the ranks go
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 smpirun -np "$ranks" -platform platform.xml -hostfile hosts \
      --cfg=smpi/host-speed:1Gf --cfg=smpi/simulate-computation:no --cfg=smpi/coll-selector:ompi --cfg=smpi/cpu-threshold:0 \
      --cfg=smpi/test:1e-7 --cfg=smpi/iprobe:1e-7 --cfg=smpi/grow-injected-times:no --cfg=smpi/wtime:0 \
      --cfg=smpi/lat-factor:0:1 --cfg=smpi/bw-factor:0:1 --cfg=smpi/bcast:binomial_tree --log=root.thres:error "$program" "${options[@]// /_}"
  ) || code=$?
  rm -rf "$folder"
  return "$code"
}

run_table() {
  local out=$root/runs/simulate part
  mkdir -p "$out/parts"
  for cluster in ${CLUSTERS:-fast slow}; do
    for ranks in ${RANKS:-1 4 16 64 256 1024}; do
      part=$out/parts/$cluster-$ranks
      [[ ! $part.csv -nt $program ]] || continue  # a second run of the same program only does what is left
      say "$ranks ranks, $cluster"
      run "$ranks" "$cluster" --steps 65536 --width 16 --chains "mlp tanh,resnet 1/L tanh" \
        --forward auto,newton+hybrid --backward auto,hybrid >"$part.tmp"
      mv "$part.tmp" "$part.csv"
    done
  done
  "$python" "$root/job_scripts/simulated_table.py" "$out/parts" -o "$out/scaling"
  "$python" "$root/apps/plot_trace.py" "$out/scaling.h5" -o "$out/scaling.png"
  say "Written: $out/scaling.csv, $out/scaling.h5, $out/scaling.png"
}

case ${1:-table} in
  table) need "$program_packages$simulator_packages" && build_program && run_table ;;
  build) build_program ;;
  run)
    [[ $# -ge 3 ]] || fail "words: run RANKS CLUSTER [options of deeppcr-simulate]"
    [[ -x $program ]] || fail "$program is missing; build it with: job_scripts/simulate.sh build"
    run "${@:2}"
    ;;
  *) fail "'$1': table, build or run is needed; the top of this script says what they do" ;;
esac
