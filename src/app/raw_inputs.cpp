#include "app/raw_inputs.hpp"

namespace deeppcr::app {
namespace {

/// Calls visit(w, b, mean, deviation) for each weight w of an input of layer 0, [gates n, d]
/// column-major at the front of its row, and the bias b of its gate on the side of inputs.
template <typename Visit>
void each_weight(const io::CellsShape& shape, const train::Normalisation& normalisation,
                 View<Real, 1> row, const Visit& visit) {
  const Index d = shape.features, n = shape.units;
  // Ours have one bias, behind all else; PyTorch's have two, that of the recurrent side at last.
  const bool ours = shape.cell.rfind("para-", 0) == 0;
  const Index gates = ours ? 3 * n : row.size() / (d + n + 2);
  Real* bias = row.data() + row.size() - (ours ? 1 : 2) * gates;
  const bool each = static_cast<Index>(normalisation.mean.size()) == d;  // else all are alike
  for (Index k = 0; k < d; ++k) {
    const std::size_t c = each ? static_cast<std::size_t>(k) : 0;
    for (Index g = 0; g < gates; ++g)
      visit(row(k * gates + g), bias[g], normalisation.mean[c], normalisation.deviation[c]);
  }
}

}  // namespace

void take_raw_inputs(const io::CellsShape& shape, const train::Normalisation& normalisation,
                     View<Real, 1> row) {
  each_weight(shape, normalisation, row, [](Real& w, Real& b, Real mean, Real deviation) {
    w /= deviation;
    b -= w * mean;
  });
}

void take_normalised_inputs(const io::CellsShape& shape, const train::Normalisation& normalisation,
                            View<Real, 1> row) {
  each_weight(shape, normalisation, row, [](Real& w, Real& b, Real mean, Real deviation) {
    b += w * mean;
    w *= deviation;
  });
}

}  // namespace deeppcr::app
