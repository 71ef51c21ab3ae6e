#include "deeppcr/linear/chunk_facts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "deeppcr/parallel/exchange.hpp"

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
  facts.most = facts.all_rise;
  facts.from_start = facts.peak;
  facts.scale = chunk.scale;
  facts.swept = static_cast<double>(chunk.swept);
  facts.steps = static_cast<double>(chunk.steps.size());
  facts.probed = std::min(
      static_cast<double>(chunk.growth.size()) * static_cast<double>(Chunk::kBlock), facts.steps);
  facts.drift = chunk.drift;
  return facts;
}

namespace {

/// What all chunks before one have come to.
struct Front {
  double scale = 0;     ///< largest state: each chunk is held against that of all up to it
  double entering = 0;  ///< what seams have grown to
  double noise = 0;     ///< .. and rounding behind the first of them
  double growth = 0;    ///< log of the most that a change has grown to
  bool exact = true;
};

/// What a stretch of chunks makes of the front at its start, whatever that is. These compose:
///     entering <- seams + entering e^exit,  noise <- max(rounding, noise e^exit),
/// with other constants where the front is exact, so that nothing enters and no rounding counts
/// before the first seam.
struct Passage {
  double scale = 0;
  double stays_exact = 1;  ///< or 0
  double seams_if_exact = 0, noise_if_exact = 0;
  double seams = 0, noise = 0;
  double exit = 0;    ///< log of what the start's change has grown by at the end
  double growth = 0;  ///< log of the most that a change within has grown to there
  double clock = -1;  ///< of the last chunk; negative without chunks
};
constexpr Index kPassageReals = sizeof(Passage) / sizeof(Real);
static_assert(std::is_trivially_copyable_v<Passage> && sizeof(Passage) == kJudgementBytes);

Passage read(const Real* from) {
  Passage one;
  std::copy_n(from, kPassageReals, reinterpret_cast<Real*>(&one));
  return one;
}
void write(const Passage& one, Real* to) {
  std::copy_n(reinterpret_cast<const Real*>(&one), kPassageReals, to);
}

Passage passage_of(const ChunkFacts& chunk) {
  const double rounding = kRounding * chunk.scale;
  const bool no_seam = chunk.seam == 0, exact = no_seam && chunk.mismatch == 0;
  Passage one;
  one.scale = chunk.scale;
  one.stays_exact = exact ? 1 : 0;
  one.seams = one.seams_if_exact = chunk.seam_exit + chunk.mismatch;
  one.noise = std::max(grown(rounding, chunk.all_exit_rise), rounding);
  one.noise_if_exact =
      std::max(no_seam ? 0.0 : grown(rounding, chunk.exit_rise), exact ? 0.0 : rounding);
  one.exit = chunk.exit;
  one.growth = chunk.all_exit_rise;
  return one;
}

/// later <- later o earlier
void compose(Passage& later, const Passage& earlier) {
  const Passage own = later;
  later.scale = std::max(earlier.scale, own.scale);
  later.stays_exact = earlier.stays_exact * own.stays_exact;
  if (earlier.stays_exact == 0) {
    later.seams_if_exact = own.seams + grown(earlier.seams_if_exact, own.exit);
    later.noise_if_exact = std::max(own.noise, grown(earlier.noise_if_exact, own.exit));
  }
  later.seams = own.seams + grown(earlier.seams, own.exit);
  later.noise = std::max(own.noise, grown(earlier.noise, own.exit));
  later.exit = earlier.exit + own.exit;
  later.growth = std::max(own.growth, earlier.growth + own.exit);
  if (own.clock < 0) later.clock = earlier.clock;
}

/// What the chunks of all ranks before this one come to. Collective.
Passage passage_before(const ChunkPlace& place, const std::vector<ChunkFacts>& mine, double clock) {
  Passage all_mine;
  for (const ChunkFacts& chunk : mine) {
    Passage one = passage_of(chunk);
    compose(one, all_mine);
    all_mine = one;
  }
  all_mine.clock = clock;
  Buffer<Real> own(kPassageReals), before(kPassageReals);
  write(all_mine, own.data());
  write({}, before.data());
  parallel::TrafficByLevel uncounted;
  parallel::combine_before(
      place.comm, {0, place.active - 1, place.direction}, own, before,
      [](Real* later, const Real* earlier) {
        Passage one = read(later);
        compose(one, read(earlier));
        write(one, later);
      },
      uncounted);
  return read(before.data());
}

/// Goes on behind one chunk; what it adds to the judgement.
void pass(const ChunkFacts& chunk, double rtol, double atol, Front& front, Judgement& found) {
  front.scale = std::max(front.scale, chunk.scale);
  const double tolerance = atol + rtol * front.scale, rounding = kRounding * chunk.scale;
  // Rounding counts behind the first seam; in whole chunks once there was one before.
  const bool starts_exact = front.exact;
  front.exact = front.exact && chunk.seam == 0;
  const double fresh = front.exact ? 0 : rounding;
  const double rise = starts_exact ? chunk.rise : chunk.all_rise;
  const double exit_rise = starts_exact ? chunk.exit_rise : chunk.all_exit_rise;
  const double noise_within = std::max(grown(front.noise, chunk.peak), grown(fresh, rise));
  const double within = std::max(chunk.seam_peak, grown(front.entering, chunk.peak)) + noise_within;
  const double error = within == 0 ? 0 : within / tolerance;
  found.error = std::isfinite(front.scale) ? std::max(found.error, error) : kInfinity;
  found.hopeless = found.hopeless || noise_within > kRightBelow * tolerance;
  front.entering = chunk.seam_exit + grown(front.entering, chunk.exit) + chunk.mismatch;
  front.noise = std::max(grown(front.noise, chunk.exit), grown(fresh, exit_rise));
  found.residual = std::max({found.residual, chunk.mismatch, chunk.seam});
  if (front.exact) ++found.exact_chunks;
  front.exact = front.exact && chunk.mismatch == 0;
  if (!front.exact) front.noise = std::max(front.noise, rounding);
  found.moves = found.moves || chunk.swept > 0;
  found.meets = found.meets && chunk.mismatch == 0;
  found.growth = std::max({found.growth, chunk.most, front.growth + chunk.from_start});
  front.growth = std::max(chunk.all_exit_rise, front.growth + chunk.exit);
}

}  // namespace

Judgement judge(const ChunkPlace& place, const std::vector<ChunkFacts>& mine, double rtol,
                double atol, PathClock& clock, parallel::Reduction& together) {
  const Passage before = passage_before(place, mine, clock.last());
  Front front{before.scale, before.seams_if_exact, before.noise_if_exact, before.growth,
              before.stays_exact == 1};
  Judgement found;
  for (const ChunkFacts& chunk : mine) pass(chunk, rtol, atol, front, found);
  // The first rank whose chunks are not all exact has the last word on how many are.
  const Index exact = front.exact || mine.empty() || before.stays_exact == 0
                          ? place.all
                          : place.first + found.exact_chunks;
  const auto put = [&](double value) { return together.max(value); };
  const Index residual = put(found.residual), error = put(found.error), scale = put(front.scale),
              leading = put(-static_cast<double>(exact)), hopeless = put(found.hopeless),
              moves = put(found.moves), parts = put(!found.meets), growth = put(found.growth),
              longest = put(clock.longest_here());
  together.run(place.comm);
  found.residual = together.maximum(residual);
  found.error = together.maximum(error);
  found.tolerance = atol + rtol * together.maximum(scale);
  found.exact_chunks = static_cast<Index>(-together.maximum(leading));
  found.hopeless = together.maximum(hopeless) > 0;
  found.moves = together.maximum(moves) > 0;
  found.meets = together.maximum(parts) == 0;
  found.growth = together.maximum(growth);
  clock.learn(std::max(0.0, before.clock), together.maximum(longest));
  return found;
}

plan::Probe probe(const ChunkPlace& place, const std::vector<ChunkFacts>& mine,
                  parallel::Reduction& together) {
  plan::Probe found;
  for (std::size_t i = 0; i < mine.size(); ++i)
    if (place.first + static_cast<Index>(i) > 0) found.add(mine[i]);
  const Index forgetting = together.max(found.forgetting_steps);
  const Index drift = together.sum(found.drift_square);
  together.run(place.comm);
  return {together.maximum(forgetting), together.total(drift)};
}

void PathClock::sweep(const std::vector<ChunkFacts>& mine, bool waited_for_all) {
  double left = before_;
  for (std::size_t c = 0; c < ends_.size(); ++c) {
    const double before = ends_[c];
    if (mine[c].swept > 0)
      ends_[c] = (waited_for_all ? longest_ : std::max(before, left)) + mine[c].swept;
    left = before;
  }
}

double PathClock::longest_here() const {
  return ends_.empty() ? 0 : *std::max_element(ends_.begin(), ends_.end());
}

}  // namespace deeppcr::linear
