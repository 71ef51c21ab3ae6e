#include "models/cell.hpp"

#include <algorithm>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

int CellShape::gates() const {
  switch (kind) {
    case CellKind::rnn:
      return 1;
    case CellKind::lstm:
      return 4;
    default:
      return 3;
  }
}

Index CellShape::all_parameters() const {
  Index all = 0;
  for (int layer = 0; layer < layers; ++layer) all += parameters(layer);
  return all;
}

Index CellShape::recurrent_parameters() const {
  if (kind == CellKind::para_gru) return 6 * Index{units};
  if (kind == CellKind::para_lstm) return 8 * Index{units};
  return gate_reals() * (units + 2);
}

blocks::Structure CellShape::structure() const {
  if (layers > 1 || !is_diagonal()) return blocks::Structure::dense;
  return has_memory() ? blocks::Structure::paired_diagonals : blocks::Structure::diagonal;
}

bool Cell::paired_diagonals(Index, const Real*, Real*) const { return false; }

std::unique_ptr<Cell> make_cell(const CellShape& shape) {
  switch (shape.kind) {
    case CellKind::rnn:
      return make_rnn_cell(shape);
    case CellKind::gru:
      return make_gru_cell(shape);
    case CellKind::lstm:
      return make_lstm_cell(shape);
    case CellKind::para_gru:
      return make_para_gru_cell(shape);
    case CellKind::para_lstm:
      break;
  }
  return make_para_lstm_cell(shape);
}

const Real* gathered(Index count, const Real* x, Index stride, Index width, Buffer<Real>& scratch) {
  if (stride == width) return x;
  scratch.reserve(count * width);
  for (Index i = 0; i < count; ++i) std::copy_n(x + i * stride, width, scratch.data() + i * width);
  return scratch.data();
}

void scatter(Index count, const Real* x, Index width, Real* y, Index stride) {
  for (Index i = 0; i < count; ++i) std::copy_n(x + i * width, width, y + i * stride);
}

void add_outer_products(Index rows, int outputs, int inputs, const Real* delta, const Real* x,
                        Buffer<Real>& scratch, Real* C) {
  // So many rows at a time that the transposed ones stay in a cache.
  constexpr Index kMost = 256;
  scratch.reserve(std::min(rows, kMost) * inputs);
  for (Index first = 0; first < rows; first += kMost) {
    const auto part = static_cast<int>(std::min(kMost, rows - first));
    blocks::transpose(inputs, part, x + first * inputs, scratch.data());
    blocks::Product(outputs, part).add(delta + first * outputs, inputs, scratch.data(), C, C);
  }
}

void add_rows(Index rows, Index width, const Real* x, Real* sum) {
  for (Index row = 0; row < rows; ++row) blocks::add(width, x + row * width, sum);
}

}  // namespace deeppcr::models
