#include "app/stream_results.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/files.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

bool is_last(const parallel::Communicator& comm) { return comm.rank() == comm.size() - 1; }

io::TraceTable table(bool logits) {
  io::TraceTable table{"/predictions",
                       "frame",
                       {{"frame", "its place in the stream, from 0", true},
                        {"class", "the class it is taken for; -1: its logits are no numbers", true},
                        {"label", "the class it has; -1: not known", true},
                        {"seconds", "time since the start of the stream", false, "", "s"}}};
  if (logits) table.columns.push_back({"logits", "outputs of the head", false, "class"});
  return table;
}

}  // namespace

StreamResults::StreamResults(const cli::Context& context, const StreamConfig& config,
                             const parallel::BlockLayout& layout)
    : world_(context.comm),
      alone_(context.comm.split(is_last(context.comm) ? 1 : 0)),
      logits_(config.logits),
      prints_(config.prints) {
  if (config.output.empty()) return;
  io::TraceHeader header;
  header.provenance = provenance(context);
  header.problem = config.network.chain.problem();
  header.layout = layout;
  header.stages.clear();
  header.tables = {table(logits_)};
  parallel::agree(context.comm, [&] {
    if (is_last(context.comm)) file_.emplace(alone_, config.output, std::move(header));
  });
}

void StreamResults::take(const train::Frame& frame, View<const Real, 1> logits) {
  const bool numbers =
      std::all_of(logits.begin(), logits.end(), [](Real x) { return std::isfinite(x); });
  const auto largest = std::max_element(logits.begin(), logits.end()) - logits.begin();
  const int taken = numbers ? static_cast<int>(largest) : -1;
  ++counts.frames;
  counts.no_number += numbers ? 0 : 1;
  counts.labelled += frame.label >= 0 ? 1 : 0;
  counts.correct += frame.label >= 0 && frame.label == taken ? 1 : 0;
  if (prints_) {
    const std::string label = frame.label >= 0 ? fmt::format(" {}", frame.label) : "";
    cli::print_out(fmt::format("{} {}{}\n", frame.number, taken, label));
    std::fflush(stdout);
  }
  if (!file_) return;
  io::TraceRow row{{static_cast<double>(frame.number)},
                   {static_cast<double>(taken)},
                   {static_cast<double>(frame.label)},
                   {watch_.seconds()}};
  if (logits_) row.emplace_back(logits.begin(), logits.end());
  file_->append(0, std::move(row));
}

void StreamResults::flush() {
  if (file_) file_->flush();
}

void StreamResults::finish(const std::string& status, const std::string& reason,
                           const StreamCounts& all) {
  const std::vector<std::string> unused = parallel::Runtime::unused_petsc_options();
  parallel::agree(world_, [&] {
    if (!file_) return;
    file_->outcome(unused, [&](io::hdf5::File& file) {
      file.set_all("/outcome", {{"status", status},
                                {"reason", reason},
                                {"frames", all.frames},
                                {"dropped", all.dropped},
                                {"seconds", watch_.seconds()}});
    });
    file_->close();
  });
}

}  // namespace deeppcr::app
