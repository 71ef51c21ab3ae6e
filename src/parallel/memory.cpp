#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::parallel {

double available_bytes() {
  std::ifstream information("/proc/meminfo");
  std::string word;
  double kibibytes = 0;
  while (information >> word) {
    if (word == "MemAvailable:" && information >> kibibytes) return kibibytes * 1024;
  }
  return std::numeric_limits<double>::infinity();
}

void check_memory(const Communicator& comm, double bytes_of_this_rank, const std::string& cause) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  const std::vector<std::string> hosts = host_names(comm);
  std::vector<double> needs(hosts.size(), 0.0);
  needs[static_cast<std::size_t>(comm.rank())] = bytes_of_this_rank;
  comm.max(needs);
  const std::string& here = hosts[static_cast<std::size_t>(comm.rank())];
  double needed = 0;
  for (std::size_t p = 0; p < hosts.size(); ++p) needed += hosts[p] == here ? needs[p] : 0;
  agree(comm, [&] {
    const double available = available_bytes();
    if (needed <= available) return;
    throw local_input_error(
        "{}the run needs about {:.3g} GiB on {}, which has {:.3g} GiB free; use fewer --steps, a "
        "smaller --width or --batch, or more computers",
        cause, needed / kGiB, here, available / kGiB);
  });
}

}  // namespace deeppcr::parallel
