#include "app/learning_curve.hpp"

#include <cmath>

namespace deeppcr::app {
namespace {

constexpr Index kFramesOfRow = 100;
constexpr std::size_t kRecentRows = 10;

const io::TraceTable kTable{
    "/learning",
    "row",
    {{"frame", "the number of the next frame behind the row's", true},
     {"loss", "mean of its frames, each before it was learned from"},
     {"accuracy", "part of its frames that is right, each before it was learned from"},
     {"seconds", "time since the start of the stream", false, "", "s"}}};

io::TraceHeader header(const cli::Context& context, const StreamConfig& config,
                       const parallel::BlockLayout& layout) {
  io::TraceHeader header;
  header.problem = config.network.chain.problem();
  header.more_of_problem = {{"stages", Index{context.comm.size()}},
                            {"learning_rate", config.schedule.peak}};
  header.layout = layout;
  header.iterations_before = config.frames_before;
  header.tables = {kTable};
  return header;
}

}  // namespace

LearningCurve::LearningCurve(const cli::Context& context, const StreamConfig& config,
                             const parallel::BlockLayout& layout)
    : world_(context.comm), trace_(context, config.trace, header(context, config, layout)) {}

void LearningCurve::add(const train::Frame& frame, const models::LossReport& report) {
  if (!std::isfinite(report.loss)) return;
  row_.frames += 1;
  row_.loss += report.loss;
  row_.correct += static_cast<double>(report.correct);
  next_frame_ = frame.number + 1;
  if (row_.frames == kFramesOfRow) end_row();
}

void LearningCurve::end_row() {
  if (trace_.writes())
    trace_.append({{static_cast<double>(next_frame_)},
                   {row_.loss / row_.frames},
                   {row_.correct / row_.frames},
                   {trace_.seconds()}});
  recent_.push_back(row_);
  if (recent_.size() > kRecentRows) recent_.pop_front();
  row_ = {};
}

void LearningCurve::finish(const std::string& status, const std::string& reason) {
  if (row_.frames > 0) end_row();
  trace_.finish({{"status", status}, {"reason", reason}, {"next_frame", next_frame_}});
}

LearningMeans LearningCurve::recent() const {
  double sums[3] = {0, 0, 0};
  for (const Sums& row : recent_) {
    sums[0] += row.frames;
    sums[1] += row.loss;
    sums[2] += row.correct;
  }
  world_.sum(sums, 3);
  if (sums[0] == 0) return {};
  return {static_cast<Index>(sums[0]), sums[1] / sums[0], sums[2] / sums[0]};
}

}  // namespace deeppcr::app
