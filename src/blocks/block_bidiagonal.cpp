#include "deeppcr/blocks/block_bidiagonal.hpp"

#include <algorithm>
#include <vector>

#include "blocks/shifted.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/callback.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::blocks {

namespace {

constexpr const char* kMatType = "deeppcrbidiagonal";

ConstPanel column(ConstState x) { return {x.data(), {x.extent(0), 1, x.extent(1)}}; }
Panel column(State x) { return {x.data(), {x.extent(0), 1, x.extent(1)}}; }

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

BlockBidiagonal::~BlockBidiagonal() = default;

const Linearisation& BlockBidiagonal::linearisation() const {
  DEEPPCR_ASSERT(linearisation_ != nullptr, "the operator has no Jacobians yet");
  return *linearisation_;
}

void BlockBidiagonal::set_linearisation(const Linearisation* A, Index first_step) {
  const bool shifts = A != nullptr && first_step != 0;
  shifted_ = shifts ? std::make_unique<Shifted>(*A, first_step) : nullptr;
  linearisation_ = shifts ? shifted_.get() : A;
  if (mat_) petsc::mark_changed(reinterpret_cast<PetscObject>(mat_.get()));
}

void BlockBidiagonal::multiply(ConstStates x, States y) const {
  // y_l = x_l - A_l x_{l-1}
  const StepRange local = local_range();
  const Index m = local.size(), state = batch_ * width_;
  const int last = layout_.num_active_ranks() - 1;
  Buffer<Real> left(state), product(state);
  parallel::Traffic traffic;
  parallel::halo(comm_, 0, last, Direction::forward, last_state(x), left.data(), state, traffic);
  for (Index i = 0; i < m; ++i) {
    std::copy_n(x.data() + i * state, state, y.data() + i * state);
    if (local.first + i == 0) continue;
    const ConstState before(i == 0 ? left.data() : x.data() + (i - 1) * state, {batch_, width_});
    const State image(product.data(), {batch_, width_});
    linearisation().product(local.first + i, Direction::forward, column(before), column(image));
    for (Index j = 0; j < state; ++j) y.data()[i * state + j] -= image.data()[j];
  }
}

void BlockBidiagonal::multiply_transpose(ConstStates x, States y) const {
  // y_{l-1} = x_{l-1} - A_l^T x_l: each step serves the row to its left
  const StepRange local = local_range();
  const Index m = local.size(), state = batch_ * width_;
  const int last = layout_.num_active_ranks() - 1;
  Buffer<Real> to_left(state), from_right(state);
  std::copy_n(x.data(), m * state, y.data());
  for (Index i = 0; i < m; ++i) {
    if (local.first + i == 0) continue;
    linearisation().product(local.first + i, Direction::backward, column(x[i]),
                            column(State(to_left.data(), {batch_, width_})));
    if (i == 0) {
      std::copy_n(to_left.data(), state, from_right.data());  // kept until the loop is done
    } else {
      for (Index j = 0; j < state; ++j) y.data()[(i - 1) * state + j] -= to_left[j];
    }
  }
  std::copy_n(from_right.data(), state, to_left.data());
  std::fill(from_right.begin(), from_right.end(), 0.0);
  parallel::Traffic traffic;
  parallel::halo(comm_, 0, last, Direction::backward, to_left.data(), from_right.data(), state,
                 traffic);
  if (m == 0) return;
  for (Index j = 0; j < state; ++j) y.data()[(m - 1) * state + j] -= from_right[j];
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
    std::vector<PetscInt> inside(static_cast<std::size_t>(rows), 2);
    std::vector<PetscInt> outside(static_cast<std::size_t>(rows), 0);
    for (PetscInt i = 0; i < std::min<PetscInt>(rows, static_cast<PetscInt>(batch_)); ++i) {
      inside[static_cast<std::size_t>(i)] = 1;
      outside[static_cast<std::size_t>(i)] = local.first > 0 ? 1 : 0;
    }
    DEEPPCR_PETSC(MatCreateBAIJ(comm_.get(), n, rows * n, rows * n, PETSC_DETERMINE,
                                PETSC_DETERMINE, 0, inside.data(), 0, outside.data(), reuse.put()));
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
