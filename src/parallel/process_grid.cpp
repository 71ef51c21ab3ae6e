#include "deeppcr/parallel/process_grid.hpp"

namespace deeppcr::parallel {

namespace {

int checked(const Communicator& world, int depth_ranks, int data_ranks) {
  if (depth_ranks < 1 || data_ranks < 1 || depth_ranks * data_ranks != world.size()) {
    throw input_error("a grid of {} depth x {} data ranks does not fit {} ranks", depth_ranks,
                      data_ranks, world.size());
  }
  return depth_ranks;
}

}  // namespace

ProcessGrid::ProcessGrid(const Communicator& world, int depth_ranks, int data_ranks)
    : world_(world),
      depth_(world.split(world.rank() / checked(world, depth_ranks, data_ranks))),
      data_(world.split(world.rank() % depth_ranks)) {}

}  // namespace deeppcr::parallel
