#include "deeppcr/io/cell_weights.hpp"

#include <cmath>

#include "io/recognise.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::CellsShape;
using io::hdf5::File;
using io::hdf5::Shape;

/// A file of cells as a user's script would write it: float32, row-major, on one rank.
class CellFile {
 public:
  explicit CellFile(const std::string& format = "") {
    on_root([&] {
      File file = File::create(path());
      if (!format.empty()) file.set("/", "format", format);
      file.close();
    });
  }
  CellFile& set(const std::string& object, const std::string& name, const io::hdf5::Value& value) {
    return change([&](File& file) { file.set(object, name, value); });
  }
  CellFile& add(const std::string& name, const Shape& shape, std::vector<float> values = {}) {
    Index entries = 1;
    for (const Index size : shape) entries *= size;
    values.resize(static_cast<std::size_t>(entries), 1);
    return change([&](File& file) { file.write<float>(name, shape, values.data(), {"", {}}); });
  }
  /// weight_ih [gates n, d] and weight_hh [gates n, n] of ones.
  CellFile& add_weights(const std::string& group, Index gates, Index n, Index d) {
    return add(group + "/weight_ih", {gates * n, d}).add(group + "/weight_hh", {gates * n, n});
  }
  std::optional<CellsShape> inspect() const { return io::inspect_cells(world(), path()); }
  std::vector<Real> read(Index layer = 0) const {
    const CellsShape shape = inspect().value();
    std::vector<Real> row(static_cast<std::size_t>(io::parameters_of_cell(shape, layer)), -1);
    io::read_cells(world(), path(), shape, layer, {row.data(), {static_cast<Index>(row.size())}});
    return row;
  }
  std::string path() const { return folder_ / "cell.h5"; }

 private:
  template <typename Body>
  CellFile& change(Body&& body) {
    on_root([&] {
      File file = File::open(path(), File::Access::modify);
      body(file);
      file.close();
    });
    return *this;
  }
  TemporaryFolder folder_;
};

TEST(CellWeights, GatesAreBroughtIntoTheProgramsOrder) {
  CellFile file;  // n = 1, d = 2
  file.add("/weight_ih", {3, 2}, {1, 2, 3, 4, 5, 6}).add("/weight_hh", {3, 1}, {7, 8, 9});
  file.add("/bias", {3}, {10, 11, 12}).add("/inputs", {5, 2});
  file.set("/", "cell", "gru").set("/", "gates", "z,r,c").set("/", "candidate", "relu");
  file.set("/", "reset", "before").set("/", "note", "anything").set("/", "speed", "fast");
  const std::optional<CellsShape> shape = file.inspect();
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->cell, "gru");
  EXPECT_EQ(shape->candidate, "relu");
  EXPECT_EQ(shape->activation, "");
  EXPECT_TRUE(shape->reset_before);
  EXPECT_EQ(shape->layers, 1);
  EXPECT_EQ(shape->features, 2);
  EXPECT_EQ(shape->units, 1);
  EXPECT_EQ(shape->classes, 0);
  EXPECT_EQ(shape->unknown_attributes, (std::vector<std::string>{"speed"}));
  // W_ih column-major, W_hh, b_ih, b_hh; r, z, n.
  EXPECT_EQ(file.read(), (std::vector<Real>{3, 1, 5, 4, 2, 6, 8, 7, 9, 11, 10, 12, 0, 0, 0}));
}

TEST(CellWeights, WithoutAttributesCellsArePyTorchs) {
  const auto cell_of = [](Index gates) {
    CellFile file;
    file.add_weights("", gates, 2, 3);
    const std::optional<CellsShape> shape = file.inspect();
    return shape ? shape->cell + " " + shape->candidate + shape->activation : "";
  };
  EXPECT_EQ(cell_of(1), "rnn tanh");
  EXPECT_EQ(cell_of(3), "gru tanh");
  EXPECT_EQ(cell_of(4), "lstm ");
  EXPECT_ERROR(cell_of(2), "no attribute says which 'cell'");
  CellFile file;  // matrices of more than one unit
  file.add("/weight_ih", {2, 2}, {1, 2, 3, 4}).add("/weight_hh", {2, 2}, {5, 6, 7, 8});
  file.add("/bias_ih", {2}, {9, 10}).add("/bias_hh", {2}, {11, 12});
  EXPECT_EQ(file.read(), (std::vector<Real>{1, 3, 2, 4, 5, 7, 6, 8, 9, 10, 11, 12}));
}

TEST(CellWeights, DiagonalCells) {
  CellFile gru;
  gru.add("/weight_ih", {3, 1}, {1, 2, 3}).add("/weight_hh", {3}, {4, 5, 6});
  gru.set("/", "cell", "para-gru").set("/", "gates", "r,z,n");
  EXPECT_EQ(gru.read(), (std::vector<Real>{2, 1, 3, 5, 4, 6, 0, 0, 0}));
  CellFile lstm;
  lstm.add("/weight_ih", {3, 1}, {1, 2, 3}).add("/weight_hh", {3}, {4, 5, 6});
  lstm.add("/bias", {3}, {9, 10, 11}).set("/", "cell", "para-lstm");
  EXPECT_ERROR(lstm.inspect(), "has no /peephole, which para-lstm needs");
  lstm.add("/peephole", {2}, {7, 8});
  EXPECT_EQ(lstm.read(), (std::vector<Real>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(CellWeights, FilesWithoutCellsAreNone) {
  EXPECT_FALSE(CellFile().inspect().has_value());
  EXPECT_FALSE(CellFile().add("/layers/weight", {2, 3, 3}).inspect().has_value());
}

struct Written {
  std::string cell, candidate, activation;
  bool reset_before;
  Index layers;
};

class CellsOnceAround : public testing::TestWithParam<Written> {};

TEST_P(CellsOnceAround, WhatIsWrittenIsRead) {
  const Written& c = GetParam();
  CellsShape shape;
  shape.cell = c.cell;
  shape.candidate = c.candidate;
  shape.activation = c.activation;
  shape.reset_before = c.reset_before;
  shape.layers = c.layers;
  shape.features = 3;
  shape.units = 2;
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  std::vector<std::vector<Real>> rows;
  std::vector<View<const Real, 1>> views;
  Real value = 0;
  for (Index layer = 0; layer < c.layers; ++layer) {
    rows.emplace_back(static_cast<std::size_t>(io::parameters_of_cell(shape, layer)));
    for (Real& entry : rows.back()) entry = ++value;
  }
  rows.back().back() = std::nan("");
  for (const std::vector<Real>& row : rows)
    views.emplace_back(row.data(), std::array<Index, 1>{static_cast<Index>(row.size())});
  const std::vector<Real> head{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // [2 + 1, 4]
  io::write_cell_weights(world(), path, example_provenance(world()), shape, views,
                         {head.data(), {3, 4}});
  EXPECT_EQ(io::recognise(path).format, file_format::kWeights);  // so a later run may replace it
  const std::optional<CellsShape> back = io::inspect_cells(world(), path);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->cell, shape.cell);
  EXPECT_EQ(back->candidate, shape.candidate);
  EXPECT_EQ(back->activation, shape.activation);
  EXPECT_EQ(back->reset_before, shape.reset_before);
  EXPECT_EQ(back->layers, shape.layers);
  EXPECT_EQ(back->features, 3);
  EXPECT_EQ(back->units, 2);
  EXPECT_EQ(back->classes, 4);
  EXPECT_TRUE(back->unknown_attributes.empty());
  for (Index layer = 0; layer < c.layers; ++layer) {
    const std::vector<Real>& wanted = rows[static_cast<std::size_t>(layer)];
    std::vector<Real> row(wanted.size());
    io::read_cells(world(), path, *back, layer, {row.data(), {static_cast<Index>(row.size())}});
    for (std::size_t i = 0; i < row.size(); ++i)
      EXPECT_TRUE(row[i] == wanted[i] || (std::isnan(row[i]) && std::isnan(wanted[i])))
          << layer << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CellsOnceAround,
    testing::Values(Written{"rnn", "", "relu", false, 1}, Written{"gru", "tanh", "", false, 3},
                    Written{"gru", "gelu", "", true, 1}, Written{"lstm", "", "", false, 2},
                    Written{"para-gru", "", "", false, 2}, Written{"para-lstm", "", "", false, 1}));

/// What goes wrong when a gru of 2 units and 3 features is changed so.
template <typename Change>
std::string refusal(Change&& change) {
  CellFile file;
  file.add_weights("", 3, 2, 3);
  change(file);
  return error_of([&] { file.inspect(); });
}
#define EXPECT_REFUSED(change, text)                                        \
  do {                                                                      \
    const std::string error = refusal([](CellFile& file) { file change; }); \
    EXPECT_NE(error.find(text), std::string::npos) << "got: " << error;     \
  } while (false)

TEST(CellWeights, WhatContradictsItselfIsRefused) {
  EXPECT_REFUSED(.set("/", "cell", "lstm"), "weight_hh in");
  EXPECT_REFUSED(.set("/", "cell", "cnn"), "there is no cell 'cnn'; known: rnn, gru, lstm");
  EXPECT_REFUSED(.set("/", "cell", "gru").set("/", "model", "lstm"), "'gru' elsewhere");
  EXPECT_REFUSED(.set("/", "gates", "i,f,g,o"), "is 'i,f,g,o'; the gates of gru are r,z,n");
  EXPECT_REFUSED(.set("/", "gates", "r,z"), "the gates of gru");
  EXPECT_REFUSED(.set("/", "gates", "r,r,n"), "the gates of gru");
  EXPECT_REFUSED(.set("/", "reset", "never"), "is 'never'; gru has after or before");
  EXPECT_REFUSED(.set("/", "activation", "relu"), "gru has none");
  EXPECT_REFUSED(.set("/", "bidirectional", "true"), "of / in '");
  EXPECT_REFUSED(.set("/", "bidirectional", "true"), "is 'true'; such cells cannot be read");
  EXPECT_REFUSED(.set("/", "dropout", 0.5), "is '0.5'; such cells cannot");
  EXPECT_REFUSED(.set("/weight_hh", "bidirectional", Index{1}),
                 "attribute 'bidirectional' of /weight_hh in");
  EXPECT_REFUSED(.set("/", "gates", "r,z,n").set("/weight_ih", "gates", "z,r,n"),
                 "'gates' of /weight_ih");
  EXPECT_REFUSED(.set("/", "cell", Index{3}), "is not text");
  EXPECT_REFUSED(.set("/weight_ih", "dimensions", std::vector<std::string>{"in", "out"}),
                 "transpose it");
  EXPECT_EQ(refusal([](CellFile& file) {
              file.set("/", "dropout", 0.0)
                  .set("/", "bidirectional", "False")
                  .set("/", "gates", std::vector<std::string>{"z", "r", "n"});
            }),
            "");
}

TEST(CellWeights, AttributesOfTheDatasetsAreObeyedToo) {
  CellFile file;  // n = 1, d = 1
  file.add("/weight_ih", {3, 1}, {1, 2, 3}).add("/weight_hh", {3, 1}, {4, 5, 6});
  file.set("/weight_ih", "gates", "z,r,n").set("/weight_hh", "gates", "z,r,n");
  EXPECT_EQ(file.read(), (std::vector<Real>{2, 1, 3, 5, 4, 6, 0, 0, 0, 0, 0, 0}));
  file.set("/weight_hh", "speed", "fast").set("/", "cell type", "gru");
  file.add("/head/weight", {2, 1}).set("/head", "activation", "relu");
  EXPECT_EQ(file.inspect()->unknown_attributes,
            (std::vector<std::string>{"cell type", "speed of /weight_hh", "activation of /head"}));
}

TEST(CellWeights, AnRnnHasTwoActivations) {
  CellFile file;
  file.add_weights("", 1, 2, 2).set("/", "activation", "sigmoid");
  EXPECT_ERROR(file.inspect(), "is 'sigmoid'; rnn has tanh or relu");
  EXPECT_EQ(file.set("/", "activation", "relu").inspect()->activation, "relu");
}

TEST(CellWeights, OddDatasetsAreRefused) {
  EXPECT_REFUSED(.add("/bias", {7}), "/bias in");
  EXPECT_REFUSED(.add("/bias", {6}).add("/bias_hh", {6}), "beside bias_ih or bias_hh");
  EXPECT_REFUSED(.add("/peephole", {4}), "has /peephole, but gru has");
  EXPECT_REFUSED(.add("/weight_ih_reverse", {6, 3}), "has /weight_ih_reverse, which nothing");
  EXPECT_REFUSED(.add("/layers/weight", {2, 2, 2}), "has /layers, which nothing");
  EXPECT_REFUSED(.add_weights("/cell/0", 3, 2, 3), "has /weight_ih beside /cell");
  EXPECT_REFUSED(.add("/head/weight", {10, 3}), "width 3, but the chain has 2");
  CellFile lonely;
  EXPECT_ERROR(lonely.add("/weight_ih", {6, 3}).inspect(), "has no /weight_hh");
  CellFile flat;
  flat.add("/weight_ih", {3, 6}).add("/weight_hh", {6, 2});
  EXPECT_ERROR(flat.inspect(), "needs [6, features]");
  CellFile other("deeppcr-checkpoint");
  EXPECT_ERROR(other.add_weights("", 1, 2, 2).inspect(), "is not a deeppcr-weights file");
}

TEST(CellWeights, StacksMustFit) {
  const auto stack = [](Index n1, Index d1) {
    CellFile file;
    file.add_weights("/cell/0", 4, 2, 3).add_weights("/cell/1", 4, n1, d1);
    return error_of([&] { file.inspect(); });
  };
  EXPECT_EQ(stack(2, 2), "");
  EXPECT_NE(stack(2, 3).find("takes 3 features, but the layer below has 2 units"),
            std::string::npos);
  EXPECT_NE(stack(3, 2).find("/cell/0 is lstm of 2 units, /cell/1 is lstm of 3 units"),
            std::string::npos);
  CellFile gap;
  gap.add_weights("/cell/0", 4, 2, 3).add_weights("/cell/2", 4, 2, 2);
  EXPECT_ERROR(gap.inspect(), "must be named 0 to 1");
  CellFile names;
  names.add_weights("/cell/0", 3, 2, 3).add_weights("/cell/1", 3, 2, 2);
  names.set("/", "cell", "gru").set("/cell/1", "gates", "z,r,n");  // layers may differ in this
  EXPECT_TRUE(names.inspect().has_value());
  names.set("/cell/1", "cell", "lstm");
  EXPECT_ERROR(names.inspect(), "is 'lstm', but 'gru' elsewhere");
}

}  // namespace
}  // namespace deeppcr::test
