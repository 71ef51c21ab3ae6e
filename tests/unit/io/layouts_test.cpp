// What is written does not depend on the layout: every file has the chain's order, and whoever
// reads it gets the rows that he holds.
#include "support/layouts.hpp"

#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/io/weights.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::hdf5::File;
using io::hdf5::Rows;
using parallel::BlockLayout;
using sequence::Trajectory;

constexpr Index kBatch = 2;
constexpr int kWidth = 3;

io::Problem problem_of(Index num_steps) { return {"resnet", num_steps, kBatch, kWidth, 5}; }

/// The marks of the given states, as a file has them.
std::vector<Real> marks_of(const std::vector<Index>& states) {
  std::vector<Real> marks;
  for (const Index state : states)
    for (Index b = 0; b < kBatch; ++b)
      for (Index i = 0; i < kWidth; ++i) marks.push_back(mark(state, b, i));
  return marks;
}

Trajectory marked(const BlockLayout& layout) {
  Trajectory trajectory(world(), layout, kBatch, kWidth);
  fill_with_marks(trajectory);
  return trajectory;
}

class AnyLayout : public testing::TestWithParam<Index> {
 protected:
  Index num_steps() const { return GetParam(); }
  std::vector<NamedLayout> layouts() const { return all_layouts(num_steps(), world().size()); }

  const TemporaryFolder folder_;
};

TEST_P(AnyLayout, CheckpointsAreTheSame) {
  const std::string path = folder_ / "c.h5";
  const std::vector<Index> all =
      io::StateSelection{io::StateSelection::Kind::all}.states(num_steps());
  std::string expected_crc;
  for (const auto& [name, layout] : layouts()) {
    SCOPED_TRACE(name);
    const Trajectory written = marked(layout);
    io::CheckpointContent content{problem_of(num_steps()), {4, 1e-3, 12.5}, {}};
    content.arrays.push_back(
        io::state_array(world(), layout, written.input(), written.states().data()));
    io::save_checkpoint(world(), path, example_provenance(world()), content);
    on_root([&] {
      const File file = File::open(path, File::Access::read);
      EXPECT_EQ(file.read<Real>("/state/z"), marks_of(all));
      const std::string crc = file.text("/state/z", "crc32");
      if (expected_crc.empty()) expected_crc = crc;
      EXPECT_EQ(crc, expected_crc);
    });
    const io::Checkpoint stored(world(), path);
    for (const auto& [other, reading] : layouts()) {
      SCOPED_TRACE("read as " + other);
      Trajectory read(world(), reading, kBatch, kWidth);
      stored.read_state(read);
      EXPECT_EQ(wrong_states(read) + wrong_input(read), 0);
      Trajectory guess(world(), reading, kBatch, kWidth);
      io::read_guess(path, guess);
      EXPECT_EQ(wrong_states(guess), 0);
    }
  }
}

TEST_P(AnyLayout, StatesAndLastStateAreTheSame) {
  for (const auto& [name, layout] : layouts()) {
    const Trajectory written = marked(layout);
    for (const char* selection : {"all", "last", "every:1", "every:2", "every:7"}) {
      SCOPED_TRACE(name + ", " + selection);
      io::TraceHeader header;
      header.provenance = example_provenance(world());
      header.problem = problem_of(num_steps());
      header.layout = layout;
      header.states = io::StateSelection::parse(selection);
      io::Trace trace(world(), folder_ / "run.h5", header);
      trace.states(written);
      trace.close();
      on_root([&] {
        const File file = File::open(folder_ / "run.states.h5", File::Access::read);
        const std::vector<Index> states = header.states.states(num_steps());
        EXPECT_EQ(file.read<Index>("/state"), states);
        EXPECT_EQ(file.read<Real>("/z"), marks_of(states));
      });
    }
    io::write_file(world(), folder_ / "out.h5", file_format::kResults, example_provenance(world()),
                   [&](File& file) { io::write_last_state(file, written); });
    on_root([&] {
      const File file = File::open(folder_ / "out.h5", File::Access::read);
      EXPECT_EQ(file.read<Real>("/z_last"), marks_of({num_steps()}));
    });
  }
}

/// Number p of step l.
Real parameter_mark(Index l, Index p) { return static_cast<Real>(1000 * l + p) + 0.25; }

/// Of the steps that a rank holds, [size, each].
Buffer<Real> marked_parameters(const StepSet& steps, Index each) {
  Buffer<Real> values(steps.size() * each);
  for (Index row = 0; row < steps.size(); ++row)
    for (Index p = 0; p < each; ++p) values[row * each + p] = parameter_mark(steps.step(row), p);
  return values;
}

TEST_P(AnyLayout, WeightsAreTheSame) {
  io::WeightsShape shape;
  shape.num_steps = num_steps();
  shape.width = 2;
  shape.block_layers = 2;
  shape.nested = true;
  const Index each = shape.parameters_per_step();
  const std::string path = folder_ / "w.h5";
  std::vector<Real> weight, bias;  // of the first layout
  for (const auto& [name, layout] : layouts()) {
    SCOPED_TRACE(name);
    const Buffer<Real> values = marked_parameters(layout.steps(world().rank()), each);
    const View<const Real, 2> parameters(values.data(), {layout.count(world().rank()), each});
    io::write_weights(world(), path, example_provenance(world()),
                      {shape, layout.written_steps(world().rank()), parameters});
    on_root([&] {
      const File file = File::open(path, File::Access::read);
      const auto found_weight = file.read<Real>("/layers/weight");
      const auto found_bias = file.read<Real>("/layers/bias");
      if (name == "balanced") {
        weight = found_weight;
        bias = found_bias;
      }
      EXPECT_EQ(found_weight, weight);
      EXPECT_EQ(found_bias, bias);
    });
    for (const auto& [other, reading] : layouts()) {
      SCOPED_TRACE("read as " + other);
      const StepSet mine = reading.steps(world().rank());
      const Buffer<Real> expected = marked_parameters(mine, each);
      Buffer<Real> found(expected.size());
      io::read_weights(world(), path, shape, mine, {found.data(), {mine.size(), each}});
      EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
    }
  }
}

TEST_P(AnyLayout, TracesSayWhoHoldsWhat) {
  for (const auto& [name, layout] : layouts()) {
    SCOPED_TRACE(name);
    io::TraceHeader header;
    header.provenance = example_provenance(world());
    header.problem = problem_of(num_steps());
    header.layout = layout;
    io::Trace(world(), folder_ / "run.h5", header).close();
    on_root([&] {
      const File file = File::open(folder_ / "run.h5", File::Access::read);
      const auto first = file.read<Index>("/layout/first_step");
      EXPECT_EQ(first.back(), num_steps());
      EXPECT_EQ(file.is_dataset("/layout/rank"), !layout.is_contiguous());
      if (layout.is_contiguous()) {
        EXPECT_EQ(first, layout.first_steps());
        return;
      }
      const auto ranks = file.read<Index>("/layout/rank");
      ASSERT_EQ(first.size(), ranks.size() + 1);
      for (std::size_t k = 0; k < ranks.size(); ++k) {
        for (Index l = first[k]; l < first[k + 1]; ++l)
          EXPECT_EQ(ranks[k], layout.is_replicated() ? -1 : layout.owner(l));
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, AnyLayout, testing::ValuesIn(degenerate_sizes()));

/// Many ranges are few calls: rows and ranges that do not end together, and pieces out of order.
TEST(Hdf5Rows, AnySetOfRowsIsMovedWhole) {
  const TemporaryFolder folder;
  const Index rows = 47, columns = 2;
  for (const Index block : {1, 4, 6}) {
    const BlockLayout layout = BlockLayout::dealt(rows, world().size(), block);
    const StepSet mine = layout.steps(world().rank());
    std::vector<Index> values;
    for (Index row = 0; row < mine.size(); ++row)
      for (Index c = 0; c < columns; ++c) values.push_back(mine.step(row) * columns + c);
    File file = File::create(folder / "a.h5", &world());
    file.write_rows<Index>("/x", {rows, columns}, {{mine, values.data()}}, {"x", {}});
    std::vector<Index> back(values.size(), -1);
    file.read_rows<Index>("/x", {{mine, back.data()}});
    EXPECT_EQ(back, values);
    const auto whole = file.read<Index>("/x");
    file.close();
    for (std::size_t k = 0; k < whole.size(); ++k) ASSERT_EQ(whole[k], static_cast<Index>(k));
  }
}

/// Rows that are made while they are written: fewer and more than a piece holds, other numbers of
/// pieces on each rank.
TEST(Hdf5Rows, MadeOnTheWayAreWrittenInPieces) {
  const TemporaryFolder folder;
  const Index rows = 47, columns = 2;
  for (const Index at_once : {1, 5, 100}) {
    for (const auto& [name, layout] : all_layouts(rows, world().size())) {
      SCOPED_TRACE(name);
      const StepSet mine = layout.written_steps(world().rank());
      Index next = 0, most = 0;
      io::hdf5::MadeRows<Index> made{mine, at_once, {}};
      made.make = [&](Index first, Index count, Index* to) {
        EXPECT_EQ(first, next);
        next += count;
        most = std::max(most, count);
        for (Index k = 0; k < count * columns; ++k)
          to[k] = mine.step(first + k / columns) * columns + k % columns;
      };
      File file = File::create(folder / "a.h5", &world());
      file.write_rows<Index>("/x", {rows, columns}, made, {"x", {}});
      EXPECT_EQ(next, mine.size());
      EXPECT_LE(most, at_once);
      const auto whole = file.read<Index>("/x");
      file.close();
      for (std::size_t k = 0; k < whole.size(); ++k) ASSERT_EQ(whole[k], static_cast<Index>(k));
    }
  }
}

}  // namespace
}  // namespace deeppcr::test
