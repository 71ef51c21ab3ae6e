#include "app/stream_results.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

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

io::TraceHeader header(const StreamConfig& config, const parallel::BlockLayout& layout) {
  io::TraceHeader header;
  header.problem = config.network.chain.problem();
  header.layout = layout;
  header.iterations_before = config.frames_before;
  header.tables = {table(config.logits)};
  return header;
}

}  // namespace

StreamResults::StreamResults(const cli::Context& context, const StreamConfig& config,
                             const parallel::BlockLayout& layout)
    : logits_(config.logits),
      prints_(config.prints),
      trace_(context, config.output, header(config, layout)) {}

void StreamResults::take(const train::Frame& frame, View<const Real, 1> logits) {
  const bool numbers =
      std::all_of(logits.begin(), logits.end(), [](Real x) { return std::isfinite(x); });
  const auto largest = std::max_element(logits.begin(), logits.end()) - logits.begin();
  const int taken = numbers ? static_cast<int>(largest) : -1;
  ++counts.frames;
  counts.no_number += numbers ? 0 : 1;
  counts.labelled += frame.label >= 0 ? 1 : 0;
  counts.correct += frame.label >= 0 && frame.label == taken ? 1 : 0;
  if (trace_.writes()) append(frame, taken, logits);
  if (prints_ && !reader_has_left_) print_line(frame, taken);
}

void StreamResults::print_line(const train::Frame& frame, int taken) {
  const std::string label = frame.label >= 0 ? fmt::format(" {}", frame.label) : "";
  cli::print_out(fmt::format("{} {}{}\n", frame.number, taken, label));
  const int failure = cli::flush_out();
  reader_has_left_ = failure == EPIPE;
  if (failure == 0 || reader_has_left_) return;
  throw internal_error("--print: frame {} could not be written to standard output: {}",
                       frame.number, std::strerror(failure));
}

void StreamResults::append(const train::Frame& frame, int taken, View<const Real, 1> logits) {
  io::TraceRow row{{static_cast<double>(frame.number)},
                   {static_cast<double>(taken)},
                   {static_cast<double>(frame.label)},
                   {trace_.seconds()}};
  if (logits_) row.emplace_back(logits.begin(), logits.end());
  trace_.append(std::move(row));
}

void StreamResults::finish(const std::string& status, const std::string& reason,
                           const StreamCounts& all) {
  trace_.finish(
      {{"status", status}, {"reason", reason}, {"frames", all.frames}, {"dropped", all.dropped}});
}

}  // namespace deeppcr::app
