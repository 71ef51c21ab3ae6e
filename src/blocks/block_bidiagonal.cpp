#include "deeppcr/blocks/block_bidiagonal.hpp"

#include <algorithm>
#include <functional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::blocks {

namespace {

constexpr const char* kMatType = "deeppcrbidiagonal";

using Product = void (BlockBidiagonal::*)(ConstStates, States) const;

PetscErrorCode mat_product(Mat mat, Vec x, Vec y, Product product) {
  return petsc::guard([&] {
    const BlockBidiagonal* J = BlockBidiagonal::from(mat);
    const std::array<Index, 3> shape{J->local_range().size(), J->batch(), J->width()};
    petsc::with_arrays(x, y, [&](const Real* in, Real* out) {
      (J->*product)(ConstStates(in, shape), States(out, shape));
    });
  });
}

PetscErrorCode mat_mult(Mat mat, Vec x, Vec y) {
  return mat_product(mat, x, y, &BlockBidiagonal::multiply);
}

PetscErrorCode mat_mult_transpose(Mat mat, Vec x, Vec y) {
  return mat_product(mat, x, y, &BlockBidiagonal::multiply_transpose);
}

/// MatConvert to MATBAIJ, MATMPIBAIJ, MATAIJ, MATMPIAIJ.
PetscErrorCode mat_convert(Mat mat, MatType type, MatReuse reuse, Mat* result) {
  return petsc::guard([&] {
    Mat assembled = nullptr;
    petsc::Handle<Mat> blocks = BlockBidiagonal::from(mat)->assemble();
    DEEPPCR_PETSC(MatConvert(blocks.get(), type, MAT_INITIAL_MATRIX, &assembled));
    if (reuse == MAT_INPLACE_MATRIX) {
      DEEPPCR_PETSC(MatHeaderReplace(mat, &assembled));
    } else {
      *result = assembled;
    }
  });
}

}  // namespace

BlockBidiagonal::BlockBidiagonal(const parallel::Communicator& comm, parallel::BlockLayout layout,
                                 Index batch, int width)
    : comm_(comm), layout_(std::move(layout)), batch_(batch), width_(width) {
  DEEPPCR_ASSERT(layout_.num_ranks() == comm_.size(), "layout for {} ranks, {} are here",
                 layout_.num_ranks(), comm_.size());
  DEEPPCR_ASSERT(layout_.is_contiguous(),
                 "Newton and the linear solvers need one range of steps a rank");
}

const Linearisation& BlockBidiagonal::linearisation() const {
  DEEPPCR_ASSERT(linearisation_ != nullptr, "the operator has no Jacobians yet");
  return *linearisation_;
}

void BlockBidiagonal::set_linearisation(const Linearisation* A, Index first_step) {
  linearisation_ = A;
  if (A != nullptr && first_step != 0) linearisation_ = &shifted_.emplace(*A, first_step);
  if (mat_) petsc::mark_changed(reinterpret_cast<PetscObject>(mat_.get()));
}

// y_l = x_l - A_l x_{l-1}, where nothing comes before step 0
void BlockBidiagonal::multiply(ConstStates x, States y) const {
  const StepRange local = local_range();
  const Index m = local.size(), state = batch_ * width_, first = local.contains(0) ? 1 : 0;
  const std::array<Index, 4> columns{std::max<Index>(0, m - first), batch_, 1, width_};
  Buffer<Real> before((m + 1) * state), images(m * state);
  parallel::Traffic traffic;
  parallel::halo(comm_, layout_, x.data(), before.data(), state, traffic);
  std::copy(x.begin(), x.end(), before.data() + state);
  if (columns[0] > 0)
    linearisation().product_each({local.first + first, local.last}, Direction::forward,
                                 {before.data() + first * state, columns},
                                 {images.data() + first * state, columns});
  std::transform(x.begin(), x.end(), images.begin(), y.begin(), std::minus<>());
}

// y_{l-1} = x_{l-1} - A_l^T x_l: each step serves the row to its left
void BlockBidiagonal::multiply_transpose(ConstStates x, States y) const {
  const StepRange local = local_range();
  const Index m = local.size(), state = batch_ * width_;
  const std::array<Index, 4> columns{m, batch_, 1, width_};
  Buffer<Real> images((m + 1) * state);  // the last one comes from the right
  if (m > 0)
    linearisation().product_each(local, Direction::backward, {x.data(), columns},
                                 {images.data(), columns});
  parallel::Traffic traffic;
  parallel::halo(comm_, 0, layout_.num_active_ranks() - 1, Direction::backward, images.data(),
                 images.data() + m * state, state, traffic);
  std::transform(x.begin(), x.end(), images.data() + state, y.begin(), std::minus<>());
}

Mat BlockBidiagonal::mat() {
  if (mat_) return mat_.get();
  const Index rows = local_range().size() * batch_ * width_;
  const Index all = layout_.num_steps() * batch_ * width_;
  DEEPPCR_PETSC(MatCreateShell(comm_.get(), static_cast<PetscInt>(rows),
                               static_cast<PetscInt>(rows), static_cast<PetscInt>(all),
                               static_cast<PetscInt>(all), this, mat_.put()));
  Mat A = mat_.get();
  DEEPPCR_PETSC(MatSetBlockSize(A, width_));
  DEEPPCR_PETSC(MatShellSetOperation(A, MATOP_MULT, reinterpret_cast<void (*)()>(mat_mult)));
  DEEPPCR_PETSC(MatShellSetOperation(A, MATOP_MULT_TRANSPOSE,
                                     reinterpret_cast<void (*)()>(mat_mult_transpose)));
  auto* object = reinterpret_cast<PetscObject>(A);
  DEEPPCR_PETSC(
      PetscObjectComposeFunction(object, kMatType, reinterpret_cast<void (*)()>(mat_mult)));
  for (const char* target : {MATBAIJ, MATMPIBAIJ, MATSEQBAIJ, MATAIJ, MATMPIAIJ, MATSEQAIJ}) {
    const std::string name = std::string("MatConvert_shell_") + target + "_C";
    DEEPPCR_PETSC(PetscObjectComposeFunction(object, name.c_str(),
                                             reinterpret_cast<void (*)()>(mat_convert)));
  }
  DEEPPCR_PETSC(MatSetUp(A));
  return A;
}

BlockBidiagonal* BlockBidiagonal::from(Mat mat) {
  void (*mark)() = nullptr;
  DEEPPCR_PETSC(PetscObjectQueryFunction(reinterpret_cast<PetscObject>(mat), kMatType, &mark));
  if (mark == nullptr) return nullptr;
  void* context = nullptr;
  DEEPPCR_PETSC(MatShellGetContext(mat, &context));
  return static_cast<BlockBidiagonal*>(context);
}

petsc::Handle<Mat> BlockBidiagonal::assemble(petsc::Handle<Mat> reuse) const {
  const StepRange local = local_range();
  const auto n = static_cast<PetscInt>(width_);
  const auto first = static_cast<PetscInt>(local.first * batch_);
  const auto rows = static_cast<PetscInt>(local.size() * batch_);
  if (!reuse) {
    // Blocks of other ranks only in the rows of the first step.
    std::vector<PetscInt> outside(static_cast<std::size_t>(rows), 0);
    std::fill_n(outside.begin(), std::min<Index>(rows, batch_), 1);
    DEEPPCR_PETSC(MatCreateBAIJ(comm_.get(), n, rows * n, rows * n, PETSC_DETERMINE,
                                PETSC_DETERMINE, 2, nullptr, 0, outside.data(), reuse.put()));
  }
  std::vector<Real> identity(static_cast<std::size_t>(width_) * static_cast<std::size_t>(width_));
  for (int i = 0; i < width_; ++i) identity[static_cast<std::size_t>(i * width_ + i)] = 1.0;
  Buffer<Real> step(batch_ * width_ * width_);
  // Blocks are column-major and negated; PETSc takes them so when told that values come by column.
  DEEPPCR_PETSC(MatSetOption(reuse.get(), MAT_ROW_ORIENTED, PETSC_FALSE));
  for (PetscInt i = 0; i < rows; ++i) {
    const PetscInt row = first + i, left = row - static_cast<PetscInt>(batch_);
    DEEPPCR_PETSC(
        MatSetValuesBlocked(reuse.get(), 1, &row, 1, &row, identity.data(), INSERT_VALUES));
    if (left < 0) continue;
    const Index l = local.first + i / static_cast<PetscInt>(batch_), b = i % batch_;
    if (b == 0) {
      linearisation().blocks({l, l + 1}, Blocks(step.data(), {1, batch_, width_, width_}));
      for (Real& value : step) value = -value;
    }
    DEEPPCR_PETSC(MatSetValuesBlocked(reuse.get(), 1, &row, 1, &left,
                                      step.data() + b * width_ * width_, INSERT_VALUES));
  }
  DEEPPCR_PETSC(MatAssemblyBegin(reuse.get(), MAT_FINAL_ASSEMBLY));
  DEEPPCR_PETSC(MatAssemblyEnd(reuse.get(), MAT_FINAL_ASSEMBLY));
  return reuse;
}

}  // namespace deeppcr::blocks
