#include "deeppcr/linear/chunk_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace deeppcr::linear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Two sweeps that have merged stay so far apart, relative to the states.
constexpr double kRounding = 4 * std::numeric_limits<double>::epsilon();

/// size e^log_growth, also where one of them is zero or infinite.
double grown(double size, double log_growth) {
  return size == 0 ? 0 : std::exp(std::log(size) + log_growth);
}

}  // namespace

ChunkFacts facts_of(const Chunk& chunk, double mismatch) {
  ChunkFacts facts;
  facts.mismatch = chunk.complete() ? mismatch : kInfinity;
  for (const Seam& seam : chunk.seams) {
    facts.seam = std::max(facts.seam, seam.size);
    facts.seam_peak = std::max(facts.seam_peak, grown(seam.size, chunk.peak_after(seam.block)));
    facts.seam_exit = std::max(facts.seam_exit, grown(seam.size, chunk.exit_after(seam.block)));
  }
  facts.peak = chunk.peak_after(-1);
  facts.exit = chunk.exit_after(-1);
  Index first_seam = static_cast<Index>(chunk.growth.size());
  for (const Seam& seam : chunk.seams) first_seam = std::min(first_seam, seam.block);
  if (!chunk.seams.empty()) {
    facts.rise = chunk.rise_after(first_seam);
    facts.exit_rise = chunk.exit_rise_after(first_seam);
  }
  facts.all_rise = chunk.rise_after(-1);
  facts.all_exit_rise = chunk.exit_rise_after(-1);
  facts.scale = chunk.scale;
  facts.swept = static_cast<double>(chunk.swept);
  facts.steps = static_cast<double>(chunk.steps.size());
  facts.probed = std::min(
      static_cast<double>(chunk.growth.size()) * static_cast<double>(Chunk::kBlock), facts.steps);
  facts.drift = chunk.drift;
  return facts;
}

std::vector<ChunkFacts> gather(const parallel::Communicator& comm,
                               const std::vector<ChunkFacts>& mine) {
  static_assert(std::is_trivially_copyable_v<ChunkFacts>);
  constexpr std::size_t kReals = sizeof(ChunkFacts) / sizeof(double);
  const auto* first = reinterpret_cast<const double*>(mine.data());
  const std::vector<double> all = comm.gather_all({first, first + mine.size() * kReals});
  std::vector<ChunkFacts> facts(all.size() / kReals);
  std::copy(all.begin(), all.end(), reinterpret_cast<double*>(facts.data()));
  return facts;
}

Judgement judge(const std::vector<ChunkFacts>& facts, double rtol, double atol) {
  Judgement found;
  // Each chunk is held against the largest state up to it: a tail that has blown up must not excuse
  // wrong states before it.
  double scale = 0;
  // What all seams so far, and all rounding since the first, have grown to at the start of a chunk.
  double entering = 0, noise = 0;
  bool exact = true;
  for (const ChunkFacts& chunk : facts) {
    scale = std::max(scale, chunk.scale);
    const double tolerance = atol + rtol * scale, rounding = kRounding * chunk.scale;
    // Rounding counts behind the first seam; in whole chunks once there was one before.
    const bool starts_exact = exact;
    exact = exact && chunk.seam == 0;
    const double fresh = exact ? 0 : rounding;
    const double rise = starts_exact ? chunk.rise : chunk.all_rise;
    const double exit_rise = starts_exact ? chunk.exit_rise : chunk.all_exit_rise;
    const double noise_within = std::max(grown(noise, chunk.peak), grown(fresh, rise));
    const double within = std::max(chunk.seam_peak, grown(entering, chunk.peak)) + noise_within;
    const double error = within == 0 ? 0 : within / tolerance;
    found.error = std::isfinite(scale) ? std::max(found.error, error) : kInfinity;
    found.hopeless = found.hopeless || noise_within > kRightBelow * tolerance;
    entering = chunk.seam_exit + grown(entering, chunk.exit) + chunk.mismatch;
    noise = std::max(grown(noise, chunk.exit), grown(fresh, exit_rise));
    found.residual = std::max({found.residual, chunk.mismatch, chunk.seam});
    if (exact) ++found.exact_chunks;
    exact = exact && chunk.mismatch == 0;
    if (!exact) noise = std::max(noise, rounding);
  }
  found.tolerance = atol + rtol * scale;
  return found;
}

double growth(const std::vector<ChunkFacts>& facts) {
  double most = 0, behind = 0;
  for (const ChunkFacts& chunk : facts) {
    if (chunk.probed == 0) continue;
    most = std::max({most, chunk.all_rise, behind + chunk.peak});
    behind = std::max(chunk.all_exit_rise, behind + chunk.exit);
  }
  return most;
}

void PathClock::sweep(const std::vector<ChunkFacts>& facts, bool waited_for_all) {
  const double latest = steps();
  double left = 0;
  for (std::size_t c = 0; c < ends_.size(); ++c) {
    const double before = ends_[c];
    if (facts[c].swept > 0)
      ends_[c] = (waited_for_all ? latest : std::max(before, left)) + facts[c].swept;
    left = before;
  }
}

double PathClock::steps() const {
  return ends_.empty() ? 0 : *std::max_element(ends_.begin(), ends_.end());
}

}  // namespace deeppcr::linear
