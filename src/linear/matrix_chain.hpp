#pragma once

#include <petscmat.h>

#include <memory>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/blocks/dense_linearisation.hpp"

namespace deeppcr::linear {

/// The chain behind an assembled PETSc matrix: x_l - A_l x_{l-1}, read from identity blocks on the
/// diagonal and blocks -A_l on the first subdiagonal. One sample, width = block size.
class MatrixChain {
 public:
  /// Collective. @throws Error when a row's entries lie elsewhere, or rows are split inside a block
  explicit MatrixChain(Mat matrix);

  const blocks::BlockBidiagonal& chain() const { return *chain_; }

 private:
  void read_row(Mat matrix, PetscInt row, Blocks A);

  std::unique_ptr<parallel::Communicator> comm_;
  std::unique_ptr<blocks::DenseLinearisation> blocks_;
  std::unique_ptr<blocks::BlockBidiagonal> chain_;
};

}  // namespace deeppcr::linear
