#include "app/last_rank_trace.hpp"

#include "app/files.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

bool is_last(const parallel::Communicator& comm) { return comm.rank() == comm.size() - 1; }

}  // namespace

LastRankTrace::LastRankTrace(const cli::Context& context, const std::string& path,
                             io::TraceHeader header)
    : world_(context.comm), alone_(context.comm.split(is_last(context.comm) ? 1 : 0)) {
  if (path.empty()) return;
  header.provenance = provenance(context);
  header.stages.clear();
  parallel::agree(world_, [&] {
    if (is_last(world_)) file_.emplace(alone_, path, std::move(header));
  });
}

void LastRankTrace::flush() {
  if (file_) file_->flush();
}

void LastRankTrace::finish(io::hdf5::Attributes outcome) {
  outcome.emplace_back("seconds", watch_.seconds());
  const std::vector<std::string> unused = parallel::Runtime::unused_petsc_options();
  parallel::agree(world_, [&] {
    if (!file_) return;
    file_->outcome(unused, [&](io::hdf5::File& file) { file.set_all("/outcome", outcome); });
    file_->close();
  });
}

}  // namespace deeppcr::app
