#include "linear/matrix_chain.hpp"

#include <vector>

#include "deeppcr/petsc/check.hpp"

namespace deeppcr::linear {

MatrixChain::MatrixChain(Mat matrix) {
  MPI_Comm mpi_comm = MPI_COMM_NULL;
  PetscInt n = 0, first = 0, last = 0;
  DEEPPCR_PETSC(PetscObjectGetComm(reinterpret_cast<PetscObject>(matrix), &mpi_comm));
  comm_ = std::make_unique<parallel::Communicator>(mpi_comm);
  DEEPPCR_PETSC(MatGetBlockSize(matrix, &n));
  DEEPPCR_PETSC(MatGetOwnershipRange(matrix, &first, &last));
  if (comm_->any(first % n != 0 || last % n != 0)) {
    throw input_error(
        "pc deeppcr: the ranks' rows are not whole blocks of size {}; set the block size of the "
        "matrix "
        "and lay rows out block by block",
        n);
  }
  std::vector<Index> first_steps{0};
  for (Index rows : comm_->gather_all((last - first) / n))
    first_steps.push_back(first_steps.back() + rows);
  const parallel::BlockLayout layout(first_steps);
  const StepRange local{first / n, last / n};
  blocks_ = std::make_unique<blocks::DenseLinearisation>(local, 1, static_cast<int>(n));
  chain_ = std::make_unique<blocks::BlockBidiagonal>(*comm_, layout, 1, static_cast<int>(n));
  chain_->set_linearisation(blocks_.get());
  parallel::agree(*comm_, [&] {
    for (PetscInt row = first; row < last; ++row) read_row(matrix, row, blocks_->storage());
  });
}

void MatrixChain::read_row(Mat matrix, PetscInt row, Blocks A) {
  const auto n = static_cast<PetscInt>(chain_->width());
  const PetscInt l = row / n, i = row % n;
  PetscInt count = 0;
  const PetscInt* columns = nullptr;
  const PetscScalar* values = nullptr;
  DEEPPCR_PETSC(MatGetRow(matrix, row, &count, &columns, &values));
  bool has_diagonal = false, fits = true;
  for (PetscInt k = 0; k < count; ++k) {
    const PetscInt block = columns[k] / n, j = columns[k] % n;
    if (block == l) {
      fits = fits && values[k] == (i == j ? 1.0 : 0.0);
      has_diagonal = has_diagonal || i == j;
    } else if (block == l - 1) {
      A(l - chain_->local_range().first, 0, j, i) = -values[k];
    } else {
      fits = fits && values[k] == 0.0;
    }
  }
  DEEPPCR_PETSC(MatRestoreRow(matrix, row, &count, &columns, &values));
  if (fits && has_diagonal) return;
  throw local_input_error(
      "pc deeppcr: row {} does not belong to a chain: with block size {} the diagonal blocks must "
      "be "
      "identities, and only the first subdiagonal may hold other blocks",
      row, n);
}

}  // namespace deeppcr::linear
