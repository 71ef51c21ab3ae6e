#include "deeppcr/nonlinear/coarse_guess.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::nonlinear {

// rank 0 [steps ..] --last state--> rank 1 [steps ..] --last state--> rank 2 ..
void fill_with_coarse_chain(const sequence::Sequence& sequence, Index factor,
                            sequence::Trajectory& trajectory) {
  DEEPPCR_ASSERT(factor >= 1, "factor {}", factor);
  const parallel::Communicator& comm = trajectory.comm();
  const StepRange local = trajectory.local_range();
  if (local.empty()) return;
  const Index B = trajectory.batch(), n = trajectory.width(), size = B * n;
  Buffer<Real> from(size), change(size);
  std::copy_n(trajectory.input().data(), size, from.data());
  if (local.first > 0) comm.receive(from.data(), size, comm.rank() - 1);
  const States z = trajectory.states();
  for (Index l = local.first; l < local.last; l += factor) {
    // z_{l+j} = z_l + j (f_l(z_l) - z_l), j = 1 .. factor
    const Index steps = std::min(factor, local.last - l);
    sequence.value({l, l + 1}, ConstStates(from.data(), {1, B, n}),
                   States(change.data(), {1, B, n}));
    for (Index i = 0; i < size; ++i) change[i] -= from[i];
    for (Index j = 0; j < steps; ++j) {
      Real* to = z[l - local.first + j].data();
      for (Index i = 0; i < size; ++i) to[i] = from[i] + static_cast<Real>(j + 1) * change[i];
    }
    std::copy_n(z[l - local.first + steps - 1].data(), size, from.data());
  }
  if (comm.rank() + 1 < trajectory.layout().num_active_ranks())
    comm.send(from.data(), size, comm.rank() + 1);
  trajectory.touched();
}

}  // namespace deeppcr::nonlinear
