#include "deeppcr/nonlinear/tolerance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

std::vector<double> limits(const parallel::Communicator& comm, const Tolerance& tolerance,
                           ConstState input, ConstStates states) {
  std::vector<double> sizes = sequence::step_norms(states);
  double local = 0;
  for (const double size : sizes) local = std::max(local, size);
  double largest = comm.max_before(local, sequence::largest_entry(input));
  for (double& size : sizes) {
    largest = std::max(largest, size);
    size = tolerance.limit(largest);
  }
  return sizes;
}

}  // namespace deeppcr::nonlinear
