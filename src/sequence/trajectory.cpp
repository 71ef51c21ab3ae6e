#include "deeppcr/sequence/trajectory.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::sequence {

void check_index_size(Index num_steps, Index batch, int width) {
  const double elements = static_cast<double>(num_steps) * static_cast<double>(batch) * width;
  if (elements <= static_cast<double>(petsc::max_global_size())) return;
  throw input_error(
      "steps x batch x width = {} x {} x {} = {:.4g} state elements, but this PETSc counts them "
      "with "
      "{} bits (at most {}); use fewer samples at a time, or a build against PETSc with 64-bit "
      "indices (-DDEEPPCR_PETSC64=ON; Debian: petsc64-dev)",
      num_steps, batch, width, elements, 8 * sizeof(PetscInt), petsc::max_global_size());
}

Trajectory::Trajectory(const parallel::Communicator& comm, parallel::BlockLayout layout,
                       Index batch, int width)
    : comm_(comm),
      layout_(std::move(layout)),
      batch_(batch),
      width_(width),
      num_local_(layout_.count(comm.rank())) {
  check_index_size(layout_.num_steps(), batch_, width_);
  input_.reset(batch_ * width_);
  const Index local = num_local_ * batch_ * width_;
  constexpr Index kLine = 8;  // reals of a cache line: the local states begin with one
  const Index front = (batch_ * width_ + kLine - 1) / kLine * kLine;
  values_.reset(front + local);
  data_ = values_.data() + front;
  const bool replicated = !layout_.is_contiguous() && layout_.is_replicated();
  DEEPPCR_PETSC(VecCreateMPIWithArray(replicated ? PETSC_COMM_SELF : comm_.get(), 1,
                                      static_cast<PetscInt>(local), PETSC_DETERMINE, data_,
                                      vec_.put()));
}

void Trajectory::touched() { petsc::mark_changed(reinterpret_cast<PetscObject>(vec_.get())); }

States Trajectory::with_front() {
  Real* front = data_ - input_.size();
  const StepSet local = local_steps();
  DEEPPCR_ASSERT(local.is_contiguous(), "{} ranges", local.num_ranges());
  if (local.empty() || local.contains(Index{0})) std::copy(input_.begin(), input_.end(), front);
  return {front, {num_local_ + 1, batch_, width_}};
}

States Trajectory::whole() {
  DEEPPCR_ASSERT(num_local_ == layout_.num_steps(), "{} of {} steps", num_local_,
                 layout_.num_steps());
  return with_front();
}

ConstStates Trajectory::starts(parallel::Traffic& traffic) const {
  const StepSet local = local_steps();
  const Index state = batch_ * width_;
  const std::array<Index, 3> shape{num_local_, batch_, width_};
  Buffer<Real> packed;
  Real* left = data_ - state;  // the state before each range, [ranges, B, n]
  if (!local.is_contiguous()) {
    packed.reset(local.num_ranges() * state);
    left = packed.data();
  }
  parallel::halo(comm_, layout_, data_, left, state, traffic);
  if (local.contains(Index{0})) std::copy(input_.begin(), input_.end(), left);
  if (local.is_contiguous()) return {left, shape};
  starts_.reserve(num_local_ * state);
  for (Index k = 0; k < local.num_ranges(); ++k) {
    const StepRange range = local.range(k);
    const Index row = local.row(range.first);
    std::copy_n(left + k * state, state, starts_.data() + row * state);
    std::copy_n(data_ + row * state, (range.size() - 1) * state,
                starts_.data() + (row + 1) * state);
  }
  return {starts_.data(), shape};
}

void Trajectory::fill_with_input() {
  for (Index i = 0; i < num_local_; ++i)
    std::copy(input_.begin(), input_.end(), data_ + i * input_.size());
  touched();
}

void Trajectory::fill_with_zero() {
  std::fill(values_.begin(), values_.end(), 0.0);
  touched();
}

void Trajectory::fill_with_noise(std::uint64_t seed) {
  constexpr std::uint64_t kGuessStream = 0x67756573;  // "gues"
  const RandomStream noise(seed, kGuessStream);
  const StepSet local = local_steps();
  const Index state = batch_ * width_;
  for (const StepRange range : local.ranges())
    noise.normal(range.first * state, range.size() * state, data_ + local.row(range.first) * state);
  touched();
}

}  // namespace deeppcr::sequence
